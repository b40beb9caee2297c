package config_test

import (
	"testing"

	"kong-traffic-split/plugin/config"
)

func TestRest(t *testing.T) {
	for _, test := range []struct {
		paths      []string
		path, want string
	}{
		{[]string{"/shop"}, "/shop/cart", "/cart"},
		{[]string{"/shop"}, "/shop", ""},
		{[]string{"/shop"}, "/shopping", "ping"}, // as Kong's strip_path does
		{[]string{"/", "/shop"}, "/shop/cart", "/cart"},
		{[]string{"/", "/shop"}, "/other", "other"},
		{[]string{"/shop/new", "/shop"}, "/shop/new/x", "/x"},
		{[]string{"/v1", `~/v\d`}, "/v1/x", "/x"},
		{[]string{"/v", `~/v\d+`}, "/v12/x", "/x"}, // expressions come first
		{[]string{`~/a|/b`}, "/b/x", "/x"},
		{[]string{"/else"}, "/shop", "/shop"}, // not the route's
		{nil, "/shop", "/shop"},
		{[]string{"/shop"}, "/shop../admin", "admin"}, // nothing leads out of what takes its place
		{[]string{"/shop"}, "/shop./admin", "admin"},
		{[]string{"/shop"}, "/shop..", ""},
		{[]string{"/shop"}, "/shop..x/y", "..x/y"},
		{[]string{`~/v\d`}, "/v1../x", "x"},
	} {
		r := config.NewRoute(false, test.paths, "")
		if got := r.Rest(test.path); got != test.want {
			t.Errorf("%q: what is left of %s is %q, want %q", test.paths, test.path, got, test.want)
		}
	}
}

func TestRouteRefuses(t *testing.T) {
	b := config.Backend{Name: "new", ReplacePrefix: "/v2"}
	const end = `, and with strip_path: false Kong does not tell what that has matched: set strip_path: true, and path on the backends that are to receive it`
	for _, test := range []struct {
		strip      bool
		path       string
		expression string
		want       string
	}{
		{false, "/shop", "", ""},
		{false, `~/(?<n>\d+)`, "", ""},
		{false, "", `http.path ^= "/shop"`, `backend "new": replace_prefix /v2: the route has an expression` + end},
		{true, "", `http.path ^= "/shop"`, ""},
		{false, `~/(?=shop)`, "", `backend "new": replace_prefix /v2: the route has the path "~/(?=shop)", which the plugin cannot evaluate` + end},
		{true, `~/(?=shop)`, "", ""},
	} {
		var paths []string
		if test.path != "" {
			paths = []string{test.path}
		}
		r := config.NewRoute(test.strip, paths, test.expression)
		got := ""
		if err := r.Refuse(&b); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("strip_path %v, %q, %q:\n%s\nwant\n%s", test.strip, test.path, test.expression, got, test.want)
		}
	}
}
