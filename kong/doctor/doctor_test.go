package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kong-traffic-split/kong/admin"
	"kong-traffic-split/kong/companion"
	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
	"kong-traffic-split/plugin/status"
)

// sound returns facts in which nothing is wrong.
func sound(t *testing.T) *facts {
	t.Helper()
	node := &admin.Node{Version: "3.9.3"}
	node.Plugins.Available = map[string]admin.Available{"traffic-split": {Version: "1.0", Priority: 20}}
	node.Pids.Workers = []int{1, 2}
	node.Configuration = admin.Configuration{
		Database: "off", RouterFlavor: "traditional_compatible", LogLevel: "notice", UntrustedLua: "sandbox", SocketPoolSize: 30,
		PluginServers: admin.PluginServers{{Name: "traffic-split", Socket: "/s"}},
	}
	f := &facts{
		Options: Options{Plugin: "traffic-split", Version: "1.0", Send: &Send{Requests: 300}},
		kong: &kongFacts{
			node: node, connections: 60, schema: config.KongSchema(), lua: []string{"post-function"},
			upstreams: map[string][]admin.Health{"up": {{Target: "a:1", Health: "UNHEALTHY", Weight: 1}, {Target: "b:1", Health: "HEALTHY", Weight: 1}}},
		},
		servers: []server{{address: "s:1", report: &status.Report{Version: "1.0", Outcomes: true, Schema: status.SchemaHash(config.KongSchema())}}},
	}
	if err := json.Unmarshal([]byte(`[{"id":"r1","name":"sports","service":{"id":"s1"}},{"id":"r2","name":"news"},{"id":"r3"}]`), &f.kong.routes); err != nil {
		t.Fatal(err)
	}
	f.servers[0].report.Splits = []plugin.SplitStatus{{Split: "news", Backends: []plugin.BackendStatus{{Name: "n", Upstream: "news"}}}}
	f.kong.upstreams["news"] = f.kong.upstreams["up"]
	f.kong.rows = []row{rowOn(t, `{"route":{"id":"r2"},"config":{}}`), rowOf(t, `{"backends":[{"name":"a","service":true,"weight":2},{"name":"b","upstream":"up"}],
		"ramp":{"backend":"b","start":"2020-01-01T00:00:00Z","plan":[{"share":50}],"guard":{"max_error_ratio":0.1}}}`)}
	f.sent = &sent{requests: 300, before: []*status.Report{counts(0, 0)}, after: []*status.Report{counts(200, 100)}, named: map[string]int{"a": 200, "b": 100}}
	return f
}

func rowOf(t *testing.T, text string) row {
	t.Helper()
	return row{admin.Row{ID: "1", InstanceName: "shop", Config: json.RawMessage(text)}, decode(json.RawMessage(text))}
}

// rowOn is a row with what it is on.
func rowOn(t *testing.T, text string) row {
	t.Helper()
	r := row{Row: admin.Row{ID: "2"}}
	if err := json.Unmarshal([]byte(text), &r.Row); err != nil {
		t.Fatal(err)
	}
	r.config = decode(r.Config)
	return r
}

// retried is a config of ours that takes the companion.
const retried = `{"backends":[{"host":"a.test"},{"host":"b.test"}],"retry":{}}`

// functions are rows of post-function.
func functions(t *testing.T, rows ...string) (all []admin.Row) {
	t.Helper()
	for _, text := range rows {
		all = append(all, rowOn(t, text).Row)
	}
	return all
}

