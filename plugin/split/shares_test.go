package split_test

import (
	"math"
	"math/bits"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"pgregory.net/rapid"
)

// An account is what every backend should have had, less what it got, where each
// request adds the shares of those that could be used for it.
type account struct {
	owed  []float64
	worst float64 // the largest amount that a request left a backend off
}

func newAccount(n int) *account { return &account{owed: make([]float64, n)} }

// request counts a request that a backend got.
func (a *account) request(weights []int, down split.Set, got int) {
	total := 0
	for i, w := range weights {
		if !down.Has(i) {
			total += w
		}
	}
	for i, w := range weights {
		if !down.Has(i) {
			a.owed[i] += float64(w) / float64(total)
		}
	}
	a.owed[got]--
	a.worst = max(a.worst, a.off())
}

// off is how much the backend that is furthest from what it should have had is off.
func (a *account) off() (furthest float64) {
	for _, owed := range a.owed {
		furthest = max(furthest, math.Abs(owed))
	}
	return furthest
}

// Backends fail and recover, in any sets: each keeps to the sum of its shares while it
// can be used.
func TestSharesWhereBackendsFailAndRecover(t *testing.T) {
	highest := 0.0
	rapid.Check(t, func(t *rapid.T) {
		weights := weights(t, 16)
		n := len(weights)
		s := smooth(weights...)
		s.OnUnavailable = split.Redistribute
		st := split.NewState(s)
		a := newAccount(n)
		all := split.Set(1)<<n - 1
		for range rapid.IntRange(1, 60).Draw(t, "changes") {
			down := split.Set(rapid.Uint64().Draw(t, "down")) & all
			if rapid.Bool().Draw(t, "few") {
				down &= split.Set(rapid.Uint64().Draw(t, "of them"))
			}
			left := 0
			for i, w := range weights {
				if !down.Has(i) {
					left += w
				}
			}
			if left == 0 {
				continue
			}
			for range rapid.IntRange(1, 40).Draw(t, "requests") {
				d, err := split.Decide(s, st, &split.Facts{Unhealthy: down})
				if err != nil {
					t.Fatal(err)
				}
				a.request(weights, down, d.Backend)
			}
			if off, drift := a.off(), st.Status(time.Time{}).Drift; math.Abs(off-drift) > 1e-6 {
				t.Fatalf("off by %v, and the status says %v", off, drift)
			}
		}
		highest = max(highest, a.worst)
		if a.worst >= 2 {
			t.Fatalf("off by %.3f", a.worst)
		}
	})
	t.Logf("off by %.3f at the most", highest)
}

// The same where which of them can be used is searched for: any sets, other ones at
// each request.
func TestWorstSetsOfBackends(t *testing.T) {
	for _, n := range []int{3, 4, 8, 16} {
		const choices = 40
		highest := climbSets(t, n, choices, 600)
		t.Logf("%d backends: %.3f", n, highest)
		if highest >= 2 {
			t.Errorf("%d backends: off by %.3f", n, highest)
		}
	}
}

func climbSets(t *testing.T, n, choices, steps int) float64 {
	return climb(t, n, n+choices*n, choices, steps, func(p []float64) course {
		return func(k int, _ []float64) []int {
			weights := make([]int, n)
			some := false
			for i, x := range p[n+k*n : n+k*n+n] {
				if x >= 0.5 {
					weights[i] = max(weightOf(p[i]), 1)
					some = true
				}
			}
			if !some {
				weights[k%n] = max(weightOf(p[k%n]), 1)
			}
			return weights
		}
	})
}

// gateway is a Kong that has some of the backends, and counts what it is asked.
type gateway struct {
	absent split.Set
	asked  int
}

func (g *gateway) exists(i int, _ bool) (bool, error) {
	g.asked++
	return !g.absent.Has(i), nil
}

// Of any number of backends of equal weight, any number are missing, and are found so
// one after another: the others have the same number of requests, give or take one,
// after each of them.
func TestMissingBackendsLeaveEqualSharesEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, split.MaxBackends).Draw(t, "backends")
		weights := make([]int, n)
		for i := range weights {
			weights[i] = 1
		}
		s := smooth(weights...)
		s.OnUnavailable = split.Redistribute
		st := split.NewState(s)
		g := gateway{absent: split.Set(rapid.Uint64().Draw(t, "missing")) & (1<<n - 1)}
		left := n - bits.OnesCount64(uint64(g.absent))
		if left == 0 {
			t.Skip("nobody is left")
		}
		counts := make([]int, n)
		pace := time.Duration(rapid.IntRange(0, 3000).Draw(t, "pace")) * time.Millisecond
		for k := range 300 {
			d, err := split.Choose(s, st, &split.Facts{Now: noon.Add(time.Duration(k) * pace)}, g.exists)
			if err != nil {
				t.Fatal(err)
			}
			counts[d.Backend]++
			for i, c := range counts {
				if g.absent.Has(i) && c > 0 || !g.absent.Has(i) && (c < (k+1)/left || c > k/left+1) {
					t.Fatalf("after %d requests over %d backends, %v", k+1, left, counts)
				}
			}
		}
	})
}

// With any weights too, the others share as if those that are missing were not in the
// config, to within two requests. Each that is missing is asked for once, and once
// more for each second: no request pays for what others have found out.
func TestMissingBackends(t *testing.T) {
	highest := 0.0
	rapid.Check(t, func(t *rapid.T) {
		weights := weights(t, 24)
		n := len(weights)
		s := smooth(weights...)
		s.OnUnavailable = split.Redistribute
		st := split.NewState(s)
		all := split.Set(1)<<n - 1
		counts, shares := make([]int, n), make([]float64, n)
		g := gateway{absent: split.Set(rapid.Uint64().Draw(t, "missing")) & all}
		total := 0
		for i, w := range weights {
			if !g.absent.Has(i) {
				total += w
			}
		}
		if total == 0 {
			t.Skip("nobody is left")
		}
		requests := rapid.IntRange(1, 3000).Draw(t, "requests")
		for k := range requests {
			d, err := split.Choose(s, st, &split.Facts{Now: noon.Add(time.Duration(k) * time.Millisecond)}, g.exists)
			if err != nil {
				t.Fatal(err)
			}
			counts[d.Backend]++
			for i, w := range weights {
				if g.absent.Has(i) {
					continue
				}
				shares[i] += float64(w) / float64(total)
				off := math.Abs(shares[i] - float64(counts[i]))
				highest = max(highest, off)
				if off >= 2 {
					t.Fatalf("after %d requests backend %d has %d, its share is %.3f", k+1, i, counts[i], shares[i])
				}
			}
		}
		if most := requests + bits.OnesCount64(uint64(g.absent))*(1+requests/1000); g.asked > most {
			t.Fatalf("%d requests asked %d times for a backend, want %d at the most", requests, g.asked, most)
		}
	})
	t.Logf("off by %.3f at the most", highest)
}
