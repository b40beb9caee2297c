package split_test

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"kong-traffic-split/plugin/split"
)

// Parts of a rule and of a request.

func exact(name string, values ...string) []split.Pattern {
	return []split.Pattern{{Name: name, Exact: values}}
}

func like(name, expr string) []split.Pattern {
	return []split.Pattern{{Name: name, Regexps: []*regexp.Regexp{regexp.MustCompile(expr)}}}
}

func header(name, value string) split.Facts {
	return split.Facts{Headers: []split.Header{{Name: "Accept", Value: "*/*"}, {Name: name, Value: value}}}
}

func ip(text string) split.Facts { return split.Facts{IP: netip.MustParseAddr(text)} }

func networks(texts ...string) (m split.Match) {
	for _, text := range texts {
		m.ClientIPs = append(m.ClientIPs, netip.MustParsePrefix(text))
	}
	return m
}

func TestRules(t *testing.T) {
	const no, yes = false, true
	for _, test := range []struct {
		name  string
		match split.Match
		facts split.Facts
		holds bool
	}{
		{"nothing", split.Match{}, split.Facts{}, yes},

		{"header", split.Match{Headers: exact("X-Beta", "yes", "on")}, header("x-beta", "on"), yes},
		{"header with another value", split.Match{Headers: exact("X-Beta", "yes")}, header("x-beta", "Yes"), no},
		{"no header", split.Match{Headers: exact("X-Beta", "")}, split.Facts{}, no},
		{"header that matches", split.Match{Headers: like("X-Beta", "^[0-9]+$")}, header("X-Beta", "42"), yes},
		{"header that does not match", split.Match{Headers: like("X-Beta", "^[0-9]+$")}, header("X-Beta", "42a"), no},
		{"any value", split.Match{Headers: like("X-Beta", "")}, header("X-Beta", "\xff"), yes},
		{"any value, but it is not there", split.Match{Headers: like("X-Beta", "")}, split.Facts{}, no},
		{
			"value or expression",
			split.Match{Headers: []split.Pattern{{Name: "X-Beta", Exact: []string{"a"}, Regexps: []*regexp.Regexp{regexp.MustCompile("x"), regexp.MustCompile("b")}}}},
			header("X-Beta", "abc"), yes,
		},
		{"both of two headers", split.Match{Headers: append(exact("a", "1"), exact("b", "2")...)}, split.Facts{Headers: []split.Header{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}}, yes},
		{"one of two headers", split.Match{Headers: append(exact("a", "1"), exact("b", "2")...)}, header("a", "1"), no},

		{"cookie", split.Match{Cookies: exact("beta", "yes")}, split.Facts{Cookies: "a=b; beta=yes"}, yes},
		{"cookie with another value", split.Match{Cookies: exact("beta", "yes")}, split.Facts{Cookies: "beta=no"}, no},
		{"cookie of other letters", split.Match{Cookies: exact("beta", "yes")}, split.Facts{Cookies: "Beta=yes"}, no},
		{"cookie that matches", split.Match{Cookies: like("beta", "e")}, split.Facts{Cookies: "beta=yes"}, yes},

		{"query argument", split.Match{QueryArgs: exact("v", "2")}, split.Facts{Query: "a=b&v=2"}, yes},
		{"query argument, decoded", split.Match{QueryArgs: exact("v", "ä b")}, split.Facts{Query: "v=%C3%A4+b"}, yes},
		{"flag", split.Match{QueryArgs: exact("v", "")}, split.Facts{Query: "v"}, yes},
		{"flag, any value", split.Match{QueryArgs: like("v", "")}, split.Facts{Query: "v"}, yes},
		{"no query argument", split.Match{QueryArgs: exact("v", "2")}, split.Facts{Query: "w=2"}, no},

		{"method", split.Match{Methods: []string{"PUT", "POST"}}, split.Facts{Method: "POST"}, yes},
		{"another method", split.Match{Methods: []string{"PUT", "POST"}}, split.Facts{Method: "GET"}, no},

		{"path", split.Match{PathPrefix: "/api/"}, split.Facts{Path: "/api/v1"}, yes},
		{"path that is the prefix", split.Match{PathPrefix: "/api"}, split.Facts{Path: "/api"}, yes},
		{"shorter path", split.Match{PathPrefix: "/api/"}, split.Facts{Path: "/api"}, no},
		{"another path", split.Match{PathPrefix: "/api/"}, split.Facts{Path: "/v1/api/"}, no},

		{"username", split.Match{Consumers: []string{"bob", "ann"}}, split.Facts{Consumer: split.Consumer{Username: "ann", ID: "1"}}, yes},
		{"custom_id", split.Match{Consumers: []string{"c-7"}}, split.Facts{Consumer: split.Consumer{CustomID: "c-7"}}, yes},
		{"id", split.Match{Consumers: []string{"1"}}, split.Facts{Consumer: split.Consumer{Username: "ann", ID: "1"}}, yes},
		{"another consumer", split.Match{Consumers: []string{"ann"}}, split.Facts{Consumer: split.Consumer{Username: "bob"}}, no},
		{"nobody", split.Match{Consumers: []string{""}}, split.Facts{}, no},

		{"address in a network", networks("192.0.2.0/24", "10.0.0.0/8"), ip("10.1.2.3"), yes},
		{"address in none", networks("192.0.2.0/24", "10.0.0.0/8"), ip("11.1.2.3"), no},
		{"IPv4 as IPv6", networks("10.0.0.0/8"), ip("::ffff:10.1.2.3"), yes},
		{"IPv6", networks("2001:db8::/32"), ip("2001:db8:1::1"), yes},
		{"everyone's IPv6 is nobody's IPv4", networks("::/0"), ip("10.1.2.3"), no},
		{"no address", networks("0.0.0.0/0", "::/0"), split.Facts{}, no},

		{"all of several", split.Match{Methods: []string{"GET"}, PathPrefix: "/a", Cookies: exact("c", "1")}, split.Facts{Method: "GET", Path: "/a", Cookies: "c=1"}, yes},
		{"all but one", split.Match{Methods: []string{"GET"}, PathPrefix: "/a", Cookies: exact("c", "1")}, split.Facts{Method: "GET", Path: "/a"}, no},
	} {
		s := smooth(1, 0)
		s.Rules = []split.Rule{{Match: test.match, Backend: 1}}
		d, err := split.Decide(s, split.NewState(s), &test.facts)
		if err != nil || (d.Reason == split.ByRule) != test.holds || d.Backend == 1 != test.holds {
			t.Errorf("%s: %d by %s, holds should be %t (%v)", test.name, d.Backend, d.Reason, test.holds, err)
		}
	}
}

