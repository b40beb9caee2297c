package plugin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

// own is a backend that nothing has to be known for.
const own = `"backends":[{"name":"own","service":true}]`

// nameOf names a read as the fake Kong does.
func nameOf(method string, args []byte) string {
	if args == nil || method == "kong.request.get_headers" {
		return strings.TrimPrefix(method, "kong.")
	}
	return string(args[2:]) // behind tag and length
}

func namesOf(reads []struct {
	Method string
	Args   []byte
},
) []string {
	names := []string{}
	for _, r := range reads {
		names = append(names, nameOf(r.Method, r.Args))
	}
	return names
}

// copied are the reads of a request that is copied.
const copied = "[request.get_headers request.get_method upstream_uri request.get_raw_query server_protocol remote_addr " +
	"upstream_x_forwarded_for upstream_x_forwarded_proto upstream_x_forwarded_host upstream_x_forwarded_port upstream_x_forwarded_path upstream_x_forwarded_prefix]"

// What Reads lists is what the handler asks for, so that nothing costs a round
// trip of its own, and nothing is asked for in vain. Behind a semicolon comes what is
// listed for later.
func TestReadsAreWhatTheHandlerAsksFor(t *testing.T) {
	tests := []struct {
		name   string
		config string
		want   []string // of the first request and of the second
	}{
		{name: "an address with a Host of its own", config: onRoute + `"backends":[{"host":"10.0.0.1","host_header":"a"}]`, want: []string{"[service]", "[]"}},
		{name: "an Upstream", config: onRoute + `"backends":[{"upstream":"up"}]`, want: []string{"[service]", "[]"}},
		{name: "a host", config: onRoute + `"backends":[{"host":"a.internal"}]`, want: []string{"[route service]", "[]"}},
		{name: "an address on another port", config: onRoute + `"backends":[{"host":"10.0.0.1","port":81}]`, want: []string{"[route service]", "[]"}},
		{name: "the route's own Service", config: onRoute + `"backends":[{"service":true}]`, want: []string{"[]", "[]"}},
		{name: "the client's Host", config: onRoute + `"backends":[{"upstream":"up","host_header":"preserve"}]`, want: []string{"[route service host]", "[host]"}},
		{name: "a path", config: onRoute + `"backends":[{"upstream":"up","path":"/v2"}]`, want: []string{"[service upstream_uri]", "[upstream_uri]"}},
		{name: "a protocol", config: onRoute + `"backends":[{"host":"10.0.0.1","protocol":"https","host_header":"a"}]`, want: []string{"[service]", "[]"}},
		{name: "hash_on", config: onRoute + `"hash_on":"header","hash_on_header":"X-User","hash_fallback":"uri_capture","hash_fallback_uri_capture":"user",` + own, want: []string{"[X-User request.get_uri_captures]", "[X-User request.get_uri_captures]"}},
		{name: "hash_on of an address and a consumer", config: onRoute + `"hash_on":"ip","hash_fallback":"consumer",` + own, want: []string{"[client.get_forwarded_ip client.get_consumer]"}},
		{name: "hash_on of a cookie and an argument", config: onRoute + `"hash_on":"cookie","hash_on_cookie":"user","hash_fallback":"query_arg","hash_fallback_query_arg":"user",` + own, want: []string{"[http_cookie request.get_raw_query]"}},
		{name: "a session", config: onRoute + `"session":{"secret":"sixteen letters!"},` + own, want: []string{"[http_cookie]; [Access-Control-Request-Method request.get_forwarded_scheme]"}},
		{name: "a session whose cookie is Secure anyway", config: onRoute + `"session":{"secret":"sixteen letters!","secure":"always"},` + own, want: []string{"[http_cookie]; [Access-Control-Request-Method]"}},
		{name: "a session before hash_on", config: onRoute + `"hash_on":"ip","session":{"secret":"sixteen letters!","secure":"never"},` + own, want: []string{"[http_cookie]; [Access-Control-Request-Method client.get_forwarded_ip]"}},
		{name: "two headers", config: onRoute + `"force_header":"X-Force","hash_on":"header","hash_on_header":"X-User",` + own, want: []string{"[X-Force X-User]"}},
		{name: "three headers, and the client's Host", config: onRoute + `"force_header":"X-Force","hash_on":"header","hash_on_header":"X-User","hash_fallback":"header","hash_fallback_header":"X-Team","backends":[{"host":"10.0.0.1","host_header":"preserve"}]`, want: []string{"[request.get_headers service]", "[request.get_headers]"}},
		{name: "two headers and cookies, before a session", config: onRoute + `"force_header":"X-Force","rules":[{"match":{"headers":{"X-Beta":["1"]}},"backend":"own"}],"session":{"secret":"sixteen letters!","secure":"never"},` + own, want: []string{"[request.get_headers]"}},
		{name: "force_header", config: onRoute + `"force_header":"X-Force",` + own, want: []string{"[X-Force]"}},
		{name: "rules, each thing once", config: onRoute + `"force_header":"x-tier","rules":[` +
			`{"match":{"headers":{"X-Tier":["gold"]},"methods":["GET"]},"backend":"own"},` +
			`{"match":{"headers":{"X-Tier":["silver"]},"path_prefix":"/a"},"backend":"own"}],` + own, want: []string{"[x-tier request.get_method request.get_path]"}},
		{name: "a ramp goes by the clock", config: onRoute + `"ramp":{"backend":"10.0.0.1:80","start":"2026-01-31T18:00:00Z","duration":60},"backends":[{"host":"10.0.0.1","host_header":"a"},{"host":"10.0.0.2","host_header":"a"}]`, want: []string{"[service]"}},
		{name: "copies", config: onRoute + `"mirror":[{"host":"c"}],` + own, want: []string{
			"[route service]; " + copied, "[]; " + copied,
		}},
		{name: "copies of what rules look at", config: onRoute + `"rules":[{"match":{"methods":["GET"]},"backend":"own"}],"mirror":[{"host":"c"}],` + own, want: []string{
			"[request.get_method route service]; " + strings.Replace(copied, " request.get_method", "", 1),
		}},
		{name: "a redirect", config: onRoute + `"backends":[{"redirect":{"hostname":"b"}}]`, want: []string{
			"[request.get_forwarded_scheme upstream_x_forwarded_host request.get_path request.get_raw_query host service]",
			"[request.get_forwarded_scheme upstream_x_forwarded_host request.get_path request.get_raw_query host]",
		}},
		{name: "a redirect to a whole URL, and a fact that it keeps", config: onRoute + `"hash_on":"query_arg","hash_on_query_arg":"q","backends":[{"redirect":{"scheme":"https","hostname":"b","path":"/"}}]`, want: []string{"[request.get_raw_query service]", "[request.get_raw_query]"}},
		{name: "a redirect with another prefix", config: onRoute + `"backends":[{"redirect":{"scheme":"https","replace_prefix":"/v2"}}]`, want: []string{
			"[upstream_x_forwarded_host request.get_path request.get_raw_query route service]",
			"[upstream_x_forwarded_host request.get_path request.get_raw_query]",
		}},
		{name: "a redirect beside a backend", config: onRoute + `"backends":[{"weight":0,` + own[len(`"backends":[{`):len(own)-1] + `,{"redirect":{"scheme":"https","hostname":"b"}}]`, want: []string{
			"[service]; [request.get_path request.get_raw_query]", "[]; [request.get_path request.get_raw_query]",
		}},
		{name: "a global row", config: `"backends":[{"host":"a.internal","path":"/v2"}]`, want: []string{"[route service upstream_uri]", "[route service upstream_uri]"}},
		{name: "a split by its name", config: onRoute + `"split":"web"`, want: []string{"[service upstream_uri]", "[upstream_uri]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			with := options
			with.Mirrors = &shadows{}
			p := plugin.New(with)
			p.SetSplits(map[string]*config.Config{"web": mustConfig(t, `{"backends":[{"upstream":"up","path":"/v2"}]}`)})
			i := start(t, p, tt.config)
			for n, want := range tt.want {
				first, later := i.Reads("access", time.Now())
				listed := namesOf(first)
				got := fmt.Sprint(listed)
				for _, reads := range later {
					listed = append(listed, namesOf(reads)...)
					got += "; " + fmt.Sprint(namesOf(reads))
				}
				k := web()
				k.upstreams = []string{"up"}
				k.consumer = &kong_plugin_protocol.Consumer{Id: "1"}
				if err := k.access(t, i); err != nil {
					t.Fatal(err)
				}
				if got != want {
					t.Errorf("request %d: Reads lists %s, want %s", n+1, got, want)
				}
				for what := range k.asked {
					k.asked[what] = strings.TrimPrefix(k.asked[what], "header ")
				}
				slices.Sort(listed)
				slices.Sort(k.asked)
				if diff := cmp.Diff(listed, slices.Compact(append([]string{}, k.asked...))); diff != "" {
					t.Errorf("request %d: listed and asked for (-listed +asked):\n%s", n+1, diff)
				}
			}
		})
	}
}

