package split

import (
	"errors"
	"testing"
	"time"
)

// While a request looks for who takes the place of "1", the ramp of "1" comes to its
// end, where nobody else has any weight.
func TestRedistributionWhileARampEnds(t *testing.T) {
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	s := &Split{
		OnUnavailable: Redistribute,
		Backends:      []Backend{{Name: "0", Weight: 1}, {Name: "1", Weight: 1}},
		Ramp:          &Ramp{Backend: 1, From: 5000, To: 10000, Steps: 1, Start: start, Duration: time.Hour},
	}
	for _, test := range []struct {
		facts Facts
		want  int
		is    error
	}{
		{Facts{Unhealthy: Set(0).With(1)}, 1, nil}, // nobody is left, so health counts for nothing
		{Facts{Down: Set(0).With(1)}, -1, ErrUnavailable},
	} {
		st := NewState(s)
		test.facts.Now = start
		c := choice{s: s, st: st, f: &test.facts, rule: -1}
		c.weigh()
		if d, err := Decide(s, st, &Facts{Now: start.Add(time.Hour)}); err != nil || d.Backend != 1 {
			t.Fatalf("at the end: %+v, %v", d, err)
		}
		i, reason, err := c.redistribute(1)
		if i != test.want || !errors.Is(err, test.is) || err == nil && reason != ByWeight {
			t.Errorf("%+v: %d by %s, %v, want %d, %v", test.facts, i, reason, err, test.want, test.is)
		}
	}
}
