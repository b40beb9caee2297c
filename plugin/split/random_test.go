package split_test

import (
	"math"
	"testing"

	"kong-traffic-split/plugin/split"
)

func TestRandomSharesByWeight(t *testing.T) {
	tests := []struct {
		name    string
		weights []int
		down    split.Set
		shares  []float64
	}{
		{"by weight", []int{1, 8, 1}, 0, []float64{.1, .8, .1}},
		{"weight 0", []int{0, 3, 0, 1}, 0, []float64{0, .75, 0, .25}},
		{"large weights", []int{999_999, 500_000, 1}, 0, []float64{.666666, .333333, 1 / 1.5e6}},
		{"the first one's share by the weights of the rest", []int{1, 8, 1}, set(0), []float64{0, 8. / 9, 1. / 9}},
		{"the last one's", []int{1, 8, 1}, set(2), []float64{1. / 9, 8. / 9, 0}},
		{"the large one's", []int{1, 8, 1}, set(1), []float64{.5, 0, .5}},
		{"two of four", []int{3, 1, 4, 2}, set(0, 2), []float64{0, 1. / 3, 0, 2. / 3}},
	}
	const choices = 200_000
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := smooth(test.weights...)
			s.Algorithm, s.OnUnavailable = split.Random, split.Redistribute
			st := split.NewState(s)
			r := seeded(1)
			counts := make([]int, len(test.weights))
			for range choices {
				d, err := split.Decide(s, st, &split.Facts{Random: r.Uint64(), Down: test.down})
				if err != nil {
					t.Fatal(err)
				}
				counts[d.Backend]++
			}
			for i, p := range test.shares {
				deviation := math.Sqrt(choices * p * (1 - p))
				if off := math.Abs(float64(counts[i]) - choices*p); off > 4*deviation {
					t.Errorf("backend %d has %d of %d, its share is %.4f", i, counts[i], choices, p)
				}
			}
		})
	}
}

// The bits lie on the weights laid end to end, and each choice is made on its own.
func TestRandomIsAFunctionOfTheBits(t *testing.T) {
	s := smooth(0, 1, 2, 1, 0)
	s.Algorithm = split.Random
	st := split.NewState(s)
	const quarter = 1 << 62
	for _, test := range []struct {
		bits uint64
		want int
	}{
		{0, 1},
		{quarter - 1, 1},
		{quarter, 2},
		{3*quarter - 1, 2},
		{3 * quarter, 3},
		{math.MaxUint64, 3},
		{0, 1},
	} {
		d, err := split.Decide(s, st, &split.Facts{Random: test.bits})
		if err != nil || d.Backend != test.want {
			t.Errorf("bits %#x: backend %d, want %d (%v)", test.bits, d.Backend, test.want, err)
		}
	}
}
