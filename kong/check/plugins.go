package check

import (
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
)

// Kong's bundled plugins, and those of its enterprise edition, by what they do.
var (
	authenticates = strings.Fields(`key-auth basic-auth jwt oauth2 hmac-auth ldap-auth session
		key-auth-enc ldap-auth-advanced mtls-auth openid-connect oauth2-introspection saml vault-auth
		header-cert-auth jwt-signer jwe-decrypt upstream-oauth`)
	caches    = strings.Fields(`proxy-cache proxy-cache-advanced graphql-proxy-cache-advanced ai-semantic-cache`)
	answers   = strings.Fields(`request-termination aws-lambda azure-functions openwhisk redirect mocking`)
	goesThere = strings.Fields(`canary route-by-header route-transformer-advanced forward-proxy ai-proxy ai-proxy-advanced`)
	otherwise = strings.Fields(`acl correlation-id cors tcp-log udp-log file-log http-log ip-restriction request-transformer
		response-transformer request-size-limiting rate-limiting response-ratelimiting syslog loggly datadog statsd
		bot-detection prometheus acme grpc-gateway grpc-web zipkin opentelemetry ai-prompt-decorator
		ai-prompt-template ai-prompt-guard ai-request-transformer ai-response-transformer standard-webhooks
		rate-limiting-advanced request-transformer-advanced response-transformer-advanced request-validator
		kafka-log kafka-upstream exit-transformer degraphql upstream-timeout websocket-size-limit`)
)

var cachedAnswers = &Check{
	ID: "cached-answers", Severity: Warning,
	Doc: "`proxy-cache` runs on a route with a split: an answer that it has kept is given to all clients, whichever backend they would get, and before the plugin is asked.",
	split: func(u *use, r report) {
		u.plugins(caches, func(name string, routes string) {
			r(nil, "%s on the %s answers from its cache before a backend is chosen, with what any backend has sent: leave it out there, or put the caches behind the backends", name, routes)
		})
	},
}

var otherPlugin = &Check{
	ID: "other-plugin", Severity: Warning,
	Doc: "A plugin on a route with a split that answers all requests itself, such as `request-termination`, or chooses where they go as well, such as `canary`.",
	split: func(u *use, r report) {
		u.plugins(answers, func(name string, routes string) {
			r(nil, "%s on the %s answers the requests itself, so that no backend gets them: leave one of the two plugins out", name, routes)
		})
		u.plugins(goesThere, func(name string, routes string) {
			r(nil, "%s on the %s says where requests go as well, and one of the two has no effect: leave one out", name, routes)
		})
	},
}

// plugins calls report for each of some plugins that Kong runs on routes of the split, with
// the names of these.
func (u *use) plugins(some []string, report func(name, routes string)) {
	for _, name := range some {
		if !u.inKong(func(k *Kong) bool { return k.scopes[name] != nil }) {
			continue
		}
		var on []string
		for _, r := range u.routes {
			p := r.kong.scopes[name].run(r.Route, "")
			if p == nil || p.Config["trigger"] != nil { // request-termination for some requests
				continue
			}
			on = append(on, nameOf(r.Route))
		}
		if len(on) > 3 {
			on = append(on[:3], "others")
		}
		if on != nil {
			report(name, strings.Join(on, ", "))
		}
	}
}

// public returns a route on which no plugin looks at who the client is; nil: there is none,
// as far as is known.
func (u *use) public() *onRoute {
	for i := range u.routes {
		if !u.routes[i].guarded(append(slices.Clip(authenticates), "ip-restriction")) {
			return &u.routes[i]
		}
	}
	return nil
}

// guarded reports whether one of some plugins runs on a route, or one that is not Kong's
// own, and may do the same; in another file, it may be one for all routes.
func (r *onRoute) guarded(by []string) bool {
	return r.kong.guards(r.Route, by) || slices.ContainsFunc(r.kong.others, func(k *Kong) bool { return k.guards(k.alike(r.Route), by) })
}

