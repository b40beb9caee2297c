package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin/split"
)

const everything = `{
	"backends": [
		{"name": "v1", "host": "a", "weight": 3, "health": {"active": {}, "passive": {}}},
		{"name": "v2", "host": "b", "health": {
			"active": {"path": "", "interval": 10.0, "timeout": 2.25, "healthy": 1, "unhealthy": 5},
			"passive": {"failures": 2, "ejection": 0.5}}},
		{"name": "v3", "host": "c", "health": {"active": {"path": "/healthz?full=1"}}},
		{"name": "v4", "upstream": "d"}],
	"hash_on": "header", "hash_on_header": "X-User", "hash_on_cookie": "unread", "hash_fallback": "cookie", "hash_fallback_cookie": "user",
	"session": {
		"cookie": "pinned", "max_age": 3.6e3, "renew": true, "path": "/shop", "domain": ".example.com", "secure": "always", "http_only": false,
		"same_site": "None", "secret": "{braces and spaces}", "previous_secret": "0123456789abcdef", "generation": 7, "$refs": {"secret": "{vault://env/s}"}},
	"rules": [
		{"match": {
			"headers": {"X-B": ["b"], "X-A": ["1", "~^[2-4]$", "~"]}, "cookies": {"c": ["~x"]}, "query_args": {"q=ä": ["1 2"]},
			"methods": ["GET", "PURGE"], "path_prefix": "/shop/%c3%a9%2f%7E", "consumers": ["anna", "7"],
			"client_ips": ["10.1.2.3/8", "10.0.0.1", "::ffff:10.0.0.2", "::ffff:10.0.0.0/104", "2001:db8::1/32"],
			"not": {"headers": {"X-A": ["2"], "X-C": ["~"]}, "cookies": {}, "path_prefix": "/%7Ea", "client_ips": ["10.0.0.3"]}},
		 "backend": "v2"},
		{"match": {"methods": ["POST"]}, "weights": {"v3": 1.0, "v1": 0}}],
	"force_header": "X-Backend",
	"ramp": {"backend": "v2", "from": 0.01, "to": 12.5, "start": "2026-01-31T18:00:00+01:00", "duration": 1.5, "steps": 10,
		"guard": {"max_error_ratio": 0.05, "min_requests": 100, "window": 30.5}}
}`

