package split_test

import (
	"fmt"
	"testing"

	"kong-traffic-split/plugin/split"
)

// cases are the ways to a decision: from a schedule; beyond one, where weights of
// every size leave the most backends to compare; at random; and from source of a
// backend that is down.
func cases(n int) map[string]func() (*split.Split, split.Facts) {
	short, long := make([]int, n), make([]int, n)
	r := seeded(7)
	for i := range n {
		short[i] = 1 + i
		long[i] = 1 + r.IntN(split.MaxWeight)
	}
	with := func(weights []int, a split.Algorithm, on split.OnUnavailable, down split.Set) func() (*split.Split, split.Facts) {
		return func() (*split.Split, split.Facts) {
			s := smooth(weights...)
			s.Algorithm, s.OnUnavailable = a, on
			return s, split.Facts{Random: r.Uint64(), Down: down}
		}
	}
	all := ^split.Set(0)
	return map[string]func() (*split.Split, split.Facts){
		"schedule":     with(short, split.Smooth, split.Fail, 0),
		"beyond":       with(long, split.Smooth, split.Fail, 0),
		"random":       with(long, split.Random, split.Fail, 0),
		"redistribute": with(long, split.Smooth, split.Redistribute, split.Set(1)<<(n/2)-1), // the first half
		"fallback":     with(short, split.Smooth, split.ToFallback, all&^set(0)),
	}
}

// warm makes the choices after which short weights have their schedule.
func warm(t testing.TB, s *split.Split, st *split.State, f split.Facts) {
	for range 20_000 {
		if _, err := split.Decide(s, st, &f); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	for name, newCase := range cases(16) {
		s, f := newCase()
		st := split.NewState(s)
		first := testing.AllocsPerRun(1000, func() { _, _ = split.Decide(s, st, &f) })
		warm(t, s, st, f)
		later := testing.AllocsPerRun(1000, func() { _, _ = split.Decide(s, st, &f) })
		if first != 0 || later != 0 {
			t.Errorf("%s: %v allocations a decision at first, %v later", name, first, later)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{2, 16, 64} {
		for _, name := range []string{"schedule", "beyond", "random", "redistribute", "fallback"} {
			b.Run(fmt.Sprintf("%s/backends=%d", name, n), func(b *testing.B) {
				s, f := cases(n)[name]()
				st := split.NewState(s)
				warm(b, s, st, f)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := split.Decide(s, st, &f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// A schedule is read by all at once, what is beyond one goes through a lock.
func BenchmarkDecideParallel(b *testing.B) {
	for _, name := range []string{"schedule", "beyond"} {
		b.Run(name, func(b *testing.B) {
			s, f := cases(16)[name]()
			st := split.NewState(s)
			warm(b, s, st, f)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := split.Decide(s, st, &f); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// What a change of weights costs: once for each edit, and each step of a ramp.
func BenchmarkFor(b *testing.B) {
	one, other := smooth(3, 1, 4, 1, 5, 9, 2, 6), smooth(3, 1, 4, 1, 5, 9, 2, 7)
	st := split.NewState(one)
	b.ReportAllocs()
	for b.Loop() {
		st = st.For(other)
		one, other = other, one
	}
}