// The credential is asked for where there is nothing else to hash, and not listed, as few
// requests need it.
func TestCredentialIsAskedForWhereNothingElseIsThere(t *testing.T) {
	known := &kong_plugin_protocol.Consumer{Id: "1"}
	for _, tt := range []struct {
		name, config string
		consumer     *kong_plugin_protocol.Consumer
		header       string
		want         []string
	}{
		{"a consumer", `"hash_on":"consumer",`, known, "", []string{"client.get_consumer"}},
		{"none", `"hash_on":"consumer",`, nil, "", []string{"client.get_consumer", "client.get_credential"}},
		{"a header", `"hash_on":"header","hash_on_header":"X-User","hash_fallback":"consumer",`, nil, "ann", []string{"header X-User", "client.get_consumer"}},
		{"no header, and a consumer", `"hash_on":"header","hash_on_header":"X-User","hash_fallback":"consumer",`, known, "", []string{"header X-User", "client.get_consumer"}},
		{"no header, and none", `"hash_on":"header","hash_on_header":"X-User","hash_fallback":"consumer",`, nil, "", []string{"header X-User", "client.get_consumer", "client.get_credential"}},
		{"what a rule decides", `"rules":[{"match":{"not":{"headers":{"X-User":["~"]}}},"backend":"own"}],"hash_on":"consumer",`, nil, "", []string{"header X-User", "client.get_consumer"}},
	} {
		i := start(t, plugin.New(options), onRoute+tt.config+own)
		k := web()
		k.consumer, k.headers = tt.consumer, map[string]string{"X-User": tt.header}
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, k.asked); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// On a TCP or TLS route Kong raises an error where it is asked for anything of a
// request, so nothing of the kind is listed, also where the handler is going to
// refuse the connection.
func TestReadsInPreread(t *testing.T) {
	tests := []struct {
		name, config, want string
		refused            string
	}{
		{name: "a host", config: onRoute + `"backends":[{"host":"a.internal"}]`, want: "[service]"},
		{name: "an address", config: onRoute + `"backends":[{"host":"10.0.0.1"}]`, want: "[service]"},
		{name: "the client's address", config: onRoute + `"hash_on":"ip","backends":[{"host":"10.0.0.1"}]`, want: "[client.get_forwarded_ip service]"},
		{name: "the route's own Service", config: onRoute + `"backends":[{"service":true}]`, want: "[]"},
		{name: "the route's split", config: onRoute + `"algorithm":"smooth"`, want: "[route]"},
		{name: "another split", config: onRoute + `"split":"web"`, want: "[service]"},
		{
			name: "what needs HTTP", config: onRoute + `"hash_on":"path","session":{"secret":"sixteen letters!"},"backends":[{"host":"a.internal","host_header":"preserve"}]`,
			want: "[]", refused: "backends[0].host_header, hash_on, session: Kong does not look into a TCP or TLS connection: leave it out, or put the plugin on another route",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := plugin.New(options)
			p.SetSplits(map[string]*config.Config{"web": mustConfig(t, `{"backends":[{"upstream":"up"}]}`)})
			i := start(t, p, tt.config)
			first, _ := i.Reads("preread", time.Now())
			listed := namesOf(first)
			if got := fmt.Sprint(listed); got != tt.want {
				t.Errorf("Reads lists %s, want %s", got, tt.want)
			}
			k := web()
			err := k.run(t, "preread", i)
			if tt.refused != "" && (err == nil || err.Error() != tt.refused) || tt.refused == "" && err != nil {
				t.Errorf("got %v, want %s", err, tt.refused)
			}
			for _, what := range listed {
				if !slices.Contains(k.asked, what) {
					t.Errorf("%s is listed and was not asked for", what)
				}
			}
		})
	}
}