// One part of what must not hold is enough to keep a rule from holding.
func TestNot(t *testing.T) {
	const no, yes = false, true
	for _, test := range []struct {
		name       string
		match, not split.Match
		facts      split.Facts
		holds      bool
	}{
		{"another value", split.Match{}, split.Match{Headers: exact("X-Beta", "no")}, header("x-beta", "yes"), yes},
		{"that value", split.Match{}, split.Match{Headers: exact("X-Beta", "no", "off")}, header("x-beta", "off"), no},
		{"no header", split.Match{}, split.Match{Headers: like("X-Beta", "")}, split.Facts{}, yes},
		{"an empty header", split.Match{}, split.Match{Headers: like("X-Beta", "")}, header("X-Beta", ""), yes},
		{"some header", split.Match{}, split.Match{Headers: like("X-Beta", "")}, header("X-Beta", "a"), no},
		{"a header that matches", split.Match{}, split.Match{Headers: like("X-Beta", "^[0-9]+$")}, header("X-Beta", "42"), no},
		{"a header that does not match", split.Match{}, split.Match{Headers: like("X-Beta", "^[0-9]+$")}, header("X-Beta", "42a"), yes},
		{"a header too long to be tried", split.Match{}, split.Match{Headers: like("X-Beta", "^b")}, header("X-Beta", strings.Repeat("a", 8<<10+1)), no},
		{"a long header, by value", split.Match{}, split.Match{Headers: exact("X-Beta", "b")}, header("X-Beta", strings.Repeat("a", 8<<10+1)), yes},
		{"one of two headers", split.Match{}, split.Match{Headers: append(exact("a", "1"), exact("b", "2")...)}, header("b", "2"), no},
		{"neither of two headers", split.Match{}, split.Match{Headers: append(exact("a", "1"), exact("b", "2")...)}, header("b", "1"), yes},
		{"no cookie", split.Match{}, split.Match{Cookies: like("beta", "")}, split.Facts{Cookies: "a=b"}, yes},
		{"an empty cookie", split.Match{}, split.Match{Cookies: like("beta", "")}, split.Facts{Cookies: "beta="}, no},
		{"no query argument", split.Match{}, split.Match{QueryArgs: like("v", "")}, split.Facts{Query: "w=1"}, yes},
		{"a flag", split.Match{}, split.Match{QueryArgs: like("v", "")}, split.Facts{Query: "v"}, no},
		{"method", split.Match{}, split.Match{Methods: []string{"PUT", "POST"}}, split.Facts{Method: "POST"}, no},
		{"another method", split.Match{}, split.Match{Methods: []string{"PUT", "POST"}}, split.Facts{Method: "GET"}, yes},
		{"path", split.Match{}, split.Match{PathPrefix: "/api/"}, split.Facts{Path: "/api/v1"}, no},
		{"another path", split.Match{}, split.Match{PathPrefix: "/api/"}, split.Facts{Path: "/shop"}, yes},
		{"consumer", split.Match{}, split.Match{Consumers: []string{"ann"}}, split.Facts{Consumer: split.Consumer{Username: "ann"}}, no},
		{"nobody", split.Match{}, split.Match{Consumers: []string{"ann"}}, split.Facts{}, yes},
		{"address", split.Match{}, networks("10.0.0.0/8"), ip("10.1.2.3"), no},
		{"another address", split.Match{}, networks("10.0.0.0/8"), ip("11.1.2.3"), yes},
		{"no address", split.Match{}, networks("0.0.0.0/0", "::/0"), split.Facts{}, yes},
		{"one of several", split.Match{}, split.Match{Methods: []string{"PUT"}, Cookies: exact("c", "1")}, split.Facts{Method: "GET", Cookies: "c=1"}, no},
		{"none of several", split.Match{}, split.Match{Methods: []string{"PUT"}, Cookies: exact("c", "1")}, split.Facts{Method: "GET", Cookies: "c=2"}, yes},
		{"a method, and not a path", split.Match{Methods: []string{"GET"}}, split.Match{PathPrefix: "/a"}, split.Facts{Method: "GET", Path: "/b"}, yes},
		{"a method, and not a path, which it is", split.Match{Methods: []string{"GET"}}, split.Match{PathPrefix: "/a"}, split.Facts{Method: "GET", Path: "/a"}, no},
		{"another method, and not a path", split.Match{Methods: []string{"PUT"}}, split.Match{PathPrefix: "/a"}, split.Facts{Method: "GET", Path: "/b"}, no},
	} {
		s := smooth(1, 0)
		s.Rules = []split.Rule{{Match: test.match, Not: test.not, Backend: 1}}
		d, err := split.Decide(s, split.NewState(s), &test.facts)
		if err != nil || (d.Reason == split.ByRule) != test.holds {
			t.Errorf("%s: %d by %s, holds should be %t (%v)", test.name, d.Backend, d.Reason, test.holds, err)
		}
	}
}

