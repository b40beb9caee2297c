// Package check finds what is wrong with a declarative file of Kong's that uses the
// plugin: what Kong would refuse, and what the plugin server would refuse at a request,
// which depends on the route and the Service of a row.
package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
)

// A Gateway is the part of a declarative file that matters to the plugin.
type Gateway struct {
	kong     *declarative.Config
	plugin   string
	services map[string]*declarative.Service // by id
}

// Load checks a file as Kong does. It ignores other plugins, and entities that do not
// matter to this one.
func Load(f declarative.File, plugin string) (*Gateway, error) {
	loader, err := declarative.NewLoader([]string{plugin}, map[string]json.RawMessage{plugin: config.KongSchema()})
	if err != nil {
		return nil, err
	}
	kong, err := loader.Load(f.Only(plugin))
	if err != nil {
		return nil, fmt.Errorf("refused by Kong:\n%w", err)
	}
	g := &Gateway{kong: kong, plugin: plugin, services: map[string]*declarative.Service{}}
	for _, s := range kong.Services {
		g.services[s.ID] = s
	}
	return g, nil
}

// Rows returns the enabled rows of the plugin, in the order of
// [declarative.File.PluginRows].
func (g *Gateway) Rows() []*declarative.Plugin {
	return slices.DeleteFunc(slices.Clone(g.kong.Plugins), func(p *declarative.Plugin) bool {
		return p.Name != g.plugin || !p.Enabled
	})
}

// Refused returns why the plugin or Kong would answer every request to some route of a
// row with an error, or never run the plugin there; nil: there is no such reason.
func (g *Gateway) Refused(row *declarative.Plugin, c *config.Config) (reasons []string) {
	refuse := func(format string, args ...any) {
		if reason := fmt.Sprintf(format, args...); !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	if r := g.route(row.Route); r != nil && !runsOn(row, r) {
		refuse("its protocols, %s, are not those of the %s, %s, so that it never runs there: set the row's protocols", strings.Join(row.Protocols, ", "), nameOf(r), strings.Join(r.Protocols, ", "))
	}
	for _, route := range g.routes(row) {
		name := nameOf(route)
		if needs := c.NeedsHTTP(); needs != "" && isStream(route.Protocols) {
			refuse("%s: Kong does not look into the TCP or TLS connections of the %s: leave it out, or put the plugin on another route", needs, name)
		}
		if route.Service == nil {
			if row.Route != nil {
				refuse("the %s has no Service, so that Kong answers with 503 whatever the plugin does: give it one", name)
			}
			continue
		}
		s := g.services[route.Service.ID]
		service := config.NewService(s.Protocol, s.Host)
		for i := range c.Backends {
			if err := service.Refuse(&c.Backends[i]); err != nil {
				refuse("%v (on the %s)", err, name)
			}
		}
	}
	return reasons
}

// Missing returns the names of the backends whose Upstreams Kong does not have.
func (g *Gateway) Missing(c *config.Config) (names []string) {
	for _, b := range c.Backends {
		if b.Upstream != "" && !slices.ContainsFunc(g.kong.Upstreams, func(u *declarative.Upstream) bool { return u.Name == b.Upstream }) {
			names = append(names, b.Name)
		}
	}
	return names
}

// route returns the route of a reference; nil: there is none.
func (g *Gateway) route(ref *declarative.Ref) *declarative.Route {
	for _, r := range g.kong.Routes {
		if ref != nil && ref.ID == r.ID {
			return r
		}
	}
	return nil
}

// routes returns the routes for whose requests Kong runs a row: those of which no more
// specific row of the plugin takes its place.
func (g *Gateway) routes(row *declarative.Plugin) (routes []*declarative.Route) {
	rows := g.Rows()
	for _, r := range g.kong.Routes {
		switch {
		case row.Route != nil && row.Route.ID != r.ID,
			row.Service != nil && (r.Service == nil || row.Service.ID != r.Service.ID),
			!runsOn(row, r),
			slices.ContainsFunc(rows, func(other *declarative.Plugin) bool { return replaces(other, row, r) }):
		default:
			routes = append(routes, r)
		}
	}
	return routes
}

// runsOn reports whether a row has a protocol of the route's.
func runsOn(row *declarative.Plugin, r *declarative.Route) bool {
	return slices.ContainsFunc(r.Protocols, func(p string) bool { return slices.Contains(row.Protocols, p) })
}

// replaces reports whether other takes the place of row for all requests of a route: Kong
// runs the plugin once, for the most specific row. A row on a consumer is more specific
// than one without, then one on a route, then one on a Service.
func replaces(other, row *declarative.Plugin, r *declarative.Route) bool {
	if other.Consumer != nil || row.Consumer != nil || !runsOn(other, r) {
		return false
	}
	onRoute := other.Route != nil && other.Route.ID == r.ID
	onService := other.Service != nil && r.Service != nil && other.Service.ID == r.Service.ID
	switch {
	case other.Route != nil && !onRoute, other.Service != nil && !onService:
		return false
	case row.Route != nil:
		return row.Service == nil && onRoute && onService
	case row.Service != nil:
		return onRoute
	}
	return onRoute || onService
}

// isStream reports whether a route with these protocols is for TCP or TLS connections.
func isStream(protocols []string) bool {
	return !slices.ContainsFunc(protocols, func(p string) bool {
		return strings.HasPrefix(p, "http") || strings.HasPrefix(p, "grpc")
	})
}

func nameOf(r *declarative.Route) string {
	if r.Name == "" {
		return "route " + r.ID
	}
	return fmt.Sprintf("route %q", r.Name)
}
