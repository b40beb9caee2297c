package standin

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/kong/declarative"
)

// loadExpressions checks routes for the router's flavor expressions.
func loadExpressions(t *testing.T, routes string) *declarative.Config {
	t.Helper()
	return loadConfigFor(t, declarative.Expressions, "routes:"+routes)
}

func TestExpressionsRouter(t *testing.T) {
	r := newRouter(loadExpressions(t, `
- {name: root, expression: 'http.path ^= "/"'}
- {name: high, expression: 'http.path ^= "/high"', priority: 70368744177663}
- {name: higher, expression: 'http.path ^= "/high/er"', priority: 3}
- {id: 00000000-0000-4000-8000-000000000001, name: tie-1, expression: 'http.path == "/tie"', priority: 7}
- {id: 00000000-0000-4000-8000-000000000002, name: tie-2, expression: 'http.path == "/tie"', priority: 7}
- {name: tls, protocols: [https], expression: 'http.path == "/tls"', priority: 7}
- {name: plain, protocols: [http], expression: 'http.path == "/plain"', priority: 7}
- {name: grpc, protocols: [grpc], strip_path: false, expression: 'http.path == "/grpc"', priority: 7}
- {name: port, expression: 'net.dst.port == 81 && http.host == "h"', priority: 7}
- {name: header, expression: 'http.headers.x_a == "1" && http.path == "/h"', priority: 7}
- {name: any-header, expression: 'any(http.headers.x_a) == "1" && http.path == "/h"', priority: 6}
- {name: arg, expression: 'http.queries.a == "1 +" && http.path == "/q"', priority: 7}
- {name: empty-arg, expression: 'http.queries.a == "" && http.path == "/q"', priority: 6}
- {name: segments, expression: 'http.path.segments.0 == "s" && http.path.segments.1_2 == "b/c" && http.path.segments.len == 3', priority: 7}
- {name: address, expression: 'net.src.ip in 10.0.0.0/8 && http.path == "/a"', priority: 7}
- {name: traditional, paths: [/long/path], methods: [GET]}
- {name: from, paths: [/from], sources: [{ip: 10.0.0.0/8}]}
- {name: tcp, protocols: [tcp], expression: 'net.dst.port == 80'}
`))
	r.cache = nil // see TestMatchesAreRemembered
	for _, tt := range []struct {
		name    string
		subject subject
		want    string
	}{
		{"the highest priority", subject{path: "/high/er"}, "high"},
		{"the highest id", subject{path: "/tie"}, "tie-2"},
		{"TLS on a route of it", subject{path: "/tls", tls: true}, "tls"},
		{"no TLS on a route of it, which redirects", subject{path: "/tls", host: "x"}, "tls"},
		{"no TLS", subject{path: "/plain"}, "plain"},
		{"TLS on a route of the other", subject{path: "/plain", tls: true, sni: "s"}, "root"},
		{"gRPC over HTTP", subject{path: "/grpc"}, "grpc"},
		{"the listener's port", subject{path: "/", host: "h", port: 81}, "port"},
		{"the request's port", subject{path: "/", host: "h:81", port: 80}, "port"},
		{"another port", subject{path: "/", host: "h:82", port: 81}, "root"},
		{"a header", subject{path: "/h", header: http.Header{"X-A": {"1"}}}, "header"},
		{"two of it", subject{path: "/h", header: http.Header{"X-A": {"2", "1"}}}, "any-header"},
		{"none of it", subject{path: "/h", header: http.Header{"X-B": {"1"}}}, "root"},
		{"an argument", subject{path: "/q", query: "b&a=1+%2B"}, "arg"},
		{"one without a value", subject{path: "/q", query: "a"}, "empty-arg"},
		{"one that comes twice", subject{path: "/q", query: "a=&a=1"}, "root"},
		{"segments", subject{path: "/s/b/c"}, "segments"},
		{"more segments", subject{path: "/s/b/c/d"}, "root"},
		{"an address", subject{path: "/a", source: netip.MustParseAddrPort("10.0.0.1:1")}, "address"},
		{"any expression is before other conditions", subject{path: "/long/path"}, "root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.subject.method = "GET"
			got, err := r.find(tt.subject)
			if err != nil || got == nil || got.route.Name != tt.want {
				t.Errorf("got %+v, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// TestTraditionalRoutesAmongExpressions has routes of other fields do what they do
// elsewhere, for their protocols only.
func TestTraditionalRoutesAmongExpressions(t *testing.T) {
	r := newRouter(loadExpressions(t, `
- {name: longer, paths: [/a/b]}
- {name: short, paths: [/a], protocols: [http]}
- {name: from, paths: [/a], sources: [{ip: 10.0.0.0/8}]}
`))
	r.cache = nil
	for _, tt := range []struct {
		subject subject
		want    string
	}{
		{subject{path: "/a/b"}, "longer"},
		{subject{path: "/a"}, "short"},
		{subject{path: "/a/b", source: netip.MustParseAddrPort("10.0.0.1:1")}, "from"},
	} {
		tt.subject.method = "GET"
		if got, err := r.find(tt.subject); err != nil || got == nil || got.route.Name != tt.want {
			t.Errorf("%+v: got %+v, %v, want %s", tt.subject, got, err, tt.want)
		}
	}
	if got, err := r.find(subject{path: "/a", method: "GET", tls: true}); got != nil || err != nil {
		t.Errorf("over TLS: got %+v, %v", got, err)
	}
}

// TestMatchOfAnExpression covers what is stripped, and the groups.
func TestMatchOfAnExpression(t *testing.T) {
	r := newRouter(loadExpressions(t, `
- {name: a, expression: 'http.path ~ "^/(?<user>[^/]+)(x)?/(\\d+)" && any(http.headers.x_a) ~ "b+"'}
`))
	got, err := r.find(subject{path: "/ann/12/x", method: "GET", header: http.Header{"X-A": {"abb"}}})
	if err != nil || got == nil {
		t.Fatal(got, err)
	}
	want := &captures{unnamed: []string{"ann", "", "12"}, named: map[string]string{"user": "ann"}}
	if diff := cmp.Diff(want, got.captures, cmp.AllowUnexported(captures{})); diff != "" || got.path != "/ann/12" {
		t.Errorf("path %q\n%s", got.path, diff)
	}
}

// TestMatchesAreRemembered has two routes that differ in net.protocol only answer for
// each other, as Kong's do, unless a route asks for something else that differs.
func TestMatchesAreRemembered(t *testing.T) {
	const routes = `
- {name: plain, protocols: [http], expression: 'http.path ^= "/"'}
- {name: tls, protocols: [https], expression: 'net.protocol == "https" && http.path ^= "/"%s'}
`
	for _, tt := range []struct{ more, want string }{
		{"", "plain"},
		{` && !(net.dst.port == 0)`, "tls"},
	} {
		r := newRouter(loadExpressions(t, fmt.Sprintf(routes, tt.more)))
		for _, s := range []struct {
			subject
			want string
		}{
			{subject{path: "/", method: "GET", host: "h", port: 80}, "plain"},
			{subject{path: "/", method: "GET", host: "h", port: 443, tls: true}, tt.want},
		} {
			if got, err := r.find(s.subject); err != nil || got == nil || got.route.Name != s.want {
				t.Errorf("%s, TLS %v: got %+v, %v, want %s", tt.more, s.tls, got, err, s.want)
			}
		}
	}
}

// TestMatchesAreForgotten keeps the cache within its bound.
func TestMatchesAreForgotten(t *testing.T) {
	var c matchCache
	for i := range 3 * maxMatches {
		c.set(string(rune(i)), nil)
		if len(c.matches) > maxMatches {
			t.Fatalf("%d matches", len(c.matches))
		}
	}
}

// TestArgumentThatKongDoesNotSurvive comes several times, once without a value.
func TestArgumentThatKongDoesNotSurvive(t *testing.T) {
	b := startBackend(t, "b")
	g := startGateway(t, `_format_version: "3.0"
services: [{name: s, url: `+b.URL+`, routes: [{name: r, expression: 'http.path == "/" || http.queries.a == "1"'}]}]`,
		Options{RouterFlavor: "expressions"})
	for target, want := range map[string]int{"/?a&a=1": 500, "/?a=1&a=1": 200, "/?b&b=1": 200} {
		if response, body := fetch(t, g, "GET", target); response.StatusCode != want {
			t.Errorf("%s: %s %s", target, response.Status, body)
		}
	}
}
