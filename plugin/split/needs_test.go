package split_test

import (
	"errors"
	"net/netip"
	"testing"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestNeeds(t *testing.T) {
	rule := func(m split.Match) split.Split { return split.Split{Rules: []split.Rule{{Match: m}}} }
	key := func(on split.KeyKind, name string) split.Split {
		return split.Split{HashOn: []split.Key{{On: on, Name: name}}}
	}
	one := func(name string) []split.Pattern { return []split.Pattern{{Name: name}} }
	for _, test := range []struct {
		name       string
		s          split.Split
		want, more split.Needs
	}{
		{"weights", split.Split{Algorithm: split.Random, OnUnavailable: split.Redistribute, Ramp: &split.Ramp{}}, split.Needs{}, split.Needs{}},
		{"force header", split.Split{ForceHeader: "X-Backend"}, split.Needs{Headers: []string{"X-Backend"}}, split.Needs{}},
		{"session", split.Split{Session: &split.Session{Secure: split.SecureAlways}}, split.Needs{Cookies: true}, split.Needs{Preflight: true}},
		{"session, secure by the client's scheme", split.Split{Session: &split.Session{Secure: split.SecureAuto}}, split.Needs{Cookies: true}, split.Needs{Preflight: true, HTTPS: true}},
		{
			"session, before a key",
			split.Split{Session: &split.Session{}, HashOn: []split.Key{{On: split.OnIP}, {On: split.OnCookie, Name: "uid"}, {On: split.OnQueryArg, Name: "user"}}},
			split.Needs{Cookies: true},
			split.Needs{Preflight: true, IP: true, Query: true},
		},
		{
			"session, behind a rule that needs what comes later",
			split.Split{
				Session: &split.Session{},
				Rules:   []split.Rule{{Match: split.Match{Methods: []string{"GET"}, ClientIPs: []netip.Prefix{{}}, Headers: one("origin")}}},
				HashOn:  []split.Key{{On: split.OnIP}, {On: split.OnHeader, Name: "Origin"}},
			},
			split.Needs{Cookies: true, Method: true, IP: true, Headers: []string{"origin"}},
			split.Needs{Preflight: true},
		},
		{"rule for everything", rule(split.Match{}), split.Needs{}, split.Needs{}},
		{"rule by header", rule(split.Match{Headers: one("X-Beta")}), split.Needs{Headers: []string{"X-Beta"}}, split.Needs{}},
		{"rule by cookie", rule(split.Match{Cookies: one("beta")}), split.Needs{Cookies: true}, split.Needs{}},
		{"rule by query argument", rule(split.Match{QueryArgs: one("v")}), split.Needs{Query: true}, split.Needs{}},
		{"rule by method", rule(split.Match{Methods: []string{"GET"}}), split.Needs{Method: true}, split.Needs{}},
		{"rule by path", rule(split.Match{PathPrefix: "/"}), split.Needs{Path: true}, split.Needs{}},
		{"rule by consumer", rule(split.Match{Consumers: []string{"ann"}}), split.Needs{Consumer: true}, split.Needs{}},
		{"rule by address", rule(split.Match{ClientIPs: []netip.Prefix{{}}}), split.Needs{IP: true}, split.Needs{}},
		{"rule by what must not hold", split.Split{Rules: []split.Rule{{Not: split.Match{Headers: one("X-Beta"), Methods: []string{"GET"}}}}}, split.Needs{Headers: []string{"X-Beta"}, Method: true}, split.Needs{}},
		{"key of the consumer", key(split.OnConsumer, ""), split.Needs{Consumer: true}, split.Needs{Credential: true}},
		{
			"session, before a key of the consumer",
			split.Split{Session: &split.Session{}, HashOn: []split.Key{{On: split.OnIP}, {On: split.OnConsumer}}},
			split.Needs{Cookies: true},
			split.Needs{Preflight: true, IP: true, Consumer: true, Credential: true},
		},
		{"key of the address", key(split.OnIP, ""), split.Needs{IP: true}, split.Needs{}},
		{"key of a header", key(split.OnHeader, "X-User"), split.Needs{Headers: []string{"X-User"}}, split.Needs{}},
		{"key of a cookie", key(split.OnCookie, "uid"), split.Needs{Cookies: true}, split.Needs{}},
		{"key of the path", key(split.OnPath, ""), split.Needs{Path: true}, split.Needs{}},
		{"key of a query argument", key(split.OnQueryArg, "user"), split.Needs{Query: true}, split.Needs{}},
		{"key of a capture", key(split.OnURICapture, "tenant"), split.Needs{Captures: true}, split.Needs{}},
		{
			"the same header in several places",
			split.Split{
				ForceHeader: "X-Backend",
				Rules:       []split.Rule{{Match: split.Match{Headers: one("x-backend")}}, {Match: split.Match{Headers: one("X-User")}}},
				HashOn:      []split.Key{{On: split.OnHeader, Name: "x-user"}, {On: split.OnIP}},
			},
			split.Needs{Headers: []string{"X-Backend", "X-User"}, IP: true},
			split.Needs{},
		},
	} {
		needs, more := test.s.Needs()
		if diff := cmp.Diff([]split.Needs{test.want, test.more}, []split.Needs{needs, more}, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// The credential counts where there is neither a consumer nor a key before that.
func TestNeedsCredential(t *testing.T) {
	consumer, ip := split.Key{On: split.OnConsumer}, split.Key{On: split.OnIP}
	known := split.Consumer{ID: "1"}
	from := netip.MustParseAddr("10.0.0.1")
	for _, test := range []struct {
		keys []split.Key
		f    split.Facts
		want bool
	}{
		{nil, split.Facts{}, false},
		{[]split.Key{ip}, split.Facts{}, false},
		{[]split.Key{consumer}, split.Facts{}, true},
		{[]split.Key{consumer}, split.Facts{Consumer: known}, false},
		{[]split.Key{consumer, ip}, split.Facts{IP: from}, true},
		{[]split.Key{ip, consumer}, split.Facts{IP: from}, false},
		{[]split.Key{ip, consumer}, split.Facts{}, true},
		{[]split.Key{ip, consumer}, split.Facts{Consumer: known}, false},
	} {
		s := split.Split{HashOn: test.keys}
		if got := s.NeedsCredential(&test.f); got != test.want {
			t.Errorf("%v of %+v: %t", test.keys, test.f, got)
		}
	}
}

// What comes later is learned once, and only where the session does not decide or its
// cookie has to be made anew; what it says counts as if it had been there.
func TestMoreFactsAreLearnedWhereTheyCount(t *testing.T) {
	s := sessions()
	s.Session.Secure, s.Session.Secrets = split.SecureAuto, append(s.Session.Secrets, []byte(otherSecret))
	s.ForceHeader = "X-Backend"
	s.HashOn = []split.Key{{On: split.OnHeader, Name: "X-User"}}
	s.OnUnavailable = split.Redistribute
	old := sessions()
	old.Session.Secrets = [][]byte{[]byte(otherSecret)}
	pinned := pinTo(t, s, "1", noon)
	forced := []split.Header{{Name: "X-Backend", Value: "0"}}
	for _, test := range []struct {
		name    string
		f       split.Facts
		learned int
	}{
		{"a new client", split.Facts{}, 1},
		{"a client of a session", split.Facts{Cookies: pinned}, 0},
		{"a client whose session has to be signed anew", split.Facts{Cookies: pinTo(t, old, "1", noon)}, 1},
		{"a client of a session whose backend is down", split.Facts{Cookies: pinned, Down: set(1)}, 1},
		{"a backend that was asked for", split.Facts{Headers: forced}, 0},
		{"a backend that was asked for and is down", split.Facts{Headers: forced, Down: set(0)}, 1},
	} {
		more := func(f *split.Facts) {
			f.Method, f.HTTPS = "GET", true
			f.Headers = append(f.Headers, split.Header{Name: "X-User", Value: "ann"})
		}
		at, learned := test.f, 0
		at.Now = noon
		at.More = func(f *split.Facts) error {
			learned++
			more(f)
			return nil
		}
		d, err := split.Decide(s, split.NewState(s), &at)
		if err != nil || learned != test.learned {
			t.Errorf("%s: learned %d times, want %d; %v", test.name, learned, test.learned, err)
		}
		before := test.f
		before.Now = noon
		more(&before)
		want, _ := split.Decide(s, split.NewState(s), &before)
		if d.Backend != want.Backend || d.Reason != want.Reason || d.SetCookie != want.SetCookie {
			t.Errorf("%s: got %+v, want what is decided with all facts at once, %+v", test.name, d, want)
		}
		if test.learned == 0 {
			continue
		}
		gone := errors.New("Kong is gone")
		at = test.f
		at.Now, at.More = noon, func(*split.Facts) error { return gone }
		if _, err := split.Decide(s, split.NewState(s), &at); err != gone {
			t.Errorf("%s: got %v, want the error of what should have told", test.name, err)
		}
	}
}
