package standin

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/kong/declarative"
)

func TestRouter(t *testing.T) {
	const routes = `
- {name: root, paths: [/]}
- {name: shop, paths: [/shop]}
- {name: cart, paths: [/shop/cart, /basket]}
- {name: regex, paths: ["~/shop/(?<item>\\d+)/(x)?"]}
- {name: urgent, paths: ["~/shop/1"], regex_priority: 10}
- {name: post, paths: [/shop], methods: [POST, PUT]}
- {name: host, hosts: [shop.example]}
- {name: host-and-path, hosts: [shop.example], paths: [/a]}
- {name: port, hosts: ["other.example:81"]}
- {name: wildcard, hosts: ["*.example"], paths: [/a]}
- {name: trailing, hosts: ["www.*"], paths: [/a]}
- {name: header, headers: {X-Kind: [new, "other"]}, paths: [/]}
- {name: two-headers, headers: {X-Kind: [new], X-More: ["~*^a+$"]}, paths: [/]}
- {name: sni, snis: ["*.tls.example"], paths: [/tls], protocols: [https]}
- {name: tcp, protocols: [tcp], destinations: [{port: 1}]}
`
	config := loadConfig(t, "routes:"+routes)
	r := newRouter(config)
	for _, tt := range []struct {
		name    string
		subject subject
		want    string
	}{
		{"a prefix", subject{path: "/other"}, "root"},
		{"the longest prefix", subject{path: "/shop/cart/1"}, "cart"},
		{"a prefix is no segment", subject{path: "/shopping"}, "shop"},
		{"another path of a route", subject{path: "/basket"}, "cart"},
		{"a regular expression before a prefix", subject{path: "/shop/2/"}, "regex"},
		{"priorities of regular expressions", subject{path: "/shop/1/"}, "urgent"},
		{"more conditions before longer paths", subject{path: "/shop/cart", method: "PUT"}, "post"},
		{"a host", subject{path: "/", host: "shop.example"}, "host"},
		{"a host and a path", subject{path: "/a", host: "shop.example"}, "host-and-path"},
		{"a port of the request", subject{path: "/", host: "other.example:81", port: 80}, "port"},
		{"a port of the listener", subject{path: "/", host: "other.example", port: 81}, "port"},
		{"another port", subject{path: "/", host: "other.example:82", port: 81}, "root"},
		{"a plain host before a wildcard", subject{path: "/a", host: "shop.example", port: 80}, "host-and-path"},
		{"a wildcard before", subject{path: "/a", host: "x.example", port: 80}, "wildcard"},
		{"a wildcard behind", subject{path: "/a", host: "www.anything"}, "trailing"},
		{"a header", subject{path: "/", header: http.Header{"X-Kind": {"x", "NEW"}}}, "header"},
		{"another value", subject{path: "/", header: http.Header{"X-Kind": {"new", "x"}}}, "header"},
		{"no value of it", subject{path: "/", header: http.Header{"X-Kind": {"newer"}}}, "root"},
		{"more headers", subject{path: "/", header: http.Header{"X-Kind": {"new"}, "X-More": {"Aa"}}}, "two-headers"},
		{"a server name", subject{path: "/tls", tls: true, sni: "a.tls.example"}, "sni"},
		{"another server name", subject{path: "/tls", tls: true, sni: "b"}, "root"},
		{"no TLS", subject{path: "/tls"}, "sni"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.subject.method == "" {
				tt.subject.method = "GET"
			}
			got, err := r.find(tt.subject)
			if err != nil || got == nil || got.route.Name != tt.want {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
		})
	}
}

func TestNoRoute(t *testing.T) {
	r := newRouter(loadConfig(t, "routes: [{name: a, paths: [/a], methods: [GET]}]"))
	for _, s := range []subject{{path: "/", method: "GET"}, {path: "/a", method: "POST"}} {
		if got, err := r.find(s); got != nil || err != nil {
			t.Errorf("%+v: got %+v, %v", s, got, err)
		}
	}
}

