package simulate_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin/simulate"
	"kong-traffic-split/plugin/split"
)

// everything has all parts of the precedence.
func everything() *split.Split {
	s := weighted(1, 1, 0)
	s.OnUnavailable = split.Redistribute
	s.ForceHeader = "X-Force"
	s.Rules = []split.Rule{
		{Match: split.Match{Methods: []string{"POST"}, Cookies: []split.Pattern{{Name: "beta", Exact: []string{"1"}}}}, Backend: 2},
		{Match: split.Match{PathPrefix: "/new"}, Weights: []int{0, 1, 3}},
		{Match: split.Match{Methods: []string{"PUT"}}, Backend: 0},
	}
	s.Session = &split.Session{Cookie: "at", Path: "/", Secrets: [][]byte{[]byte("0123456789abcdef")}}
	s.HashOn = []split.Key{{On: split.OnConsumer}, {On: split.OnHeader, Name: "X-User"}}
	return s
}

// excluding has rules with what must not hold.
func excluding() *split.Split {
	present := func(cookie string) []split.Pattern {
		return []split.Pattern{{Name: cookie, Regexps: []*regexp.Regexp{regexp.MustCompile("")}}}
	}
	s := weighted(1, 1)
	s.Rules = []split.Rule{
		{Not: split.Match{Methods: []string{"PUT"}, PathPrefix: "/old", Cookies: present("beta")}},
		{Match: split.Match{PathPrefix: "/new"}, Not: split.Match{Cookies: present("new")}},
		{Not: split.Match{Methods: []string{"GET"}}, Backend: 1},
	}
	return s
}

