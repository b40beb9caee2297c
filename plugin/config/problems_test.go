package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every way to get a configuration wrong, and what is said of it.
func TestProblems(t *testing.T) {
	tests := []struct {
		config string
		want   string // one problem a line
	}{
		// The shape.
		{`[1]`, `expected a map, not an array; for example {backends: [{host: a.example.com}]}`},
		{`"x"`, `expected a map, not the string "x"; for example {backends: [{host: a.example.com}]}`},
		{`null`, `expected a map, not nothing; for example {backends: [{host: a.example.com}]}`},
		{`{"colour": "blue"}`, `unknown key "colour"; the keys here are backends, algorithm, hash_on, hash_on_header, hash_on_cookie, hash_on_query_arg, hash_on_uri_capture, hash_fallback, hash_fallback_header, hash_fallback_cookie, hash_fallback_query_arg, hash_fallback_uri_capture, session, rules, force_header, ramp, on_unavailable, fallback, max_ejected, retry, mirror, response_header, log_decision, split`},
		{`{"algoritm": "smooth"}`, `unknown key "algoritm"; did you mean "algorithm"?`},
		{`{"split": "a", "split": "b"}`, `split: is there twice; keep one`},
		{`{"backends": [{"host": "a"}], "split": "b"}`, `has backends and split; keep one of them`},

		// backends
		{`{"backends": []}`, `backends: has no elements; at least 1 is needed`},
		{`{"backends": {"host": "a"}}`, `backends: expected an array, not a map; for example [{host: a.example.com, weight: 9}, {host: b.example.com, weight: 1}]`},
		{`{"backends": "a"}`, `backends: expected an array, not the string "a"; for example [{host: a.example.com, weight: 9}, {host: b.example.com, weight: 1}]`},
		{`{"backends": [null]}`, `backends[0]: expected a map, not nothing`},
		{`{"backends": ["a"]}`, `backends[0]: expected a map, not the string "a"; for example {host: a.example.com, weight: 9}`},
		{`{"backends": [` + strings.Repeat(`{"host": "a"},`, 64) + `{"host": "a"}]}`, `backends: has 65 elements; at most 64 are allowed`},
		{`{"backends": [{}]}`, `backends[0]: has none of service, upstream, host, redirect; it needs one`},
		{`{"backends": [{"host": "a", "upstream": "b"}]}`, `backends[0]: has upstream and host; keep one of them`},
		{`{"backends": [{"host": "a"}, {"host": "b", "wieght": 3}]}`, `backends[1]: unknown key "wieght"; did you mean "weight"?`},
		{`{"backends": [{"hots": "a"}]}`, `backends[0]: unknown key "hots"; did you mean "host"?`},
		{`{"backends": [{"url": "http://a"}]}`, `backends[0]: unknown key "url"; its parts are protocol, host, port and path`},
		{`{"backends": [{"target": "a:80"}]}`, `backends[0]: unknown key "target"; use host and port, or upstream for a Kong Upstream`},

		// backends[].name
		{`{"backends": [{"host": "a", "name": ""}]}`, `backends[0].name: is an empty string; give it a value or leave it out`},
		{`{"backends": [{"host": "a", "name": 1}]}`, `backends[0].name: expected a string, not 1; write it in quotes`},
		{`{"backends": [{"host": "a", "name": true}]}`, `backends[0].name: expected a string, not true; write it in quotes`},
		{`{"backends": [{"host": "a", "name": ["x"]}]}`, `backends[0].name: expected a string, not an array`},
		{`{"backends": [{"host": "a", "name": "a b"}]}`, `backends[0].name: "a b" must consist of letters, digits and . _ - : [ ]`},
		{`{"backends": [{"host": "a", "name": "x"}, {"host": "b", "name": "x"}]}`, `backends[1].name: "x" is the name of backends[0] already; give one of them another name`},
		{`{"backends": [{"host": "a"}, {"host": "b"}, {"host": "a", "port": 80}]}`, `backends[2].name: "a:80" is the name of backends[0] already; give one of them another name`},
		{`{"backends": [{"upstream": "a"}, {"host": "b", "name": "a"}]}`, `backends[1].name: "a" is the name of backends[0] already; give one of them another name`},

		// backends[].upstream
		{`{"backends": [{"upstream": "10.0.0.1"}]}`, `backends[0].upstream: "10.0.0.1" must be the name of a Kong Upstream, not an address; use host for that`},
		{`{"backends": [{"upstream": "a:80"}]}`, `backends[0].upstream: "a:80" must be the name of a Kong Upstream, without scheme, port or path; a host goes into host and port`},
		{`{"backends": [{"upstream": "http://a"}]}`, `backends[0].upstream: "http://a" must be the name of a Kong Upstream, without scheme, port or path; a host goes into host and port`},
		{`{"backends": [{"upstream": "a b"}]}`, `backends[0].upstream: "a b" must be the name of a Kong Upstream: letters, digits and . _ -`},

		// backends[].host
		{`{"backends": [{"host": "localhost:8080"}]}`, `backends[0].host: "localhost:8080" must not have a port in it; that goes into port`},
		{`{"backends": [{"host": "10.0.0.1:8080"}]}`, `backends[0].host: "10.0.0.1:8080" must not have a port in it; that goes into port`},
		{`{"backends": [{"host": "http://a"}]}`, `backends[0].host: "http://a" must not be a URL; its parts go into protocol, host, port and path`},
		{`{"backends": [{"host": "a/b"}]}`, `backends[0].host: "a/b" must not have a path in it; that goes into path`},
		{`{"backends": [{"host": "[::1]"}]}`, `backends[0].host: "[::1]" must be without brackets; the port goes into port`},
		{`{"backends": [{"host": "[::1]:80"}]}`, `backends[0].host: "[::1]:80" must be without brackets; the port goes into port`},
		{`{"backends": [{"host": "fe80::1%eth0"}]}`, `backends[0].host: "fe80::1%eth0" must be a host name, an IPv4 address or an IPv6 address`},
		{`{"backends": [{"host": "a b"}]}`, `backends[0].host: "a b" must be a host name, an IPv4 address or an IPv6 address`},
		{`{"backends": [{"host": "a..b"}]}`, `backends[0].host: "a..b" must be a host name, an IPv4 address or an IPv6 address`},
		{`{"backends": [{"host": "-a"}]}`, `backends[0].host: "-a" must be a host name, an IPv4 address or an IPv6 address`},
		{`{"backends": [{"host": "a-.b"}]}`, `backends[0].host: "a-.b" must be a host name, an IPv4 address or an IPv6 address`},
		{`{"backends": [{"host": "a-"}]}`, `backends[0].host: "a-" must be a host name, an IPv4 address or an IPv6 address`},
		{`{"backends": [{"host": "bücher.de"}]}`, `backends[0].host: "bücher.de" must be a host name, an IPv4 address or an IPv6 address`},
		{`{"backends": [{"host": "::ffff:10.0.0.1"}]}`, `backends[0].host: "::ffff:10.0.0.1" must not have an IPv4 address within an IPv6 one, which Kong does not take; write the IPv4 address alone`},
		{`{"backends": [{"host": "1::2::3"}]}`, `backends[0].host: "1::2::3" must be an IPv6 address, as it has colons in it`},
		{`{"backends": [{"host": "10.0.0.256"}]}`, `backends[0].host: "10.0.0.256" must be an IPv4 address, as it ends in a number`},
		{`{"backends": [{"host": "10.0.0"}]}`, `backends[0].host: "10.0.0" must be an IPv4 address, as it ends in a number`},
		{`{"backends": [{"host": "` + strings.Repeat("a", 254) + `"}]}`, `backends[0].host: "` + strings.Repeat("a", 80) + `…" is 254 bytes long; at most 253 are allowed`},

		// backends[].port
		{`{"backends": [{"host": "a", "port": 0}]}`, `backends[0].port: 0 is not in 1..65535`},
		{`{"backends": [{"host": "a", "port": 65536}]}`, `backends[0].port: 65536 is not in 1..65535`},
		{`{"backends": [{"host": "a", "port": "80"}]}`, `backends[0].port: expected an integer, not the string "80"; write it without quotes`},
		{`{"backends": [{"upstream": "a", "port": 80}]}`, `backends[0].port: goes with host only; the targets of an Upstream have ports of their own`},

		// backends[].service
		{`{"backends": [{"service": false}]}`, `backends[0].service: must be true; leave it out otherwise`},
		{`{"backends": [{"service": "yes"}]}`, `backends[0].service: expected true or false, not the string "yes"; write true without quotes`},
		{`{"backends": [{"service": true, "host": "a"}]}`, `backends[0]: has service and host; keep one of them`},
		{`{"backends": [{"service": true, "upstream": "a"}]}`, `backends[0]: has service and upstream; keep one of them`},
		{`{"backends": [{"service": true, "port": 80}]}`, `backends[0].port: goes with host only; the Service has a port of its own`},
		{`{"backends": [{"service": true, "protocol": "https"}]}`, `backends[0].protocol: goes with host and upstream only; the Service has a protocol of its own`},
		{`{"backends": [{"service": true, "path": "/v2"}]}`, `backends[0].path: goes with host and upstream only; the Service has a path of its own`},
		{`{"backends": [{"service": true, "host_header": "a"}]}`, `backends[0].host_header: goes with host and upstream only; the Service receives what the route's preserve_host says`},
		{`{"backends": [{"service": true, "health": {"passive": {}}}]}`, `backends[0].health: goes with host only; an Upstream has health checks of its own, also where it is the Service's host`},
		{`{"backends": [{"service": true}, {"host": "a"}, {"service": true, "name": "b"}]}`, `backends[2].service: backends[0] is the route's own Service already; add the two weights up in one`},
		{`{"backends": [{"service": true}, {"service": true}]}`, `backends[1].service: backends[0] is the route's own Service already; add the two weights up in one
backends[1].name: "service" is the name of backends[0] already; give one of them another name`},

		// backends[].weight
		{`{"backends": [{"host": "a"}, {"host": "b", "weight": -3}]}`, `backends[1].weight: -3 is not in 0..1000000`},
		{`{"backends": [{"host": "a", "weight": 1000001}]}`, `backends[0].weight: 1000001 is not in 0..1000000`},
		{`{"backends": [{"host": "a", "weight": 1e400}]}`, `backends[0].weight: 1e400 is not in 0..1000000`},
		{`{"backends": [{"host": "a", "weight": -1e99999999999}]}`, `backends[0].weight: -1e99999999999 is not in 0..1000000`},
		{`{"backends": [{"host": "a", "weight": 1.5}]}`, `backends[0].weight: expected an integer, not 1.5; weights are relative: 3 and 2 share as 1.5 and 1 do`},
		{`{"backends": [{"host": "a", "weight": 1000000.00000000001}]}`, `backends[0].weight: expected an integer, not 1000000.00000000001`},
		{`{"backends": [{"host": "a", "weight": 1e-400}]}`, `backends[0].weight: expected an integer, not 1e-400`},
		{`{"backends": [{"host": "a", "weight": "7"}]}`, `backends[0].weight: expected an integer, not the string "7"; write it without quotes`},
		{`{"backends": [{"host": "a", "weight": true}]}`, `backends[0].weight: expected an integer, not true`},
		{`{"backends": [{"host": "a", "weight": {"x": 1}}]}`, `backends[0].weight: expected an integer, not a map`},

		// backends[].protocol, path, host_header
		{`{"backends": [{"host": "a", "protocol": "htpps"}]}`, `backends[0].protocol: "htpps" is not one of http, https; did you mean "https"?`},
		{`{"backends": [{"host": "a", "protocol": "grpc"}]}`, `backends[0].protocol: "grpc" is not one of http, https`},
		{`{"backends": [{"host": "a", "path": "v2"}]}`, `backends[0].path: "v2" must start with /`},
		{`{"backends": [{"host": "a", "path": "/v2?x=1"}]}`, `backends[0].path: "/v2?x=1" must not have a query in it`},
		{`{"backends": [{"host": "a", "path": "/v2#x"}]}`, `backends[0].path: "/v2#x" must not have a fragment in it`},
		{`{"backends": [{"host": "a", "path": "/a b"}]}`, `backends[0].path: "/a b" must have other characters than letters, digits and - . _ ~ ! $ & ' ( ) * + , ; = : @ / as %XX`},
		{`{"backends": [{"host": "a", "path": "/a%2"}]}`, `backends[0].path: "/a%2" must have two hexadecimal digits behind each %`},
		{`{"backends": [{"host": "a", "path": "/a%2g"}]}`, `backends[0].path: "/a%2g" must have two hexadecimal digits behind each %`},
		{`{"backends": [{"host": "a", "host_header": "http://a"}]}`, `backends[0].host_header: "http://a" must not be a URL, but preserve or a host, with a port or without`},
		{`{"backends": [{"host": "a", "host_header": "a/b"}]}`, `backends[0].host_header: "a/b" must not have a path in it; that goes into path`},
		{`{"backends": [{"host": "a", "host_header": "a b"}]}`, `backends[0].host_header: "a b" must be preserve or a host, with a port or without`},
		{`{"backends": [{"host": "a", "host_header": "a:"}]}`, `backends[0].host_header: "a:" must have a port in 1..65535 behind the colon`},
		{`{"backends": [{"host": "a", "host_header": "a:65536"}]}`, `backends[0].host_header: "a:65536" must have a port in 1..65535 behind the colon`},
		{`{"backends": [{"host": "a", "host_header": ":80"}]}`, `backends[0].host_header: ":80" must have a host before the colon`},
		{`{"backends": [{"host": "a", "host_header": "a..b:80"}]}`, `backends[0].host_header: "a..b:80" must be a host name, an IPv4 address or an IPv6 address`},
		{`{"backends": [{"host": "a", "host_header": "::1"}]}`, `backends[0].host_header: "::1" must have an IPv6 address in brackets`},
		{`{"backends": [{"host": "a", "host_header": "[::g]"}]}`, `backends[0].host_header: "[::g]" must have an IPv6 address in its brackets, and a colon before the port`},
		{`{"backends": [{"host": "a", "host_header": "[::1]80"}]}`, `backends[0].host_header: "[::1]80" must have an IPv6 address in its brackets, and a colon before the port`},
		{`{"backends": [{"host": "a", "host_header": "[::1"}]}`, `backends[0].host_header: "[::1" must have an IPv6 address in its brackets, and a colon before the port`},
		{`{"backends": [{"host": "a", "host_header": "::1]:80"}]}`, `backends[0].host_header: "::1]:80" must have an IPv6 address in its brackets, and a colon before the port`},
		{`{"backends": [{"host": "a", "host_header": "300.1.1.1"}]}`, `backends[0].host_header: "300.1.1.1" must be an IPv4 address, as it ends in a number`},

		// headers
		// session.partitioned
		{`{"backends": [{"host": "a"}], "session": {"secret": "0123456789abcdef", "partitioned": true, "secure": "never"}}`, `session.secure: must not be "never" where the cookie is partitioned: browsers drop such a cookie`},
		{`{"backends": [{"host": "a"}], "session": {"secret": "0123456789abcdef", "partitioned": false}}`, `session.partitioned: must be true; leave it out otherwise`},

		// backends[].slow_start
		{`{"backends": [{"host": "a", "slow_start": 30}]}`, `backends[0].health: is required where there is a slow_start: without it, no backend is ever found unhealthy`},
		{`{"backends": [{"host": "a", "slow_start": 30, "health": {"active": null}}]}`, `backends[0].health: is required where there is a slow_start: without it, no backend is ever found unhealthy`},
		{`{"backends": [{"host": "a", "slow_start": 0, "health": {"active": {}}}]}`, `backends[0].slow_start: 0 is not in 0.001..86400`},
		{`{"backends": [{"host": "a", "slow_start": "30s", "health": {"active": {}}}]}`, `backends[0].slow_start: expected a number, not the string "30s"; it is in seconds: 30`},
		{`{"backends": [{"service": true, "slow_start": 30}]}`, `backends[0].slow_start: goes with host only; when the Service recovers is not known here
backends[0].health: is required where there is a slow_start: without it, no backend is ever found unhealthy`},
		{`{"backends": [{"upstream": "a", "slow_start": 30}]}`, `backends[0].slow_start: goes with host only; Kong does not say when the targets of an Upstream recover
backends[0].health: is required where there is a slow_start: without it, no backend is ever found unhealthy`},

		// retry
		{`{"backends": [{"host": "a"}, {"host": "b"}], "retry": {"max": 0}}`, `retry.max: 0 is not in 1..63`},
		{`{"backends": [{"host": "a"}, {"host": "b"}], "retry": {"on": ["error"]}}`, `retry: unknown key "on"; the keys here are max, backend`},
		{`{"backends": [{"host": "a"}, {"host": "b", "weight": 0}], "retry": {}}`, ``}, // so a rollout begins and ends
		{`{"backends": [{"host": "a"}, {"host": "b", "weight": 0}], "retry": {"backend": "c:80"}}`, `retry.backend: "c:80" is not the name of a backend; did you mean "a:80"?`},
		{`{"backends": [{"host": "a"}, {"host": "b"}], "retry": {"backend": "a:80", "max": 2}}`, `retry.max: 2 is more than the one backend that is named in backend; leave one of the two out`},
		{`{"backends": [{"host": "a"}, {"service": true}], "retry": {}}`, `backends[1].service: does not go with retry, which knows the addresses of hosts only: give its host and port`},
		{`{"backends": [{"upstream": "u"}, {"host": "a"}], "retry": {}}`, `backends[0].upstream: does not go with retry: Kong tries the targets of an Upstream one after another, and no other backend: give a host, or leave retry out`},
		{`{"backends": [{"host": "a"}, {"host": "b", "retries": 2}], "retry": {}}`, `backends[1].retries: does not go with retry, whose max says how often Kong tries again`},
		{`{"backends": [{"host": "a"}, {"host": "b", "protocol": "https"}], "retry": {}}`, `backends[1].protocol: is not that of backends[0], and Kong speaks the same to each backend that it tries: give both the same, or leave retry out`},
		{`{"backends": [{"host": "a", "path": "/v1"}, {"host": "b"}], "retry": {}}`, `backends[1].path: is not that of backends[0], and Kong asks each backend that it tries for the same path: give both the same, or leave retry out`},
		{`{"backends": [{"host": "a"}, {"host": "b", "replace_prefix": "/v2"}], "retry": {}}`, `backends[1].replace_prefix: is not that of backends[0], and Kong asks each backend that it tries for the same path: give both the same, or leave retry out`},
		{`{"backends": [{"host": "a"}, {"host": "b", "host_header": "preserve"}], "retry": {}}`, `backends[1].host_header: is not that of backends[0], and between two tries Kong makes no other Host than the backend's own: give both the same, or leave it out in both`},
		{`{"backends": [{"host": "a"}, {"host": "b", "response_headers": {"add": {"X-B": "b"}}}], "retry": {}}`, `backends[1].response_headers: add other headers than those of backends[0], and Kong adds them before it tries the first backend: set them, or leave retry out`},
		{`{"backends": [{"host": "a"}, {"host": "b", "request_headers": {"add": {"X-B": "b"}}}], "retry": {}}`, `backends[1].request_headers: add other headers than those of backends[0], and between two tries Kong cannot take away what was added: set them in both, or leave retry out`},
		{`{"backends": [{"host": "a"}, {"host": "b", "request_headers": {"set": {"X-B": "b"}}}], "retry": {}}`, `backends[1].request_headers: set or remove other headers than those of backends[0], and between two tries Kong cannot restore what the client sent: set or remove the same ones in both, or leave retry out`},
		{`{"backends": [{"host": "a", "host_header": "x", "request_headers": {"set": {"X-B": "a"}}}, {"host": "b", "host_header": "x", "request_headers": {"set": {"x-b": "b"}}}], "retry": {}}`, `backends[1].request_headers: are not those of backends[0], and Kong sends the same headers to each backend that it tries unless each receives its own Host: give both the same, or leave retry out, or leave out host_header in both`},
		{`{"backends": [{"host": "a", "request_headers": {"remove": ["X-B"]}}, {"host": "b", "request_headers": {"set": {"x-b": "b"}}}], "retry": {"max": 63}}`, ``},

		// max_ejected
		{`{"backends": [{"host": "a"}], "max_ejected": 101}`, `max_ejected: 101 is not in 0..100`},
		{`{"backends": [{"host": "a"}], "max_ejected": "half"}`, `max_ejected: expected a number, not the string "half"`},

		// backends[].replace_prefix
		{`{"backends": [{"host": "a", "path": "/v1", "replace_prefix": "/v2"}]}`, `backends[0]: has path and replace_prefix; keep one of them`},
		{`{"backends": [{"host": "a", "replace_prefix": "v2"}]}`, `backends[0].replace_prefix: "v2" must start with /`},
		{`{"backends": [{"host": "a", "replace_prefix": ""}]}`, `backends[0].replace_prefix: is an empty string; give it a value or leave it out`},
		{`{"backends": [{"host": "a", "replace_prefix": "/v2?x"}]}`, `backends[0].replace_prefix: "/v2?x" must not have a query in it`},
		{`{"backends": [{"host": "a", "replace_prefix": "/a%2"}]}`, `backends[0].replace_prefix: "/a%2" must have two hexadecimal digits behind each %`},
		{`{"backends": [{"service": true, "replace_prefix": "/v2"}]}`, `backends[0].replace_prefix: goes with host and upstream only; the Service has a path of its own`},

		// backends[].replace_path
		{`{"backends": [{"host": "a", "path": "/v1", "replace_path": "/v2"}]}`, `backends[0]: has path and replace_path; keep one of them`},
		{`{"backends": [{"host": "a", "replace_prefix": "/v1", "replace_path": "/v2"}]}`, `backends[0]: has replace_prefix and replace_path; keep one of them`},
		{`{"backends": [{"host": "a", "replace_path": "/v2?x"}]}`, `backends[0].replace_path: "/v2?x" must not have a query in it`},
		{`{"backends": [{"service": true, "replace_path": "/v2"}]}`, `backends[0].replace_path: goes with host and upstream only; the Service has a path of its own`},
		{`{"backends": [{"host": "a", "replace_path": "/v1"}, {"host": "b", "replace_path": "/v2"}], "retry": {}}`, `backends[1].replace_path: is not that of backends[0], and Kong asks each backend that it tries for the same path: give both the same, or leave retry out`},

		// backends[].redirect
		{`{"backends": [{"host": "a", "redirect": {}}]}`, `backends[0].redirect: is empty, and would lead to the URL that was asked: say what is to be another one, or give it a status`},
		{`{"backends": [{"redirect": {"status": 303}}]}`, ``},
		{`{"backends": [{"redirect": {"scheme": "ftp"}}]}`, `backends[0].redirect.scheme: "ftp" is not one of http, https; did you mean "http"?`},
		{`{"backends": [{"redirect": {"hostname": "https://a"}}]}`, `backends[0].redirect.hostname: "https://a" must not be a URL; its parts go into protocol, host, port and path`},
		{`{"backends": [{"redirect": {"hostname": "a:80"}}]}`, `backends[0].redirect.hostname: "a:80" must not have a port in it; that goes into port`},
		{`{"backends": [{"redirect": {"port": 0}}]}`, `backends[0].redirect.port: 0 is not in 1..65535`},
		{`{"backends": [{"redirect": {"path": "new"}}]}`, `backends[0].redirect.path: "new" must start with /`},
		{`{"backends": [{"redirect": {"path": "//evil.example/x"}}]}`, `backends[0].redirect.path: "//evil.example/x" must not start with two slashes`},
		{`{"backends": [{"redirect": {"scheme": "https"}, "response_headers": {"add": {"X-A": "1", "location": "/"}}}]}`, `backends[0].response_headers.add.location: is the redirect's own: leave it out`},
		{
			`{"backends": [{"host": "a"}, {"redirect": {"scheme": "https"}}], "ramp": {"backend": "a:80", "start": "2026-01-31T18:00:00Z", "duration": 60, "guard": {"max_error_excess": 0.1}}}`,
			`ramp.guard.max_error_excess: has nothing to compare with, as all other backends answer with a redirect: use max_error_ratio`,
		},
		{`{"backends": [{"redirect": {"path": "/new?x"}}]}`, `backends[0].redirect.path: "/new?x" must not have a query in it`},
		{`{"backends": [{"redirect": {"path": "/new", "replace_prefix": "/"}}]}`, `backends[0].redirect: has path and replace_prefix; keep one of them`},
		{`{"backends": [{"redirect": {"scheme": "https", "status": 304}}]}`, `backends[0].redirect.status: 304 is not one of 301, 302, 303, 307, 308`},
		{`{"backends": [{"redirect": {"scheme": "https", "status": "302"}}]}`, `backends[0].redirect.status: expected an integer, not the string "302"; write it without quotes`},
		{`{"backends": [{"redirect": {"location": "/"}}]}`, `backends[0].redirect: unknown key "location"; its parts are scheme, hostname, port and path`},
		{`{"backends": [{"redirect": "https://a"}]}`, `backends[0].redirect: expected a map, not the string "https://a"; for example {hostname: new.example.com}`},
		{`{"backends": [{"host": "a", "redirect": {"scheme": "https"}}]}`, `backends[0]: has host and redirect; keep one of them`},
		{
			`{"backends": [{"redirect": {"scheme": "https"}, "port": 1, "protocol": "http", "path": "/", "host_header": "a", "timeouts": {"read": 1}, "retries": 1, "request_headers": {"remove": ["X"]}, "health": {"active": {}}, "slow_start": 1}]}`,
			`backends[0].port: goes with a destination only; the port of a redirect is redirect.port
backends[0].protocol: goes with a destination only; the scheme of a redirect is redirect.scheme
backends[0].path: goes with a destination only; the path of a redirect is redirect.path
backends[0].host_header: goes with a destination only; the host of a redirect is redirect.hostname
backends[0].timeouts: goes with a destination only; Kong waits for nobody where it answers with a redirect
backends[0].retries: goes with a destination only; Kong waits for nobody where it answers with a redirect
backends[0].request_headers: goes with a destination only; nobody receives a request that is answered with a redirect
backends[0].health: goes with a destination only; a redirect does not fail
backends[0].slow_start: goes with a destination only; a redirect does not fail`,
		},
		{`{"backends": [{"redirect": {"scheme": "https"}, "replace_prefix": "/"}]}`, `backends[0].replace_prefix: goes with a destination only; that of a redirect is redirect.replace_prefix`},
		{`{"backends": [{"redirect": {"scheme": "https"}, "replace_path": "/"}]}`, `backends[0].replace_path: goes with a destination only; the path of a redirect is redirect.path`},
		{`{"backends": [{"redirect": {"scheme": "https"}, "response_headers": {"set": {"X-A": "1"}}}]}`, `backends[0].response_headers: can be added only to a redirect, which has no headers of a backend: leave set and remove out`},
		{`{"backends": [{"redirect": {"scheme": "https"}}, {"redirect": {"port": 1}}]}`, `backends[1].name: "redirect" is the name of backends[0] already; give one of them another name`},
		{`{"backends": [{"host": "a"}, {"redirect": {"scheme": "https"}}], "mirror": [{"backend": "redirect"}]}`, `mirror[0].backend: "redirect" is no host, and copies do not go through Kong: give its host and port here`},
		{`{"backends": [{"redirect": {"scheme": "https"}}, {"host": "a", "path": "/v1"}, {"host": "b"}], "retry": {}}`, `backends[2].path: is not that of backends[1], and Kong asks each backend that it tries for the same path: give both the same, or leave retry out`},
		{`{"backends": [{"redirect": {"scheme": "https"}, "weight": 0}, {"host": "a", "path": "/v1"}, {"host": "b", "path": "/v1"}], "retry": {}}`, ``},
		{`{"backends": [{"host": "a"}, {"redirect": {"scheme": "https"}}], "retry": {"backend": "redirect"}}`, `retry.backend: "redirect" answers with a redirect, and no request that has failed is tried there: name a host`},
		{
			`{"backends": [{"host": "a"}, {"redirect": {"scheme": "https"}}], "ramp": {"backend": "redirect", "start": "2026-01-31T18:00:00Z", "duration": 60, "guard": {"max_error_ratio": 0.1}}}`,
			`ramp.guard: cannot judge backends[1], which answers with a redirect: leave it out`,
		},

		// backends[].timeouts, retries
		{`{"backends": [{"host": "a", "timeouts": 5}]}`, `backends[0].timeouts: expected a map, not 5; for example {connect: 1, read: 5}`},
		{`{"backends": [{"host": "a", "timeouts": {}}]}`, `backends[0].timeouts: has none of connect, write, read; it needs one`},
		{`{"backends": [{"host": "a", "timeouts": {"read": 0}}]}`, `backends[0].timeouts.read: 0 is not in 0.001..2147483.646`},
		{`{"backends": [{"host": "a", "timeouts": {"write": -1}}]}`, `backends[0].timeouts.write: -1 is not in 0.001..2147483.646`},
		{`{"backends": [{"host": "a", "timeouts": {"connect": 0.0001}}]}`, `backends[0].timeouts.connect: 0.0001 has more than 3 decimals`},
		{`{"backends": [{"host": "a", "timeouts": {"connect": 2147484}}]}`, `backends[0].timeouts.connect: 2147484 is not in 0.001..2147483.646`},
		{`{"backends": [{"service": true, "timeouts": {"read": "5s"}}]}`, `backends[0].timeouts.read: expected a number, not the string "5s"; it is in seconds: 5`},
		{`{"backends": [{"host": "a", "timeouts": {"send": 5}}]}`, `backends[0].timeouts: unknown key "send"; it is write here`},
		{`{"backends": [{"host": "a", "timeouts": {"request": 5}}]}`, `backends[0].timeouts: unknown key "request"; Kong has no timeout for a request as a whole; read is from one read to the next`},
		{`{"backends": [{"host": "a", "read_timeout": 5000}]}`, `backends[0]: unknown key "read_timeout"; it is read in timeouts, in seconds`},
		{`{"backends": [{"host": "a", "retry": {}}]}`, `backends[0]: unknown key "retry"; retry stands beside backends; how often Kong tries this one again is retries`},
		{`{"backends": [{"host": "a", "retries": -1}]}`, `backends[0].retries: -1 is not in 0..32767`},
		{`{"backends": [{"upstream": "a", "retries": 32768}]}`, `backends[0].retries: 32768 is not in 0..32767`},
		{`{"backends": [{"service": true, "retries": 1.5}]}`, `backends[0].retries: expected an integer, not 1.5`},

		{`{"backends": [{"host": "a", "request_headers": ["x"]}]}`, `backends[0].request_headers: expected a map, not an array; for example {set: {X-Env: canary}}`},
		{`{"backends": [{"host": "a", "request_headers": {"sett": {}}}]}`, `backends[0].request_headers: unknown key "sett"; did you mean "set"?`},
		{`{"backends": [{"host": "a", "request_headers": {"set": ["X-A"]}}]}`, `backends[0].request_headers.set: expected a map, not an array; for example {X-Env: canary}`},
		{`{"backends": [{"host": "a", "request_headers": {"set": {"X-A": 1}}}]}`, `backends[0].request_headers.set.X-A: expected a string, not 1; write it in quotes`},
		{`{"backends": [{"host": "a", "request_headers": {"set": {"X-A": null}}}]}`, `backends[0].request_headers.set.X-A: expected a string, not nothing`},
		{`{"backends": [{"host": "a", "request_headers": {"set": {"X-A": ""}}}]}`, `backends[0].request_headers.set.X-A: is an empty string; give it a value or leave it out`},
		{`{"backends": [{"host": "a", "request_headers": {"set": {"X-A": "a\r\nX-B: c"}}}]}`, `backends[0].request_headers.set.X-A: "a\r\nX-B: c" must not have control characters in it`},
		{`{"backends": [{"host": "a", "request_headers": {"set": {"X A": "1"}}}]}`, "backends[0].request_headers.set[\"X A\"]: \"X A\" must be the name of a header: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"},
		{`{"backends": [{"host": "a", "request_headers": {"set": {"": "1"}}}]}`, `backends[0].request_headers.set[""]: is an empty string; give it a value or leave it out`},
		{`{"backends": [{"host": "a", "request_headers": {"set": {"hOsT": "b"}}}]}`, `backends[0].request_headers.set.hOsT: "hOsT" must not be among these; use host_header`},
		{`{"backends": [{"host": "a", "request_headers": {"add": {"Host": "b"}}}]}`, `backends[0].request_headers.add.Host: "Host" must not be among these; use host_header`},
		{`{"backends": [{"host": "a", "request_headers": {"set": {"content-LENGTH": "2"}}}]}`, `backends[0].request_headers.set.content-LENGTH: "content-LENGTH" must not be a header by which Kong tells where a message ends, or what becomes of its connection`},
		{`{"backends": [{"host": "a", "request_headers": {"add": {"Transfer-Encoding": "chunked"}, "remove": ["Connection"]}}]}`, `backends[0].request_headers.add.Transfer-Encoding: "Transfer-Encoding" must not be a header by which Kong tells where a message ends, or what becomes of its connection
backends[0].request_headers.remove[0]: "Connection" must not be a header by which Kong tells where a message ends, or what becomes of its connection`},
		{`{"backends": [{"host": "a", "response_headers": {"set": {"Set-Cookie": "a=b"}, "remove": ["Content-Length"]}}]}`, `backends[0].response_headers.set.Set-Cookie: "Set-Cookie" must not be set or removed, as the cookies of this plugin and of others would go with it
backends[0].response_headers.remove[0]: "Content-Length" must not be a header by which Kong tells where a message ends, or what becomes of its connection`},
		{`{"backends": [{"host": "a", "response_headers": {"add": {"Content-Length": "5", "Set-Cookie": "a=b"}}}]}`, `backends[0].response_headers.add.Content-Length: "Content-Length" must not be a header by which Kong tells where a message ends, or what becomes of its connection`},
		{`{"backends": [{"host": "a"}], "response_header": "content-length"}`, `response_header: "content-length" must not be a header by which Kong tells where a message ends, or what becomes of its connection`},
		{`{"backends": [{"host": "a"}], "response_header": "set-cookie"}`, `response_header: "set-cookie" must not be set or removed, as the cookies of this plugin and of others would go with it`},
		{`{"backends": [{"host": "a", "request_headers": {"remove": ["host"]}}]}`, `backends[0].request_headers.remove[0]: "host" must not be among these; use host_header`},
		{`{"backends": [{"host": "a", "request_headers": {"remove": "X-A"}}]}`, `backends[0].request_headers.remove: expected an array, not the string "X-A"; write ["X-A"]`},
		{`{"backends": [{"host": "a", "request_headers": {"set": {"X-A": "1", "x-a": "2"}}}]}`, `backends[0].request_headers.set.x-a: is the same header as "X-A"; keep one`},
		{`{"backends": [{"host": "a", "request_headers": {"add": {"X-A": "1", "x-a": "2"}}}]}`, `backends[0].request_headers.add.x-a: is the same header as "X-A"; keep one`},
		{`{"backends": [{"host": "a", "response_headers": {"add": {"X-A": "1", "x-a": "2"}}}]}`, `backends[0].response_headers.add.x-a: is the same header as "X-A"; keep one`},
		{`{"backends": [{"host": "a", "request_headers": {"set": {"X-A": "1"}, "remove": ["X-B", "x-a"]}}]}`, `backends[0].request_headers.remove[1]: "x-a" is set as well; set alone replaces what the client sent`},
		{`{"backends": [{"host": "a", "response_headers": {"change": {"X-A": "1"}}}]}`, `backends[0].response_headers: unknown key "change"; the keys here are set, add, remove`},
		{`{"backends": [{"host": "a", "response_headers": {"add": {"X-A": "1"}, "remove": ["x-a"]}}]}`, `backends[0].response_headers.add.X-A: is set or removed as well, which is done after it; set alone replaces what the backend sent`},
		{`{"response_header": "X-A", "backends": [{"host": "a", "response_headers": {"remove": ["x-a"]}}]}`, `response_header: "X-A" is a header that backends[0] sets or removes in its response_headers, which is done after it: choose another`},
		{`{"backends": [{"host": "a", "response_headers": {"remove": ["set-cookie"]}}]}`, `backends[0].response_headers.remove[0]: "set-cookie" must not be set or removed, as the cookies of this plugin and of others would go with it`},
		{`{"backends": [{"host": "a", "response_headers": {"set": {"X-A": "1"}, "remove": ["x-a"]}}]}`, `backends[0].response_headers.remove[0]: "x-a" is set as well; set alone replaces what the backend sent`},

		// the others
		{`{"algorithm": "rondom"}`, `algorithm: "rondom" is not one of smooth, random; did you mean "random"?`},
		{`{"algorithm": 1}`, `algorithm: expected a string, not 1; write it in quotes`},
		{`{"on_unavailable": "panic"}`, `on_unavailable: "panic" is not one of fail, redistribute, fallback`},
		{`{"backends": [{"host": "a"}], "on_unavailable": "fallback"}`, `fallback: is required where on_unavailable is "fallback": the name of a backend`},
		{`{"backends": [{"host": "a", "name": "v1"}, {"host": "b"}], "on_unavailable": "fallback", "fallback": "v2"}`, `fallback: "v2" is not the name of a backend; did you mean "v1"?`},
		{`{"backends": [{"host": "a"}, {"host": "b"}], "on_unavailable": "fallback", "fallback": "zebra"}`, `fallback: "zebra" is not the name of a backend; the backends are a:80, b:80`},
		{`{"fallback": "a b"}`, `fallback: "a b" must consist of letters, digits and . _ - : [ ]`},
		{`{"response_header": "X Backend"}`, "response_header: \"X Backend\" must be the name of a header: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"},
		{`{"log_decision": "yes"}`, `log_decision: expected true or false, not the string "yes"; write true without quotes`},
		{`{"log_decision": 1}`, `log_decision: expected true or false, not 1; write true`},
		{`{"split": "a b"}`, `split: "a b" must consist of letters, digits and . _ - ~, as a route's name does`},

		// All at once.
		{
			`{"backends": [{"host": "a", "weight": -1, "port": 70000}, {"upstream": "c", "host": "d:1"}], "algorithm": "none", "x": 1}`,
			`backends[0].weight: -1 is not in 0..1000000
backends[0].port: 70000 is not in 1..65535
backends[1].host: "d:1" must not have a port in it; that goes into port
backends[1]: has upstream and host; keep one of them
algorithm: "none" is not one of smooth, random
unknown key "x"; the keys here are backends, algorithm, hash_on, hash_on_header, hash_on_cookie, hash_on_query_arg, hash_on_uri_capture, hash_fallback, hash_fallback_header, hash_fallback_cookie, hash_fallback_query_arg, hash_fallback_uri_capture, session, rules, force_header, ramp, on_unavailable, fallback, max_ejected, retry, mirror, response_header, log_decision, split`,
		},
	}
	for _, tt := range tests {
		t.Run(shorten(tt.config), func(t *testing.T) {
			n, err := parseJSON([]byte(tt.config), maxValues)
			if err != nil {
				t.Fatal(err)
			}
			var r reader
			r.row(n)
			if diff := cmp.Diff(tt.want, lines(r.problems)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// lines are problems, one a line.
func lines(ps Problems) string {
	var all []string
	for _, p := range ps {
		all = append(all, p.String())
	}
	return strings.Join(all, "\n")
}

func TestManyProblemsFitALog(t *testing.T) {
	var keys []string
	for i := range 30 {
		keys = append(keys, fmt.Sprintf(`"key%d": 1`, i))
	}
	_, err := FromKong([]byte("{" + strings.Join(keys, ",") + "}"))
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 30 {
		t.Fatalf("got %d problems, want 30", len(problems))
	}
	if text := err.Error(); strings.Count(text, "unknown key") != 20 || !strings.HasSuffix(text, "; and 10 more problems") || strings.Contains(text, "\n") {
		t.Errorf("got %q", text)
	}
}
