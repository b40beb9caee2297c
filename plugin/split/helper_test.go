package split_test

import (
	"math/rand/v2"
	"strconv"
	"time"

	"kong-traffic-split/plugin/split"

	"pgregory.net/rapid"
)

// smooth returns a split with backends "0", "1", … of these weights.
func smooth(weights ...int) *split.Split {
	s := &split.Split{Algorithm: split.Smooth, OnUnavailable: split.Fail, Revision: "r1"}
	for i, w := range weights {
		s.Backends = append(s.Backends, split.Backend{Name: strconv.Itoa(i), Weight: w})
	}
	return s
}

// set returns the set of these backends.
func set(backends ...int) split.Set {
	var s split.Set
	for _, i := range backends {
		s = s.With(i)
	}
	return s
}

// choose makes one choice with these backends down.
func choose(t rapid.TB, s *split.Split, st *split.State, down ...int) int {
	t.Helper()
	d, err := split.Decide(s, st, &split.Facts{Down: set(down...)})
	if err != nil {
		t.Fatal(err)
	}
	return d.Backend
}

// count makes n choices with these backends down and counts them by backend.
func count(t rapid.TB, s *split.Split, st *split.State, n int, down ...int) []int {
	t.Helper()
	counts := make([]int, len(s.Backends))
	for range n {
		counts[choose(t, s, st, down...)]++
	}
	return counts
}

func sum(weights []int) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	return total
}

// weights draws weights of every size, with a positive one among them.
func weights(t *rapid.T, most int) []int {
	weight := rapid.OneOf(
		rapid.IntRange(0, 3),
		rapid.IntRange(0, 100),
		rapid.IntRange(0, split.MaxWeight),
		rapid.Just(split.MaxWeight),
	)
	return rapid.SliceOfN(weight, 1, most).
		Filter(func(w []int) bool { return sum(w) > 0 }).
		Draw(t, "weights")
}

// seeded returns random numbers that are the same in every run.
func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// rolledBack returns since when the ramp is rolled back; zero: it is not, or there is none.
func rolledBack(st *split.State, now time.Time) time.Time {
	if r := st.Status(now).Ramp; r != nil {
		return r.RolledBack
	}
	return time.Time{}
}
