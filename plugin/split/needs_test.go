package split_test

import (
	"net/netip"
	"testing"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
)

func TestNeeds(t *testing.T) {
	rule := func(m split.Match) split.Split { return split.Split{Rules: []split.Rule{{Match: m}}} }
	key := func(on split.KeyKind, name string) split.Split {
		return split.Split{HashOn: []split.Key{{On: on, Name: name}}}
	}
	cors := []string{"Origin", "Access-Control-Request-Method"}
	one := func(name string) []split.Pattern { return []split.Pattern{{Name: name}} }
	for _, test := range []struct {
		name string
		s    split.Split
		want split.Needs
	}{
		{"weights", split.Split{Algorithm: split.Random, OnUnavailable: split.Redistribute, Ramp: &split.Ramp{}}, split.Needs{}},
		{"force header", split.Split{ForceHeader: "X-Backend"}, split.Needs{Headers: []string{"X-Backend"}}},
		{"session", split.Split{Session: &split.Session{Secure: split.SecureAlways}}, split.Needs{Cookies: true, Method: true, OptionsHeaders: cors}},
		{"session, secure by the client's scheme", split.Split{Session: &split.Session{Secure: split.SecureAuto}}, split.Needs{Cookies: true, Method: true, OptionsHeaders: cors, HTTPS: true}},
		{"rule for everything", rule(split.Match{}), split.Needs{}},
		{"rule by header", rule(split.Match{Headers: one("X-Beta")}), split.Needs{Headers: []string{"X-Beta"}}},
		{"rule by cookie", rule(split.Match{Cookies: one("beta")}), split.Needs{Cookies: true}},
		{"rule by query argument", rule(split.Match{QueryArgs: one("v")}), split.Needs{Query: true}},
		{"rule by method", rule(split.Match{Methods: []string{"GET"}}), split.Needs{Method: true}},
		{"rule by path", rule(split.Match{PathPrefix: "/"}), split.Needs{Path: true}},
		{"rule by consumer", rule(split.Match{Consumers: []string{"ann"}}), split.Needs{Consumer: true}},
		{"rule by address", rule(split.Match{ClientIPs: []netip.Prefix{{}}}), split.Needs{IP: true}},
		{"key of the consumer", key(split.OnConsumer, ""), split.Needs{Consumer: true}},
		{"key of the address", key(split.OnIP, ""), split.Needs{IP: true}},
		{"key of a header", key(split.OnHeader, "X-User"), split.Needs{Headers: []string{"X-User"}}},
		{"key of a cookie", key(split.OnCookie, "uid"), split.Needs{Cookies: true}},
		{"key of the path", key(split.OnPath, ""), split.Needs{Path: true}},
		{"key of a query argument", key(split.OnQueryArg, "user"), split.Needs{Query: true}},
		{"key of a capture", key(split.OnURICapture, "tenant"), split.Needs{Captures: true}},
		{
			"the same header in several places",
			split.Split{
				ForceHeader: "X-Backend",
				Rules:       []split.Rule{{Match: split.Match{Headers: one("x-backend")}}, {Match: split.Match{Headers: one("X-User")}}},
				HashOn:      []split.Key{{On: split.OnHeader, Name: "x-user"}, {On: split.OnIP}},
			},
			split.Needs{Headers: []string{"X-Backend", "X-User"}, IP: true},
		},
	} {
		if diff := cmp.Diff(test.want, test.s.Needs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
