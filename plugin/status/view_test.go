package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/split"
)

// A ramp says what it does and waits for, in a few words and in sentences.
func TestWordsOfRamps(t *testing.T) {
	at := func(minutes time.Duration) time.Time { return noon.Add(minutes * time.Minute) }
	for name, test := range map[string]struct {
		ramp     plugin.RampStatus
		stage    string
		words    []string
		underWay bool
	}{
		"begins":    {plugin.RampStatus{Start: at(4)}, "ramp of b begins in 4 min", []string{"Begins at 12:04:00 UTC (in 4 min)."}, true},
		"evenly":    {plugin.RampStatus{Share: 0.25, Next: at(30)}, "b at 25 %", []string{"Changes evenly until 12:30:00 UTC (in 30 min)."}, true},
		"in steps":  {plugin.RampStatus{Share: 0.1, Step: 1, Steps: 3, Next: at(5)}, "b at 10 %, step 1 of 3", []string{"The next step begins at 12:05:00 UTC (in 5 min)."}, true},
		"waits":     {plugin.RampStatus{Share: 0.1, Step: 1, Steps: 3, Next: at(5), WaitsFor: "7 of 20 requests"}, "b at 10 %, step 1 of 3, waits", []string{"The next step begins at 12:05:00 UTC (in 5 min) at the earliest, and waits for 7 of 20 requests."}, true},
		"waits on":  {plugin.RampStatus{Share: 0.1, Step: 1, Steps: 3, Next: at(-5), WaitsFor: "7 of 20 requests", Behind: 300}, "b at 10 %, step 1 of 3, waits", []string{"The time of this step is over. The next one waits for 7 of 20 requests.", "Its steps have waited 5 min so far."}, true},
		"for you":   {plugin.RampStatus{Share: 0.1, Step: 1, Steps: 3}, "b at 10 %, step 1 of 3, waits for you", []string{"This step lasts until you go on, as by splitctl ramp widen."}, true},
		"held":      {plugin.RampStatus{Share: 0.1, Held: true}, "b at 10 %, held", []string{"Held at 10 %, whatever the clock says, until the config changes."}, true},
		"at an end": {plugin.RampStatus{Share: 1, Step: 3, Steps: 3, End: at(-60)}, "b at 100 %, step 3 of 3", []string{"At its end since 11:00:00 UTC (1 h ago)."}, false},
		"fallen":    {plugin.RampStatus{Share: 0.05, RolledBack: at(-1), Why: "3 of 20 requests failed"}, "b rolled back to 5 %", []string{"Rolled back to 5 % at 11:59:00 UTC (1 min ago): 3 of 20 requests failed. It stays there until the ramp's start or plan is changed."}, false},
		"blocked": {
			plugin.RampStatus{Share: 0.25, Next: at(30), RollbackBlocked: at(-2)},
			"b at 25 %, rollback blocked",
			[]string{"Changes evenly until 12:30:00 UTC (in 30 min).", "Too many requests fail since 11:58:00 UTC (2 min ago), and it is not rolled back: no other backend can take its share."},
			true,
		},
	} {
		test.ramp.Backend = "b"
		v := viewRamp(&plugin.SplitStatus{Ramp: &test.ramp}, noon)
		var got []string
		for _, w := range v.Words {
			got = append(got, readable(render("words", w)))
		}
		if diff := cmp.Diff(test.words, got); diff != "" || v.Stage != test.stage || v.UnderWay != test.underWay {
			t.Errorf("%s: stage %q, under way %v; words (-want +got):\n%s", name, v.Stage, v.UnderWay, diff)
		}
	}
}