func redirecting() *split.Split {
	s := weighted(1, 0)
	s.Backends[0].RedirectsTo = "https://*/v2/*"
	return s
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		split *split.Split
		facts split.Facts
		want  string // a line for each part, and what comes of it
	}{
		{"weights alone", weighted(3, 1), split.Facts{}, `
  force_header: not configured
  rules: not configured
  session: not configured
  hash_on: not configured
  hash_fallback: not configured
* weight: "a", which has 75 % by weight
a weight`},
		{"a redirect", redirecting(), split.Facts{}, `
  force_header: not configured
  rules: not configured
  session: not configured
  hash_on: not configured
  hash_fallback: not configured
* weight: "a", which has 100 % by weight
a weight redirects to https://*/v2/*`},
		{"forced", everything(), split.Facts{Headers: []split.Header{{Name: "x-force", Value: "c"}}}, `
* force_header: "c"
  rules[0]: not asked, it is decided
  rules[1]: not asked, it is decided
  rules[2]: not asked, it is decided
  session: not asked, it is decided
  hash_on: not asked, it is decided
  hash_fallback: not asked, it is decided
  weight: not asked, it is decided
c force`},
		{"a rule", everything(), split.Facts{Method: "POST", Cookies: "beta=1"}, `
  force_header: the request has no header X-Force
* rules[0]: "c"
  rules[1]: not asked, it is decided
  rules[2]: not asked, it is decided
  session: not asked, it is decided
  hash_on: not asked, it is decided
  hash_fallback: not asked, it is decided
  weight: not asked, it is decided
c rule`},
		{"a rule's weights", everything(), split.Facts{Method: "PUT", Path: "/new/one"}, `
  force_header: the request has no header X-Force
  rules[0]: does not hold, because of methods, cookie beta
  rules[1]: holds: its weights count in place of the backends' own
  rules[2]: not asked, a rule before it holds
  session: the request has no valid cookie at
  hash_on: the request has no consumer and no credential
  hash_fallback: the request has no header X-User
* weight: "c", which has 75 % by weight of rules[1]
c weight, sets a cookie`},
		{"the second key", everything(), split.Facts{Method: "POST", Headers: []split.Header{{Name: "X-User", Value: "ann"}}}, `
  force_header: the request has no header X-Force
  rules[0]: does not hold, because of cookie beta
  rules[1]: does not hold, because of path_prefix
  rules[2]: does not hold, because of methods
  session: the request has no valid cookie at
  hash_on: the request has no consumer and no credential
* hash_fallback: "a", which has 50 % by weight
  weight: not asked, it is decided
a hash, sets a cookie`},
		{"the key of a credential", everything(), split.Facts{Credential: "ann"}, `
  force_header: the request has no header X-Force
  rules[0]: does not hold, because of methods, cookie beta
  rules[1]: does not hold, because of path_prefix
  rules[2]: does not hold, because of methods
  session: the request has no valid cookie at
* hash_on: "a", which has 50 % by weight
  hash_fallback: not asked, it is decided
  weight: not asked, it is decided
a hash, sets a cookie`},
		{"the key of a backend that is down", everything(), split.Facts{Headers: []split.Header{{Name: "X-User", Value: "ann"}}, Down: 1}, `
  force_header: the request has no header X-Force
  rules[0]: does not hold, because of methods, cookie beta
  rules[1]: does not hold, because of path_prefix
  rules[2]: does not hold, because of methods
  session: the request has no valid cookie at
  hash_on: the request has no consumer and no credential
  hash_fallback: has chosen a backend that cannot be used
  weight: not asked, it is decided
  on_unavailable: "a" cannot be used: redistribute
* hash: "b", which has 50 % by weight
b hash, sets a cookie`},
		{"what must not hold", excluding(), split.Facts{Method: "PUT", Cookies: "beta=1; new=2"}, `
  force_header: not configured
  rules[0]: does not hold, because of not methods, not cookie beta
  rules[1]: does not hold, because of path_prefix, not cookie new
* rules[2]: "b"
  session: not configured
  hash_on: not configured
  hash_fallback: not configured
  weight: not asked, it is decided
b rule`},
		{"nobody is left", weighted(1, 1), split.Facts{Unhealthy: 3}, `
  force_header: not configured
  rules: not configured
  session: not configured
  hash_on: not configured
  hash_fallback: not configured
  weight: has chosen a backend that cannot be used
* on_unavailable: backend unhealthy: "a" cannot be used, and on_unavailable is "fail"
503 backend unhealthy: "a" cannot be used, and on_unavailable is "fail"`},
		{"no weight", weighted(0), split.Facts{}, `
  force_header: not configured
  rules: not configured
  session: not configured
  hash_on: not configured
  hash_fallback: not configured
* weight: no backend takes traffic: one of "a" has to have a weight above 0
500 no backend takes traffic: one of "a" has to have a weight above 0`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.facts.Now = start
			if diff := cmp.Diff(tt.want, "\n"+inLines(simulate.Explain("shop", tt.split, tt.facts))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func inLines(e *simulate.Explanation) string {
	var b strings.Builder
	for _, step := range e.Steps {
		mark := "  "
		if step.Decided {
			mark = "* "
		}
		b.WriteString(mark + step.Part + ": " + step.Verdict + "\n")
	}
	switch {
	case e.Status == 503:
		b.WriteString("503 " + e.Error)
	case e.Status != 0:
		b.WriteString("500 " + e.Error)
	default:
		b.WriteString(e.Backend + " " + e.Reason)
	}
	if e.RedirectsTo != "" {
		b.WriteString(" redirects to " + e.RedirectsTo)
	}
	if e.SetCookie != "" {
		b.WriteString(", sets a cookie")
	}
	return b.String()
}

// What a simulation sets, an explanation takes.
func TestExplainSession(t *testing.T) {
	s := everything()
	first := simulate.Explain("shop", s, split.Facts{Now: start, Consumer: split.Consumer{ID: "1"}})
	cookie, _, _ := strings.Cut(first.SetCookie, ";")
	again := simulate.Explain("shop", s, split.Facts{Now: start, Cookies: cookie})
	if again.Reason != "session" || again.Backend != first.Backend || again.SetCookie != "" {
		t.Errorf("got %+v", again)
	}
}

func TestRequestFacts(t *testing.T) {
	f, err := simulate.Request{
		Method: "PUT", Path: "/a?b=1", Query: "c=2", IP: "::1",
		Headers: []string{"X-One: 1:2", "cookie: a=1"}, Cookies: []string{"b=2"}, Captures: []string{"user=ann=x"},
	}.Facts()
	if err != nil {
		t.Fatal(err)
	}
	if f.Path != "/a" || f.Query != "b=1&c=2" || f.Cookies != "a=1; b=2" || f.IP.String() != "::1" ||
		f.Headers[0] != (split.Header{Name: "X-One", Value: "1:2"}) || f.Captures[0] != (split.Header{Name: "user", Value: "ann=x"}) {
		t.Errorf("got %+v", f)
	}
	for _, tt := range []struct {
		request simulate.Request
		want    string
	}{
		{simulate.Request{IP: "here"}, `ip: "here" is not an IP address`},
		{simulate.Request{Headers: []string{"X"}}, `header: "X" is not of the form Name: value`},
		{simulate.Request{Cookies: []string{"=1"}}, `cookie: "=1" is not of the form name=value`},
		{simulate.Request{Captures: []string{"a"}}, `capture: "a" is not of the form name=value`},
	} {
		if _, err := tt.request.Facts(); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}
