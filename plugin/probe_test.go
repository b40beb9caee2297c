package plugin_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/health"
)

// probers record the targets that are watched. Some hosts are unhealthy to them.
type probers struct {
	log       []string
	targets   []health.Target
	unhealthy map[string]bool
	changed   map[string]time.Time // since when they are as they are
}

func (p *probers) Watch(t health.Target) health.Watch {
	p.log = append(p.log, "watch "+t.Host)
	p.targets = append(p.targets, t)
	return &watch{p, t.Host}
}

type watch struct {
	probers *probers
	host    string
}

func (w *watch) Healthy() bool      { return !w.probers.unhealthy[w.host] }
func (w *watch) Changed() time.Time { return w.probers.changed[w.host] }
func (w *watch) Condition() health.Condition {
	return health.Condition{Target: w.host, Healthy: w.Healthy(), Since: time.Unix(0, 0)}
}
func (w *watch) Stop() { w.probers.log = append(w.probers.log, "stop "+w.host) }

func probed(p *probers) *plugin.Plugin {
	with := options
	with.Probers = p
	return plugin.New(with)
}

func TestHowBackendsAreProbed(t *testing.T) {
	probe := health.Target{
		Host: "10.0.0.1", Port: 80, Protocol: "http", Path: "/",
		Interval: 5 * time.Second, Timeout: time.Second, Healthy: 2, Unhealthy: 3,
	}
	with := func(change func(*health.Target)) health.Target {
		p := probe
		change(&p)
		return p
	}
	for _, tt := range []struct {
		name, service, backend string
		want                   health.Target
	}{
		{"the defaults", "http", `"health":{"active":{}}`, probe},
		{"no Service", "", `"health":{"active":{}}`, probe},
		{"an https Service", "https", `"health":{"active":{}}`, with(func(p *health.Target) { p.Protocol = "https" })},
		{"https of its own", "http", `"protocol":"https","health":{"active":{}}`, with(func(p *health.Target) { p.Protocol, p.Port = "https", 443 })},
		{"gRPC", "grpc", `"health":{"active":{}}`, with(func(p *health.Target) { p.Protocol, p.Path = "tcp", "" })},
		{"TCP", "tcp", `"health":{"active":{}}`, with(func(p *health.Target) { p.Protocol, p.Path = "tcp", "" })},
		{"an empty path", "http", `"health":{"active":{"path":""}}`, with(func(p *health.Target) { p.Path = "" })},
		{"a Host", "http", `"host_header":"shop.example","health":{"active":{}}`, with(func(p *health.Target) { p.HostHeader = "shop.example" })},
		{"the clients' Host", "http", `"host_header":"preserve","health":{"active":{}}`, probe},
		{"all that can be set", "http", `"health":{"active":{"path":"/up","interval":0.5,"timeout":0.25,"healthy":4,"unhealthy":5}}`, with(func(p *health.Target) {
			p.Path, p.Interval, p.Timeout, p.Healthy, p.Unhealthy = "/up", 500*time.Millisecond, 250*time.Millisecond, 4, 5
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &probers{}
			i := start(t, probed(p), onRoute+`"backends":[{"host":"10.0.0.1",`+tt.backend+`},{"host":"10.0.0.2","weight":0}]`)
			phase := "access"
			if tt.service == "tcp" {
				phase = "preread"
			}
			for range 2 {
				k := web()
				if k.service["protocol"] = tt.service; tt.service == "" {
					k.service = nil
				}
				if err := k.run(t, phase, i); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff([]health.Target{tt.want}, p.targets); diff != "" {
				t.Errorf("probes (-want +got):\n%s", diff)
			}
		})
	}
}

const probedPair = `"backends":[{"name":"a","host":"10.0.0.1","health":{"active":{}}},{"name":"b","host":"10.0.0.2","health":{"active":{}}}]`

// A backend is probed from the first request on until the row is closed.
func TestWatchesOfARow(t *testing.T) {
	p := &probers{unhealthy: map[string]bool{}}
	i := start(t, probed(p), onRoute+probedPair)
	if p.log != nil {
		t.Errorf("before the first request: %q", p.log)
	}
	if err := web().access(t, i); err != nil {
		t.Fatal(err)
	}
	p.unhealthy["10.0.0.2"] = true
	if err := web().access(t, i); err == nil || err.Error() != `backend unhealthy: "b" cannot be used, and on_unavailable is "fail"` {
		t.Errorf("the turn of one that is unhealthy: %v", err)
	}
	i.Close()
	want := []string{"watch 10.0.0.1", "watch 10.0.0.2", "stop 10.0.0.1", "stop 10.0.0.2"}
	if diff := cmp.Diff(want, p.log); diff != "" {
		t.Errorf("watches (-want +got):\n%s", diff)
	}
	_ = web().access(t, i) // one that was under way
	if diff := cmp.Diff(want, p.log); diff != "" {
		t.Errorf("watches after the end (-want +got):\n%s", diff)
	}
}

// When a split file is read again, the new watches begin before the old ones end:
// so what is known of a backend is kept.
func TestWatchesOfAFile(t *testing.T) {
	p := &probers{}
	served := probed(p)
	set := func(hosts ...string) {
		splits := map[string]*config.Config{}
		for _, host := range hosts {
			splits["web"] = mustConfig(t, fmt.Sprintf(`{"backends":[{"host":%q,"health":{"active":{}}}]}`, host))
		}
		served.SetSplits(splits)
	}
	set("10.0.0.1")
	i := start(t, served, `"__plugin_id":"p1","service_id":"s1","split":"web"`)
	set("10.0.0.2")
	if p.log != nil {
		t.Errorf("before the first request: %q", p.log)
	}
	if err := web().access(t, i); err != nil {
		t.Fatal(err)
	}
	set("10.0.0.3")
	set()
	want := []string{"watch 10.0.0.2", "watch 10.0.0.3", "stop 10.0.0.2", "stop 10.0.0.3"}
	if diff := cmp.Diff(want, p.log); diff != "" {
		t.Errorf("watches (-want +got):\n%s", diff)
	}
}

// So it is when Kong reloads: it closes the old instance before the new one has a
// request. Where the Service speaks another protocol then, that counts.
func TestWatchesOverAReload(t *testing.T) {
	p := &probers{}
	served := probed(p)
	row := onRoute + `"backends":[{"host":"10.0.0.1","health":{"active":{}}}]`
	before := start(t, served, row)
	if err := web().access(t, before); err != nil {
		t.Fatal(err)
	}
	same := start(t, served, row)
	before.Close()
	if err := web().access(t, same); err != nil {
		t.Fatal(err)
	}
	other := start(t, served, row)
	same.Close()
	k := web()
	k.service["protocol"] = "https"
	for range 2 {
		if err := k.access(t, other); err != nil {
			t.Fatal(err)
		}
	}
	other.Close()
	const watch, stop = "watch 10.0.0.1", "stop 10.0.0.1"
	want := []string{watch, watch, stop, watch, stop, watch, stop, stop}
	if diff := cmp.Diff(want, p.log); diff != "" {
		t.Errorf("watches (-want +got):\n%s", diff)
	}
	if last := p.targets[len(p.targets)-1].Protocol; last != "https" {
		t.Errorf("in the end it is probed by %s", last)
	}
}

// Who was kept has its whole share in another process too, but not once it was out after all.
func TestWhoIsKeptIsSaved(t *testing.T) {
	p, saved := &probers{unhealthy: map[string]bool{}, changed: map[string]time.Time{}}, store{}
	with := options
	with.Probers, with.State = p, saved
	i := start(t, plugin.New(with), onRoute+`"on_unavailable":"redistribute","max_ejected":50,"backends":[
		{"host":"10.0.0.1","health":{"active":{}}},{"host":"10.0.0.2","health":{"active":{}},"slow_start":60},{"host":"10.0.0.3"}]`)
	for _, step := range []struct {
		unhealthy []string
		saved     bool
	}{
		{[]string{"10.0.0.1", "10.0.0.2"}, true},
		{nil, true},
		{[]string{"10.0.0.2"}, false},
		{nil, false},
	} {
		p.unhealthy = map[string]bool{}
		for _, host := range step.unhealthy {
			p.unhealthy[host] = true
		}
		if err := web().access(t, i); err != nil {
			t.Fatal(err)
		}
		if is := len(saved.Keys("split/")) > 0; is != step.saved {
			t.Errorf("while %q are unhealthy, somebody is saved as kept: %t", step.unhealthy, is)
		}
	}
}
