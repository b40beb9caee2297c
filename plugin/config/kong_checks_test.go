package config

import (
	"encoding/json"
	"strings"
	"testing"

	"kong-traffic-split/kong/declarative"
)

// kongAnswers checks configurations by our schema as Kong does, and returns what
// it answers; empty: it takes them.
func kongAnswers(t testing.TB) func(config any) string {
	t.Helper()
	loader, err := declarative.NewLoader([]string{"traffic-split"}, map[string]json.RawMessage{"traffic-split": KongSchema()})
	if err != nil {
		t.Fatal(err)
	}
	return func(config any) string {
		errs, _ := loader.Check("plugins", map[string]any{"name": "traffic-split", "config": config})
		if errs == nil {
			return ""
		}
		message, _ := declarative.SchemaViolation(errs)["message"].(string)
		return strings.Join(strings.Fields(message), " ")
	}
}

// What Kong's schemas can say is refused when it is posted.
func TestKongRefuses(t *testing.T) {
	answer := kongAnswers(t)
	tests := []struct{ parameters, want string }{
		// Taken.
		{`"hash_on": "consumer", "hash_fallback": "ip"`, ``},
		{`"hash_on": "ip", "hash_fallback": null, "session": null, "rules": null, "ramp": null`, ``},
		{`"session": {"secret": "{vault://env/s}"}`, ``},
		{`"backends": [{"service": true}, {"host": "a"}]`, ""},
		{`"backends": [{"service": false}]`, `schema violation (config.backends: { { service = "must be true; leave it out otherwise" } })`},
		{`"backends": [{"service": true, "host": "a"}]`, `schema violation (config.backends: { { ["@entity"] = { "exactly one of these fields must be non-empty: 'service', 'upstream', 'host', 'redirect'" } } })`},
		{`"backends": [{"service": true, "path": "/v2"}]`, `schema violation (config.backends: { { ["@entity"] = { "path: goes with host and upstream only; the Service has a path of its own" }, path = "value must be null" } })`},
		{inHealth(`{"active": {"path": ""}}`), ``},
		{inHealth(`{"active": {"interval": 1e1}, "passive": {"ejection": 0.5}}`), ``},
		{inRamp(`"duration": 60, "to": 12.5, "guard": {"max_error_ratio": 0.05}`), ``},
		{inRamp(`"from": 1, "plan": [{"share": 5, "for": 600}, {"share": 25}, {"share": 100}], "hold": 0, "guard": {"max_latency": 0.5, "wait": true}`), ``},

		// Refused.
		{`"hash_on": "heder"`, `schema violation (config.hash_on: expected one of: none, consumer, ip, header, cookie, path, query_arg, uri_capture)`},
		{`"hash_on": "header"`, `2 schema violations (config.@entity: { "failed conditional validation given value of field 'hash_on'" }; config.hash_on_header: required field missing)`},
		{`"hash_on": "ip", "hash_fallback": "cookie"`, `2 schema violations (config.@entity: { "failed conditional validation given value of field 'hash_fallback'" }; config.hash_fallback_cookie: required field missing)`},
		{`"hash_fallback": "ip"`, `2 schema violations (config.@entity: { "hash_fallback: needs hash_on: it is for requests that lack what hash_on says" }; config.hash_fallback: expected one of: none)`},
		{`"hash_on": "path", "hash_fallback": "path"`, `2 schema violations (config.@entity: { "hash_fallback: is the same as hash_on; choose another, or leave it out" }; config.hash_fallback: expected one of: none, consumer, ip, header, cookie, query_arg, uri_capture)`},
		{`"hash_on": "header", "hash_on_header": "A", "hash_fallback": "header", "hash_fallback_header": "A"`, `schema violation (config.@entity: { "values of these fields must be distinct: 'hash_on_header', 'hash_fallback_header'" })`},
		{`"session": {}`, `schema violation (config.session: { secret = "field required for entity check" })`},
		{`"session": {"secret": "0123456789abcde"}`, `schema violation (config.session: { secret = "length must be at least 16" })`},
		{inSession(`"previous_secret": "0123456789abcdef"`), `schema violation (config.session: { ["@entity"] = { "values of these fields must be distinct: 'secret', 'previous_secret'" } })`},
		{inSession(`"same_site": "None", "secure": "never"`), `schema violation (config.session: { ["@entity"] = { "secure: must not be \"never\" where same_site is \"None\": browsers drop such a cookie" }, secure = "expected one of: auto, always" })`},
		{inSession(`"renew": false`), ``},
		{inSession(`"renew": true, "max_age": 1`), ``},
		{inSession(`"renew": true`), `schema violation (config.session: { ["@entity"] = { "max_age: has to be above 0 where sessions are renewed: say how many seconds one lasts without a visit, or leave renew out" }, max_age = "value must be greater than 0" })`},
		{inSession(`"path": "/;"`), `schema violation (config.session: { path = "must not have ; or control characters in it" })`},
		{inSession(`"max_age": 1.5`), `schema violation (config.session: { max_age = "expected an integer" })`},
		{`"rules": [{"backend": "v1"}]`, `schema violation (config.rules: { { match = { ["@entity"] = { "at least one of these fields must be non-empty: 'headers', 'cookies', 'query_args', 'methods', 'path_prefix', 'consumers', 'client_ips', 'not'" } } } })`},
		{inMatch(`{"not": {"headers": {"X-A": ["~"]}}}`), ``},
		{inMatch(`{"not": {}}`), `schema violation (config.rules: { { match = { ["not"] = { ["@entity"] = { "at least one of these fields must be non-empty: 'headers', 'cookies', 'query_args', 'methods', 'path_prefix', 'consumers', 'client_ips'" } } } } })`},
		{inMatch(`{"not": {"methods": ["get"]}}`), `schema violation (config.rules: { { match = { ["not"] = { methods = { "must be an HTTP method in upper case, such as GET" } } } } })`},
		{`"rules": [{"match": {"methods": ["GET"]}}]`, `schema violation (config.rules: { { ["@entity"] = { "exactly one of these fields must be non-empty: 'backend', 'weights'" } } })`},
		{`"rules": [{"match": {"methods": ["GET"]}, "weights": {"v1": -1}}]`, `schema violation (config.rules: { { weights = "value should be between 0 and 1000000" } })`},
		{`"rules": [{"match": {"methods": ["GET"]}, "weights": {}, "backend": "v1"}]`, `schema violation (config.rules: { { weights = "length must be at least 1" } })`},
		{inMatch(`{"methods": ["get"]}`), `schema violation (config.rules: { { match = { methods = { "must be an HTTP method in upper case, such as GET" } } } })`},
		{inMatch(`{"headers": {"X-A": []}}`), `schema violation (config.rules: { { match = { headers = "length must be at least 1" } } })`},
		{inMatch(`{"path_prefix": "x"}`), `schema violation (config.rules: { { match = { path_prefix = "must start with /" } } })`},
		{inMatch(`{"client_ips": ["localhost"]}`), `schema violation (config.rules: { { match = { client_ips = { "must be an address or a network, such as 10.0.0.1 or 10.0.0.0/8" } } } })`},
		{`"force_header": "X A"`, "schema violation (config.force_header: must be the name of a header: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~)"},
		{`"ramp": {}`, `schema violation (config.ramp: { ["@entity"] = { "exactly one of these fields must be non-empty: 'duration', 'plan'" }, backend = "required field missing", start = "required field missing" })`},
		{inRamp(`"duration": 0`), `schema violation (config.ramp: { duration = "must be in 0.001..31536000" })`},
		{inRamp(`"duration": 60, "plan": [{"share": 5}]`), `schema violation (config.ramp: { ["@entity"] = { "exactly one of these fields must be non-empty: 'duration', 'plan'" } })`},
		{inRamp(`"to": 50, "plan": [{"share": 5}]`), `schema violation (config.ramp: { ["@entity"] = { "to: does not go with plan, whose last step has the share of the end: leave it out" }, to = "must be in 0..100" })`},
		{inRamp(`"steps": 5, "plan": [{"share": 5}]`), `schema violation (config.ramp: { ["@entity"] = { "steps: does not go with plan, which has steps of its own: leave it out" }, steps = "value must be null" })`},
		{inRamp(`"plan": [{"share": 101}, {"for": 60}]`), `schema violation (config.ramp: { plan = { { share = "must be in 0..100" }, { share = "required field missing" } } })`},
		{inRamp(`"duration": "60"`), `schema violation (config.ramp: { duration = "expected a number" })`},
		{inRamp(`"duration": 60, "to": 100.5`), `schema violation (config.ramp: { to = "must be in 0..100" })`},
		{inRamp(`"duration": 60, "guard": {}`), `schema violation (config.ramp: { guard = { ["@entity"] = { "at least one of these fields must be non-empty: 'max_error_ratio', 'max_error_excess', 'max_latency'" } } })`},
		{inRamp(`"duration": 60, "guard": {"max_error_ratio": 1}`), `schema violation (config.ramp: { guard = { max_error_ratio = "must be in 0.0001..0.9999; 0.05 is 5 %" } })`},
		{`"ramp": {"backend": "v2", "duration": 60, "start": "tomorrow"}`, `schema violation (config.ramp: { start = "must be a time as in RFC 3339, such as 2026-01-31T18:00:00Z or 2026-01-31T18:00:00+01:00" })`},
		{`"backends": [{"upstream": "a", "health": {}}]`, `schema violation (config.backends: { { ["@entity"] = { "health: goes with host only; an Upstream has health checks of its own" }, health = "value must be null" } })`},
		{`"backends": [{"redirect": {"scheme": "https", "status": 304}}]`, `schema violation (config.backends: { { redirect = { status = "expected one of: 301, 302, 303, 307, 308" } } })`},
		{`"backends": [{"redirect": {"scheme": "https"}, "port": 8443}]`, `schema violation (config.backends: { { ["@entity"] = { "only one or none of these fields must be set: 'redirect', 'port'" } } })`},
		{inHealth(`{"active": {"path": "x"}}`), `schema violation (config.backends: { { health = { active = { path = "must start with /" } } } })`},
	}
	for _, tt := range tests {
		t.Run(shorten(tt.parameters), func(t *testing.T) {
			text := []byte(withTwo(tt.parameters))
			var config any
			if err := json.Unmarshal(text, &config); err != nil {
				t.Fatal(err)
			}
			if got := answer(config); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if _, err := FromKong(text); (err != nil) != (tt.want != "" || strings.Contains(tt.parameters, "vault://")) {
				t.Errorf("the plugin says %v", err)
			}
		})
	}
}
