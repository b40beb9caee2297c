package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// two are the backends of a configuration that says nothing of them.
const two = `"backends": [{"host": "a", "name": "v1"}, {"host": "b", "name": "v2"}]`

// withTwo is a configuration with these parameters.
func withTwo(parameters string) string {
	if !strings.Contains(parameters, `"backends"`) {
		parameters = two + ", " + parameters
	}
	return "{" + parameters + "}"
}

// inHealth are backends with that under health.
func inHealth(health string) string {
	return `"backends": [{"host": "a", "health": ` + health + `}]`
}

// inSession is a session with these parameters and a secret.
func inSession(parameters string) string {
	return `"session": {"secret": "0123456789abcdef", ` + parameters + `}`
}

// inMatch is a rule with that as its match.
func inMatch(match string) string {
	return `"rules": [{"backend": "v1", "match": ` + match + `}]`
}

// inRamp is a ramp with these parameters, its start and its backend.
func inRamp(parameters string) string {
	return `"ramp": {"backend": "v2", "start": "2026-01-31T18:00:00Z", ` + parameters + `}`
}

// What decides between backends, wrong, and what is said of it: of a row of Kong
// and of an entry of a split file alike.
func TestProblemsOfWhatDecides(t *testing.T) {
	tests := []struct {
		parameters string
		want       string // one problem a line
	}{
		// hash_on, hash_fallback
		{`"hash_on": "heder"`, `hash_on: "heder" is not one of none, consumer, ip, header, cookie, path, query_arg, uri_capture; did you mean "header"?`},
		{`"hash_on": "header"`, `hash_on_header: is required where hash_on is "header"`},
		{`"hash_on": "header", "hash_on_header": null`, `hash_on_header: is required where hash_on is "header"`},
		{`"hash_on": "cookie", "hash_on_header": "X-A"`, `hash_on_cookie: is required where hash_on is "cookie"`},
		{`"hash_on": "query_arg"`, `hash_on_query_arg: is required where hash_on is "query_arg"`},
		{`"hash_on": "uri_capture"`, `hash_on_uri_capture: is required where hash_on is "uri_capture"`},
		{`"hash_on": "ip", "hash_fallback": "header"`, `hash_fallback_header: is required where hash_fallback is "header"`},
		{`"hash_on": "ip", "hash_fallback": "cookie", "hash_on_cookie": "a"`, `hash_fallback_cookie: is required where hash_fallback is "cookie"`},
		{`"hash_on": "ip", "hash_fallback": "query_arg"`, `hash_fallback_query_arg: is required where hash_fallback is "query_arg"`},
		{`"hash_on": "ip", "hash_fallback": "uri_capture"`, `hash_fallback_uri_capture: is required where hash_fallback is "uri_capture"`},
		{`"hash_fallback": "ip"`, `hash_fallback: needs hash_on: it is for requests that lack what hash_on says`},
		{`"hash_on": "none", "hash_fallback": "ip"`, `hash_fallback: needs hash_on: it is for requests that lack what hash_on says`},
		{`"hash_on": "ip", "hash_fallback": "ip"`, `hash_fallback: is the same as hash_on; choose another, or leave it out`},
		{`"hash_on": "consumer", "hash_fallback": "consumer"`, `hash_fallback: is the same as hash_on; choose another, or leave it out`},
		{`"hash_on": "path", "hash_fallback": "path"`, `hash_fallback: is the same as hash_on; choose another, or leave it out`},
		{`"hash_on": "header", "hash_on_header": "A", "hash_fallback": "header", "hash_fallback_header": "A"`, `hash_fallback_header: is the same as hash_on_header; choose another`},
		{`"hash_on": "header", "hash_on_header": "A", "hash_fallback": "header", "hash_fallback_header": "a"`, `hash_fallback_header: is the same as hash_on_header; choose another`},
		{`"hash_on": "cookie", "hash_on_cookie": "A", "hash_fallback": "cookie", "hash_fallback_cookie": "A"`, `hash_fallback_cookie: is the same as hash_on_cookie; choose another`},
		{`"hash_on_header": "X A"`, "hash_on_header: \"X A\" must be the name of a header: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"},
		{`"hash_fallback_cookie": "a;b"`, "hash_fallback_cookie: \"a;b\" must be the name of a cookie: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"},
		{`"hash_on_uri_capture": "1"`, `hash_on_uri_capture: "1" must be the name of a group in the route's path, as in (?<name>...): letters, digits and _`},
		{`"hash_on": "ip", "backends": [{"host": "a", "weight": 0}, {"host": "b", "weight": 0}]`, `hash_on: needs a backend with a weight above 0`},

		// session
		{`"session": {}`, `session.secret: is required: the key that signs the cookie, 16 characters at least. Whoever knows it can choose a backend. In Kong it may be a reference to a vault. The same on all nodes`},
		{`"session": true`, `session: expected a map, not true; for example {secret: 16 characters or more}`},
		{`"session": "0123456789abcdef"`, `session: expected a map, not a string; for example {secret: 16 characters or more}`},
		{`"session": {"secert": "0123456789abcdef"}`, "session: an unknown key, which is not shown, as it may hold a secret; did you mean \"secret\"?\nsession.secret: is required: the key that signs the cookie, 16 characters at least. Whoever knows it can choose a backend. In Kong it may be a reference to a vault. The same on all nodes"},
		{`"session": {"secret": "0123456789abcde"}`, `session.secret: is too short; at least 16 characters are needed`},
		{`"session": {"secret": "öööööööö"}`, `session.secret: is too short; at least 16 characters are needed`},
		{`"session": {"secret": "` + strings.Repeat("x", 1025) + `"}`, `session.secret: is 1025 bytes long; at most 1024 are allowed`},
		{`"session": {"secret": 12345678901234567}`, `session.secret: expected a string, not a number; write it in quotes`},
		{`"session": {"secret": ["0123456789abcdef"]}`, `session.secret: expected a string, not an array`},
		{`"session": {"secret": "{vault://env/secret}"}`, `session.secret: is a reference to a vault, which Kong resolves in its own configuration only; write the secret itself`},
		{inSession(`"previous_secret": "short"`), `session.previous_secret: is too short; at least 16 characters are needed`},
		{inSession(`"previous_secret": "0123456789abcdef"`), `session.previous_secret: is the same as secret; leave it out, or give the one from before`},
		{inSession(`"cookie": "a b"`), "session.cookie: \"a b\" must be the name of a cookie: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"},
		{inSession(`"cookie": "c"`) + `, "hash_on": "cookie", "hash_on_cookie": "c"`, `session.cookie: "c" is the cookie that hash_on hashes, in whose place the session's would come; choose another`},
		{inSession(`"cookie": "c"`) + `, "hash_on": "ip", "hash_fallback": "cookie", "hash_fallback_cookie": "c"`, `session.cookie: "c" is the cookie that hash_fallback hashes, in whose place the session's would come; choose another`},
		{inSession(`"cookie": ""`), `session.cookie: is an empty string; give it a value or leave it out`},
		{inSession(`"name": "a"`), `session: unknown key "name"; the cookie's name goes into cookie`},
		{inSession(`"max_age": -1`), `session.max_age: -1 is not in 0..34560000`},
		{inSession(`"renew": true`), `session.max_age: has to be above 0 where sessions are renewed: say how many seconds one lasts without a visit, or leave renew out`},
		{inSession(`"renew": true, "max_age": 0`), `session.max_age: has to be above 0 where sessions are renewed: say how many seconds one lasts without a visit, or leave renew out`},
		{inSession(`"renew": true, "max_age": null`), `session.max_age: has to be above 0 where sessions are renewed: say how many seconds one lasts without a visit, or leave renew out`},
		{inSession(`"renew": true, "max_age": "60"`), `session.max_age: expected an integer, not a string; write it without quotes`},
		{inSession(`"renew": true, "max_age": -1`), `session.max_age: -1 is not in 0..34560000`},
		{inSession(`"renew": "yes"`), `session.renew: expected true or false, not a string; write true without quotes`},
		{inSession(`"max_age": 1.5`), `session.max_age: expected an integer, not 1.5`},
		{inSession(`"path": "shop"`), `session.path: "shop" must start with /`},
		{inSession(`"path": "/; Secure"`), `session.path: "/; Secure" must not have ; or control characters in it`},
		{inSession(`"path": "/\r\nX: y"`), `session.path: "/\r\nX: y" must not have ; or control characters in it`},
		{inSession(`"domain": "a; b"`), `session.domain: "a; b" must be a domain: letters, digits, . and -`},
		{inSession(`"domain": "a\n"`), `session.domain: "a\n" must be a domain: letters, digits, . and -`},
		{inSession(`"domain": "localhost"`), `session.domain: "localhost" must have a dot in it: browsers drop a cookie of a whole top-level domain; leave it out for the host alone`},
		{inSession(`"domain": ".com"`), `session.domain: ".com" must have a dot in it: browsers drop a cookie of a whole top-level domain; leave it out for the host alone`},
		{inSession(`"domain": "example.com."`), `session.domain: "example.com." must not end with a dot`},
		{inSession(`"domain": "127.0.0.1"`), `session.domain: "127.0.0.1" must be a domain and no address: leave it out for the host alone`},
		{inSession(`"domain": "[::1]"`), `session.domain: "[::1]" must be a domain: letters, digits, . and -`},
		{inSession(`"domain": "example.com:80"`), `session.domain: "example.com:80" must be a domain: letters, digits, . and -`},
		{inSession(`"domain": "a..example.com"`), `session.domain: "a..example.com" must be a domain: letters, digits, . and -`},
		{inSession(`"domain": "a-.example.com"`), `session.domain: "a-.example.com" must be a domain: letters, digits, . and -`},
		{inSession(`"domain": ".-a.example.com"`), `session.domain: ".-a.example.com" must be a domain: letters, digits, . and -`},
		{inSession(`"cookie": "__Host-a", "path": "/shop"`), `session.path: must be "/" where the cookie's name begins with __Host-: browsers drop others`},
		{inSession(`"cookie": "__host-a", "domain": "example.com"`), `session.domain: does not go with a cookie whose name begins with __Host-, which is the host's alone: leave it out`},
		{inSession(`"cookie": "__HOST-a", "secure": "never"`), `session.secure: must not be "never" where the cookie's name begins with __Host-: browsers drop such a cookie`},
		{inSession(`"cookie": "__Secure-a", "secure": "never"`), `session.secure: must not be "never" where the cookie's name begins with __Secure-: browsers drop such a cookie`},
		{inSession(`"secure": "yes"`), `session.secure: "yes" is not one of auto, always, never`},
		{inSession(`"secure": true`), `session.secure: expected a string, not true; write it in quotes`},
		{inSession(`"same_site": "lax"`), `session.same_site: "lax" is not one of Lax, Strict, None; did you mean "Lax"?`},
		{inSession(`"same_site": "None", "secure": "never"`), `session.secure: must not be "never" where same_site is "None": browsers drop such a cookie`},
		{inSession(`"http_only": "no"`), `session.http_only: expected true or false, not a string; write false without quotes`},
		{inSession(`"generation": -1`), `session.generation: -1 is not in 0..1000000000`},

		// rules
		{`"rules": {"a": 1}`, `rules: expected an array, not a map; for example [{match: {headers: {X-Beta: ["1"]}}, backend: canary}]`},
		{`"rules": [{"backend": "v1"}]`, `rules[0].match: is required: conditions on the request, all of which have to hold`},
		{inMatch(`{}`), `rules[0].match: has none of headers, cookies, query_args, methods, path_prefix, consumers, client_ips, not; it needs one`},
		{inMatch(`{"headers": {}, "methods": []}`), `rules[0].match: has none of headers, cookies, query_args, methods, path_prefix, consumers, client_ips, not; it needs one`},
		{inMatch(`{"header": {"X-A": ["1"]}}`), `rules[0].match: unknown key "header"; did you mean "headers"?`},
		{inMatch(`{"path": "/x"}`), `rules[0].match: unknown key "path"; the beginning of the path goes into path_prefix`},
		{`"rules": [{"match": {"methods": ["GET"]}}]`, `rules[0]: has none of backend, weights; it needs one`},
		{`"rules": [{"match": {"methods": ["GET"]}, "backend": "v1", "weights": {"v2": 1}}]`, `rules[0]: has backend and weights; keep one of them`},
		{`"rules": [{"match": {"methods": ["GET"]}, "backend": "v1"}, {"match": {"methods": ["GET"]}, "backend": "v3"}]`, `rules[1].backend: "v3" is not the name of a backend; did you mean "v1"?`},
		{`"rules": [{"match": {"methods": ["GET"]}, "backend": "stable"}]`, `rules[0].backend: "stable" is not the name of a backend; the backends are v1, v2`},
		{`"rules": [{"match": {"methods": ["GET"]}, "weights": {"v1": 1, "canary": 1}}]`, `rules[0].weights.canary: "canary" is not the name of a backend; the backends are v1, v2`},
		{`"rules": [{"match": {"methods": ["GET"]}, "weights": {"v1": 1, "a b": 1}}]`, `rules[0].weights["a b"]: "a b" must consist of letters, digits and . _ - : [ ]`},
		{`"rules": [{"match": {"methods": ["GET"]}, "weights": {"v1": 0, "v2": 0}}]`, `rules[0].weights: are all 0; one has to be more`},
		{`"rules": [{"match": {"methods": ["GET"]}, "weights": {}}]`, "rules[0].weights: has no keys; at least 1 is needed\nrules[0]: has none of backend, weights; it needs one"},
		{`"rules": [{"match": {"methods": ["GET"]}, "weights": {"v1": 1.5, "v2": 1}}]`, `rules[0].weights.v1: expected an integer, not 1.5; weights are relative: 3 and 2 share as 1.5 and 1 do`},
		{`"rules": [{"match": {"methods": ["GET"]}, "weights": {"v1": -1, "v2": 1}}]`, `rules[0].weights.v1: -1 is not in 0..1000000`},

		// rules[].match
		{inMatch(`{"headers": {"X A": ["1"]}}`), "rules[0].match.headers[\"X A\"]: \"X A\" must be the name of a header: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"},
		{inMatch(`{"headers": {"X-A": ["1"], "x-a": ["2"]}}`), `rules[0].match.headers.x-a: is the same header as "X-A"; keep one`},
		{inMatch(`{"headers": {"X-A": "1"}}`), `rules[0].match.headers.X-A: expected an array, not the string "1"; write ["1"]`},
		{inMatch(`{"headers": {"X-A": []}}`), `rules[0].match.headers.X-A: has no elements; at least 1 is needed`},
		{inMatch(`{"headers": {"X-A": ["1", 2]}}`), `rules[0].match.headers.X-A[1]: expected a string, not 2; write it in quotes`},
		{inMatch(`{"headers": {"X-A": [""]}}`), `rules[0].match.headers.X-A[0]: is an empty string; give it a value or leave it out`},
		{inMatch(`{"headers": {"X-A": ["a", "~a("]}}`), `rules[0].match.headers.X-A[1]: "~a(" is not a regular expression (RE2) behind the ~: missing closing ): "a("`},
		{inMatch(`{"cookies": {"a": ["~[z-a]"]}}`), `rules[0].match.cookies.a[0]: "~[z-a]" is not a regular expression (RE2) behind the ~: invalid character class range: "z-a"`},
		{inMatch(`{"query_args": {"a": ["~(?=x)"]}}`), `rules[0].match.query_args.a[0]: "~(?=x)" is not a regular expression (RE2) behind the ~: invalid or unsupported Perl syntax: "(?="`},
		{inMatch(`{"query_args": {"a": ["~((a{100}){100}){100}"]}}`), `rules[0].match.query_args.a[0]: "~((a{100}){100}){100}" is not a regular expression (RE2) behind the ~: invalid repeat count: "{100}"`},
		{inMatch(`{"query_args": {"": ["1"]}}`), `rules[0].match.query_args[""]: is an empty string; give it a value or leave it out`},
		{inMatch(`{"cookies": {"a=b": ["1"]}}`), "rules[0].match.cookies[\"a=b\"]: \"a=b\" must be the name of a cookie: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"},
		{inMatch(`{"methods": ["GET", "post"]}`), `rules[0].match.methods[1]: "post" must be an HTTP method in upper case, such as GET`},
		{inMatch(`{"path_prefix": "shop"}`), `rules[0].match.path_prefix: "shop" must start with /`},
		{inMatch(`{"path_prefix": "/a?b"}`), `rules[0].match.path_prefix: "/a?b" must not have a query in it`},
		{inMatch(`{"path_prefix": "/a//b"}`), `rules[0].match.path_prefix: "/a//b" must not have // in it, as Kong merges slashes`},
		{inMatch(`{"path_prefix": "/a/../b"}`), `rules[0].match.path_prefix: "/a/../b" must not have . or .. between slashes, as Kong resolves them`},
		{inMatch(`{"path_prefix": "/a/%2e/b"}`), `rules[0].match.path_prefix: "/a/%2e/b" must not have . or .. between slashes, as Kong resolves them`},
		{inMatch(`{"path_prefix": "/%4"}`), `rules[0].match.path_prefix: "/%4" must have two hexadecimal digits behind each %`},
		{inMatch(`{"consumers": [""]}`), `rules[0].match.consumers[0]: is an empty string; give it a value or leave it out`},
		{inMatch(`{"client_ips": ["10.0.0.0/33"]}`), `rules[0].match.client_ips[0]: "10.0.0.0/33" must be an address or a network, such as 10.0.0.1 or 10.0.0.0/8`},
		{inMatch(`{"client_ips": ["10.0.0.256"]}`), `rules[0].match.client_ips[0]: "10.0.0.256" must be an address or a network, such as 10.0.0.1 or 10.0.0.0/8`},
		{inMatch(`{"client_ips": ["fe80::1%eth0"]}`), `rules[0].match.client_ips[0]: "fe80::1%eth0" must be an address or a network, such as 10.0.0.1 or 10.0.0.0/8`},

		// rules[].match.not
		{inMatch(`{"not": {}}`), "rules[0].match.not: has none of headers, cookies, query_args, methods, path_prefix, consumers, client_ips; it needs one\nrules[0].match: has none of headers, cookies, query_args, methods, path_prefix, consumers, client_ips, not; it needs one"},
		{inMatch(`{"not": {"header": {"X-A": ["1"]}}}`), `rules[0].match.not: unknown key "header"; did you mean "headers"?`},
		{inMatch(`{"not": {"path": "/x"}}`), `rules[0].match.not: unknown key "path"; the beginning of the path goes into path_prefix`},
		{inMatch(`{"not": {"not": {"methods": ["GET"]}}}`), `rules[0].match.not: unknown key "not"; what has to hold goes beside the first not`},
		{inMatch(`{"not": ["GET"]}`), `rules[0].match.not: expected a map, not an array; for example {headers: {X-Beta: ["~"]}}`},
		{inMatch(`{"not": {"headers": {"X-A": ["1"], "x-a": ["2"]}}}`), `rules[0].match.not.headers.x-a: is the same header as "X-A"; keep one`},
		{inMatch(`{"not": {"headers": {"X-A": []}}}`), `rules[0].match.not.headers.X-A: has no elements; at least 1 is needed`},
		{inMatch(`{"not": {"cookies": {"a": ["~[z-a]"]}}}`), `rules[0].match.not.cookies.a[0]: "~[z-a]" is not a regular expression (RE2) behind the ~: invalid character class range: "z-a"`},
		{inMatch(`{"not": {"client_ips": ["10.0.0.256"]}}`), `rules[0].match.not.client_ips[0]: "10.0.0.256" must be an address or a network, such as 10.0.0.1 or 10.0.0.0/8`},

		// force_header
		{`"force_header": "X Backend"`, "force_header: \"X Backend\" must be the name of a header: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"},

		// ramp
		{`"ramp": {"start": "2026-01-31T18:00:00Z", "duration": 60}`, `ramp.backend: is required: the name of the backend whose share changes. Its own weight is ignored while there is a ramp`},
		{`"ramp": {"backend": "v1", "duration": 60}`, `ramp.start: is required: when it begins, as in RFC 3339: 2026-01-31T18:00:00Z, or with an offset`},
		{inRamp(`"to": 50`), `ramp: has none of duration, plan; it needs one`},
		{`"ramp": {"backend": "v3", "start": "2026-01-31T18:00:00Z", "duration": 60}`, `ramp.backend: "v3" is not the name of a backend; did you mean "v1"?`},
		{inRamp(`"duration": 60, "form": 1`), `ramp: unknown key "form"; did you mean "from"?`},
		{inRamp(`"duration": 60, "to": "half"`), `ramp.to: expected a number, not the string "half"`},
		{`"backends": [{"host": "a", "name": "v1", "weight": 0}, {"host": "b", "name": "v2"}], ` + inRamp(`"duration": 60`), `ramp: needs another backend with a weight above 0, for the rest of the requests`},
		{`"backends": [{"host": "b", "name": "v2"}], ` + inRamp(`"duration": 60`), `ramp: needs another backend with a weight above 0, for the rest of the requests`},
		{inRamp(`"duration": 0`), `ramp.duration: 0 is not in 0.001..31536000`},
		{inRamp(`"duration": -1e400`), `ramp.duration: -1e400 is not in 0.001..31536000`},
		{inRamp(`"duration": 1.0005`), `ramp.duration: 1.0005 has more than 3 decimals`},
		{inRamp(`"duration": "60"`), `ramp.duration: expected a number, not the string "60"; write it without quotes`},
		{inRamp(`"duration": 60, "from": -1`), `ramp.from: -1 is not in 0..100`},
		{inRamp(`"duration": 60, "to": 100.01`), `ramp.to: 100.01 is not in 0..100`},
		{inRamp(`"duration": 60, "to": 0.125`), `ramp.to: 0.125 has more than 2 decimals`},
		{inRamp(`"duration": 60, "from": 5, "to": 5.00`), `ramp.to: is the same as from, so that nothing would change`},
		{inRamp(`"duration": 60, "from": 50, "to": 5, "guard": {"max_error_ratio": 0.05}`), `ramp.guard: goes with a share that grows: leave it out, or swap from and to`},
		{inRamp(`"duration": 60, "from": 1e2`), `ramp.to: is the same as from, so that nothing would change`},
		{inRamp(`"duration": 60, "steps": 10001`), `ramp.steps: 10001 is not in 0..10000`},
		{`"ramp": {"backend": "v2", "start": "2026-01-31", "duration": 60}`, `ramp.start: "2026-01-31" must be a time as in RFC 3339, such as 2026-01-31T18:00:00Z or 2026-01-31T18:00:00+01:00`},
		{`"ramp": {"backend": "v2", "start": "2026-01-31T18:00:00", "duration": 60}`, `ramp.start: "2026-01-31T18:00:00" must be a time as in RFC 3339, such as 2026-01-31T18:00:00Z or 2026-01-31T18:00:00+01:00`},
		{`"ramp": {"backend": "v2", "start": "2026-02-31T18:00:00Z", "duration": 60}`, `ramp.start: "2026-02-31T18:00:00Z" must be a time as in RFC 3339, such as 2026-01-31T18:00:00Z or 2026-01-31T18:00:00+01:00`},
		{inRamp(`"duration": 60, "guard": {}`), `ramp.guard: has none of max_error_ratio, max_error_excess, max_latency; it needs one`},
		{inRamp(`"duration": 60, "guard": {"max_error_ratio": 0}`), `ramp.guard.max_error_ratio: 0 is not in 0.0001..0.9999; 0.05 is 5 %`},
		{inRamp(`"duration": 60, "guard": {"max_error_ratio": 1}`), `ramp.guard.max_error_ratio: 1 is not in 0.0001..0.9999; 0.01 is 1 %`},
		{inRamp(`"duration": 60, "guard": {"max_error_ratio": 0.1, "min_requests": 0}`), `ramp.guard.min_requests: 0 is not in 1..1000000`},
		{inRamp(`"duration": 60, "guard": {"max_error_ratio": 0.1, "window": 0}`), `ramp.guard.window: 0 is not in 1..86400`},
		{inRamp(`"duration": 60, "guard": {"max_error_excess": 5}`), `ramp.guard.max_error_excess: 5 is not in 0.0001..0.9999; 0.05 is 5 %`},
		{inRamp(`"duration": 60, "guard": {"max_latency": 3601}`), `ramp.guard.max_latency: 3601 is not in 0.001..3600`},
		{inRamp(`"duration": 60, "guard": {"max_latency": 1, "quantile": 95}`), `ramp.guard.quantile: 95 is not in 0.01..0.9999; 0.95 is 95 %`},
		{inRamp(`"duration": 60, "guard": {"quantile": 0.9}`), `ramp.guard: has none of max_error_ratio, max_error_excess, max_latency; it needs one`},
		{inRamp(`"duration": 60, "hold": 100.5`), `ramp.hold: 100.5 is not in 0..100`},
		{inRamp(`"duration": 60, "hold": "5%"`), `ramp.hold: expected a number, not the string "5%"; write 5`},

		// A plan.
		{inRamp(`"plan": []`), "ramp.plan: has no elements; at least 1 is needed\nramp: has none of duration, plan; it needs one"},
		{inRamp(`"plan": 5`), `ramp.plan: expected an array, not 5; for example [{share: 5, for: 600}, {share: 25}, {share: 100}]`},
		{inRamp(`"plan": [{"for": 60}]`), `ramp.plan[0].share: is required: the share of this step, in percent`},
		{inRamp(`"plan": [{"share": 5, "for": 0}]`), `ramp.plan[0].for: 0 is not in 0.001..31536000`},
		{inRamp(`"plan": [{"share": 5, "for": "10m"}, {"share": 100}]`), `ramp.plan[0].for: expected a number, not the string "10m"; it is in seconds: 600`},
		{inRamp(`"plan": [{"share": 5, "duration": 60}]`), `ramp.plan[0]: unknown key "duration"; seconds until the next step go into for`},
		{inRamp(`"plan": [{"share": 5, "weight": 60}]`), `ramp.plan[0]: unknown key "weight"; the percentage of this step goes into share`},
		{inRamp(`"plan": [{"share": 5}], "duration": 60`), `ramp: has duration and plan; keep one of them`},
		{inRamp(`"plan": [{"share": 5}], "to": 50`), `ramp.to: does not go with plan, whose last step has the share of the end: leave it out`},
		{inRamp(`"plan": [{"share": 5}], "steps": 0`), `ramp.steps: does not go with plan, which has steps of its own: leave it out`},
		{inRamp(`"plan": [` + strings.Repeat(`{"share": 5}, `, 100) + `{"share": 6}]`), `ramp.plan: has 101 elements; at most 100 are allowed`},
		{inRamp(`"from": 50, "plan": [{"share": 60}, {"share": 5}], "guard": {"max_error_ratio": 0.05}`), `ramp.guard: goes with a share that grows: leave it out, or end the plan at the share of from or above`},
		{inRamp(`"duration": 60, "guard": {"max_error_ratio": 0.05, "wait": true}`), `ramp.guard.wait: needs steps to wait between, and this ramp is continuous: set steps, or a plan`},

		// backends[].health
		{`"backends": [{"upstream": "a", "health": {"active": {"path": "/"}}}]`, `backends[0].health: goes with host only; an Upstream has health checks of its own`},
		{`"backends": [{"upstream": "a", "health": {}}]`, `backends[0].health: goes with host only; an Upstream has health checks of its own`},
		{inHealth(`{"activ": {}}`), `backends[0].health: unknown key "activ"; did you mean "active"?`},
		{inHealth(`{"active": {"path": "healthz"}}`), `backends[0].health.active.path: "healthz" must start with /`},
		{inHealth(`{"active": {"path": "/a b"}}`), `backends[0].health.active.path: "/a b" must have other characters than letters, digits and - . _ ~ ! $ & ' ( ) * + , ; = : @ / ? as %XX`},
		{inHealth(`{"active": {"path": "/%"}}`), `backends[0].health.active.path: "/%" must have two hexadecimal digits behind each %`},
		{inHealth(`{"active": {"interval": 0}}`), `backends[0].health.active.interval: 0 is not in 0.1..3600`},
		{inHealth(`{"active": {"interval": 2, "timeout": 2.5}}`), `backends[0].health.active.timeout: 2.5 s is longer than the interval, 2 s; make the one shorter or the other longer`},
		{inHealth(`{"active": {"healthy": 0}}`), `backends[0].health.active.healthy: 0 is not in 1..255`},
		{inHealth(`{"active": {"unhealthy": 256}}`), `backends[0].health.active.unhealthy: 256 is not in 1..255`},
		{inHealth(`{"passive": {"failures": 0}}`), `backends[0].health.passive.failures: 0 is not in 1..10000`},
		{inHealth(`{"passive": {"ejection": 0}}`), `backends[0].health.passive.ejection: 0 is not in 0.1..86400`},
	}
	for _, tt := range tests {
		t.Run(shorten(tt.parameters), func(t *testing.T) {
			text := withTwo(tt.parameters)
			_, err := FromKong([]byte(text))
			problems, _ := err.(Problems)
			if diff := cmp.Diff(tt.want, lines(problems)); diff != "" {
				t.Errorf("from Kong (-want +got):\n%s", diff)
			}
			_, problems = decodeFile(t, `{"splits": {"a": `+text+`}}`)
			want := "splits.a." + strings.ReplaceAll(tt.want, "\n", "\nsplits.a.")
			if diff := cmp.Diff(want, lines(problems)); diff != "" {
				t.Errorf("from a split file (-want +got):\n%s", diff)
			}
		})
	}
}