// TestBytesThatCannotBeRouted covers what is not UTF-8: Kong has no route for
// it, once any route looks at it.
func TestBytesThatCannotBeRouted(t *testing.T) {
	for _, tt := range []struct {
		routes  string
		subject subject
		err     error
	}{
		{"routes: [{paths: [/]}]", subject{path: "/\xff"}, errNoText},
		{"routes: [{methods: [GET]}]", subject{path: "/\xff"}, nil},
		{"routes: [{hosts: [h]}, {paths: [/]}]", subject{path: "/", host: "\xff"}, errNoText},
		{"routes: [{paths: [/]}]", subject{path: "/", host: "\xff", header: http.Header{"X-A": {"\xff"}}}, nil},
		{"routes: [{headers: {x-a: [b]}}, {paths: [/]}]", subject{path: "/", header: http.Header{"X-A": {"\xff"}}}, errNoText},
	} {
		tt.subject.method = "GET"
		got, err := newRouter(loadConfig(t, tt.routes)).find(tt.subject)
		if err != tt.err || (got == nil) != (err != nil) {
			t.Errorf("%s, %+v: got %+v, %v", tt.routes, tt.subject, got, err)
		}
	}
}

func TestCaptures(t *testing.T) {
	r := newRouter(loadConfig(t, `routes: [{name: a, paths: ["~/(?<user>[^/]+)/(\\d+)?"]}, {name: b, paths: ["~/plain$"]}]`))
	got, err := r.find(subject{path: "/ann/12/x", method: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	want := &captures{unnamed: []string{"ann", "12"}, named: map[string]string{"user": "ann"}}
	if diff := cmp.Diff(want, got.captures, cmp.AllowUnexported(captures{})); diff != "" || got.path != "/ann/12" {
		t.Errorf("path %q\n%s", got.path, diff)
	}
	if got, err := r.find(subject{path: "/plain", method: "GET"}); err != nil || got.captures != nil {
		t.Errorf("got %+v without groups, %v", got.captures, err)
	}
}

// loadConfig checks what follows a format version.
func loadConfig(t *testing.T, yaml string) *declarative.Config {
	t.Helper()
	return loadConfigFor(t, declarative.TraditionalCompatible, yaml)
}

func loadConfigFor(t *testing.T, flavor declarative.Flavor, yaml string) *declarative.Config {
	t.Helper()
	loader, err := declarative.NewLoaderFor(flavor, []string{"bundled"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := declarative.Parse([]byte("_format_version: \"3.0\"\n" + yaml))
	if err != nil {
		t.Fatal(err)
	}
	config, err := loader.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// TestPriority: what kong/router/transform.lua of Kong 3.9.3 makes of routes, by its LuaJIT on
// x86-64.
func TestPriority(t *testing.T) {
	one := map[string][]string{"x-a": {"1"}}
	for _, test := range []struct {
		route declarative.Route
		want  uint64
	}{
		{declarative.Route{Paths: []string{"/ab"}}, 0x0000_0000_2000_0003},
		{declarative.Route{Paths: []string{"/"}, Hosts: []string{"*.a"}}, 0x0000_0000_4000_0001},
		{declarative.Route{Paths: []string{"~/a$"}}, 0x0008_0000_2000_0000},
		{declarative.Route{Paths: []string{"/"}, Hosts: []string{"a"}}, 0x1000_0000_4000_0001},
		{declarative.Route{Paths: []string{"/"}, Hosts: []string{"*.a"}, Headers: one}, 0x0000_0000_6010_0001},
		{declarative.Route{Paths: []string{"/"}, Hosts: []string{"*.a"}, Headers: one, Methods: []string{"GET"}}, 0x8000_0000_0000_0000},
		{declarative.Route{Paths: []string{"~/a$"}, Hosts: []string{"a"}, Headers: one, Methods: []string{"GET"}, RegexPriority: 2}, 0x9008_0000_0010_0000},
		{declarative.Route{Paths: []string{"~/a$"}, Hosts: []string{"*.a"}, Headers: one, RegexPriority: 2}, 0x0008_0000_6010_0000},
	} {
		if got := priority(&test.route, test.route.Paths); got != test.want {
			t.Errorf("%+v: %x, and Kong has %x", test.route, got, test.want)
		}
	}
}
