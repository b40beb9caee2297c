package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sent is a config as Kong sends it, of a plugin row of the test's own.
func sent(t *testing.T, config string) string {
	return fmt.Sprintf(`{%s,"__key__":"plugins:traffic-split:%s::::ws","__seq__":1,"route_id":"r1"}`, config, url.PathEscape(t.Name()))
}

func TestShares(t *testing.T) {
	tests := []struct {
		weights [2]int
		want    map[string]int
	}{
		{[2]int{1, 1}, map[string]int{"a:80": 100, "b:80": 100}},
		{[2]int{200, 100}, map[string]int{"a:80": 133, "b:80": 67}},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.weights), func(t *testing.T) {
			config := sent(t, fmt.Sprintf(`"backends":[{"host":"a","weight":%d},{"host":"b","weight":%d}]`, test.weights[0], test.weights[1]))
			workers := []*worker{newWorker(t), newWorker(t), newWorker(t)}
			var instances []int
			for _, w := range workers {
				instances = append(instances, w.start(config))
			}
			got := map[string]int{}
			for i := range 200 {
				n := i % len(workers)
				if i >= 100 && i < 100+len(workers) { // Kong reloads
					old := instances[n]
					instances[n] = workers[n].start(config)
					workers[n].close(old)
				}
				got[workers[n].access(instances[n], plain()).backend]++
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestWhatKongIsTold(t *testing.T) {
	tests := []struct {
		name   string
		config string
		kong   func(*request28)
		want   []string
	}{
		{
			name:   "a host on the scheme's own port needs no Host of its own",
			config: `"backends":[{"host":"a.internal"}]`,
			want:   []string{"service.set_target a.internal 80"},
		},
		{
			name:   "the route's own Service",
			config: `"backends":[{"service":true,"request_headers":{"set":{"X-A":"1"}}}]`,
			want:   []string{"service.request.set_header X-A 1"},
		},
		{
			name:   "another port is part of the Host",
			config: `"backends":[{"host":"::1","port":8080}]`,
			want:   []string{"service.set_target ::1 8080", "service.request.set_header Host [::1]:8080"},
		},
		{
			name:   "https changes the scheme and the default port",
			config: `"backends":[{"host":"a.internal","protocol":"https"}]`,
			want:   []string{"service.set_target a.internal 443", "service.request.set_scheme https"},
		},
		{
			name:   "a route that preserves the host sends the client's, of any bytes",
			config: `"backends":[{"host":"a.internal"}]`,
			kong:   func(r *request28) { r.preserves = "caf\xe9.example:8000" },
			want:   []string{"service.set_target a.internal 80", "service.request.set_header Host caf\xe9.example:8000"},
		},
		{
			name:   "preserve",
			config: `"backends":[{"upstream":"up","host_header":"preserve"}]`,
			want:   []string{"service.set_upstream up", "service.request.set_header Host shop.example"},
		},
		{
			name:   "a path goes before the one that Kong computed",
			config: `"backends":[{"upstream":"up","path":"/v2/"}]`,
			want:   []string{"service.set_upstream up", "service.request.set_path /v2/base/cart"},
		},
		{
			name: "headers",
			config: `"backends":[{"upstream":"up",
				"request_headers":{"set":{"X-A":"1"},"remove":["X-B"],"add":{"X-C":"2"}},
				"response_headers":{"add":{"X-D":"3"}}}],"response_header":"X-Backend"`,
			want: []string{
				"service.set_upstream up",
				"service.request.set_header X-A 1", "service.request.clear_header X-B", "service.request.add_header X-C 2",
				"response.add_header X-D 3", "response.set_header X-Backend up",
			},
		},
		{
			name:   "the decision for log plugins",
			config: `"backends":[{"upstream":"up"}],"log_decision":true`,
			want:   []string{"service.set_upstream up", "log.set_serialize_value traffic_split up/weight mode=set"},
		},
		{
			name:   "an Upstream that does not exist is replaced",
			config: `"backends":[{"upstream":"gone"},{"upstream":"up"}],"on_unavailable":"redistribute"`,
			want:   []string{"service.set_upstream up"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, r := newWorker(t), plain()
			r.upstreams = []string{"up"}
			if test.kong != nil {
				test.kong(r)
			}
			w.access(w.start(sent(t, test.config)), r)
			if diff := cmp.Diff(test.want, r.told); diff != "" || r.exited != "" {
				t.Errorf("%s\n%s %q", diff, r.exited, r.logged)
			}
		})
	}
}

func TestWhatDecides(t *testing.T) {
	const backends = `"backends":[{"host":"a"},{"host":"b","name":"beta","weight":0}],`
	rule := func(match string) string {
		return backends + `"rules":[{"match":{` + match + `},"backend":"beta"}]`
	}
	header := func(name, value string) func(*request28) {
		return func(r *request28) { r.headers[name] = value }
	}
	tests := []struct {
		name, config string
		kong         func(*request28)
		want         string // backend; b where what is tested holds
	}{
		{"the force header", backends + `"force_header":"X-Force"`, header("x-force", "beta"), "b:80"},
		{"no force header", backends + `"force_header":"X-Force"`, nil, "a:80"},
		{"a header", rule(`"headers":{"X-Tier":["~^gold"]}`), header("x-tier", "golden"), "b:80"},
		{"a header that is not there", rule(`"headers":{"X-Tier":["~^gold"]}`), nil, "a:80"},
		{"a cookie", rule(`"cookies":{"tier":["gold"]}`), func(r *request28) { r.cookie = "x=1; tier=gold" }, "b:80"},
		{"a query argument without a value", rule(`"query_args":{"flag":["~"]}`), func(r *request28) { r.query = "flag&x=%ff" }, "b:80"},
		{"a method", rule(`"methods":["GET"]`), nil, "b:80"},
		{"a path that has to be made plain", rule(`"path_prefix":"/beta/"`), func(r *request28) { r.path = "/x/..//%62eta/." }, "b:80"},
		{"a path that only seems to begin so", rule(`"path_prefix":"/beta/"`), func(r *request28) { r.path = "/beta/../cart" }, "a:80"},
		{"a consumer", rule(`"consumers":["alice"]`), func(r *request28) {
			r.consumer = map[string]any{"id": "c1", "username": "alice", "created_at": 1600000000, "tags": []string{"x"}}
		}, "b:80"},
		{"nobody", rule(`"consumers":["alice"]`), nil, "a:80"},
		{"an address", rule(`"client_ips":["10.0.0.0/8"]`), nil, "b:80"},
		{"a Unix socket", rule(`"client_ips":["10.0.0.0/8"]`), func(r *request28) { r.ip = "unix:" }, "a:80"},
		{"a ramp that is over", backends + `"ramp":{"backend":"beta","start":"2020-01-01T00:00:00Z","duration":60}`, nil, "b:80"},
		{"a rule's weights", backends + `"rules":[{"match":{"methods":["GET"]},"weights":{"beta":1}}]`, nil, "b:80"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, r := newWorker(t), plain()
			if test.kong != nil {
				test.kong(r)
			}
			w.access(w.start(sent(t, test.config)), r)
			if r.backend != test.want {
				t.Errorf("got %s, want %s; %s %q", r.backend, test.want, r.exited, r.logged)
			}
		})
	}
}

func TestHash(t *testing.T) {
	one, other := newWorker(t), newWorker(t)
	config := sent(t, `"backends":[{"host":"a"},{"host":"b"}],"hash_on":"header","hash_on_header":"X-User"`)
	i, j := one.start(config), other.start(config)
	counts := map[string]int{}
	for n := range 100 {
		user := func() *request28 {
			r := plain()
			r.headers["x-user"] = fmt.Sprint("user", n)
			return r
		}
		first, again := one.access(i, user()).backend, other.access(j, user()).backend
		if first != again {
			t.Fatalf("user%d gets %s, then %s", n, first, again)
		}
		counts[first]++
	}
	if len(counts) != 2 {
		t.Errorf("all users get the same backend: %v", counts)
	}
}

// Where there is no consumer, hash_on: consumer takes the credential.
func TestHashOfCredential(t *testing.T) {
	w := newWorker(t)
	i := w.start(sent(t, `"backends":[{"host":"a"},{"host":"b"}],"hash_on":"consumer"`))
	with := func(consumer, credential string) *request28 {
		r := plain()
		if consumer != "" {
			r.consumer = map[string]any{"id": consumer}
		}
		if credential != "" {
			r.credential = map[string]any{"id": credential, "username": "ann"}
		}
		return w.access(i, r)
	}
	counts := map[string]int{}
	for n := range 50 {
		id := fmt.Sprint("id", n)
		first := with(id, "").backend
		if asked := with("", id); asked.backend != first || !slices.Contains(asked.asked, "client.get_credential") {
			t.Fatalf("%s: %s as a consumer, %s as a credential, of %v", id, first, asked.backend, asked.asked)
		}
		if both := with(id, "another"); both.backend != first || slices.Contains(both.asked, "client.get_credential") {
			t.Fatalf("%s: %s alone, %s beside a credential, of %v", id, first, both.backend, both.asked)
		}
		counts[first]++
	}
	if len(counts) != 2 {
		t.Errorf("all get the same backend: %v", counts)
	}
	if nobody := with("", ""); nobody.backend == "" {
		t.Errorf("nobody gets nothing: %s %q", nobody.exited, nobody.logged)
	}
}

func TestSession(t *testing.T) {
	w := newWorker(t)
	i := w.start(sent(t, `"backends":[{"host":"a"},{"host":"b"}],"session":{"secret":"0123456789abcdef","cookie":"pin"}`))
	first := w.access(i, plain())
	cookie, attributes, _ := strings.Cut(first.header("Set-Cookie"), ";")
	if !strings.HasPrefix(cookie, "pin=") || !strings.Contains(attributes, "Secure") {
		t.Fatalf("the cookie is %q, with %q", cookie, attributes)
	}
	for range 5 {
		r := plain()
		r.cookie = cookie
		if w.access(i, r); r.backend != first.backend || r.header("Set-Cookie") != "" {
			t.Errorf("the client comes to %s, not %s again; %q", r.backend, first.backend, r.told)
		}
	}
	forged := map[string]bool{}
	for range 2 {
		r := plain()
		r.cookie = cookie + "x"
		forged[w.access(i, r).backend] = true
	}
	if len(forged) != 2 {
		t.Errorf("a forged cookie pins its client to %v", slices.Collect(maps.Keys(forged)))
	}
}

func TestRefused(t *testing.T) {
	const (
		misconfigured = `500 {"message":"The traffic split of this route is not configured correctly"} map[Content-Type:[application/json; charset=utf-8]]`
		unavailable   = `500 {"message":"No backend is available for this request"} map[Content-Type:[application/json; charset=utf-8]]`
	)
	tests := []struct {
		name, config string
		kong         func(*request28)
		want, reason string
	}{
		{
			name: "a weight", config: `"backends":[{"host":"a","weight":-3}]`,
			want: misconfigured, reason: "backends[0].weight: -3 is not in 0..1000000",
		},
		{
			name: "all that cannot be done",
			config: `"backends":[{"host":"a","replace_prefix":"/v2","timeouts":{"read":5},"retries":0},{"host":"b","response_headers":{"set":{"X-A":"1"}},"health":{"active":{}}},{"redirect":{"scheme":"https"}}],"hash_on":"uri_capture","hash_on_uri_capture":"x",
				"ramp":{"backend":"a:80","start":"2020-01-01T00:00:00Z","duration":60,"guard":{"max_error_ratio":0.1}},"mirror":[{"host":"c"}]`,
			want: misconfigured,
			reason: "backends[0].replace_prefix: is not there on Kong 2.x: let the route strip its path, and take path; " +
				"backends[0].timeouts: are the Service's on Kong 2.x, for all backends: leave them out, and set them there; " +
				"backends[0].retries: are the Service's on Kong 2.x, for all backends: leave it out, and set it there; " +
				"backends[1].response_headers: can be added only on Kong 2.x: leave set and remove out; " +
				"backends[1].health: is not there on Kong 2.x: leave it out, or take an upstream, which has health checks of its own; " +
				"backends[2].redirect: is not there on Kong 2.x: leave it out, or take Kong's own plugins on a route of its own; " +
				"mirror: is not there on Kong 2.x: leave it out; " +
				"ramp.guard: is not there on Kong 2.x, where the plugin is not told what becomes of requests: leave it out; " +
				`hash_on: "uri_capture" is not there on Kong 2.x, which does not tell the captures: take another`,
		},
		{
			name: "retry", config: `"backends":[{"host":"a"},{"host":"b"}],"retry":{}`,
			want: misconfigured, reason: "retry: is not there on Kong 2.x: leave it out, or take an upstream, whose targets Kong tries one after another",
		},
		{
			name: "a split of the split files", config: `"split":"shop"`,
			want: misconfigured, reason: "backends: is required on Kong 2.x, where there are no split files to take them from",
		},
		{
			name: "a vault reference, which Kong does not resolve here", config: `"backends":[{"host":"a"}],"session":{"secret":"{vault://env/the-secret}"}`,
			want: misconfigured, reason: "session.secret: is a reference to a vault, which Kong resolves in its own configuration only; write the secret itself",
		},
		{
			name: "no weight", config: `"backends":[{"host":"a","weight":0}]`,
			want: unavailable, reason: `no backend takes traffic: one of "a:80" has to have a weight above 0`,
		},
		{
			name: "an unknown Upstream", config: `"backends":[{"upstream":"gone"}]`,
			want: unavailable, reason: `no Upstream named "gone" in Kong (create it, or mend the name): backend unavailable: "gone" cannot be used, and on_unavailable is "fail"`,
		},
		{
			name: "a path on a gRPC Service", config: `"backends":[{"host":"a","path":"/x"}]`,
			kong: func(r *request28) { r.service["protocol"] = "grpc" },
			want: misconfigured, reason: `backend "a:80": path /x: Kong cannot change the path on a grpc Service: leave it out`,
		},
		{
			name: "a Service with an address", config: `"backends":[{"host":"a"}]`,
			kong: func(r *request28) { r.service["host"] = "10.0.0.9" },
			want: misconfigured, reason: `backend "a:80": the Service's host is the IP address 10.0.0.9, from which Kong 2.x cannot go over to a name or an Upstream: give the Service a host name (it need not resolve)`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorker(t)
			i := w.start(sent(t, test.config)) // which must not fail: see UnmarshalJSON
			for _, logged := range [][]string{{"[traffic-split] " + test.reason}, nil} {
				r := plain()
				if test.kong != nil {
					test.kong(r)
				}
				w.access(i, r)
				if diff := cmp.Diff(test.want, r.exited); diff != "" || r.backend != "" {
					t.Errorf("goes to %q:\n%s", r.backend, diff)
				}
				if diff := cmp.Diff(logged, r.logged); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}
