package spec

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of calls in docs/performance.md anew")

// features are what a config may have, each with as little else as it can have. What is
// shown is of the second request, when the instance knows its route and its Service.
var features = []struct {
	what   string
	config string
	kong   replies
	phase  string // access where it is empty
	global bool   // the row is on no route
}{
	{what: "a backend with `service: true`, in a row's own split", config: `"backends":[{"service":true}]`},
	{what: "a `host` on its protocol's own port", config: `"backends":[{"host":"a.internal"}]`},
	{what: "a `host` on another port", config: `"backends":[{"host":"a.internal","port":8080}]`},
	{what: "the same, where the route has `preserve_host`", config: `"backends":[{"host":"a.internal","port":8080}]`, kong: replies{preserveHost: true}},
	{what: "a `host` on another port, of a row that is not on a route", config: `"backends":[{"host":"a.internal","port":8080}]`, global: true},
	{what: "an `upstream`", config: `"backends":[{"upstream":"up"}]`},
	{what: "an `upstream` with `host_header`", config: `"backends":[{"upstream":"up","host_header":"a.example"}]`},
	{what: "an `upstream` with `host_header: preserve`, where the route does not", config: `"backends":[{"upstream":"up","host_header":"preserve"}]`},
	{what: "a `host` with `protocol`, where the Service has another", config: `"backends":[{"host":"a.internal","protocol":"https"}]`},
	{what: "a `host` with `path`", config: `"backends":[{"host":"a.internal","path":"/v2"}]`},
	{what: "the same with `replace_prefix`", config: `"backends":[{"host":"a.internal","replace_prefix":"/v2"}]`},
	{what: "the same with `replace_path`", config: `"backends":[{"host":"a.internal","replace_path":"/v2"}]`},
	{what: "a `redirect` that keeps all but the scheme", config: `"backends":[{"redirect":{"scheme":"https"}}]`},
	{what: "the same beside the Service, a request that is redirected", config: `"backends":[{"service":true,"weight":0},{"redirect":{"scheme":"https"}}]`},
	{what: "a `redirect` to a whole URL", config: `"backends":[{"redirect":{"scheme":"https","hostname":"b.example","path":"/"}}]`},
	{what: "`timeouts` or `retries`", config: `"backends":[{"service":true,"timeouts":{"read":5}}]`},
	{what: "the same of a `host`", config: `"backends":[{"host":"a.internal","port":8080,"retries":0}]`},
	{what: "the same of an `upstream`", config: `"backends":[{"upstream":"up","retries":0}]`},
	{what: "`retry`, between hosts", config: `"retry":{},"backends":[{"host":"a.internal","port":8080},{"host":"b.internal","port":8080}]`},
	{what: "a `host` with a name, where the Service's host is an IP address", config: `"backends":[{"host":"a.internal","port":8080}]`, kong: replies{ipService: true}},
	{what: "an `upstream` there", config: `"backends":[{"upstream":"up"}]`, kong: replies{ipService: true}},
	{what: "a `host` that is an address itself, there", config: `"backends":[{"host":"10.0.0.8","port":8080}]`, kong: replies{ipService: true}},
	{what: "a `host`, where the route has no Service", config: `"backends":[{"host":"a.internal","port":8080}]`, kong: replies{noService: true}},
	{what: "an `upstream` there", config: `"backends":[{"upstream":"up"}]`, kong: replies{noService: true}},
	{what: "a `host` there, of a row that is not on a route", config: `"backends":[{"host":"a.internal","port":8080}]`, kong: replies{noService: true}, global: true},
	{what: "`request_headers`, `set` and `remove`", config: `"backends":[{"service":true,"request_headers":{"set":{"X-A":"1"},"remove":["X-B"]}}]`},
	{what: "the same, where the Host has to be set too", config: `"backends":[{"host":"a.internal","port":8080,"request_headers":{"set":{"X-A":"1"},"remove":["X-B"]}}]`},
	{what: "`request_headers.add`, each", config: `"backends":[{"service":true,"request_headers":{"add":{"X-A":"1"}}}]`},
	{what: "`response_headers.add`, each", config: `"backends":[{"service":true,"response_headers":{"add":{"X-A":"1"}}}]`},
	{what: "`response_header`", config: `"response_header":"X-Backend","backends":[{"service":true}]`},
	{what: "`log_decision`", config: `"log_decision":true,"backends":[{"service":true}]`},
	{what: "`force_header`", config: `"force_header":"X-Force","backends":[{"service":true}]`},
	{what: "`rules` by a header", config: rule(`"headers":{"X-Beta":["1"]}`)},
	{what: "`rules` by cookies", config: rule(`"cookies":{"beta":["1"]}`)},
	{what: "`force_header` and `rules` by three and more headers, cookies among them", config: `"force_header":"X-Force",` + rule(`"headers":{"X-Beta":["1"],"X-Tier":["gold"]},"cookies":{"beta":["1"]}`)},
	{what: "`rules` by query arguments", config: rule(`"query_args":{"beta":["1"]}`)},
	{what: "`rules` by method", config: rule(`"methods":["PUT"]`)},
	{what: "`rules` by path", config: rule(`"path_prefix":"/v2"`)},
	{what: "`rules` by consumer", config: rule(`"consumers":["ann"]`)},
	{what: "`rules` by address", config: rule(`"client_ips":["10.0.0.0/8"]`)},
	{what: "`hash_on: consumer`, who is known", config: `"hash_on":"consumer","backends":[{"service":true}]`, kong: replies{consumer: true}},
	{what: "the same, where there is none", config: `"hash_on":"consumer","backends":[{"service":true}]`},
	{what: "`hash_on: ip`", config: `"hash_on":"ip","backends":[{"service":true}]`},
	{what: "`hash_on: header`", config: `"hash_on":"header","hash_on_header":"X-User","backends":[{"service":true}]`},
	{what: "`hash_on: cookie`", config: `"hash_on":"cookie","hash_on_cookie":"user","backends":[{"service":true}]`},
	{what: "`hash_on: path`", config: `"hash_on":"path","backends":[{"service":true}]`},
	{what: "`hash_on: query_arg`", config: `"hash_on":"query_arg","hash_on_query_arg":"user","backends":[{"service":true}]`},
	{what: "`hash_on: uri_capture`", config: `"hash_on":"uri_capture","hash_on_uri_capture":"user","backends":[{"service":true}]`},
	{what: "`session`, a client that has one", config: pinned, kong: replies{returns: true}},
	{what: "`session`, a client that has none", config: pinned},
	{what: "`session` before `hash_on: ip`, a client that has one", config: `"hash_on":"ip",` + pinned, kong: replies{returns: true}},
	{what: "`session` before `hash_on: ip`, a client that has none", config: `"hash_on":"ip",` + pinned},
	{what: "`ramp`", config: `"ramp":{"backend":"b","start":"2026-01-31T18:00:00Z","duration":60},"backends":[{"service":true},{"name":"b","host":"b.internal"}]`},
	{what: "`mirror`, a request that is copied", config: `"mirror":[{"host":"c.internal"}],"backends":[{"service":true}]`},
	{what: "the same, one that is not its turn", config: `"mirror":[{"host":"c.internal","percent":1}],"backends":[{"service":true}]`},
	{what: "`health.active`", config: `"backends":[{"host":"a.internal","health":{"active":{"interval":3600}}}]`},
	{what: "`health.passive`, or another backend than the Service in a split with a guard", config: `"backends":[{"host":"a.internal","health":{"passive":{}}}]`},
	{what: "in the log phase of these, the event and", config: `"backends":[{"host":"a.internal","health":{"passive":{}}}]`, phase: "log"},
	{what: "the same, on a gRPC Service", config: `"backends":[{"host":"a.internal","health":{"passive":{}}}]`, kong: replies{grpc: true}, phase: "log"},
	{what: "a connection over TCP to a `host`", config: `"backends":[{"host":"a.internal"}]`, phase: "preread"},
}