// Nothing is said of what names backends while it is not sure which there are.
func TestProblemsThatFollowFromOthers(t *testing.T) {
	for text, want := range map[string]string{
		`{"backends": [{"host": "a:80", "name": null}], "hash_on": "ip", "rules": [{"match": {"methods": ["GET"]}, "backend": "x"}]}`: `backends[0].host: "a:80" must not have a port in it; that goes into port`,
		`{"split": "x", "rules": [{"match": {"methods": ["GET"]}, "backend": "x"}], "hash_on": "ip"}`:                                 ``,
		`{"backends": [{"host": "a"}], "ramp": {"backend": 1, "start": 2, "duration": 60}}`:                                           "ramp.backend: expected a string, not 1; write it in quotes\nramp.start: expected a string, not 2; write it in quotes",
	} {
		_, err := FromKong([]byte(text))
		problems, _ := err.(Problems)
		if diff := cmp.Diff(want, lines(problems)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", text, diff)
		}
	}
}

// Kong gives an empty string for a reference that it cannot resolve.
func TestUnresolvedReference(t *testing.T) {
	_, err := FromKong([]byte(withTwo(`"session": {"secret": "", "$refs": {"secret": "{vault://env/none}"}}`)))
	want := `session.secret: is empty: so arrives a reference to a vault that Kong cannot resolve; mend the reference or the vault`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	_, problems := decodeFile(t, `{"splits": {"a": `+withTwo(`"session": {"secret": ""}`)+`}}`)
	want = `splits.a.session.secret: is an empty string; give it a value or leave it out`
	if lines(problems) != want {
		t.Errorf("got  %v\nwant %s", problems, want)
	}
}