// withCompanion is the config of a row of post-function that has the companion.
func withCompanion(t *testing.T) string {
	t.Helper()
	phases := map[string][]string{"access": {"return"}}
	companion.Add(phases)
	text, err := json.Marshal(phases)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// counts is a report of a smooth split 2 : 1 whose backends got so many by weight.
func counts(a, b uint64) *status.Report {
	drift := 0.5
	return &status.Report{Splits: []plugin.SplitStatus{{Split: "shop", Revision: "r", Drift: &drift, Backends: []plugin.BackendStatus{
		{Name: "a", Share: 2.0 / 3, Requests: map[split.Reason]uint64{split.ByWeight: a}},
		{Name: "b", Share: 1.0 / 3, Requests: map[split.Reason]uint64{split.ByWeight: b}},
	}}}}
}

// Each check finds its fault, and is silent without it.
func TestChecks(t *testing.T) {
	if d := sound(t).diagnose(); len(d.Findings) > 0 || len(d.Skipped) > 0 || len(d.Sent) != 2 {
		t.Fatalf("something is found in what is sound: %+v", d)
	}
	found := map[string]bool{}
	since := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	down, own := false, withCompanion(t)
	for _, tt := range []struct {
		check string
		fault func(*facts)
		want  string // severity and message
	}{
		{"admin", func(f *facts) { f.kong = &kongFacts{err: errors.New("refused")} }, "error: Kong's Admin API does not answer: refused"},
		{"plugin", func(f *facts) { f.kong.node.Plugins.Available = nil }, "error: Kong does not know the plugin traffic-split"},
		{"plugin", func(f *facts) { f.kong.node.Configuration.PluginServers[0].Name = "other" }, "warning: no plugin server of kong.conf is called traffic-split"},
		{"server", func(f *facts) { f.servers = append(f.servers, server{address: "s:2", err: errors.New("refused")}) }, "error: the plugin server at s:2 does not answer: refused"},
		{"version", func(f *facts) { f.kong.node.Version = "2.8.1" }, "error: Kong is of version 2.8.1; the plugin server serves Kong 3"},
		{"schema", func(f *facts) {
			f.kong.node.Plugins.Available["traffic-split"] = admin.Available{Version: "0.9"}
		}, "warning: Kong has read a dump of version 0.9, and the server at s:1 is of version 1.0"},
		{"server", func(f *facts) { f.Version = "1.1" }, "warning: the server at s:1 is of version 1.0, and splitctl of version 1.1"},
		{"schema", func(f *facts) { f.servers[0].report.Schema = "other" }, "error: Kong checks configs by another schema (" + status.SchemaHash(config.KongSchema()) + ") than the one of the server at s:1 (other): it refuses new parameters, or lets wrong ones through"},
		{"start_cmd", func(f *facts) { f.kong.failed = errors.New("Kong answers with 500") }, "error: GET / of the Admin API is answered with an error by some workers, which decK and the ingress controller ask for: Kong answers with 500. Kong 3.9.0 to 3.9.3 does so where it starts the plugin server itself; this is 3.9.3"},
		{"start_cmd", func(f *facts) {
			f.kong.node.Configuration.PluginServers[0].StartCommand = "x"
			f.kong.node.Configuration.LogLevel = "info"
		}, "warning: Kong 3.9.3 starts the plugin server itself (start_cmd), and then answers GET / of the Admin API with 500 where worker 0 takes it; decK and the ingress controller ask for that"},
		{"log_level", func(f *facts) {
			f.kong.node.Configuration.PluginServers[0].StartCommand = "x"
			f.kong.node.Version = "3.9.4"
		}, "warning: Kong logs what the plugin server writes at the level info, and its log_level is notice: warnings and crashes of the server are not to be seen"},
		{"rows", func(f *facts) { f.kong.rows = nil }, "warning: Kong has no enabled row of the plugin traffic-split, so that nothing is shared out"},
		{"rows", func(f *facts) { f.kong.rows = append(f.kong.rows, rowOf(t, `{"backends":[{"weight":-3}]}`)) }, "error: the config of the row shop is not one that the plugin takes"},
		{"upstreams", func(f *facts) { f.kong.upstreams["up"] = nil }, "error: there is no Upstream up, which shop names"},
		{"upstreams", func(f *facts) { f.kong.upstreams["up"] = f.kong.upstreams["up"][:1] }, "error: the Upstream up, which shop names, has no target that is healthy: Kong answers its share with 503"},
		{"upstreams", func(f *facts) { f.kong.upstreams["up"] = []admin.Health{{Health: "HEALTHY"}} }, "error: the Upstream up, which shop names, has no target that is healthy: Kong answers its share with 503"},
		{"upstreams", func(f *facts) {
			delete(f.kong.upstreams, "up")
			f.kong.unknown = map[string]error{"up": errors.New("refused")}
		}, "warning: the health of the Upstream up, which shop names, is not known: refused"},
		{"splits", func(f *facts) { f.kong.rows = append(f.kong.rows, rowOf(t, `{"split":"sports"}`)) }, "error: the row shop takes the split sports from split files, and the server at s:1 has none of that name: requests pass without one"},
		{"splits", func(f *facts) { f.kong.rows = append(f.kong.rows, rowOn(t, `{"route":{"id":"r1"},"config":{}}`)) }, "error: the row 2 takes the split sports from split files, and the server at s:1 has none of that name: each request gets a 500"},
		{"splits", func(f *facts) { f.kong.rows = append(f.kong.rows, rowOn(t, `{"route":{"id":"r3"},"config":{}}`)) }, "error: the row 2 has no backends, and its route no name by which a split could be found: each request gets a 500"},
		{"splits", func(f *facts) { f.kong.rows = append(f.kong.rows, rowOn(t, `{"service":{"id":"s1"},"config":{}}`)) }, "warning: the row 2 takes the split of each route's name from split files, and the server at s:1 has one for none of its routes: requests pass without one"},
		{"splits", func(f *facts) {
			f.kong.rows, f.kong.upstreams["news"] = append(f.kong.rows, rowOn(t, `{"config":{}}`)), nil
		}, "error: there is no Upstream news, which the split news names"},
		{"guards", func(f *facts) { f.servers[0].report.Outcomes = false }, "error: the row shop has a guard or passive health checks, which need the outcomes of requests, and the server at s:1 was started without -outcomes"},
		{"outcomes", func(f *facts) {
			f.servers[0].report.Splits = []plugin.SplitStatus{{Split: "shop", OutcomesMissing: since}}
			f.servers[0].report.Wrong = []string{"shop: Kong tells no outcomes since then"}
		}, "error: shop: Kong tells the server at s:1 no outcomes since 2026-12-01T08:00:00Z, so that guards, passive health checks and comparisons with shadows do not work"},
		{"status", func(f *facts) { f.servers[0].report.Wrong = []string{"the split files are wrong"} }, "error: the server at s:1 reports: the split files are wrong"},
		{"pool", func(f *facts) { f.kong.connections = 61 }, "warning: Kong has 61 connections of clients and keeps at most 30 connections to the plugin server a worker, of which there are 2: under this load it opens new ones for each request"},
		{"router_flavor", func(f *facts) { f.kong.node.Configuration.RouterFlavor = "traditional" }, "warning: router_flavor is traditional, by which no output of splitctl convert was tried; routes may be matched in another order"},
		{"untrusted_lua", func(f *facts) { f.kong.node.Configuration.UntrustedLua = "off" }, "error: untrusted_lua is off, and there are rows of post-function: Kong takes no such row any more, and does not run what it has"},
		{"companion", func(f *facts) { f.kong.rows[1] = rowOn(t, `{"id":"2","route":{"id":"r1"},"config":`+retried+`}`) }, "error: the split of the row 2 takes the companion, and the route sports has no row of post-function: no request is tried on another backend there, and no response header is set or removed"},
		{"companion", func(f *facts) {
			f.kong.rows[1] = rowOn(t, `{"id":"2","service":{"id":"s1"},"config":`+retried+`}`)
			f.kong.functions = functions(t, `{"enabled":true,"route":{"id":"r1"},"config":{"access":["return"]}}`, `{"enabled":true,"service":{"id":"s1"},"config":`+own+`}`)
		}, "error: the split of the row 2 takes the companion, and the row of post-function on the route sports has not the functions of this version: no request is tried on another backend there, and no response header is set or removed"},
		{"companion", func(f *facts) {
			f.servers[0].report.Splits[0].Companion = plugin.CompanionUnknown
			f.kong.functions = functions(t, `{"enabled":false,"config":`+own+`}`, `{"enabled":true,"route":{"id":"r1"},"config":`+own+`}`)
		}, "error: the split of the row 2 takes the companion, and the route news has no row of post-function: no request is tried on another backend there, and no response header is set or removed"},
		{"send", func(f *facts) { f.sent.err = errors.New("interrupted") }, "error: only 300 of 300 requests were sent: interrupted"},
		{"send", func(f *facts) {
			f.sent = &sent{requests: 300, answers: map[string]int{"404": 300}, example: map[string]string{"404": "no Route matched with those values"}}
		}, "error: 300 of 300 requests got 404: no Route matched with those values"},
		{"send", func(f *facts) { f.sent.after[0] = counts(202, 98); f.sent.named = nil }, "error: a got 202 of 300 requests of the split shop, and is due 200.00: that is off by more than the 2 that its algorithm allows"},
		{"send", func(f *facts) { f.sent.named["a"], f.sent.named["b"] = 199, 101; f.sent.header = "X-Backend" }, "error: 199 answers name a in X-Backend, which was chosen for 200 requests"},
		{"send", func(f *facts) { f.sent.after[0].Splits[0].Revision = "s" }, "warning: the shares of the split shop have changed meanwhile, so that they are not compared"},
		{"send", func(f *facts) { f.sent.after[0].Splits[0].Backends[1].Up = &down }, "warning: b of the split shop cannot be used, so that the shares are not compared"},
		{"send", func(f *facts) { f.sent.after[0].Splits[0].Unavailable = 5 }, "error: 5 requests of the split shop could be taken by no backend"},
		{"send", func(f *facts) { f.sent.after = f.sent.before }, "error: the shares cannot be compared: no split of the servers has got as many requests in this time: is the route of the path one with the plugin, and is the server of --status the one that this Kong asks?"},
		{"send", func(f *facts) { f.Send.Split = "shoop" }, `error: the shares cannot be compared: no server has a split "shoop"`},
		{"send", func(f *facts) { f.sent.before, f.sent.after, f.kong.rows = nil, nil, f.kong.rows[1:] }, "error: a answered 200 of 300 requests, and is due 150.00"},
		{"send", func(f *facts) { f.sent.before, f.sent.after, f.sent.named = nil, nil, nil }, "warning: which backend got the requests is not known"},
		{"send", func(f *facts) {
			f.sent.before, f.sent.after = nil, nil
		}, "warning: Kong has several rows, so that the shares are not compared"},
		{"send", func(f *facts) {
			for _, b := range f.sent.after[0].Splits[0].Backends {
				b.Requests[split.ByHash], b.Requests[split.ByWeight] = b.Requests[split.ByWeight], 0
			}
		}, "warning: none of the requests of the split shop was decided by weight"},
	} {
		f := sound(t)
		tt.fault(f)
		var got []string
		for _, finding := range f.diagnose().Findings {
			if finding.Fix == "" {
				t.Errorf("%s has no fix: %s", finding.Check, finding.Message)
			}
			if finding.Check == tt.check {
				got = append(got, fmt.Sprintf("%s: %s", finding.Severity, finding.Message))
			}
		}
		if !slices.Contains(got, tt.want) {
			t.Errorf("%s finds\n%s\nwant\n%s", tt.check, strings.Join(got, "\n"), tt.want)
		}
		found[tt.check] = true
	}
	for _, c := range checks {
		if !found[c.name] {
			t.Errorf("nothing shows that %s finds anything", c.name)
		}
	}
}

// Random choices may be further off, and several servers by as much as each of them.
func TestAllowed(t *testing.T) {
	f := sound(t)
	f.sent.named = nil
	f.sent.after[0] = counts(230, 70)
	f.sent.after[0].Splits[0].Drift = nil
	if d := f.diagnose(); len(d.Findings) > 0 {
		t.Errorf("random choices: %+v", d.Findings)
	}
	f = sound(t)
	f.sent.before = append(f.sent.before, counts(7, 9))
	f.sent.after = []*status.Report{counts(101, 50), counts(7+102, 9+47)}
	f.sent.named = nil
	if d := f.diagnose(); len(d.Findings) > 0 {
		t.Errorf("two servers: %+v", d.Findings)
	}
}

// What cannot be asked is not checked, and said.
func TestSkipped(t *testing.T) {
	f := &facts{Options: Options{Plugin: "traffic-split"}, servers: []server{{address: "s", err: errors.New("refused")}}}
	d := f.diagnose()
	if len(d.Checked) != 1 || d.Checked[0] != "server" || len(d.Skipped) != len(checks)-1 {
		t.Errorf("%+v", d)
	}
}

// The companion is on a route by a row of the route, or else of its Service, or of all.
func TestCompanionFound(t *testing.T) {
	own := withCompanion(t)
	scopes := []string{`"route":{"id":"r1"},"service":{"id":"s1"}`, `"route":{"id":"r1"}`, `"service":{"id":"s1"}`, `"instance_name":"all"`}
	for i, on := range scopes {
		f := sound(t)
		f.kong.rows[1] = rowOn(t, `{"id":"2","route":{"id":"r1"},"config":`+retried+`}`)
		f.kong.functions = functions(t, `{"enabled":true,`+on+`,"config":`+own+`}`)
		for _, other := range append(slices.Clone(scopes[i+1:]), `"route":{"id":"r2"}`) {
			f.kong.functions = append(functions(t, `{"enabled":true,`+other+`,"config":{"access":["return"]}}`), f.kong.functions...)
		}
		checkCompanion(f, func(_ Severity, _, format string, args ...any) { t.Errorf(on+": "+format, args...) })
	}
}

// What could not be asked is not called checked.
func TestNotAnswered(t *testing.T) {
	for _, name := range []string{"schema", "pool", "untrusted_lua", "companion"} {
		f := sound(t)
		f.kong.lacks = map[string]error{name: errors.New("Kong answers with 502")}
		d := f.diagnose()
		if slices.Contains(d.Checked, name) || len(d.Skipped) != 1 || d.Skipped[0] != (Skipped{name, "Kong does not say what it needs: Kong answers with 502"}) {
			t.Errorf("%s: checked %q, skipped %v", name, d.Checked, d.Skipped)
		}
	}
}