func TestEverythingThatDecides(t *testing.T) {
	got, err := FromKong([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Backends: []Backend{
			{Name: "v1", Host: "a", Port: 80, Weight: 3, Health: &Health{
				Active:  &Active{Path: "/", Interval: 5, Timeout: 1, Healthy: 2, Unhealthy: 3},
				Passive: &Passive{Failures: 5, Ejection: 30},
			}},
			{Name: "v2", Host: "b", Port: 80, Weight: 1, Health: &Health{
				Active:  &Active{Path: "", Interval: 10, Timeout: 2.25, Healthy: 1, Unhealthy: 5},
				Passive: &Passive{Failures: 2, Ejection: 0.5},
			}},
			{Name: "v3", Host: "c", Port: 80, Weight: 1, Health: &Health{
				Active: &Active{Path: "/healthz?full=1", Interval: 5, Timeout: 1, Healthy: 2, Unhealthy: 3},
			}},
			{Name: "v4", Upstream: "d", Weight: 1},
		},
		Algorithm: "smooth",
		HashOn:    "header", HashOnHeader: "X-User", HashOnCookie: "unread", HashFallback: "cookie", HashFallbackCookie: "user",
		Session: &Session{
			Cookie: "pinned", MaxAge: 3600, Renew: true, Path: "/shop", Domain: ".example.com", Secure: "always", SameSite: "None",
			Secret: "{braces and spaces}", PreviousSecret: "0123456789abcdef", Generation: 7,
		},
		Rules: []Rule{
			{
				Match: Match{Conditions: Conditions{
					Headers: map[string][]string{"X-A": {"1", "~^[2-4]$", "~"}, "X-B": {"b"}},
					Cookies: map[string][]string{"c": {"~x"}}, QueryArgs: map[string][]string{"q=ä": {"1 2"}},
					Methods: []string{"GET", "PURGE"}, PathPrefix: "/shop/%c3%a9%2f%7E", Consumers: []string{"anna", "7"},
					ClientIPs: []string{"10.1.2.3/8", "10.0.0.1", "::ffff:10.0.0.2", "::ffff:10.0.0.0/104", "2001:db8::1/32"},
				}, Not: &Conditions{
					Headers:    map[string][]string{"X-A": {"2"}, "X-C": {"~"}},
					PathPrefix: "/%7Ea", ClientIPs: []string{"10.0.0.3"},
				}},
				Backend: "v2",
			},
			{Match: Match{Conditions: Conditions{Methods: []string{"POST"}}}, Weights: map[string]int{"v1": 0, "v3": 1}},
		},
		ForceHeader: "X-Backend",
		Ramp: &Ramp{
			Backend: "v2", From: 0.01, To: new(12.5), Start: "2026-01-31T18:00:00+01:00", Duration: 1.5, Steps: 10,
			Guard: &Guard{MaxErrorRatio: 0.05, Quantile: 0.95, MinRequests: 100, Window: 30.5},
		},
		OnUnavailable: "fail",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// As Kong sends it: what it fills in changes nothing.
	filled, err := FromKong([]byte(strings.Replace(everything, `"passive": {}`, `"passive": {"failures": 5, "ejection": 30}`, 1)))
	if err != nil || cmp.Diff(got, filled) != "" {
		t.Errorf("%v, -want +got:\n%s", err, cmp.Diff(got, filled))
	}
}

func TestCompile(t *testing.T) {
	c, err := FromKong([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	got := c.Compile("shop")
	want := &split.Split{
		Backends: []split.Backend{
			{Name: "v1", Weight: 3, Destination: "a:80", Passive: &split.Passive{Failures: 5, Ejection: 30 * time.Second}},
			{Name: "v2", Weight: 1, Destination: "b:80", Passive: &split.Passive{Failures: 2, Ejection: 500 * time.Millisecond}},
			{Name: "v3", Weight: 1, Destination: "c:80"},
			{Name: "v4", Weight: 1, Destination: "upstream d"},
		},
		Algorithm: split.Smooth, OnUnavailable: split.Fail, Revision: got.Revision, Identity: "shop", ForceHeader: "X-Backend",
		Rules: []split.Rule{
			{
				Match: split.Match{
					Headers: []split.Pattern{
						{Name: "X-A", Exact: []string{"1"}, Regexps: []*regexp.Regexp{regexp.MustCompile("^[2-4]$"), regexp.MustCompile("")}},
						{Name: "X-B", Exact: []string{"b"}},
					},
					Cookies:    []split.Pattern{{Name: "c", Regexps: []*regexp.Regexp{regexp.MustCompile("x")}}},
					QueryArgs:  []split.Pattern{{Name: "q=ä", Exact: []string{"1 2"}}},
					Methods:    []string{"GET", "PURGE"},
					PathPrefix: "/shop/é%2F~",
					Consumers:  []string{"anna", "7"},
					ClientIPs: []netip.Prefix{
						netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.0.0.2/32"),
						netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"),
					},
				},
				Not: split.Match{
					Headers: []split.Pattern{
						{Name: "X-A", Exact: []string{"2"}},
						{Name: "X-C", Regexps: []*regexp.Regexp{regexp.MustCompile("")}},
					},
					PathPrefix: "/~a",
					ClientIPs:  []netip.Prefix{netip.MustParsePrefix("10.0.0.3/32")},
				},
				Backend: 1,
			},
			{Match: split.Match{Methods: []string{"POST"}}, Weights: []int{0, 0, 1, 0}},
		},
		Session: &split.Session{
			Cookie: "pinned", MaxAge: time.Hour, Renew: true, Path: "/shop", Domain: ".example.com", Secure: split.SecureAlways, SameSite: "None",
			Secrets: [][]byte{[]byte("{braces and spaces}"), []byte("0123456789abcdef")}, Generation: 7,
		},
		HashOn: []split.Key{{On: split.OnHeader, Name: "X-User"}, {On: split.OnCookie, Name: "user"}},
		Ramp: &split.Ramp{
			Backend: 1, From: 1, To: 1250, Start: time.Date(2026, 1, 31, 17, 0, 0, 0, time.UTC), Duration: 1500 * time.Millisecond, Steps: 10,
			Guard: &split.Guard{MaxErrorRatio: 500, Quantile: 9500, MinRequests: 100, Window: 30500 * time.Millisecond},
		},
	}
	options := cmp.Options{
		cmp.Comparer(func(a, b *regexp.Regexp) bool { return a.String() == b.String() }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(time.Time.Equal),
	}
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func mustCompile(t *testing.T, parameters, identity string) *split.Split {
	t.Helper()
	c, err := FromKong([]byte(withTwo(parameters)))
	if err != nil {
		t.Fatal(err)
	}
	return c.Compile(identity)
}

func TestHashKeys(t *testing.T) {
	for parameters, want := range map[string]string{
		`"hash_on": "none"`: `[]`,
		`"hash_on": "ip"`:   `[{ip }]`,
		`"hash_on": "consumer", "hash_fallback": "path"`:                               `[{consumer } {path }]`,
		`"hash_on": "query_arg", "hash_on_query_arg": "q", "hash_fallback": "none"`:    `[{query_arg q}]`,
		`"hash_on": "uri_capture", "hash_on_uri_capture": "id", "hash_on_header": "A"`: `[{uri_capture id}]`,
	} {
		if got := fmt.Sprint(mustCompile(t, parameters, "x").HashOn); got != want {
			t.Errorf("%s: got %s, want %s", parameters, got, want)
		}
	}
}

// Splits on one host have cookies of their own, the same in every revision.
func TestSessionCookieOfASplit(t *testing.T) {
	one := mustCompile(t, inSession(`"max_age": 1`), "one").Session.Cookie
	again := mustCompile(t, inSession(`"max_age": 2`), "one").Session.Cookie
	other := mustCompile(t, inSession(`"max_age": 1`), "other").Session.Cookie
	if one != again || one == other || !regexp.MustCompile(`^traffic_split_[0-9a-f]{8}$`).MatchString(one) {
		t.Errorf("got %s, %s and %s", one, again, other)
	}
}

// A revision is shown, so it says nothing of secrets; nor does anything that is
// printed.
func TestSecretsStaySecret(t *testing.T) {
	const secret, other = "correct horse battery", "incorrect horse battery"
	with := func(secret string) *Config {
		t.Helper()
		c, err := FromKong([]byte(withTwo(`"session": {"secret": "` + secret + `", "previous_secret": "a ` + secret + `"}`)))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := with(secret)
	if a, b := c.Compile("x").Revision, with(other).Compile("x").Revision; a != b {
		t.Errorf("revisions %s and %s", a, b)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%s %v %+v %#v %s", text, c.Session, *c.Session, *c.Session, c.Session.Secret)
	if strings.Contains(shown, "horse") {
		t.Errorf("the secret is in %s", shown)
	}

	for _, session := range []string{
		`"session": "horse"`, `"session": ["horse"]`, `"session": {"secret": "horse"}`, `"session": {"secret": ["horse"]}`, `"session": {"secret": {"horse": 1}}`,
		`"session": {"secert": "horse"}`, `"session": {"secret": "{vault://horse}"}`, `"session": {"secret": "` + strings.Repeat("horse", 300) + `"}`,
		`"session": {"secret": "horse horse horse", "previous_secret": "horse horse horse"}`, `"session": {"secret": "horse", "secret": "horse"}`,
	} {
		if _, err := FromKong([]byte(withTwo(session))); err == nil || strings.Contains(err.Error(), "horse") {
			t.Errorf("%s: %v", session, err)
		}
	}
}

func TestNeedsHTTP(t *testing.T) {
	for parameters, want := range map[string]string{
		`"algorithm": "random", "hash_on": "ip", "on_unavailable": "fallback", "fallback": "v1", "hash_on_header": "A"`: ``,
		`"log_decision": false, "rules": []`: ``,
		inRamp(`"duration": 60`):             ``,
		inHealth(`{"active": {}}`):           ``,
		`"backends": [{"upstream": "a", "name": "b", "weight": 3, "request_headers": {"set": {}}}]`:                                 ``,
		`"backends": [{"host": "a"}, {"host": "b", "protocol": "https", "path": "/x", "host_header": "c"}]`:                         `backends[1].protocol, backends[1].path, backends[1].host_header`,
		`"backends": [{"host": "a", "request_headers": {"remove": ["x"]}}, {"host": "b", "response_headers": {"add": {"x": "y"}}}]`: `backends[0].request_headers, backends[1].response_headers`,
		inHealth(`{"passive": {}}`):                                                            `backends[0].health.passive`,
		`"hash_on": "path", "hash_fallback": "ip"`:                                             `hash_on`,
		`"hash_on": "ip", "hash_fallback": "path"`:                                             `hash_fallback`,
		inSession(`"max_age": 1`):                                                              `session`,
		inMatch(`{"client_ips": ["10.0.0.1"]}`):                                                `rules`,
		`"force_header": "A", "response_header": "B"`:                                          `force_header, response_header`,
		inRamp(`"duration": 60, "guard": {"max_error_ratio": 0.1}`) + `, "log_decision": true`: `ramp.guard, log_decision`,
	} {
		c, err := FromKong([]byte(withTwo(parameters)))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.NeedsHTTP(); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", parameters, got, want)
		}
	}
	c, err := FromKong([]byte(`{"split": "shop", "log_decision": true}`))
	if err != nil || c.NeedsHTTP() != "" {
		t.Errorf("a row that refers to a split file: %v, %q", err, c.NeedsHTTP())
	}
}

func TestNormalPath(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/a b": "/a b", "/%41%5a": "/AZ", "/%2f%3F%25": "/%2F%3F%25", "/%c3%a9": "/é", "/%": "/%", "/%4": "/%4", "/%zz%41": "/%zzA", "/100%25": "/100%25",
	} {
		if got := NormalPath(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}
