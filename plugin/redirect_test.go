package plugin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

// askedFor answers what a redirect keeps of a request.
func askedFor(scheme, forwarded, host, path, query string) *kong {
	k := web()
	k.host = host
	k.vars = map[string]string{"upstream_x_forwarded_host": forwarded}
	k.text = map[string]string{"request.get_forwarded_scheme": scheme, "request.get_path": path, "request.get_raw_query": query}
	return k
}

func TestRedirects(t *testing.T) {
	for _, tt := range []struct {
		name, redirect                       string
		scheme, forwarded, host, path, query string
		want                                 string
	}{
		{"another host", `"hostname":"new.example"`, "http", "shop.example", "shop.example", "/cart", "", "http://new.example/cart"},
		{"on the port that was asked", `"hostname":"new.example"`, "http", "shop.example", "Shop.Example:8000", "/cart", "", "http://new.example:8000/cart"},
		{"an IPv6 address", `"hostname":"::1","port":8080`, "http", "shop.example", "shop.example", "/", "", "http://[::1]:8080/"},
		{"https", `"scheme":"https"`, "http", "shop.example", "shop.example:8000", "/cart", "a=1&b", "https://shop.example/cart?a=1&b"},
		{"http", `"scheme":"http"`, "https", "[::1]", "[::1]:8443", "/", "", "http://[::1]/"},
		{"a port", `"port":8443`, "https", "shop.example", "shop.example", "/", "", "https://shop.example:8443/"},
		{"the port of http", `"port":80`, "http", "shop.example", "shop.example:8000", "/", "", "http://shop.example/"},
		{"the port of https", `"port":443`, "http", "shop.example", "shop.example", "/", "", "http://shop.example:443/"},
		{"the port of https, by https", `"scheme":"https","port":443`, "http", "shop.example", "shop.example", "/", "", "https://shop.example/"},
		{"a path", `"path":"/new"`, "http", "shop.example", "shop.example", "/cart", "q", "http://shop.example/new?q"},
		{"a path on an IPv6 address", `"path":"/new"`, "http", "[::1]", "[::1]:8000", "/cart", "", "http://[::1]:8000/new"},
		{"a prefix", `"replace_prefix":"/v2"`, "http", "shop.example", "shop.example", "/shop/cart", "q", "http://shop.example/v2/cart?q"},
		{"a prefix and nothing behind it", `"replace_prefix":"/v2"`, "http", "shop.example", "shop.example", "/shop", "", "http://shop.example/v2"},
		{"a prefix and a slash behind it", `"replace_prefix":"/v2"`, "http", "shop.example", "shop.example", "/shop/", "", "http://shop.example/v2/"},
		{"no prefix", `"replace_prefix":"/"`, "http", "shop.example", "shop.example", "/shop/cart", "", "http://shop.example/cart"},
		{"no prefix, and another host behind it", `"replace_prefix":"/"`, "http", "shop.example", "shop.example", "/shop//evil.example/x", "", "http://shop.example/evil.example/x"},
		{"behind a load balancer", `"path":"/new"`, "https", "shop.example:8443", "10.0.0.7:8000", "/", "", "https://shop.example:8443/new"},
		{"behind one that says no port", `"path":"/new"`, "https", "shop.example", "10.0.0.7:8000", "/", "", "https://shop.example/new"},
		{"behind several", `"path":"/new"`, "https", "shop.example, lb.internal", "10.0.0.7:8000", "/", "", "https://shop.example/new"},
		{"escaped bytes", `"scheme":"https"`, "http", "shop.example", "shop.example", "/a b\r\nSet-Cookie: x=y/ä?\\%2F%C3%A9", `a="<b>"&c[]=ä#`, "https://shop.example/a%20b%0D%0ASet-Cookie:%20x=y/%C3%A4%3F%5C%2F%C3%A9?a=%22%3Cb%3E%22&c[]=%C3%A4%23"},
		{"a path that looks like a host", `"scheme":"https"`, "http", "shop.example", "shop.example", "//evil.example/x", "", "https://shop.example/evil.example/x"},
		{"a host that looks like a path", `"scheme":"https"`, "http", "a@evil.example/x", "a@evil.example/x", "/", "", "https://a%40evil.example%2Fx/"},
		{"no host", `"port":8080`, "http", "", "", "//evil.example", "", "/evil.example"},
		{"no port", `"path":"/new"`, "http", "shop.example", "shop.example:99999", "/", "", "http://shop.example/new"},
	} {
		for _, strips := range []bool{true, false} {
			i := start(t, plugin.New(options), onRoute+`"backends":[{"redirect":{`+tt.redirect+`}}]`)
			k := askedFor(tt.scheme, tt.forwarded, tt.host, tt.path, tt.query)
			k.route["paths"], k.route["strip_path"] = []any{"/shop"}, strips
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{`response.exit 302 map[Location:[` + tt.want + `]] ""`}, k.told); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
	}
}

