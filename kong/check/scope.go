package check

import (
	"slices"

	"kong-traffic-split/kong/declarative"
)

// scope has the enabled rows of one plugin by what they are on.
type scope map[declarative.Scope][]*declarative.Plugin

func (k *Kong) allScopes() map[string]scope {
	all := map[string]scope{}
	for _, p := range k.config.Plugins {
		if !p.Enabled || k.forGroup(p) {
			continue
		}
		if all[p.Name] == nil {
			all[p.Name] = scope{}
		}
		all[p.Name][p.Scope()] = append(all[p.Name][p.Scope()], p)
	}
	return all
}

// forGroup reports whether a row is for the consumers of a group, as Kong Enterprise has
// them. Which requests are theirs is not known, so it takes nobody's place.
func (k *Kong) forGroup(p *declarative.Plugin) bool {
	row, _ := k.File.At(k.places[p.ID]...).(map[string]any)
	return row["consumer_group"] != nil
}

// run returns the row of a plugin that Kong runs for requests of a consumer to a route;
// nil: none.
func (s scope) run(r *declarative.Route, consumer string) *declarative.Plugin {
	if len(s) == 0 {
		return nil
	}
	for _, key := range declarative.Scopes(r.ID, declarative.IDOf(r.Service), consumer) {
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
		if k.forGroup(row) || k.scopes[row.Name].run(r, declarative.IDOf(row.Consumer)) == row {
			routes = append(routes, r)
		}
	}
	return routes
}

// on returns the routes that a row is on, whatever other rows there are.
func (k *Kong) on(row *declarative.Plugin) (routes []*declarative.Route) {
	if row.Route != nil {
		r := k.routes[row.Route.ID]
		if r == nil || row.Service != nil && declarative.IDOf(r.Service) != row.Service.ID || !runsOn(row, r) {
			return nil
		}
		return []*declarative.Route{r}
	}
	all := k.config.Routes
	if row.Service != nil {
		all = k.leadTo[row.Service.ID]
	}
	for _, r := range all {
		if runsOn(row, r) {
			routes = append(routes, r)
		}
	}
	return routes
}

// runsOn reports whether Kong runs a row by its protocols on a route. It looks only whether
// these are for HTTP or for connections: a row with http alone runs for https as well.
func runsOn(row *declarative.Plugin, r *declarative.Route) bool {
	return slices.ContainsFunc(r.Protocols, func(p string) bool {
		return slices.ContainsFunc(row.Protocols, func(own string) bool { return isHTTP(own) == isHTTP(p) })
	})
}

// A file with rows for all routes refers to nothing, and is joined with no other one, see
// [checker.join]. Whether it goes live with the others is not known, so that its rows count
// only where there would be a finding without them.

// alike returns the route of the file that is called as that of another one, or else one for
// which there are only the rows for all routes.
func (k *Kong) alike(other *declarative.Route) *declarative.Route {
	for _, r := range k.config.Routes {
		if r.Name == other.Name && r.Name != "" {
			return r
		}
	}
	return &declarative.Route{Protocols: other.Protocols}
}

// elsewhere returns the routes of other files for which Kong may run a row for all routes.
func (row *Row) elsewhere() (routes []*declarative.Route) {
	if row.loaded.Route != nil || row.loaded.Service != nil {
		return nil
	}
	for _, k := range row.file.others {
		for _, r := range k.config.Routes {
			if runsOn(row.loaded, r) && k.scopes[PluginName].run(r, declarative.IDOf(row.loaded.Consumer)) == nil {
				routes = append(routes, r)
			}
		}
	}
	return routes
}
