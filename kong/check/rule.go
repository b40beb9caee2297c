package check

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
)

var ruleNever = &Check{
	ID: "rule-never", Severity: Warning,
	Doc: "A rule that never decides: an earlier one holds whenever it does, its path or methods are none of the routes that use the split, or its `not` holds whenever the rest of it does.",
	split: func(u *use, r report) {
		for i := range u.Rules {
			match := &u.Rules[i].Match
			for j := range i {
				if u.covers(&u.Rules[j].Match, match) {
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
			if excluding := u.excluding(match); excluding != nil {
				r(append(at("rules", i, "match", "not"), excluding...), "holds whenever the rest of the match does, so that the rule never holds: make it narrower, or take it out")
			}
		}
	},
}

// alwaysHolds reports whether a match holds for all requests of the split's routes.
func (u *use) alwaysHolds(m *config.Match) bool {
	rest := *m
	if u.anyPath(m.PathPrefix) {
		rest.PathPrefix = ""
	}
	if u.anyMethod(m.Methods) {
		rest.Methods = nil
	}
	if anyAddress(m.ClientIPs) {
		rest.ClientIPs = nil
	}
	return reflect.ValueOf(rest).IsZero() || reflect.DeepEqual(rest, config.Match{})
}

// anyPath reports whether all paths of the routes begin with a prefix.
func (u *use) anyPath(prefix string) bool {
	prefix = config.NormalPath(prefix)
	return prefix == "/" || len(u.routes) > 0 && u.allRoutes(func(r *declarative.Route) bool {
		return len(r.Paths) > 0 && !slices.ContainsFunc(r.Paths, func(p string) bool { return !strings.HasPrefix(p, prefix) })
	})
}

// anyMethod reports whether the routes have no other methods than these.
func (u *use) anyMethod(methods []string) bool {
	return len(u.routes) > 0 && u.allRoutes(func(r *declarative.Route) bool { return within(r.Methods, methods) })
}

func anyAddress(networks []string) bool {
	return slices.Contains(networks, "0.0.0.0/0") && slices.Contains(networks, "::/0")
}

// within reports whether there are values, all of which are among others.
func within(values, others []string) bool {
	return len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(others, v) })
}

// excluding returns where in the not of a match something stands that holds whenever the
// rest of the match does; nil: nowhere.
func (u *use) excluding(m *config.Match) []any {
	not := m.Not
	if not == nil {
		return nil
	}
	switch {
	case not.PathPrefix != "" && (u.anyPath(not.PathPrefix) || prefixWithin(m.PathPrefix, not.PathPrefix)):
		return at("path_prefix")
	case u.anyMethod(not.Methods), within(m.Methods, not.Methods):
		return at("methods")
	case within(m.Consumers, not.Consumers):
		return at("consumers")
	case anyAddress(not.ClientIPs), networksWithin(m.ClientIPs, not.ClientIPs):
		return at("client_ips")
	}
	for _, in := range []struct {
		name       string
		match, not map[string][]string
		anyCase    bool
	}{{"headers", m.Headers, not.Headers, true}, {"cookies", m.Cookies, not.Cookies, false}, {"query_args", m.QueryArgs, not.QueryArgs, false}} {
		for _, name := range slices.Sorted(maps.Keys(in.not)) {
			if slices.ContainsFunc(namesLike(in.match, name, in.anyCase), func(n string) bool { return valuesWithin(in.match[n], in.not[name]) }) {
				return at(in.name, name)
			}
		}
	}
	return nil
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
