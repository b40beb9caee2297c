package check

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
)

var rampSessions = &Check{
	ID: "ramp-sessions", Severity: Warning,
	Doc: "A ramp on a split with a `session` that lasts as long as the ramp or longer: who has come before stays at the old backend, so that the canary does not get its share.",
	split: func(u *use, r report) {
		if u.Ramp == nil || u.Session == nil || u.Ramp.Hold != nil {
			return
		}
		lasts := u.Ramp.Duration
		for _, step := range u.Ramp.Plan {
			lasts += step.For
		}
		if lasts == 0 || u.Session.MaxAge > 0 && float64(u.Session.MaxAge) < lasts {
			return
		}
		age := "until the browser closes, as max_age is 0"
		if u.Session.MaxAge > 0 {
			age = fmt.Sprintf("for max_age, %d s", u.Session.MaxAge)
		}
		r(at("session"), "pins a client %s, and the ramp is over after %v s: clients that return stay where they are, so that %q gets less than its share; write a max_age that is short beside the ramp, or hash_on in the place of session", age, lasts, u.Ramp.Backend)
	},
}

var rampRules = &Check{
	ID: "ramp-rules", Severity: Warning,
	Doc: "A ramp on a split with a rule that holds for all requests of its routes: the rule decides, and the ramp has no part in it.",
	split: func(u *use, r report) {
		if u.Ramp == nil {
			return
		}
		for i, rule := range u.Rules {
			if u.alwaysHolds(&rule.Match) {
				r(at("rules", i), "holds for each request, so that it decides and the ramp of %q has no effect: make its match narrower, or take it out", u.Ramp.Backend)
				return
			}
		}
	},
}

var guardIdle = &Check{
	ID: "guard-idle", Severity: Warning,
	Doc: "A guard whose `rollback_to` is the largest share of the ramp or more: a rollback would change nothing.",
	split: func(u *use, r report) {
		if u.Ramp == nil || u.Ramp.Guard == nil {
			return
		}
		largest := u.Ramp.From
		if u.Ramp.To != nil {
			largest = max(largest, *u.Ramp.To)
		}
		for _, step := range u.Ramp.Plan {
			largest = max(largest, step.Share)
		}
		if to := u.Ramp.Guard.RollbackTo; to >= largest {
			r(at("ramp", "guard", "rollback_to"), "is %v, and the ramp's largest share is %v, so that a rollback changes nothing: write a smaller one", to, largest)
		}
	},
}

var ruleNever = &Check{
	ID: "rule-never", Severity: Warning,
	Doc: "A rule that never decides: an earlier one holds whenever it does, or its path or methods are none of the routes that use the split.",
	split: func(u *use, r report) {
		for i := range u.Rules {
			match := &u.Rules[i].Match
			for j := range i {
				if earlier := &u.Rules[j].Match; u.alwaysHolds(earlier) || reflect.DeepEqual(earlier, match) {
					r(at("rules", i), "never decides, as rules[%d] holds whenever it does: take one of them out, or change their order", j)
					break
				}
			}
			if u.noPath(match.PathPrefix) {
				r(at("rules", i, "match", "path_prefix"), "%q is on no path of the %s, so that the rule never holds: write the path as the client asks for it", match.PathPrefix, u.routeNames())
			}
			if u.noMethod(match.Methods) {
				r(at("rules", i, "match", "methods"), "the %s has none of these methods, so that the rule never holds", u.routeNames())
			}
		}
	},
}

// alwaysHolds reports whether a match holds for all requests of the split's routes.
func (u *use) alwaysHolds(m *config.Match) bool {
	rest := *m
	if prefix := config.NormalPath(m.PathPrefix); prefix == "/" || len(u.routes) > 0 && u.allRoutes(func(r *declarative.Route) bool {
		return len(r.Paths) > 0 && !slices.ContainsFunc(r.Paths, func(p string) bool { return !strings.HasPrefix(p, prefix) })
	}) {
		rest.PathPrefix = ""
	}
	if len(u.routes) > 0 && u.allRoutes(func(r *declarative.Route) bool {
		return len(r.Methods) > 0 && !slices.ContainsFunc(r.Methods, func(method string) bool { return !slices.Contains(m.Methods, method) })
	}) {
		rest.Methods = nil
	}
	if slices.Contains(m.ClientIPs, "0.0.0.0/0") && slices.Contains(m.ClientIPs, "::/0") {
		rest.ClientIPs = nil
	}
	return reflect.ValueOf(rest).IsZero() || reflect.DeepEqual(rest, config.Match{})
}

func (u *use) allRoutes(holds func(*declarative.Route) bool) bool {
	return !slices.ContainsFunc(u.routes, func(r onRoute) bool { return !holds(r.Route) })
}

// noPath reports whether no path of the routes begins with a prefix.
func (u *use) noPath(prefix string) bool {
	prefix = config.NormalPath(prefix)
	return len(u.routes) > 0 && prefix != "" && u.allRoutes(func(r *declarative.Route) bool {
		return len(r.Paths) > 0 && !slices.ContainsFunc(r.Paths, func(p string) bool {
			return strings.HasPrefix(p, "~") || strings.HasPrefix(p, prefix) || strings.HasPrefix(prefix, p)
		})
	})
}

// noMethod reports whether the routes have none of some methods.
func (u *use) noMethod(methods []string) bool {
	return len(u.routes) > 0 && len(methods) > 0 && u.allRoutes(func(r *declarative.Route) bool {
		return len(r.Methods) > 0 && !slices.ContainsFunc(r.Methods, func(m string) bool { return slices.Contains(methods, m) })
	})
}

// routeNames returns the names of the routes, for a message.
func (u *use) routeNames() string {
	var routes []*declarative.Route
	for _, r := range u.routes {
		routes = append(routes, r.Route)
	}
	return names(routes)
}

var captureMissing = &Check{
	ID: "capture-missing", Severity: Warning,
	Doc: "`hash_on: uri_capture` with a name that no path of the route captures.",
	split: func(u *use, r report) {
		for _, key := range []struct{ on, name, field string }{
			{u.HashOn, u.HashOnURICapture, "hash_on_uri_capture"},
			{u.HashFallback, u.HashFallbackURICapture, "hash_fallback_uri_capture"},
		} {
			if key.on != "uri_capture" {
				continue
			}
			for _, route := range u.routes {
				if !captures(route.Route, key.name) {
					r(at(key.field), "no path of the %s captures %q: write a path such as ~/users/(?<%s>[^/]+), or the name that it has", nameOf(route.Route), key.name, key.name)
					break
				}
			}
		}
	},
}

// captures reports whether a path of a route has a capture of that name, or number.
func captures(r *declarative.Route, name string) bool {
	if r.Expression != nil { // its paths are in there
		return true
	}
	return slices.ContainsFunc(r.Paths, func(path string) bool {
		expression, isRegexp := strings.CutPrefix(path, "~")
		if !isRegexp {
			return false
		}
		re, err := regexp.Compile(declarative.RouteRegexp(expression))
		if err != nil || slices.Contains(re.SubexpNames(), name) {
			return true
		}
		for i := 1; i <= re.NumSubexp(); i++ {
			if fmt.Sprint(i) == name {
				return true
			}
		}
		return false
	})
}