// The first rule that holds counts, be it by its backend or by its weights.
func TestFirstRuleCounts(t *testing.T) {
	get := split.Match{Methods: []string{"GET"}}
	s := smooth(1, 0, 0)
	s.Rules = []split.Rule{
		{Match: split.Match{Methods: []string{"POST"}}, Backend: 0},
		{Match: get, Weights: []int{0, 1, 3}},
		{Match: get, Backend: 0},
		{Backend: 1},
	}
	st := split.NewState(s)
	counts := make([]int, 3)
	for range 400 {
		d, err := split.Decide(s, st, &split.Facts{Method: "GET"})
		if err != nil || d.Reason != split.ByWeight {
			t.Fatalf("%+v, %v", d, err)
		}
		counts[d.Backend]++
	}
	if counts[1] != 100 || counts[2] != 300 {
		t.Errorf("counts %v, want 100 and 300 of the rule's weights", counts)
	}
	for method, want := range map[string]int{"POST": 0, "PUT": 1} {
		if d, err := split.Decide(s, st, &split.Facts{Method: method}); err != nil || d.Backend != want || d.Reason != split.ByRule {
			t.Errorf("%s: %+v, want %d by rule (%v)", method, d, want, err)
		}
	}
}

// A rule's weights are for what follows: the key goes by them, and they keep turns
// of their own, through edits of other things too.
func TestRuleWeightsKeepTheirTurns(t *testing.T) {
	edit := func(k int) *split.Split {
		s := smooth(1+k, 1)
		s.Rules = []split.Rule{{Match: split.Match{Methods: []string{"GET"}}, Weights: []int{1, 1}}}
		return s
	}
	s := edit(0)
	st := split.NewState(s)
	counts := make([]int, 2)
	for k := range 1000 {
		s = edit(k)
		st = st.For(s)
		d, err := split.Decide(s, st, &split.Facts{Method: "GET"})
		if err != nil {
			t.Fatal(err)
		}
		counts[d.Backend]++
	}
	if counts[0] != 500 {
		t.Errorf("counts %v, want 500 each", counts)
	}
	s = edit(0)
	s.HashOn = []split.Key{{On: split.OnPath}}
	s.Rules[0].Weights = []int{0, 1}
	st = split.NewState(edit(0)).For(s) // the rule's weights alone are others
	for _, key := range []string{"/a", "/b", "/c", "/d", "/e", "/f"} {
		if d, err := split.Decide(s, st, &split.Facts{Method: "GET", Path: key}); err != nil || d.Backend != 1 || d.Reason != split.ByHash {
			t.Errorf("%s: %+v, want 1 by hash (%v)", key, d, err)
		}
	}
}

