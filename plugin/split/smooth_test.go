package split_test

import (
	"fmt"
	"math/big"
	"slices"
	"testing"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSmoothSharesExactlyByWeight(t *testing.T) {
	tests := []struct {
		weights []int
		choices int
		want    []int
	}{
		{[]int{1, 1}, 200, []int{100, 100}},
		{[]int{200, 100}, 200, []int{133, 67}},
		{[]int{70, 30, 0}, 500, []int{350, 150, 0}},
		{[]int{0, 7, 0}, 9, []int{0, 9, 0}},
		{[]int{5}, 3, []int{3}},
		{[]int{999_999, 1}, 1_000_000, []int{999_999, 1}},
		{[]int{1, 2, 3, 4}, 10, []int{1, 2, 3, 4}},
	}
	for _, test := range tests {
		s := smooth(test.weights...)
		got := count(t, s, split.NewState(s), test.choices)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%d choices by %v (-want +got):\n%s", test.choices, test.weights, diff)
		}
	}
}

func TestSmoothWorkedExample(t *testing.T) {
	s := smooth(3, 2, 1)
	st := split.NewState(s)
	var got []int
	for range 12 {
		got = append(got, choose(t, s, st))
	}
	if diff := cmp.Diff([]int{0, 1, 0, 2, 1, 0, 0, 1, 0, 2, 1, 0}, got); diff != "" {
		t.Error(diff)
	}
}

// After any number of choices every backend was chosen within 1 − 1/(2n−2) of its
// share, so fewer than one time more or less.
func TestSmoothIsWithinOneChoiceOfEveryShareAtEveryMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := weights(t, split.MaxBackends)
		s := smooth(weights...)
		st := split.NewState(s)
		counts := make([]int, len(weights))
		for k := 1; k <= 2000; k++ {
			counts[choose(t, s, st)]++
			checkBound(t, weights, counts, k)
		}
	})
}

// A schedule is followed by itself: nothing drifts in the periods that come after.
func TestSmoothIsExactAfterEveryPeriod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 40), 1, 12).
			Filter(func(w []int) bool { return sum(w) > 0 }).
			Draw(t, "weights")
		s := smooth(weights...)
		st := split.NewState(s)
		want := make([]int, len(weights))
		got := make([]int, len(weights))
		for period := range 5 {
			for i, n := range count(t, s, st, sum(weights)) {
				got[i] += n
				want[i] += weights[i]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("after period %d (-want +got):\n%s", period+1, diff)
			}
		}
	})
}

// The sequence is Tijdeman's, choice by choice, below, at and above the length up
// to which it is kept as a schedule.
func TestSmoothIsTijdemansSolution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkSequence(t, weights(t, 10), 100)
	})
	for _, weights := range [][]int{
		{1},
		{1, 1},
		{5, 3, 1, 1},
		{0, 2, 0, 3, 7},
		{200, 100},
		{split.MaxWeight, 1},
		{1, split.MaxWeight},
		slices.Repeat([]int{split.MaxWeight}, split.MaxBackends),
		append(slices.Repeat([]int{split.MaxWeight}, split.MaxBackends-1), 1),
		append(slices.Repeat([]int{split.MaxWeight - 1, split.MaxWeight}, split.MaxBackends/2-1), 1, 2),
	} {
		checkSequence(t, weights, 500)
	}
}

// The longest schedule that is kept, the shortest sequence that is not, and a
// second time around for both.
func TestSmoothIsWithinBoundAroundTheLongestSchedule(t *testing.T) {
	for _, weights := range [][]int{{16_383, 1}, {16_384, 1}, {9_000, 7_000, 383, 1}, {9_000, 7_000, 383, 2}} {
		s := smooth(weights...)
		st := split.NewState(s)
		counts := make([]int, len(weights))
		for k := 1; k <= 3*sum(weights); k++ {
			counts[choose(t, s, st)]++
			checkBound(t, weights, counts, k)
		}
	}
}

// checkBound fails where, after k choices, a backend is more than 1 − 1/(2n−2)
// from its share.
func checkBound(t rapid.TB, weights, counts []int, k int) {
	t.Helper()
	n, total := 0, sum(weights)
	for _, w := range weights {
		if w > 0 {
			n++
		}
	}
	spread := max(2*n-2, 1)
	for i, w := range weights {
		if off := k*w - counts[i]*total; spread*max(off, -off) > (spread-1)*total {
			t.Fatalf("weights %v: after %d choices backend %d has %d, its share is %.4f",
				weights, k, i, counts[i], float64(k)*float64(w)/float64(total))
		}
	}
}

// checkSequence compares with the rule as it is written down.
func checkSequence(t rapid.TB, weights []int, choices int) {
	t.Helper()
	s := smooth(weights...)
	st := split.NewState(s)
	counts := make([]int, len(weights))
	for k := 1; k <= choices; k++ {
		want, got := tijdeman(weights, counts, k), choose(t, s, st)
		if got != want {
			t.Fatalf("weights %v: choice %d after %v is %d, want %d", weights, k, counts, got, want)
		}
		counts[got]++
	}
}

// tijdeman is choice k after counts, in fractions: among the backends with
// σ ≥ 1/(2n−2) the first with the smallest (1 − 1/(2n−2) − σ)·W/w.
func tijdeman(weights, counts []int, k int) int {
	n, total := 0, int64(sum(weights))
	for _, w := range weights {
		if w > 0 {
			n++
		}
	}
	if n == 1 {
		return slices.IndexFunc(weights, func(w int) bool { return w > 0 })
	}
	limit := big.NewRat(1, int64(2*n-2))
	best, soonest := -1, new(big.Rat)
	for i, w := range weights {
		if w == 0 {
			continue
		}
		owed := big.NewRat(int64(k)*int64(w), total)
		owed.Sub(owed, big.NewRat(int64(counts[i]), 1))
		if owed.Cmp(limit) < 0 {
			continue
		}
		left := new(big.Rat).Sub(big.NewRat(1, 1), limit)
		left.Sub(left, owed).Mul(left, big.NewRat(total, int64(w)))
		if best < 0 || left.Cmp(soonest) < 0 {
			best, soonest = i, left
		}
	}
	if best < 0 {
		panic(fmt.Sprintf("nobody may be next: weights %v, counts %v", weights, counts))
	}
	return best
}
