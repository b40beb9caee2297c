package split

import (
	"testing"
	"time"
)

// While a request looks for who takes the place of "1", the ramp of "1" comes to its
// end, where nobody else has any weight: the request is of before.
func TestRedistributionWhileARampEnds(t *testing.T) {
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	s := &Split{
		OnUnavailable: Redistribute,
		Backends:      []Backend{{Name: "0", Weight: 1}, {Name: "1", Weight: 1}},
		Ramp:          &Ramp{Backend: 1, From: 5000, To: 10000, Steps: 1, Start: start, Duration: time.Hour},
	}
	for _, facts := range []Facts{{Unhealthy: Set(0).With(1)}, {Down: Set(0).With(1)}} {
		st := NewState(s)
		facts.Now = start
		c := choice{s: s, st: st, f: &facts, rule: -1}
		c.weigh()
		if d, err := Decide(s, st, &Facts{Now: start.Add(time.Hour)}); err != nil || d.Backend != 1 {
			t.Fatalf("at the end: %+v, %v", d, err)
		}
		if i, reason, err := c.redistribute(c.unusable); i != 0 || err != nil || reason != ByWeight {
			t.Errorf("%+v: %d by %s, %v, want 0 by weight", facts, i, reason, err)
		}
	}
}
