package main

import (
	"net/netip"
	"regexp"
	"time"

	"github.com/Kong/go-pdk/bridge"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/plugin/split"
)

// A read is a call that asks Kong for something, and the fact that it makes of the
// reply.
type read struct {
	call
	take func(f *split.Facts, reply string)
}

// reads are what a split with everything asks for, those first that one with a
// cookie, a header and an argument in its rules needs.
var reads = []read{
	readOf("kong.request.get_header", "cookie", func(f *split.Facts, reply string) { f.Cookies = reply }),
	readOf("kong.request.get_header", "x-canary", takeHeader("x-canary")),
	readOf("kong.request.get_raw_query", "", func(f *split.Facts, reply string) { f.Query = reply }),
	readOf("kong.request.get_header", "x-backend", takeHeader("x-backend")),
	readOf("kong.request.get_method", "", func(f *split.Facts, reply string) { f.Method = reply }),
	readOf("kong.request.get_path", "", func(f *split.Facts, reply string) { f.Path = reply }),
	readOf("kong.request.get_forwarded_scheme", "", func(f *split.Facts, reply string) { f.HTTPS = reply == "https" }),
	readOf("kong.client.get_forwarded_ip", "", func(f *split.Facts, reply string) { f.IP, _ = netip.ParseAddr(reply) }),
	readOf("kong.request.get_header", "host", func(*split.Facts, string) {}),
	readOf("kong.nginx.get_var", "upstream_uri", func(*split.Facts, string) {}),
}

func readOf(method, arg string, take func(*split.Facts, string)) read {
	var args proto.Message
	if arg != "" {
		args = bridge.WrapString(arg)
	}
	return read{call{method, args}, take}
}

func takeHeader(name string) func(*split.Facts, string) {
	return func(f *split.Facts, reply string) {
		f.Headers = append(f.Headers, split.Header{Name: name, Value: reply})
	}
}

// everything is a split in which each part has a say, and none decides before the
// last: the client has neither forced a backend nor a session, no rule holds, and
// its address is the key. So it gets a cookie.
func everything() *split.Split {
	pattern := func(name, value string) []split.Pattern { return []split.Pattern{{Name: name, Exact: []string{value}}} }
	return &split.Split{
		Backends:    backends(),
		Algorithm:   split.Smooth,
		Identity:    "bench",
		ForceHeader: "x-backend",
		Rules: []split.Rule{
			{Match: split.Match{Headers: pattern("x-canary", "yes"), Methods: []string{"GET"}}, Backend: 1},
			{Match: split.Match{Cookies: []split.Pattern{{Name: "theme", Regexps: []*regexp.Regexp{regexp.MustCompile("^canary-[0-9]+$")}}}}, Backend: 1},
			{Match: split.Match{QueryArgs: pattern("sort", "canary"), PathPrefix: "/orders"}, Backend: 1},
			{Match: split.Match{ClientIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, Backend: 1},
		},
		Session: &split.Session{
			Cookie: "session", Path: "/", Secure: split.SecureAuto, HTTPOnly: true, SameSite: "Lax",
			Secrets: [][]byte{[]byte("of the bench alone")},
		},
		HashOn: []split.Key{{On: split.OnIP}},
		Ramp: &split.Ramp{
			Backend: 1, From: 0, To: 10000, Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Duration: 100 * 365 * 24 * time.Hour,
		},
	}
}

func backends() []split.Backend {
	return []split.Backend{{Name: "stable", Weight: 9}, {Name: "canary", Weight: 1}}
}