// guards reports whether the file has one of some plugins on a route, or one that is not
// Kong's own.
func (k *Kong) guards(r *declarative.Route, by []string) bool {
	for name := range k.scopes {
		known := name == PluginName || slices.Contains(otherwise, name) || slices.Contains(caches, name) || slices.Contains(answers, name) || slices.Contains(goesThere, name) || slices.Contains(authenticates, name) && !slices.Contains(by, name) || name == "ip-restriction" && !slices.Contains(by, name)
		if !known && k.scopes[name].run(r, "") != nil {
			return true
		}
	}
	return false
}

var responseHeaderPublic = &Check{
	ID: "response-header-public", Severity: Warning,
	Doc: "`response_header` on a route that anybody may use: no plugin authenticates clients there or restricts their addresses. It tells every client which backend has answered, and so what is being rolled out. Where that is no secret, ignore it.",
	split: func(u *use, r report) {
		if u.ResponseHeader == "" || u.lack("plugins") {
			return
		}
		if route := u.public(); route != nil {
			r(at("response_header"), "tells all clients of the %s the backend's name: leave it out, put an authenticating plugin on the route, or ignore %s if that is meant", nameOf(route.Route), "response-header-public")
		}
	},
}

var consumerUnknown = &Check{
	ID: "consumer-unknown", Severity: Warning,
	Doc: "`hash_on: consumer`, a rule with `consumers` or a row for a consumer, where no plugin on the route finds out who the consumer is.",
	row: func(row *Row, r report) {
		k := row.file
		if row.loaded.Consumer == nil || len(row.Routes) == 0 || k.lacks("plugins") {
			return
		}
		routes := k.withServices(row.Routes)
		if !slices.ContainsFunc(routes, func(route onRoute) bool { return route.guarded(authenticates) }) {
			r(nil, "never runs, as it is for a consumer, and no plugin on the %s authenticates clients: add one, such as key-auth", names(row.Routes))
		}
	},
	split: func(u *use, r report) {
		var places [][]any
		if u.HashOn == "consumer" {
			places = append(places, at("hash_on"))
		}
		if u.HashFallback == "consumer" {
			places = append(places, at("hash_fallback"))
		}
		for i, rule := range u.Rules {
			if len(rule.Match.Consumers) > 0 {
				places = append(places, at("rules", i, "match", "consumers"))
			}
			if not := rule.Match.Not; not != nil && len(not.Consumers) > 0 {
				places = append(places, at("rules", i, "match", "not", "consumers"))
			}
		}
		for i := range u.routes {
			if places != nil && !u.lack("plugins") && !u.routes[i].guarded(authenticates) {
				for _, place := range places {
					r(place, "no plugin on the %s authenticates clients, so that there is no consumer: add one, such as key-auth", nameOf(u.routes[i].Route))
				}
				return
			}
		}
	},
}

var consumerMissing = &Check{
	ID: "consumer-missing", Severity: Warning,
	Doc: "A rule names a consumer that is not in the files of Kong's, though these have consumers.",
	split: func(u *use, r report) {
		if !u.inKong(func(k *Kong) bool { return len(k.config.Consumers) > 0 }) || u.lack("consumers") {
			return
		}
		missing := func(consumers []string, place ...any) {
			for j, name := range consumers {
				if !u.inKong(func(k *Kong) bool { return k.HasConsumer(name) }) {
					r(append(place, "consumers", j), "%q is neither the username, nor the custom_id, nor the id of a consumer: write one of these", name)
				}
			}
		}
		for i, rule := range u.Rules {
			missing(rule.Match.Consumers, "rules", i, "match")
			if not := rule.Match.Not; not != nil {
				missing(not.Consumers, "rules", i, "match", "not")
			}
		}
	},
}

// HasConsumer reports whether the file has a consumer of that username, custom_id or id.
func (k *Kong) HasConsumer(name string) bool {
	for _, c := range k.config.Consumers {
		if name != "" && (c.Username == name || c.CustomID == name || c.ID == name) {
			return true
		}
	}
	return false
}
