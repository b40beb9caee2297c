package simulate_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"kong-traffic-split/plugin/simulate"
	"kong-traffic-split/plugin/split"
)

// planned returns a split whose backend b has 10 % for an hour, 50 % for two, then 100 %.
func planned() *split.Split {
	s := weighted(2, 1, 1)
	s.Ramp = &split.Ramp{Backend: 1, Start: start, Plan: []split.PlanStep{
		{Share: 1000, For: time.Hour}, {Share: 5000, For: 2 * time.Hour}, {Share: 10000},
	}}
	return s
}

// Requests of the plan's own time: a tenth of a third, half of the rest, and what comes
// in the margin behind it.
func TestPlanIsPlayed(t *testing.T) {
	r := play(t, planned(), simulate.Options{Requests: 3300})
	if !r.From.Equal(start.Add(-9*time.Minute)) || r.For != 3*time.Hour+18*time.Minute {
		t.Errorf("from %s for %s", r.From, r.For)
	}
	if r.Counts[1] != 1250 || r.MaxDeviation >= 2 {
		t.Errorf("%v, %v", r.Counts, r.MaxDeviation)
	}
}

// A plan that stops is played until there, one that is held has one share all the time.
func TestPlanThatStops(t *testing.T) {
	s := planned()
	s.Ramp.Plan[1].For = 0
	r := play(t, s, simulate.Options{Requests: 1100})
	if r.For != 66*time.Minute || r.Counts[1] != 125 {
		t.Errorf("%v, %v", r.For, r.Counts)
	}
	s.Ramp.Hold = new(2000)
	if r = play(t, s, simulate.Options{Requests: 1100}); r.Counts[1] != 220 || r.Points[0].Ramp() != 0.2 {
		t.Errorf("held at 20 %%: %v", r.Counts)
	}
	s.Ramp.Hold, s.Ramp.Plan = nil, s.Ramp.Plan[1:2]
	if r = play(t, s, simulate.Options{}); r.Counts[1] != 5000 {
		t.Errorf("a plan of one step without an end: %v", r.Counts)
	}
}

func TestGuardsThatCompareArePlayed(t *testing.T) {
	for name, test := range map[string]struct {
		guard split.Guard
		o     simulate.Options
		want  string
	}{
		"all fail alike":   {split.Guard{MaxErrorExcess: 3000}, simulate.Options{Fail: map[string]float64{"a": 0.3, "b": 0.3, "c": 0.3}}, ""},
		"it fails more":    {split.Guard{MaxErrorExcess: 1000}, simulate.Options{Fail: map[string]float64{"a": 0.1, "b": 0.5, "c": 0.1}}, "requests failed, and "},
		"it is fast":       {split.Guard{MaxLatency: time.Second}, simulate.Options{Latency: map[string]time.Duration{"a": time.Minute, "b": time.Second}}, ""},
		"it is slow":       {split.Guard{MaxLatency: time.Second}, simulate.Options{Latency: map[string]time.Duration{"b": 1100 * time.Millisecond}}, "the slowest 5 % of 50 requests took 1.088s or longer"},
		"failing, no loss": {split.Guard{MaxLatency: time.Second}, simulate.Options{Fail: map[string]float64{"b": 0.5}}, ""},
	} {
		s := planned()
		s.Ramp.Guard = &test.guard
		s.Ramp.Guard.MinRequests, s.Ramp.Guard.Window, s.Ramp.Guard.Quantile = 50, 10*time.Minute, 9500
		r := play(t, s, test.o)
		if test.want == "" != (r.Events == nil) || r.Events != nil && !strings.Contains(r.Events[0].Text, test.want) {
			t.Errorf("%s: events %v, want %q", name, r.Events, test.want)
		}
		if r.MaxDeviation >= 2 {
			t.Errorf("%s: a backend was %v off its share", name, r.MaxDeviation)
		}
	}
}

func TestLatencyHasToBeRight(t *testing.T) {
	for _, test := range []struct {
		latency map[string]time.Duration
		want    string
	}{
		{map[string]time.Duration{"d": 1}, `latency: "d" is the name of no backend; there are "a", "b", "c"`},
		{map[string]time.Duration{"a": -time.Second}, `latency: a=-1s: a latency is not below 0`},
	} {
		if _, err := simulate.Play(planned(), simulate.Options{Latency: test.latency}); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

// waiting is a play of so few requests that the first step waits for its 40.
func waiting(t *testing.T, forTime time.Duration) *simulate.Result {
	s := planned()
	s.Ramp.Guard = &split.Guard{MaxErrorRatio: 2000, MinRequests: 40, Window: 10 * time.Minute, Wait: true}
	return play(t, s, simulate.Options{Rate: 0.05, From: start.Add(-time.Minute), For: forTime})
}

func TestWaitIsPlayed(t *testing.T) {
	r := waiting(t, 6*time.Hour)
	if len(r.Events) != 2 || !strings.HasPrefix(r.Events[0].Text, `step 2 of 3 of the ramp of "b" has begun, from 10 % to 50 %, `) || r.MaxDeviation >= 2 || r.Waits != "" {
		t.Errorf("events %v, %v off, waits: %q", r.Events, r.MaxDeviation, r.Waits)
	}
	for _, p := range r.Points {
		if share := p.Ramp(); p.At.Before(r.Events[0].At) && share > 0.5 {
			t.Errorf("at %v the share is %v", p.At, share)
		}
	}
	var text, image bytes.Buffer
	r = waiting(t, 90*time.Minute)
	if err := r.WriteText(&text, "shop"); err != nil {
		t.Fatal(err)
	}
	golden(t, "wait.txt", text.Bytes())
	if err := r.WriteSVG(&image, "shop"); err != nil {
		t.Fatal(err)
	}
	const waits = "step 1 of 3 has waited since 2026-12-01T09:00:00Z: 27 of 40 requests"
	encoded, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(encoded), `"waits":"`+waits+`"`) || !strings.Contains(image.String(), waits) {
		t.Errorf("%s, %v\n%s", encoded, err, image.String())
	}
}