// What is remembered is asked for once, also where the backend that depends on it
// has not had its turn yet.
func TestRememberedIsAskedForOnce(t *testing.T) {
	i := start(t, plugin.New(options), onRoute+`"backends":[{"host":"10.0.0.1","host_header":"a"},{"host":"a.internal","weight":0}]`)
	for n, want := range []int{2, 0, 0} {
		if first, _ := i.Reads("access", time.Now()); len(first) != want {
			t.Errorf("request %d: %d reads, want %d", n+1, len(first), want)
		}
		if err := web().access(t, i); err != nil {
			t.Fatal(err)
		}
	}
	i = start(t, plugin.New(options), onRoute+`"backends":[{"service":true},{"host":"a.internal","weight":0}]`)
	for n, want := range []int{1, 0, 0} {
		if first, _ := i.Reads("preread", time.Now()); len(first) != want {
			t.Errorf("connection %d: %d reads, want %d", n+1, len(first), want)
		}
		if err := web().run(t, "preread", i); err != nil {
			t.Fatal(err)
		}
	}
}

// What only some backends depend on is asked for with their requests alone; what is
// remembered, with the first.
func TestReadsAreWhatAllBackendsDependOn(t *testing.T) {
	const foreign = `{"name":"b","host":"b.internal","port":81,"path":"/v2"}`
	for _, tt := range []struct{ name, config, want string }{
		{"beside the route's own Service", onRoute + `"backends":[{"service":true},` + foreign + `]`, "[route service]"},
		{"the same, of a row everywhere", `"backends":[{"service":true},` + foreign + `]`, "[]"},
		{"beside one without a share", onRoute + `"backends":[{"service":true,"weight":0},` + foreign + `]`, "[route service upstream_uri]"},
		{"two paths", onRoute + `"backends":[{"name":"a","host":"10.0.0.1","host_header":"a","path":"/v1"},` + foreign + `]`, "[route service upstream_uri]"},
		{"none has a share", onRoute + `"backends":[{"service":true,"weight":0}]`, "[]"},
	} {
		i := start(t, plugin.New(options), tt.config)
		if first, _ := i.Reads("access", time.Now()); fmt.Sprint(namesOf(first)) != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, namesOf(first), tt.want)
		}
	}
	i := start(t, plugin.New(options), onRoute+`"backends":[{"service":true},`+foreign+`]`)
	for n, want := range [][]string{{"service", "route"}, {"upstream_uri"}, nil, {"upstream_uri"}} {
		k := web()
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, k.asked); diff != "" {
			t.Errorf("request %d asks for (-want +got):\n%s", n+1, diff)
		}
		if n%2 == 0 && len(k.told) > 0 {
			t.Errorf("request %d to the route's own Service tells Kong %q", n+1, k.told)
		}
	}
}
