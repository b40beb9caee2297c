package split_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin/split"
)

func TestShares(t *testing.T) {
	for _, test := range []struct {
		name string
		s    *split.Split
		want []float64
	}{
		{"weights", smooth(3, 0, 1), []float64{0.75, 0, 0.25}},
		{"no weight at all", smooth(0, 0), []float64{0, 0}},
	} {
		if diff := cmp.Diff(test.want, split.NewState(test.s).Status(noon).Shares); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
