package split_test

import (
	"math"
	"sync"
	"testing"

	"kong-traffic-split/plugin/split"

	"pgregory.net/rapid"
)

func chosen(t interface{ Fatal(...any) }, s *split.Split, st *split.State) split.Decision {
	d, err := split.Choose(s, st, &split.Facts{}, func(int, bool) (bool, error) { return true, nil })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// After any number of requests, the copies are the part of them, rounded down.
func TestCopiesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]int {
			whole := rapid.SampledFrom([]int{1, 3, 7, 100, 10000, math.MaxInt32}).Draw(t, "whole")
			return [2]int{rapid.IntRange(0, whole).Draw(t, "part"), whole}
		}), 1, 4).Draw(t, "parts")
		s := &split.Split{Backends: []split.Backend{{Name: "a", Weight: 1}}, Algorithm: split.Smooth}
		for i, p := range parts {
			s.Mirrors = append(s.Mirrors, split.Mirror{Name: string(rune('a' + i)), Sources: 1, Part: p[0], Whole: p[1]})
		}
		st, counts := split.NewState(s), make([]int, len(parts))
		for k := range rapid.IntRange(1, 25000).Draw(t, "requests") {
			d := chosen(t, s, st)
			for i, p := range parts {
				if d.Copies.Has(i) {
					counts[i]++
				}
				if want := (k + 1) * p[0] / p[1]; counts[i] != want {
					t.Fatalf("after %d requests at %v: %d copies, not %d", k+1, p, counts[i], want)
				}
			}
		}
	})
}

// Only requests to its sources are copied to a shadow, and count in the rotation: so a backend
// that is one does not get its own requests twice.
func TestCopiesOfSources(t *testing.T) {
	s := &split.Split{
		Backends: []split.Backend{{Name: "a", Weight: 3}, {Name: "b", Weight: 1}}, Algorithm: split.Smooth,
		Mirrors: []split.Mirror{{Name: "b", Sources: 1, Part: 5000, Whole: 10000}},
	}
	st := split.NewState(s)
	requests, copies := [2]int{}, 0
	for range 400 {
		d := chosen(t, s, st)
		requests[d.Backend]++
		if d.Copies.Has(0) {
			copies++
			if d.Backend == 1 {
				t.Fatal("b got a request and its copy")
			}
		}
	}
	if requests != [2]int{300, 100} || copies != 150 {
		t.Errorf("requests %v, copies %d", requests, copies)
	}
}

// The rotation goes on over a change of weights, and from the start with another percent.
func TestRotationOfCopiesGoesOn(t *testing.T) {
	with := func(weight, percent int) *split.Split {
		return &split.Split{
			Backends: []split.Backend{{Name: "a", Weight: weight}, {Name: "b", Weight: 1}}, Algorithm: split.Smooth,
			Mirrors: []split.Mirror{{Name: "x", Sources: 3, Part: 0, Whole: 10000}, {Name: "shadow", Sources: 3, Part: percent, Whole: 10000}},
		}
	}
	first := with(1, 2500)
	st := split.NewState(first)
	for range 3 {
		if chosen(t, first, st).Copies != 0 {
			t.Fatal("a copy too early")
		}
	}
	second := with(5, 2500)
	second.Mirrors = second.Mirrors[1:]
	st = st.For(second)
	if !chosen(t, second, st).Copies.Has(0) {
		t.Error("the fourth request was not copied")
	}
	third := with(5, 5000)
	next := st.For(third)
	if next == st {
		t.Error("a state with other mirrors fits")
	}
	if got := chosen(t, third, next).Copies; got != 0 {
		t.Errorf("copies of the first request at 50 %%: %b", got)
	}
	if got := chosen(t, third, next).Copies; !got.Has(1) {
		t.Errorf("copies of the second: %b", got)
	}
}

func TestCopiesOfManyAtOnce(t *testing.T) {
	s := &split.Split{Backends: []split.Backend{{Name: "a", Weight: 1}}, Algorithm: split.Smooth, Mirrors: []split.Mirror{{Name: "x", Sources: 1, Part: 1000, Whole: 10000}}}
	st := split.NewState(s)
	var all sync.WaitGroup
	var mu sync.Mutex
	copies := 0
	for range 4 {
		all.Go(func() {
			for range 1000 {
				if chosen(t, s, st).Copies != 0 {
					mu.Lock()
					copies++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if copies != 400 {
		t.Errorf("%d copies of 4000 at 10 %%", copies)
	}
}
