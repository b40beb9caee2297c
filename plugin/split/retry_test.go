package split_test

import (
	"testing"

	"kong-traffic-split/plugin/split"

	"pgregory.net/rapid"
)

// The choices after the failures of each backend keep to the weights of the others as exactly
// as decisions do to all: after any number of them each is fewer than one away from its share.
func TestRetriesAreShared(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := smooth(weights(t, 6)...)
		s.Retry = &split.Retry{Max: rapid.IntRange(1, 3).Draw(t, "max"), Backend: -1}
		st, f := split.NewState(s), &split.Facts{Now: noon}
		sums, counts, turns := map[int]int{}, map[[2]int]int{}, map[int]int{}
		for i := range s.Backends {
			for j, b := range s.Backends {
				if j != i {
					sums[i] += b.Weight
				}
			}
		}
		for range rapid.IntRange(1, 300).Draw(t, "requests") {
			d, err := split.Decide(s, st, f)
			if err != nil {
				return // no backend has a weight
			}
			i := d.Backend
			to := split.Another(s, st, f, &d, i, split.Set(0).With(i))
			if (to < 0) != (sums[i] == 0) {
				t.Fatalf("after %d comes %d, and the others weigh %d", i, to, sums[i])
			}
			if to < 0 {
				continue
			}
			for tried, last := split.Set(0).With(i).With(to), to; last >= 0 && s.Retry.Max > 1; tried = tried.With(last) {
				if last = split.Another(s, st, f, &d, last, tried); last < 0 { // those after the first have no part in it
					break
				}
			}
			turns[i]++
			counts[[2]int{i, to}]++
			for j, b := range s.Backends {
				if j == i {
					continue
				}
				want := float64(turns[i]) * float64(b.Weight) / float64(sums[i])
				if got := float64(counts[[2]int{i, j}]); got <= want-1 || got >= want+1 {
					t.Fatalf("after %d failures of %d, %d has %v, and its share is %v", turns[i], i, j, got, want)
				}
			}
		}
	})
}

// Whatever was tried, redirects or cannot be used is not tried, and all else is in the end, each once;
// a backend that is named is the only one, with weight or without.
func TestRetriesEndAndSkip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := smooth(weights(t, 8)...)
		s.Algorithm = rapid.SampledFrom([]split.Algorithm{split.Smooth, split.Random}).Draw(t, "algorithm")
		n := len(s.Backends)
		s.Retry = &split.Retry{Max: 63, Backend: rapid.IntRange(-1, n-1).Draw(t, "named")}
		for i := range s.Backends {
			if i != s.Retry.Backend && rapid.IntRange(0, 3).Draw(t, "redirects") == 0 {
				s.Backends[i].RedirectsTo = "https://new.example/*"
			}
		}
		st := split.NewState(s)
		f := &split.Facts{Now: noon, Random: rapid.Uint64().Draw(t, "random")}
		for i := range n {
			if rapid.IntRange(0, 3).Draw(t, "unhealthy") == 0 {
				f.Unhealthy = f.Unhealthy.With(i)
			}
		}
		d, err := split.Decide(s, st, f)
		if err != nil {
			return
		}
		tried := split.Set(0).With(d.Backend)
		for failed := d.Backend; ; {
			to := split.Another(s, st, f, &d, failed, tried)
			if to < 0 {
				break
			}
			switch {
			case tried.Has(to):
				t.Fatalf("%d is tried twice", to)
			case s.Backends[to].RedirectsTo != "":
				t.Fatalf("%d is tried, and redirects", to)
			case f.Unhealthy.Has(to):
				t.Fatalf("%d is tried, and unhealthy", to)
			case s.Retry.Backend >= 0 && to != s.Retry.Backend:
				t.Fatalf("%d is tried, and %d is named", to, s.Retry.Backend)
			case s.Retry.Backend < 0 && s.Backends[to].Weight == 0:
				t.Fatalf("%d is tried, and has no weight", to)
			}
			tried, failed = tried.With(to), to
		}
		for i, b := range s.Backends {
			can := !f.Unhealthy.Has(i) && b.RedirectsTo == "" && (s.Retry.Backend == i || s.Retry.Backend < 0 && b.Weight > 0)
			if can && !tried.Has(i) {
				t.Fatalf("%d is never tried", i)
			}
		}
	})
}

// The rotation goes on over a change of the weights, and when a backend comes or goes.
func TestRetriesGoOn(t *testing.T) {
	s := smooth(1, 1, 1)
	s.Retry = &split.Retry{Max: 1, Backend: -1}
	st, f := split.NewState(s), &split.Facts{Now: noon}
	another := func(s *split.Split, st *split.State) int {
		for {
			d, err := split.Decide(s, st, f)
			if err != nil {
				t.Fatal(err)
			}
			if d.Backend == 0 {
				return split.Another(s, st, f, &d, 0, split.Set(0).With(0))
			}
		}
	}
	first := another(s, st)
	next := smooth(2, 3, 3)
	next.Retry = s.Retry
	if second := another(next, st.For(next)); first == second {
		t.Errorf("%d is tried twice in a row, of two with the same weight", first)
	}
	without := smooth(1, 1, 1)
	if st.Fits(without) {
		t.Error("a state without retries fits a split that has them")
	}
}
