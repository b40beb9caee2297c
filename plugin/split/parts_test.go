package split_test

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"
)

// everything is a split of 16 backends with all that decides: a force header, rules,
// a session, keys, a ramp that is under way with a guard, and passive health.
func everything() (*split.Split, split.Facts) {
	s := smooth(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
	for i := range s.Backends {
		s.Backends[i].Passive = &split.Passive{Failures: 5, Ejection: time.Minute}
	}
	s.OnUnavailable, s.Identity = split.Redistribute, "everything"
	s.ForceHeader = "X-Backend"
	s.Rules = []split.Rule{
		{Match: split.Match{Methods: []string{"POST", "PUT"}, PathPrefix: "/admin"}, Backend: 1},
		{Match: split.Match{Headers: []split.Pattern{{Name: "User-Agent", Regexps: []*regexp.Regexp{regexp.MustCompile("^curl/")}}}}, Backend: 2},
		{Match: split.Match{Cookies: []split.Pattern{{Name: "beta", Exact: []string{"yes"}}}, ClientIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, Backend: 3},
		{Match: split.Match{QueryArgs: []split.Pattern{{Name: "v", Exact: []string{"2"}}}}, Backend: 4},
	}
	s.Session = &split.Session{
		Cookie: "traffic_split_1a2b3c4d", MaxAge: time.Hour, Path: "/", HTTPOnly: true, SameSite: "Lax",
		Secure: split.SecureAuto, Secrets: [][]byte{[]byte("a secret of some length")},
	}
	s.HashOn = []split.Key{{On: split.OnConsumer}, {On: split.OnIP}}
	s.Ramp = &split.Ramp{
		Backend: 15, To: 5000, Start: noon.Add(-time.Hour), Duration: 2 * time.Hour,
		Guard: &split.Guard{MaxErrorRatio: 1000, MinRequests: 20, Window: time.Minute},
	}
	return s, split.Facts{
		Now: noon, Method: "GET", Path: "/shop/cart", Query: "page=3&sort=price&v=1", HTTPS: true,
		Cookies:  "lang=en; theme=dark; beta=no; _ga=GA1.2.1234567890.1234567890",
		IP:       netip.MustParseAddr("203.0.113.7"),
		Headers:  []split.Header{{Name: "User-Agent", Value: "Mozilla/5.0 (X11; Linux x86_64)"}},
		Consumer: split.Consumer{ID: "0c7d1d4e-94b5-4b41-9a4c-1d3e7f1a2b3c", Username: "ann"},
	}
}

// parts are the ways to a decision of parts of everything, and of all of it.
func parts() map[string]func() (*split.Split, split.Facts) {
	part := func(take func(s, all *split.Split, f *split.Facts)) func() (*split.Split, split.Facts) {
		return func() (*split.Split, split.Facts) {
			all, f := everything()
			s := smooth()
			s.Backends, s.OnUnavailable = all.Backends, split.Redistribute
			take(s, all, &f)
			return s, f
		}
	}
	key := func(on split.KeyKind, name string) func() (*split.Split, split.Facts) {
		return part(func(s, _ *split.Split, f *split.Facts) {
			s.HashOn = []split.Key{{On: on, Name: name}}
			f.Captures = []split.Header{{Name: "tenant", Value: "blue"}}
		})
	}
	return map[string]func() (*split.Split, split.Facts){
		"weight":           part(func(_, _ *split.Split, _ *split.Facts) {}),
		"hash/consumer":    key(split.OnConsumer, ""),
		"hash/ip":          key(split.OnIP, ""),
		"hash/header":      key(split.OnHeader, "user-agent"),
		"hash/cookie":      key(split.OnCookie, "theme"),
		"hash/path":        key(split.OnPath, ""),
		"hash/query_arg":   key(split.OnQueryArg, "sort"),
		"hash/uri_capture": key(split.OnURICapture, "tenant"),
		"hash/absent":      key(split.OnHeader, "x-none"),
		"rules":            part(func(s, all *split.Split, _ *split.Facts) { s.Rules = all.Rules }),
		"rules/not": part(func(s, all *split.Split, _ *split.Facts) {
			s.Rules = []split.Rule{{Match: split.Match{Methods: []string{"GET"}}, Not: all.Rules[1].Match, Backend: 1}}
		}),
		"force": part(func(s, all *split.Split, f *split.Facts) {
			s.ForceHeader = all.ForceHeader
			f.Headers = append(f.Headers, split.Header{Name: "x-backend", Value: "9"})
		}),
		"ramp":         part(func(s, all *split.Split, _ *split.Facts) { s.Ramp = all.Ramp }),
		"redistribute": part(func(_, _ *split.Split, f *split.Facts) { f.Unhealthy = 1<<8 - 1 }),
		"redistribute/hash": part(func(s, all *split.Split, f *split.Facts) {
			s.HashOn, f.Unhealthy = all.HashOn, 1<<8-1
		}),
		"session/new": part(func(s, all *split.Split, _ *split.Facts) { s.Session = all.Session }),
		"session/valid": part(func(s, all *split.Split, f *split.Facts) {
			s.Session = all.Session
			pin(s, f)
		}),
		"everything": everything,
		"everything/valid": func() (*split.Split, split.Facts) {
			s, f := everything()
			pin(s, &f)
			return s, f
		},
	}
}

// pin adds the cookie that a decision sets.
func pin(s *split.Split, f *split.Facts) {
	d, err := split.Decide(s, split.NewState(s), f)
	if err != nil {
		panic(err)
	}
	pair, _, _ := strings.Cut(d.SetCookie, ";")
	f.Cookies += "; " + pair
}

func TestDecidePartsDoNotAllocate(t *testing.T) {
	for name, newCase := range parts() {
		s, f := newCase()
		if s.Session != nil {
			continue // of which there are a cookie and its code
		}
		st := split.NewState(s)
		if n := testing.AllocsPerRun(1000, func() { _, _ = split.Decide(s, st, &f) }); n != 0 {
			t.Errorf("%s: %v allocations a decision", name, n)
		}
	}
}

func BenchmarkParts(b *testing.B) {
	all := parts()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.Run(name, func(b *testing.B) {
			s, f := all[name]()
			st := split.NewState(s)
			warm(b, s, st, f)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := split.Decide(s, st, &f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
