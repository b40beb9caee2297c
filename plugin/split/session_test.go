package split_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const secret, otherSecret = "0123456789abcdef", "fedcba9876543210"

// sessions returns a split with sessions and nothing else; of its backends "2" takes
// no new traffic, and the first choice by weight is "0".
func sessions() *split.Split {
	s := smooth(1, 1, 0)
	s.Identity = "shop"
	s.Session = &split.Session{Cookie: "pin", MaxAge: time.Hour, Secrets: [][]byte{[]byte(secret)}}
	return s
}

// pinTo returns the name and value of the cookie that pins a client to a backend of
// s, set at that time.
func pinTo(t testing.TB, s *split.Split, backend string, now time.Time) string {
	t.Helper()
	alone := &split.Split{Identity: s.Identity, Session: s.Session, Backends: []split.Backend{{Name: backend, Weight: 1}}}
	d, err := split.Decide(alone, split.NewState(alone), &split.Facts{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	pair, _, _ := strings.Cut(d.SetCookie, ";")
	return pair
}

// The values were computed with another implementation of HMAC-SHA256.
func TestSetCookie(t *testing.T) {
	const plain = "AAAxr6mjLmpPATRRuTsmc17_InFIY9MF_9tUJc-NLmV9q8A"
	for _, test := range []struct {
		name    string
		session split.Session
		https   bool
		want    string
	}{
		{"nothing but the value", split.Session{}, false, "pin=" + plain},
		{"max_age", split.Session{MaxAge: time.Hour}, false, "pin=AND598sGMZauxjC17aE1rLYW3dWeJabDMnTtq75oM5Mnx8o7Bd9n; Max-Age=3600"},
		{"generation", split.Session{Generation: 300}, false, "pin=rAIAMaY6LwVY4t5jak5JuGNzRNrcoNUlNSEHOoI0pVArEU7T"},
		{"the first secret", split.Session{Secrets: [][]byte{[]byte(otherSecret), []byte(secret)}}, false, "pin=AAAxYrob-AOeHZk2o39qnbv7zM5JYIKPKGBfmpDHQ55AAd0"},
		{"path", split.Session{Path: "/shop"}, false, "pin=" + plain + "; Path=/shop"},
		{"domain", split.Session{Domain: "example.com"}, false, "pin=" + plain + "; Domain=example.com"},
		{"secure where the client came by https", split.Session{Secure: split.SecureAuto}, true, "pin=" + plain + "; Secure"},
		{"secure where it did not", split.Session{Secure: split.SecureAuto}, false, "pin=" + plain},
		{"always secure", split.Session{Secure: split.SecureAlways}, false, "pin=" + plain + "; Secure"},
		{"never secure", split.Session{Secure: split.SecureNever}, true, "pin=" + plain},
		{"http only", split.Session{HTTPOnly: true}, false, "pin=" + plain + "; HttpOnly"},
		{"same site", split.Session{SameSite: "Strict"}, false, "pin=" + plain + "; SameSite=Strict"},
		{"partitioned", split.Session{Partitioned: true, Secure: split.SecureAlways}, false, "pin=" + plain + "; Secure; Partitioned"},
		{
			"all",
			split.Session{
				MaxAge: time.Hour, Path: "/", Domain: "example.com", Secure: split.SecureAuto, HTTPOnly: true, SameSite: "Lax",
			},
			true,
			"pin=AND598sGMZauxjC17aE1rLYW3dWeJabDMnTtq75oM5Mnx8o7Bd9n; Path=/; Domain=example.com; Max-Age=3600; Secure; HttpOnly; SameSite=Lax",
		},
	} {
		s := smooth(0, 1)
		s.Identity, s.Session = "shop", &test.session
		s.Session.Cookie = "pin"
		if s.Session.Secrets == nil {
			s.Session.Secrets = [][]byte{[]byte(secret)}
		}
		d, err := split.Decide(s, split.NewState(s), &split.Facts{Now: noon, HTTPS: test.https})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, d.SetCookie); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestSessions(t *testing.T) {
	s := sessions()
	valid, inAnHour := pinTo(t, s, "1", noon), noon.Add(time.Hour)
	cookiesOf := func(change func(s *split.Split)) string {
		other := sessions()
		change(other)
		return pinTo(t, other, "1", noon)
	}
	previous := func(s *split.Split) { s.Session.Secrets = append([][]byte{[]byte(otherSecret)}, s.Session.Secrets...) }
	redistribute := func(s *split.Split) { s.OnUnavailable = split.Redistribute }
	const no, yes = false, true
	for _, test := range []struct {
		name    string
		change  func(s *split.Split) // nil: none
		facts   split.Facts
		backend int
		reason  split.Reason
		sets    bool // a cookie
	}{
		{"no cookie", nil, split.Facts{}, 0, split.ByWeight, yes},
		{"a valid one", nil, split.Facts{Cookies: valid}, 1, split.BySession, no},
		{"of a backend of weight 0", nil, split.Facts{Cookies: pinTo(t, s, "2", noon)}, 2, split.BySession, no},
		{"all weights are 0", func(s *split.Split) { s.Backends[0].Weight, s.Backends[1].Weight = 0, 0 }, split.Facts{Cookies: valid}, 1, split.BySession, no},
		{"among others", nil, split.Facts{Cookies: "a=b; " + valid + "; c=d"}, 1, split.BySession, no},
		{"quoted", nil, split.Facts{Cookies: strings.Replace(valid, "=", `="`, 1) + `"`}, 1, split.BySession, no},
		{"of the previous secret", previous, split.Facts{Cookies: valid}, 1, split.BySession, yes},
		{"of the new secret", previous, split.Facts{Cookies: cookiesOf(previous)}, 1, split.BySession, no},
		{"of a secret that is gone", nil, split.Facts{Cookies: cookiesOf(previous)}, 0, split.ByWeight, yes},
		{"about to expire", nil, split.Facts{Cookies: valid, Now: inAnHour.Add(-1)}, 1, split.BySession, no},
		{"expired", nil, split.Facts{Cookies: valid, Now: inAnHour}, 0, split.ByWeight, yes},
		{"that never expires", nil, split.Facts{Cookies: cookiesOf(func(s *split.Split) { s.Session.MaxAge = 0 }), Now: inAnHour}, 1, split.BySession, no},
		{"of another generation", nil, split.Facts{Cookies: cookiesOf(func(s *split.Split) { s.Session.Generation = 1 })}, 0, split.ByWeight, yes},
		{"of another split", nil, split.Facts{Cookies: cookiesOf(func(s *split.Split) { s.Identity = "blog" })}, 0, split.ByWeight, yes},
		{"of no backend", nil, split.Facts{Cookies: pinTo(t, s, "gone", noon)}, 0, split.ByWeight, yes},
		{"forged", nil, split.Facts{Cookies: strings.Replace(valid, "=A", "=B", 1)}, 0, split.ByWeight, yes},
		{"cut off", nil, split.Facts{Cookies: valid[:len(valid)-1]}, 0, split.ByWeight, yes},
		{"empty", nil, split.Facts{Cookies: "pin="}, 0, split.ByWeight, yes},
		{"too long", nil, split.Facts{Cookies: "pin=" + strings.Repeat("A", 100_000)}, 0, split.ByWeight, yes},
		{"of another name", nil, split.Facts{Cookies: "x" + valid}, 0, split.ByWeight, yes},
		{"the fourth of its name", nil, split.Facts{Cookies: strings.Repeat("pin=x; ", 3) + valid}, 1, split.BySession, no},
		{"the fifth of its name", nil, split.Facts{Cookies: strings.Repeat("pin=x; ", 4) + valid}, 0, split.ByWeight, yes},

		{"its backend does not exist", nil, split.Facts{Cookies: valid, Down: set(1)}, 0, split.ByWeight, yes},
		{"its backend is unhealthy", nil, split.Facts{Cookies: valid, Unhealthy: set(1)}, 0, split.ByWeight, yes},
		{"all are unhealthy", redistribute, split.Facts{Cookies: valid, Unhealthy: set(0, 1)}, 1, split.BySession, no},
		{"redistributed", redistribute, split.Facts{Unhealthy: set(0)}, 1, split.ByWeight, yes},
		{"to the fallback", func(s *split.Split) { s.OnUnavailable, s.Fallback = split.ToFallback, 2 }, split.Facts{Down: set(0)}, 2, split.ByFallback, no},

		{"by key", func(s *split.Split) { s.HashOn = []split.Key{{On: split.OnPath}} }, split.Facts{Path: "/1"}, 0, split.ByHash, yes},
		{"before the key", func(s *split.Split) { s.HashOn = []split.Key{{On: split.OnPath}} }, split.Facts{Path: "/1", Cookies: valid}, 1, split.BySession, no},
		{
			"after the force header",
			func(s *split.Split) { s.ForceHeader = "x" },
			split.Facts{Cookies: valid, Headers: []split.Header{{Name: "X", Value: "2"}}},
			2, split.ByForce, no,
		},
		{"after a rule's backend", func(s *split.Split) { s.Rules = []split.Rule{{Backend: 2}} }, split.Facts{Cookies: valid}, 2, split.ByRule, no},
		{
			"redistributed from a rule's backend",
			func(s *split.Split) { s.Rules = []split.Rule{{Backend: 2}}; redistribute(s) },
			split.Facts{Cookies: valid, Down: set(2)},
			0, split.ByWeight, no,
		},
		{"before a rule's weights", func(s *split.Split) { s.Rules = []split.Rule{{Weights: []int{9, 1, 0}}} }, split.Facts{Cookies: valid}, 1, split.BySession, no},
		{"of weight 0 in a rule", func(s *split.Split) { s.Rules = []split.Rule{{Weights: []int{1, 0, 1}}} }, split.Facts{Cookies: valid}, 0, split.ByWeight, yes},
		{
			"of weight 0 in a rule that does not hold",
			func(s *split.Split) {
				s.Rules = []split.Rule{{Match: split.Match{Methods: []string{"PUT"}}, Weights: []int{1, 0, 1}}}
			},
			split.Facts{Cookies: valid},
			1, split.BySession, no,
		},
		{"by a rule's weights", func(s *split.Split) { s.Rules = []split.Rule{{Weights: []int{0, 0, 1}}} }, split.Facts{}, 2, split.ByWeight, yes},
	} {
		s := sessions()
		if test.change != nil {
			test.change(s)
		}
		if test.facts.Now.IsZero() {
			test.facts.Now = noon
		}
		d, err := split.Decide(s, split.NewState(s), &test.facts)
		if err != nil || d.Backend != test.backend || d.Reason != test.reason || (d.SetCookie != "") != test.sets {
			t.Errorf("%s: %d by %s and sets %q, want %d by %s and sets one: %t (%v)",
				test.name, d.Backend, d.Reason, d.SetCookie, test.backend, test.reason, test.sets, err)
		}
		if d.SetCookie == "" {
			continue
		}
		pair, _, _ := strings.Cut(d.SetCookie, ";")
		again, err := split.Decide(s, split.NewState(s), &split.Facts{Now: test.facts.Now, Cookies: pair})
		if err != nil || again.Backend != d.Backend || again.SetCookie != "" {
			t.Errorf("%s: the cookie leads to %d by %s and sets %q (%v)", test.name, again.Backend, again.Reason, again.SetCookie, err)
		}
	}
}

// A session is renewed in the second half of its time, where its backend takes new clients.
func TestRenew(t *testing.T) {
	for _, test := range []struct {
		name   string
		after  time.Duration
		change func(s *split.Split) // nil: none
		reason split.Reason
		sets   bool
	}{
		{"in the first half", 30 * time.Minute, nil, split.BySession, false},
		{"in the second half", 30*time.Minute + 1, nil, split.BySession, true},
		{"at the end", time.Hour - 1, nil, split.BySession, true},
		{"too late", time.Hour, nil, split.ByWeight, true},
		{"without renew", time.Hour - 1, func(s *split.Split) { s.Session.Renew = false }, split.BySession, false},
		{"of another max_age", time.Minute, func(s *split.Split) { s.Session.MaxAge = 2 * time.Hour }, split.BySession, true},
		{"that never expires", time.Hour, func(s *split.Split) { s.Session.MaxAge = 0 }, split.BySession, false},
		{"at a backend that drains", time.Hour - 1, func(s *split.Split) { s.Backends[1].Weight = 0 }, split.BySession, false},
		{"at one that drains, with a new secret", time.Hour - 1, func(s *split.Split) {
			s.Backends[1].Weight, s.Session.Secrets = 0, [][]byte{[]byte(otherSecret), []byte(secret)}
		}, split.BySession, true},
		{"at the end of the other's ramp", time.Hour - 1, func(s *split.Split) {
			s.Ramp = &split.Ramp{Backend: 0, To: 10000, Start: noon.Add(-time.Hour), Duration: time.Hour}
		}, split.BySession, false},
		{"at what a rule gives a weight", time.Hour - 1, func(s *split.Split) { s.Rules = []split.Rule{{Weights: []int{0, 1, 0}}} }, split.BySession, true},
		{"in a CORS preflight", time.Hour - 1, nil, split.BySession, false},
	} {
		s := sessions()
		s.Session.Renew = true
		made := sessions()
		if test.name == "that never expires" {
			made.Session.MaxAge = 0
		}
		f := split.Facts{Cookies: pinTo(t, made, "1", noon), Now: noon.Add(test.after)}
		if test.name == "in a CORS preflight" {
			f.Method, f.Headers = "OPTIONS", []split.Header{{Name: split.OriginHeader, Value: "a"}, {Name: split.PreflightHeader, Value: "GET"}}
		}
		if test.change != nil {
			test.change(s)
		}
		d, err := split.Decide(s, split.NewState(s), &f)
		if err != nil || d.Reason != test.reason || (d.SetCookie != "") != test.sets || d.Reason == split.BySession && d.Backend != 1 {
			t.Errorf("%s: %d by %s and sets %q (%v)", test.name, d.Backend, d.Reason, d.SetCookie, err)
		}
	}
}

// A session lasts as long as the client comes in time, and is set anew once in each half of
// max_age at most, however often that is.
func TestRenewedSessionsLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sessions()
		s.Session.Renew, s.Session.MaxAge = true, time.Duration(rapid.IntRange(4, 100).Draw(t, "max_age"))*time.Second
		st, now := split.NewState(s), noon
		first, err := split.Decide(s, st, &split.Facts{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		cookie, set := first.SetCookie, now
		for range rapid.IntRange(1, 50).Draw(t, "visits") {
			now = now.Add(time.Duration(rapid.Int64Range(1, int64(s.Session.MaxAge/2-time.Second)).Draw(t, "pause")))
			pair, _, _ := strings.Cut(cookie, ";")
			d, err := split.Decide(s, st, &split.Facts{Now: now, Cookies: pair})
			if err != nil || d.Reason != split.BySession || d.Backend != first.Backend {
				t.Fatalf("%v after it was set: %d by %s (%v)", now.Sub(set), d.Backend, d.Reason, err)
			}
			if d.SetCookie == "" {
				continue
			}
			if age := now.Sub(set); age < s.Session.MaxAge/2-time.Second { // expiries are whole seconds
				t.Fatalf("set anew after %v of %v", age, s.Session.MaxAge)
			}
			cookie, set = d.SetCookie, now
		}
	})
}

// A backend that turns out not to exist loses its sessions like one that is known not
// to, and what takes its place begins one only where the first choice would have.
func TestInsteadPinsWhereTheFirstChoiceWould(t *testing.T) {
	s := sessions()
	s.OnUnavailable, s.ForceHeader = split.Redistribute, "x"
	for name, test := range map[string]struct {
		facts split.Facts
		sets  bool
	}{
		"weight":  {split.Facts{}, true},
		"session": {split.Facts{Cookies: pinTo(t, s, "0", noon)}, true},
		"force":   {split.Facts{Headers: []split.Header{{Name: "x", Value: "0"}}}, false},
	} {
		st := split.NewState(s)
		test.facts.Now = noon
		d, err := split.Decide(s, st, &test.facts)
		if err != nil || d.Backend != 0 {
			t.Fatalf("%s: %+v, %v", name, d, err)
		}
		d, err = split.Instead(s, st, d, &test.facts)
		if err != nil || d.Backend != 1 || d.Reason != split.ByWeight || (d.SetCookie != "") != test.sets {
			t.Errorf("%s: %+v, want 1 by weight and a cookie: %t (%v)", name, d, test.sets, err)
		}
	}
}

// Whatever on_unavailable says, a session with a backend that turns out not to exist
// is as good as none: it does not hold a client to errors or to the fallback.
func TestInsteadOfASessionDecidesAnew(t *testing.T) {
	for _, on := range []split.OnUnavailable{split.Fail, split.Redistribute, split.ToFallback} {
		s := sessions()
		s.OnUnavailable, s.Fallback = on, 1
		st := split.NewState(s)
		facts := split.Facts{Now: noon, Cookies: pinTo(t, s, "2", noon)}
		d, err := split.Decide(s, st, &facts)
		if err != nil || d.Reason != split.BySession {
			t.Fatalf("%s: %+v, %v", on, d, err)
		}
		d, err = split.Instead(s, st, d, &facts)
		if err != nil || d.Backend != 0 || d.Reason != split.ByWeight || d.SetCookie == "" {
			t.Errorf("%s: %+v, want 0 by weight and a cookie (%v)", on, d, err)
		}
	}
}

// A cookie that another secret has signed ends when it would have: a session where the
// secret is changed lasts no longer, also at a backend that drains.
func TestSecretsDoNotRenew(t *testing.T) {
	for name, test := range map[string]struct {
		made, maxAge time.Duration
		drains       bool
		want         int // its Max-Age; 0: none
	}{
		"half an hour is left":              {time.Hour, time.Hour, false, 1800},
		"at a backend that drains":          {time.Hour, time.Hour, true, 1800},
		"the end comes earlier by now":      {time.Hour, time.Minute, false, 60},
		"the end comes later by now":        {time.Hour, 2 * time.Hour, false, 1800},
		"there was no end":                  {0, time.Hour, false, 3600},
		"there is none but the browser's":   {time.Hour, 0, false, 0},
		"in the second half, it is renewed": {40 * time.Minute, 40 * time.Minute, false, 2400},
		"that drains, in the second half":   {40 * time.Minute, 40 * time.Minute, true, 600},
	} {
		made, s := sessions(), sessions()
		made.Session.MaxAge, s.Session.MaxAge = test.made, test.maxAge
		s.Session.Renew = strings.Contains(name, "second half")
		s.Session.Secrets = [][]byte{[]byte(otherSecret), []byte(secret)}
		if test.drains {
			s.Backends[1].Weight = 0
		}
		d, err := split.Decide(s, split.NewState(s), &split.Facts{Cookies: pinTo(t, made, "1", noon), Now: noon.Add(30 * time.Minute)})
		want := ""
		if test.want > 0 {
			want = fmt.Sprintf("Max-Age=%d", test.want)
		}
		if _, rest, _ := strings.Cut(d.SetCookie, "; "); err != nil || d.Reason != split.BySession || d.SetCookie == "" || rest != want {
			t.Errorf("%s: by %s, sets %q (%v)", name, d.Reason, d.SetCookie, err)
			continue
		}
		pair, _, _ := strings.Cut(d.SetCookie, ";")
		over := 0 < test.want && test.want <= 1800
		if d, err = split.Decide(s, split.NewState(s), &split.Facts{Cookies: pair, Now: noon.Add(time.Hour)}); err != nil || (d.Reason != split.BySession) != over {
			t.Errorf("%s: half an hour later by %s (%v)", name, d.Reason, err)
		}
	}
}