func TestForce(t *testing.T) {
	s := smooth(1, 0)
	s.Backends[1].Name = "canary"
	s.ForceHeader = "X-Backend"
	s.Rules = []split.Rule{{Match: split.Match{Methods: []string{"GET"}}, Backend: 0}}
	for _, test := range []struct {
		headers []split.Header
		backend int
		reason  split.Reason
	}{
		{[]split.Header{{Name: "x-backend", Value: "canary"}}, 1, split.ByForce},
		{[]split.Header{{Name: "x-backend", Value: "Canary"}}, 0, split.ByRule},
		{[]split.Header{{Name: "x-backend", Value: ""}}, 0, split.ByRule},
		{[]split.Header{{Name: "x-backends", Value: "canary"}}, 0, split.ByRule},
		{nil, 0, split.ByRule},
	} {
		d, err := split.Decide(s, split.NewState(s), &split.Facts{Method: "GET", Headers: test.headers})
		if err != nil || d.Backend != test.backend || d.Reason != test.reason {
			t.Errorf("%v: %d by %s, want %d by %s (%v)", test.headers, d.Backend, d.Reason, test.backend, test.reason, err)
		}
	}
	s.ForceHeader = ""
	d, err := split.Decide(s, split.NewState(s), &split.Facts{Headers: []split.Header{{Name: "", Value: "canary"}}})
	if err != nil || d.Reason != split.ByWeight {
		t.Errorf("with force off: %+v, %v", d, err)
	}
}
