package split_test

import (
	"errors"
	"slices"
	"testing"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// Every case is one decision; the first choice of the weights 1 : 2 : 0 is "1", by
// either algorithm.
func TestDecide(t *testing.T) {
	const middle = 1 << 63
	tests := []struct {
		name     string
		weights  []int
		on       split.OnUnavailable
		fallback int
		down     split.Set
		want     split.Decision
		is       error
		message  string
	}{
		{
			name:    "by weight",
			weights: []int{1, 2, 0},
			on:      split.Fail,
			want:    split.Decision{Backend: 1, Reason: split.ByWeight, Revision: "r1"},
		},
		{
			name:    "another one down",
			weights: []int{1, 2, 0},
			on:      split.Fail,
			down:    set(0, 2),
			want:    split.Decision{Backend: 1, Reason: split.ByWeight, Revision: "r1"},
		},
		{
			name:    "all weights 0",
			weights: []int{0, 0},
			on:      split.Redistribute,
			is:      split.ErrNoWeight,
			message: `no backend takes traffic: one of "0", "1" has to have a weight above 0`,
		},
		{
			name:    "a single backend of weight 0",
			weights: []int{0},
			on:      split.ToFallback,
			is:      split.ErrNoWeight,
			message: `no backend takes traffic: one of "0" has to have a weight above 0`,
		},
		{
			name:    "fail",
			weights: []int{1, 2, 0},
			on:      split.Fail,
			down:    set(1),
			is:      split.ErrUnavailable,
			message: `backend unavailable: "1" cannot be used, and on_unavailable is "fail"`,
		},
		{
			name:    "redistribute",
			weights: []int{1, 2, 0},
			on:      split.Redistribute,
			down:    set(1),
			want:    split.Decision{Backend: 0, Reason: split.ByWeight, Revision: "r1"},
		},
		{
			name:    "redistribute never takes weight 0",
			weights: []int{0, 2, 0},
			on:      split.Redistribute,
			down:    set(1),
			is:      split.ErrUnavailable,
			message: `backend unavailable: "1" cannot be used, and no other has a weight above 0`,
		},
		{
			name:    "redistribute with nobody left",
			weights: []int{1, 2, 0, 1},
			on:      split.Redistribute,
			down:    set(0, 1, 3),
			is:      split.ErrUnavailable,
			message: `backend unavailable: "1" cannot be used, nor can "0", "3"`,
		},
		{
			name:     "fallback of weight 0",
			weights:  []int{1, 2, 0},
			on:       split.ToFallback,
			fallback: 2,
			down:     set(1),
			want:     split.Decision{Backend: 2, Reason: split.ByFallback, Revision: "r1"},
		},
		{
			name:     "fallback down",
			weights:  []int{1, 2, 0},
			on:       split.ToFallback,
			fallback: 2,
			down:     set(1, 2),
			is:       split.ErrUnavailable,
			message:  `backend unavailable: "1" cannot be used, nor can its fallback "2"`,
		},
		{
			name:     "the fallback's own turn, down",
			weights:  []int{1, 2, 0},
			on:       split.ToFallback,
			fallback: 1,
			down:     set(1),
			is:       split.ErrUnavailable,
			message:  `backend unavailable: "1" cannot be used, and it is the fallback itself`,
		},
	}
	for _, test := range tests {
		for _, algorithm := range []split.Algorithm{split.Smooth, split.Random} {
			t.Run(test.name+"/"+string(algorithm), func(t *testing.T) {
				s := smooth(test.weights...)
				s.Algorithm, s.OnUnavailable, s.Fallback = algorithm, test.on, test.fallback
				got, err := split.Decide(s, split.NewState(s), &split.Facts{Random: middle, Down: test.down})
				checkError(t, err, test.is, test.message)
				if diff := cmp.Diff(test.want, got, cmpopts.IgnoreUnexported(split.Decision{})); diff != "" {
					t.Errorf("decision (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A backend can turn out unusable only when it is tried, one after the other.
func TestInsteadGoesOnUntilNobodyIsLeft(t *testing.T) {
	for _, algorithm := range []split.Algorithm{split.Smooth, split.Random} {
		s := smooth(4, 3, 2, 0, 1)
		s.Algorithm, s.OnUnavailable = algorithm, split.Redistribute
		st := split.NewState(s)
		facts := split.Facts{Random: 12345}
		d, err := split.Decide(s, st, &facts)
		for range 3 {
			if err != nil {
				t.Fatal(err)
			}
			if facts.Down.Has(d.Backend) || s.Backends[d.Backend].Weight == 0 {
				t.Fatalf("%s: chose %d with %b down", algorithm, d.Backend, facts.Down)
			}
			facts.Down = facts.Down.With(d.Backend)
			d, err = split.Instead(s, st, d, &facts)
		}
		facts.Down = facts.Down.With(d.Backend)
		if facts.Down != set(0, 1, 2, 4) {
			t.Errorf("%s: tried %b", algorithm, facts.Down)
		}
		if _, err = split.Instead(s, st, d, &facts); !errors.Is(err, split.ErrUnavailable) {
			t.Errorf("%s: with nobody left: %v", algorithm, err)
		}
	}
}

func TestInsteadOfTheFallbackIsAnError(t *testing.T) {
	s := smooth(1, 0)
	s.OnUnavailable, s.Fallback = split.ToFallback, 1
	st := split.NewState(s)
	for _, test := range []struct {
		facts split.Facts
		is    error
	}{
		{split.Facts{Down: set(0)}, split.ErrUnavailable},
		{split.Facts{Unhealthy: set(0)}, split.ErrUnhealthy}, // which will pass
	} {
		d, err := split.Decide(s, st, &test.facts)
		if err != nil || d.Reason != split.ByFallback {
			t.Fatalf("got %+v, %v", d, err)
		}
		_, err = split.Instead(s, st, d, &test.facts)
		checkError(t, err, test.is, test.is.Error()+`: "0" cannot be used, nor can its fallback "1"`)
	}
}

// With "fail", exactly the share of the backend that is down fails.
func TestFailFailsExactlyTheShare(t *testing.T) {
	s := smooth(1, 8, 1)
	st := split.NewState(s)
	failed := 0
	for range 1000 {
		if _, err := split.Decide(s, st, &split.Facts{Down: set(0)}); err != nil {
			failed++
		}
	}
	if failed != 100 {
		t.Errorf("%d of 1000 failed, want 100", failed)
	}
}

// What the first one would have had is 100 of 1000, dealt 8 : 1.
func TestRedistributedShareKeepsTheProportionOfTheOthers(t *testing.T) {
	s := smooth(1, 8, 1)
	s.OnUnavailable = split.Redistribute
	st := split.NewState(s)
	if diff := cmp.Diff([]int{0, 889, 111}, count(t, s, st, 1000, 0)); diff != "" {
		t.Errorf("while it is down (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{100, 800, 100}, count(t, s, st, 1000)); diff != "" {
		t.Errorf("after it came back it is owed nothing (-want +got):\n%s", diff)
	}
}

// While the same backends are out, the others share as if those were not in the
// config, at every moment.
func TestOthersShareAsIfTheyWereAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := weights(t, 12)
		down := split.Set(rapid.Uint64().Draw(t, "down"))
		left := slices.Clone(weights)
		for i := range left {
			if down.Has(i) {
				left[i] = 0
			}
		}
		if sum(left) == 0 {
			t.Skip("nobody left")
		}
		s := smooth(weights...)
		s.OnUnavailable = split.Redistribute
		st := split.NewState(s)
		counts := make([]int, len(weights))
		for k := 1; k <= 500; k++ {
			d, err := split.Decide(s, st, &split.Facts{Down: down})
			if err != nil {
				t.Fatal(err)
			}
			counts[d.Backend]++
			checkBound(t, left, counts, k)
		}
	})
}

// The backend that Instead is asked about is down, whether the facts say so or not.
func TestInsteadNeverGivesTheSameBackend(t *testing.T) {
	for _, algorithm := range []split.Algorithm{split.Smooth, split.Random} {
		s := smooth(1, 8, 1)
		s.Algorithm, s.OnUnavailable = algorithm, split.Redistribute
		st := split.NewState(s)
		r := seeded(3)
		for range 100 {
			d, err := split.Instead(s, st, split.Decision{Backend: 1}, &split.Facts{Random: r.Uint64()})
			if err != nil {
				t.Fatal(err)
			}
			if d.Backend == 1 {
				t.Fatalf("%s: chose the backend that is to be replaced", algorithm)
			}
		}
	}
}

func checkError(t *testing.T, err, is error, message string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if !errors.Is(err, is) || got != message {
		t.Errorf("error %q, want %q (%v)", got, message, is)
	}
}