func rule(match string) string {
	return `"rules":[{"match":{` + match + `},"backend":"service"}],"backends":[{"service":true}]`
}

const pinned = `"session":{"secret":"sixteen letters!"},"backends":[{"service":true}]`

// What docs/performance.md says that a feature costs is what the plugin server sends. It
// waits for Kong only where it has to: an arrow is a turn from it to Kong and back.
func TestCallsOfFeatures(t *testing.T) {
	s := serveOutcomes(t)
	table := "| a row with | calls | which they are |\n|---|---|---|\n"
	for i, f := range features {
		k := dialPlugin(t, s.socket)
		k.replies = f.kong
		route := `"route_id":"r",`
		if f.global {
			route = ""
		}
		phase := f.phase
		if phase == "" {
			phase = "access"
		}
		id := k.start(fmt.Sprintf(`{"__plugin_id":"p%d","__seq__":%d,%s%s}`, i, i+1, route, f.config))
		k.event(id, phase)
		count, turns := 0, []string{}
		for _, calls := range k.event(id, phase) {
			if len(calls) > 0 {
				count += len(calls)
				turns = append(turns, "`"+strings.Join(calls, "`, `")+"`")
			}
		}
		table += fmt.Sprintf("| %s | %d | %s |\n", f.what, count, strings.Join(turns, " → "))
	}
	const begin, end = "<!-- calls -->\n", "<!-- end of calls -->\n"
	const page = "../docs/performance.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	shown, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the table, between %q and %q", page, begin, end)
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(shown, table); diff != "" {
		t.Errorf("what %s shows (-) and what is sent (+; go test ./spec -run CallsOfFeatures -update writes it):\n%s", page, diff)
	}
}
