package plugin_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

// shares returns what each backend of the first split got in the last minute.
func shares(p *plugin.Plugin) map[string]float64 {
	got := map[string]float64{}
	for _, b := range p.Status(time.Now())[0].Backends {
		if b.Recent != nil && b.Recent.Share != nil {
			got[b.Name] = *b.Recent.Share
		}
	}
	return got
}

// What the status has of the last minute is what came in it, also over edits.
func TestRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plugin.New(options)
		set := func(backends string) {
			p.SetSplits(map[string]*config.Config{"web": mustConfig(t, `{"backends":[`+backends+`]}`)})
		}
		i := start(t, p, onRoute+`"split":"web"`)
		request := func(times int) {
			for range times {
				_ = web().access(t, i) // some are refused
			}
		}
		pass := func(d time.Duration) {
			for range d / plugin.SamplePause {
				time.Sleep(plugin.SamplePause)
				p.Sample(time.Now())
			}
		}
		check := func(when string, seconds float64, requests uint64, want map[string]float64) {
			t.Helper()
			r := p.Status(time.Now())[0].Recent
			if r.Seconds != seconds || r.Requests != requests {
				t.Errorf("%s: %d requests in %v s, want %d in %v s", when, r.Requests, r.Seconds, requests, seconds)
			}
			if diff := cmp.Diff(want, shares(p)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		set(`{"name":"a","host":"10.0.0.1"},{"name":"b","host":"10.0.0.2"}`)
		if r := p.Status(time.Now())[0].Recent; r != nil {
			t.Errorf("before the first sample: %+v", r)
		}
		p.Sample(time.Now())
		check("at the start", 0, 0, map[string]float64{})
		request(4)
		check("after four", 0, 4, map[string]float64{"a": 0.5, "b": 0.5})
		pass(30 * time.Second)
		set(`{"name":"a","host":"10.0.0.1"},{"name":"c","host":"10.0.0.3"}`)
		request(4)
		check("after an edit", 30, 6, map[string]float64{"a": 4. / 6, "c": 2. / 6})
		pass(30 * time.Second)
		check("after a minute", 60, 6, map[string]float64{"a": 4. / 6, "c": 2. / 6})
		pass(5 * time.Second)
		check("when the first ones are older", 60, 4, map[string]float64{"a": 0.5, "c": 0.5})
		time.Sleep(4 * time.Second)
		check("between two samples", 64, 4, map[string]float64{"a": 0.5, "c": 0.5})
		set(`{"name":"a","host":"10.0.0.1","weight":0}`)
		request(4)
		if r := p.Status(time.Now())[0].Recent; r.Unavailable != 4 || r.Requests != 6 {
			t.Errorf("where four are refused: %+v", r)
		}
		pass(2 * time.Minute)
		check("when nothing came for long", 60, 0, map[string]float64{})
	})
}

// Failures and latencies are those of the last minute, too.
func TestRecentOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plugin.New(options)
		p.Sample(time.Now())
		i := start(t, p, onRoute+watched)
		answer := func(status int32, ms float64) {
			if err := web().access(t, i); err != nil {
				t.Fatal(err)
			}
			outcomeWith(t, i, "service", status, map[string]*structpb.Value{"KONG_WAITING_TIME": structpb.NewNumberValue(ms)})
		}
		got := func() *plugin.RecentBackend { return p.Status(time.Now())[0].Backends[0].Recent }
		for range 19 {
			answer(200, 8)
		}
		answer(503, 48)
		want := &plugin.RecentBackend{Requests: 20, Share: new(1.), Observed: 20, Failed: 1, Latency: new(0.01), LatencyP95: new(0.01)}
		if diff := cmp.Diff(want, got()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		answer(200, 60_000)
		answer(200, 60_000)
		if got := got(); got.LatencyP95 != nil || *got.Latency < 5 {
			t.Errorf("with answers above all bounds: %v, %v", *got.Latency, got.LatencyP95)
		}
		p.Sample(time.Now())
		time.Sleep(time.Minute)
		p.Sample(time.Now())
		if err := web().access(t, i); err != nil {
			t.Fatal(err)
		}
		outcome(t, i, "exit", 200) // says nothing of the backend
		want = &plugin.RecentBackend{Requests: 1, Share: new(1.)}
		if diff := cmp.Diff(want, got()); diff != "" {
			t.Errorf("a minute later (-want +got):\n%s", diff)
		}
	})
}
