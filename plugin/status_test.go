package plugin_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/health"
	"kong-traffic-split/plugin/split"
)

var anyRevision = cmpopts.IgnoreFields(plugin.SplitStatus{}, "Revision")

// counted completes counts of requests with the zeros that a status has as well.
func counted(counts map[split.Reason]uint64) map[split.Reason]uint64 {
	all := map[split.Reason]uint64{}
	for _, reason := range split.Reasons {
		if reason != split.ByRetry { // which no split of these tests has
			all[reason] = counts[reason]
		}
	}
	return all
}

func TestStatus(t *testing.T) {
	probing := &probers{unhealthy: map[string]bool{}}
	p := probed(probing)
	p.SetSplits(map[string]*config.Config{"web": mustConfig(t, `{`+probedPair+`,"on_unavailable":"redistribute"}`)})
	row, file := start(t, p, onRoute+guarded), start(t, p, onRoute+`"split":"web"`)
	for _, status := range []int32{500, 500, 200, 200, 200} { // after two, the ramp is rolled back
		k := web()
		if err := k.access(t, row); err != nil {
			t.Fatal(err)
		}
		k.text["response.get_source"], k.status = "service", status
		if err := k.run(t, "log", row); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range p.Status(time.Now())[1].Backends {
		if b.Up != nil || b.Probe != nil {
			t.Errorf("before it is probed: %+v", b)
		}
	}
	if err := web().access(t, file); err != nil {
		t.Fatal(err)
	}
	probing.unhealthy["10.0.0.1"] = true
	for range 2 {
		if err := web().access(t, file); err != nil {
			t.Fatal(err)
		}
	}
	status := p.Status(time.Now())
	if back := status[0].Ramp.RolledBack; time.Since(back) > time.Minute || time.Since(back) < 0 {
		t.Errorf("the ramp was rolled back at %v", back)
	}
	probe := func(host string, healthy bool) *health.Condition {
		return &health.Condition{Target: host, Healthy: healthy, Since: time.Unix(0, 0)}
	}
	start := time.Date(2026, 1, 31, 18, 0, 0, 0, time.UTC)
	want := []plugin.SplitStatus{
		{Split: "p1", ID: "p1", Since: status[0].Since, Drift: new(0.), Ramp: &plugin.RampStatus{
			Backend: "b", To: 1, Start: start, End: start.Add(time.Minute), Course: []plugin.RampPoint{{At: start}, {At: start.Add(time.Minute), Share: 1}}, RolledBack: status[0].Ramp.RolledBack, Why: "2 of 2 requests failed",
			Guard: &plugin.GuardStatus{Requests: 2, Failed: 2, MinRequests: 2, Judges: true, Summary: "2 of 2 failed, judged from 2"},
		}, Backends: []plugin.BackendStatus{
			{Name: "a", Weight: 1, Share: 1, Up: new(true), Requests: counted(map[split.Reason]uint64{split.ByWeight: 3}), Outcomes: &plugin.Outcomes{OK: 3, Classes: map[string]uint64{"2xx": 3}}},
			{Name: "b", Weight: 1, Up: new(true), Requests: counted(map[split.Reason]uint64{split.ByWeight: 2}), Outcomes: &plugin.Outcomes{Failed: 2, Classes: map[string]uint64{"5xx": 2}}},
		}},
		{Split: "web", Since: status[1].Since, Drift: new(0.5), Backends: []plugin.BackendStatus{
			{Name: "a", Weight: 1, Share: 0.5, Up: new(false), Probe: probe("10.0.0.1", false), Requests: counted(map[split.Reason]uint64{split.ByWeight: 1})},
			{Name: "b", Weight: 1, Share: 0.5, Up: new(true), Probe: probe("10.0.0.2", true), Requests: counted(map[split.Reason]uint64{split.ByWeight: 2})},
		}},
	}
	if diff := cmp.Diff(want, status, anyRevision); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStatusOfWhoCannotBeUsed(t *testing.T) {
	p := plugin.New(options)
	if got := p.Status(time.Now()); len(got) != 0 {
		t.Errorf("without splits: %+v", got)
	}
	i := start(t, p, onRoute+watched)
	outcome(t, i, "service", 500)
	outcome(t, i, "service", 500)
	if err := web().access(t, i); err == nil {
		t.Error("a request has a backend")
	}
	s := p.Status(time.Now())[0]
	if b := s.Backends[0]; s.Unavailable != 1 || b.Up == nil || *b.Up || !b.EjectedUntil.After(time.Now()) {
		t.Errorf("got %+v", s)
	}
	i.Close()
	if got := p.Status(time.Now()); len(got) != 0 {
		t.Errorf("after the row is closed: %+v", got)
	}
	if err := web().access(t, start(t, p, onRoute+`"backends":[{"upstream":"gone"}]`)); err == nil {
		t.Error("an Upstream that does not exist has a request")
	}
	second := start(t, p, onRoute+`"backends":[{"upstream":"gone-too"}]`)
	if err := web().access(t, second); err == nil {
		t.Error("another Upstream that does not exist has a request")
	}
	// The instance before is still there, and the newest one counts on.
	if s := p.Status(time.Now()); len(s) != 1 || s[0].Unavailable != 2 || s[0].Backends[0].Name != "gone-too" {
		t.Errorf("of a row with two instances: %+v", s)
	}
}

// Requests are counted on when a split changes, by backend.
func TestCountsGoOnThroughEdits(t *testing.T) {
	const (
		before = `"backends":[{"name":"a","host":"10.0.0.1"},{"name":"b","host":"10.0.0.2"}]`
		after  = `"backends":[{"name":"new","host":"10.0.0.3"},{"name":"b","host":"10.0.0.2"},{"name":"a","host":"10.0.0.1","weight":0}]`
	)
	rows := plugin.New(options)
	old := start(t, rows, onRoute+before)
	files := plugin.New(options)
	set := func(text string) {
		files.SetSplits(map[string]*config.Config{"web": mustConfig(t, "{"+text+"}")})
	}
	set(before)
	entry := start(t, files, onRoute+`"split":"web"`)
	targets(t, old)
	targets(t, entry)
	next := start(t, rows, onRoute+after)
	old.Close()
	set(after)
	for name, edited := range map[string]struct {
		p *plugin.Plugin
		i *plugin.Instance
	}{"a row": {rows, next}, "a split file": {files, entry}} {
		targets(t, edited.i)
		counts := map[string]uint64{}
		for _, b := range edited.p.Status(time.Now())[0].Backends {
			counts[b.Name] = b.Requests[split.ByWeight]
		}
		if diff := cmp.Diff(map[string]uint64{"new": 1, "b": 2, "a": 1}, counts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
