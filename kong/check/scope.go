package check

import (
	"slices"

	"kong-traffic-split/kong/declarative"
)

// scope has the enabled rows of one plugin by what they are on.
type scope map[on][]*declarative.Plugin

// on is what a row is on, by ids; empty: that does not matter.
type on struct{ route, service, consumer string }

func scopes(rows []*declarative.Plugin) map[string]scope {
	all := map[string]scope{}
	for _, p := range rows {
		if !p.Enabled {
			continue
		}
		if all[p.Name] == nil {
			all[p.Name] = scope{}
		}
		all[p.Name][onOf(p)] = append(all[p.Name][onOf(p)], p)
	}
	return all
}

func onOf(p *declarative.Plugin) on { return on{idOf(p.Route), idOf(p.Service), idOf(p.Consumer)} }

func idOf(r *declarative.Ref) string {
	if r == nil {
		return ""
	}
	return r.ID
}

// order has what a row may be on to run for requests of a consumer to a route and its
// Service, the most specific first, as in Kong's plugins_iterator.lua. Kong runs a plugin
// once, for the first row of it.
func order(route, service, consumer string) [8]on {
	return [8]on{ // without a consumer or a Service, some are the same
		{route, service, consumer},
		{route, "", consumer},
		{"", service, consumer},
		{route, service, ""},
		{"", "", consumer},
		{route, "", ""},
		{"", service, ""},
		{"", "", ""},
	}
}

// run returns the row of a plugin that Kong runs for requests of a consumer to a route;
// nil: none.
func (s scope) run(r *declarative.Route, consumer string) *declarative.Plugin {
	if len(s) == 0 {
		return nil
	}
	for _, key := range order(r.ID, idOf(r.Service), consumer) {
		for _, p := range s[key] {
			if runsOn(p, r) {
				return p
			}
		}
	}
	return nil
}

// routesOf returns the routes for whose requests Kong runs a row: those of which no more
// specific row of the plugin takes its place.
func (k *Kong) routesOf(row *declarative.Plugin) (routes []*declarative.Route) {
	for _, r := range k.on(row) {
		if k.scopes[row.Name].run(r, idOf(row.Consumer)) == row {
			routes = append(routes, r)
		}
	}
	return routes
}

// on returns the routes that a row is on, whatever other rows there are.
func (k *Kong) on(row *declarative.Plugin) (routes []*declarative.Route) {
	if row.Route != nil {
		r := k.routes[row.Route.ID]
		if r == nil || row.Service != nil && idOf(r.Service) != row.Service.ID || !runsOn(row, r) {
			return nil
		}
		return []*declarative.Route{r}
	}
	for _, r := range k.config.Routes {
		if (row.Service == nil || idOf(r.Service) == row.Service.ID) && runsOn(row, r) {
			routes = append(routes, r)
		}
	}
	return routes
}

// runsOn reports whether a row has a protocol of the route's.
func runsOn(row *declarative.Plugin, r *declarative.Route) bool {
	return slices.ContainsFunc(r.Protocols, func(p string) bool { return slices.Contains(row.Protocols, p) })
}