func TestWordsOfGuards(t *testing.T) {
	for want, g := range map[string]plugin.GuardStatus{
		"The guard has seen 0 of 1 request fail. It judges from 20 on, so not yet.":                                                                                              {Requests: 1, MinRequests: 20, Lacks: split.LacksRequests},
		"The guard has seen 3 of 1,180 requests fail. It judges, as it does from 20 on.":                                                                                         {Requests: 1180, Failed: 3, MinRequests: 20, Judges: true},
		"The guard has seen 3 of 30 requests fail, and 1 of 9 requests to the other backends. It cannot judge by all of its limits yet: it needs 20 requests of other backends.": {Requests: 30, Failed: 3, MinRequests: 20, Others: 9, OthersFailed: 1, Lacks: split.LacksOthers},
		"The guard has seen 3 of 30 requests fail, and a latency of 2.5 s. It judges, as it does from 20 on.":                                                                    {Requests: 30, Failed: 3, MinRequests: 20, Judges: true, Latency: new(2.5)},
	} {
		if got := strings.Join(guardWords(&g), " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// The ramp's backend stands beside the only other one, or beside all others together: the
// sums, the mean over all of their requests, and the bound that holds for all of them.
func TestComparison(t *testing.T) {
	backend := func(name string, requests, failed uint64, latency, p95 float64) plugin.BackendStatus {
		return plugin.BackendStatus{Name: name, Outcomes: &plugin.Outcomes{}, Recent: &plugin.RecentBackend{
			Requests: requests, Observed: requests, Failed: failed, Latency: new(latency), LatencyP95: new(p95),
		}}
	}
	s := plugin.SplitStatus{Ramp: &plugin.RampStatus{Backend: "canary"}, Backends: []plugin.BackendStatus{
		backend("a", 100, 1, 0.1, 0.25), backend("canary", 50, 5, 0.3, 0.5), backend("b", 300, 3, 0.02, 0.05),
	}}
	want := []comparedView{
		{Name: "canary", Ramp: true, Requests: "50", Failed: "10 % (5 of 50)", Latency: "300 ms", P95: "≤ 500 ms"},
		{Name: "the others", Requests: "400", Failed: "1 % (4 of 400)", Latency: "40 ms", P95: "≤ 250 ms"},
	}
	if diff := cmp.Diff(want, viewRamp(&s, noon).Compared); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	silent := backend("silent", 1000, 1000, 0, 0)
	silent.Recent.Latency, silent.Recent.LatencyP95 = nil, nil
	s.Backends = append([]plugin.BackendStatus{silent}, s.Backends...)
	if got := viewRamp(&s, noon).Compared[1]; got.Requests != "1,400" || got.Latency != "40 ms" || got.P95 != "≤ 250 ms" {
		t.Errorf("with a backend that has answered nothing, it is %+v", got)
	}
	s.Backends = s.Backends[1:]
	s.Backends[0].Recent.LatencyP95 = nil
	if got := viewRamp(&s, noon).Compared[1].P95; got != "> 10 s" {
		t.Errorf("with a latency above all bounds, it is %q", got)
	}
	s.Backends = s.Backends[1:]
	if got := viewRamp(&s, noon).Compared[1]; got.Name != "b" || got.Latency != "20 ms" {
		t.Errorf("got %+v", got)
	}
	s.Backends[0].Outcomes, s.Backends[1].Outcomes = nil, nil
	if got := viewRamp(&s, noon).Compared; got != nil {
		t.Errorf("without outcomes it is %+v", got)
	}
}

// Bars are as long as the shares; where there are many small ones, all of them longer.
func TestBarsOfPage(t *testing.T) {
	for n, want := range map[int]string{1: "100% ", 2: "50% ", 4: "25% ", 20: "100% 5 %", 64: "31.25% 5 %"} {
		s := plugin.SplitStatus{Backends: make([]plugin.BackendStatus, n)}
		for i := range s.Backends {
			s.Backends[i] = plugin.BackendStatus{Name: fmt.Sprint(i), Share: 1 / float64(n), Recent: &plugin.RecentBackend{Share: new(1 / float64(n))}}
		}
		v := viewSplit(&s, noon)
		if got := v.Backends[0].GotTo + " " + v.Scale; got != want || v.Backends[0].SetAt != v.Backends[0].GotTo {
			t.Errorf("of %d backends: got %q, want %q", n, got, want)
		}
	}
}

// A backend says on the page why it takes other than its condition and its weight say.
func TestWordsOfBackends(t *testing.T) {
	for want, b := range map[string]plugin.BackendStatus{
		"● healthy":   {Up: new(true)},
		"✕ unhealthy": {Up: new(false)},
		"✕ unhealthy takes requests all the same: more than max_ejected would be out":                            {Up: new(false), Kept: true},
		"● healthy in a slow start, at 24.5 % of its share until 12:00:30 UTC (in 30 s)":                         {Up: new(true), SlowStart: &plugin.SlowStartStatus{Part: 0.245, Until: noon.Add(30 * time.Second)}},
		"✕ ejected until 12:00:30 UTC (in 30 s) takes requests all the same: more than max_ejected would be out": {Up: new(false), Kept: true, EjectedUntil: noon.Add(30 * time.Second)},
	} {
		v := viewSplit(&plugin.SplitStatus{Split: "a", Backends: []plugin.BackendStatus{b}}, noon)
		if got := readable(render("split", v)); !strings.Contains(got, " "+want+" Revision") {
			t.Errorf("%q is not in %q", want, got)
		}
	}
}