// A route whose expression says what it matches does not say it to the plugin. Where Kong takes
// that off, what is left is known.
func TestRedirectsOfARouteWithAnExpression(t *testing.T) {
	i := start(t, plugin.New(options), onRoute+`"backends":[{"redirect":{"replace_prefix":"/v2","status":308}}]`)
	k := askedFor("http", "shop.example", "shop.example", "/shop/a b", "")
	k.route["expression"], k.route["strip_path"], k.uri = `http.path ^= "/shop"`, true, "/a%20b"
	if err := k.access(t, i); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`response.exit 308 map[Location:[http://shop.example/v2/a%20b]] ""`}, k.told); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	i = start(t, plugin.New(options), onRoute+`"backends":[{"redirect":{"replace_prefix":"/v2"}}]`)
	k = web()
	k.route["expression"], k.route["strip_path"] = `http.path ^= "/shop"`, false
	const want = `backend "redirect": redirect.replace_prefix /v2: the route has an expression, and with strip_path: false Kong does not tell what that has matched: set strip_path: true`
	if err := k.access(t, i); err == nil || err.Error() != want || k.told != nil {
		t.Errorf("got  %v, and told %v\nwant %s", err, k.told, want)
	}
}

// All that goes with the answer is told before it, and nothing of a destination.
func TestWhatGoesWithARedirect(t *testing.T) {
	i := start(t, plugin.New(options), onRoute+`"session":{"secret":"sixteen letters!","secure":"never","cookie":"s"},"log_decision":true,"response_header":"X-Backend","retry":{},"backends":[{"name":"old","host":"old.internal","weight":0,"retries":null},`+
		`{"name":"new","redirect":{"scheme":"https","hostname":"new.example","path":"/"},"response_headers":{"add":{"X-A":"1"}}}]`)
	k := web()
	if err := k.access(t, i); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, told := range k.told {
		word, _, _ := strings.Cut(told, "=")
		got = append(got, word)
	}
	want := []string{
		"response.add_header X-A", "response.set_header X-Backend", "response.add_header Set-Cookie", "log.set_serialize_value traffic_split",
		"ctx.shared.set traffic_split", `response.exit 302 map[Location:[https://new.example/]] ""`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRedirectOfACallOfGRPC(t *testing.T) {
	i := start(t, plugin.New(options), onRoute+`"backends":[{"redirect":{"scheme":"https"}}]`)
	k := web()
	k.service["protocol"] = "grpc"
	const want = `backend "redirect": redirect: clients of gRPC follow none, and this is a grpc Service: take the backend out`
	if err := k.access(t, i); err == nil || err.Error() != want || k.told != nil {
		t.Errorf("got  %v, and told %v\nwant %s", err, k.told, want)
	}
}

// Whatever a client sends, a redirect is one header with one URL, that leads to no host but the
// configured one or the one that was asked.
func FuzzLocation(f *testing.F) {
	f.Add("https", "shop.example:1", "shop.example:8000", "//evil.example/\r\nX: y", "a=b#c", uint8(0))
	f.Add("", "[::1%25]", "[::1]:99999", "\\evil.example", "?", uint8(5))
	f.Add("http", "", "", "//evil.example", "", uint8(2))
	f.Add("x", "a@b", "]:[", "", "\xff", uint8(3))
	redirects := []config.Redirect{
		{Scheme: "https"}, {Hostname: "new.example"}, {Port: 8443}, {Path: "/new"}, {Hostname: "::1", Path: "//x"}, {Path: "/a%20b", Port: 80},
	}
	f.Fuzz(func(t *testing.T, scheme, forwarded, host, path, query string, which uint8) {
		to := redirects[int(which)%len(redirects)]
		location := plugin.Location(&to, scheme, forwarded, host, path, query)
		for i := range len(location) {
			if location[i] <= ' ' || location[i] > '~' {
				t.Fatalf("%q has a byte in it that is none of a URL", location)
			}
		}
		if strings.HasPrefix(location, "//") || strings.ContainsAny(location, "\\\"<>#") {
			t.Fatalf("%q is no URL, or none with a scheme", location)
		}
		u, err := url.Parse(location)
		if err != nil {
			if strings.Contains(location, "%") { // that the client has sent, or that a host must not have in Go
				return
			}
			t.Fatal(err)
		}
		switch {
		case u.Path == "" || u.Path[0] != '/' || u.User != nil || u.Fragment != "":
			t.Fatalf("%q has no path, a user or a fragment", location)
		case u.Host == "" && (to.Hostname != "" || strings.HasPrefix(location, "http")):
			t.Fatalf("%q has no host", location)
		case to.Hostname != "" && u.Hostname() != to.Hostname:
			t.Fatalf("%q leads to another host than %s", location, to.Hostname)
		}
		w := http.Header{"Location": {location}}
		if b := new(strings.Builder); w.Write(b) != nil || strings.Count(b.String(), "\r\n") != 1 {
			t.Fatalf("%q is more than one header", location)
		}
	})
}