func TestWithoutOutcomes(t *testing.T) {
	const needs = `needs the outcome of requests: start the plugin server with -outcomes`
	for parameters, want := range map[string]string{
		inRamp(`"duration": 60, "guard": {"max_error_ratio": 0.1}`): `ramp.guard: ` + needs,
		inHealth(`{"active": {}, "passive": {}}`):                   `backends[0].health.passive: ` + needs,
		inHealth(`{"passive": {"failures": 0}}`):                    `backends[0].health.passive: ` + needs + "\nbackends[0].health.passive.failures: 0 is not in 1..10000",
		inRamp(`"duration": 60, "guard": null`):                     ``,
		inHealth(`{"active": {}, "passive": null}`):                 ``,
	} {
		_, err := FromKong([]byte(withTwo(parameters)), WithoutOutcomes)
		problems, _ := err.(Problems)
		if diff := cmp.Diff(want, lines(problems)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", parameters, diff)
		}
	}
	file, err := parseJSON([]byte(`{
		"defaults": {`+inRamp(`"duration": 60, "guard": {"max_error_ratio": 0.1}`)+`},
		"splits": {"a": {`+two+`}, "b": {`+two+`}}}`), maxValues)
	if err != nil {
		t.Fatal(err)
	}
	if _, problems := DecodeFile(file, WithoutOutcomes); lines(problems) != `defaults.ramp.guard: `+needs {
		t.Errorf("got %v", problems)
	}
	if _, problems := DecodeFile(file); problems != nil {
		t.Errorf("a server with outcomes: %v", problems)
	}
}
