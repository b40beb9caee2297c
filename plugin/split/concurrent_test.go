package split_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
)

// Choices from many goroutines are one sequence: their sum is what one goroutine
// would have counted.
func TestChoicesFromManyGoroutinesAreExactInSum(t *testing.T) {
	for name, weights := range map[string][]int{
		"schedule":                  {5, 3, 2},
		"longer than any schedule":  {60_000, 30_000, 9_999, 1},
		"one schedule of one":       {4},
		"as long as a schedule can": {16_000, 383, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := smooth(weights...)
			s.OnUnavailable = split.Redistribute
			const goroutines, choices = 8, 5000
			st := split.NewState(s)
			counts := make([]atomic.Int64, len(weights))
			var all sync.WaitGroup
			for range goroutines {
				all.Go(func() {
					for range choices {
						d, err := split.Decide(s, st, &split.Facts{})
						if err != nil {
							t.Error(err)
							return
						}
						counts[d.Backend].Add(1)
					}
				})
			}
			all.Wait()
			got := make([]int, len(weights))
			for i := range counts {
				got[i] = int(counts[i].Load())
			}
			if diff := cmp.Diff(count(t, s, split.NewState(s), goroutines*choices), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Weights change while requests are decided, by the new state and by the old.
func TestForWhileOthersChoose(t *testing.T) {
	type live struct {
		s  *split.Split
		st *split.State
	}
	s := smooth(3, 2, 1)
	s.OnUnavailable = split.Redistribute
	var current atomic.Pointer[live]
	current.Store(&live{s, split.NewState(s)})
	var choosers sync.WaitGroup
	for g := range 4 {
		choosers.Go(func() {
			for range 5000 {
				now := current.Load()
				down := split.Set(g) // 0 to 3: never the last one
				d, err := split.Decide(now.s, now.st, &split.Facts{Down: down})
				if err != nil {
					t.Error(err)
					return
				}
				if down.Has(d.Backend) {
					t.Errorf("chose %d with %b down", d.Backend, down)
					return
				}
			}
		})
	}
	for k := range 1000 {
		now := current.Load()
		s := smooth(3+k%5, 2, 1+k%2)
		s.OnUnavailable = split.Redistribute
		current.Store(&live{s, now.st.For(s)})
	}
	choosers.Wait()
}
