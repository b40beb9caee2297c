// Package check owns what is wrong with a declarative file of Kong's that uses the
// plugin: what Kong would refuse of it, and what the plugin server would, which sees a
// row only together with the route and the Service that it is on.
package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
)

// A Gateway is a Kong with a declarative file, as far as the plugin has to do with it.
type Gateway struct {
	kong     *declarative.Config
	plugin   string
	services map[string]*declarative.Service // by id
}

// Load checks a file as Kong does. Other plugins, and entities that have nothing to do
// with this one, are not looked at.
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

// Rows are the rows of the plugin that are enabled, in the order of
// [declarative.File.PluginRows].
func (g *Gateway) Rows() []*declarative.Plugin {
	return slices.DeleteFunc(slices.Clone(g.kong.Plugins), func(p *declarative.Plugin) bool {
		return p.Name != g.plugin || !p.Enabled
	})
}

// Refused is why the plugin, or Kong, would answer requests to a row's routes with an
// error whatever they are like; nil: they would not.
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
		reached := config.NewService(s.Protocol, s.Host)
		for i := range c.Backends {
			if err := reached.Refuse(&c.Backends[i]); err != nil {
				refuse("%v (on the %s)", err, name)
			}
		}
	}
	return reasons
}

// Missing are the backends of a row whose Upstreams Kong does not have, by name.
func (g *Gateway) Missing(c *config.Config) (names []string) {
	for _, b := range c.Backends {
		if b.Upstream != "" && !slices.ContainsFunc(g.kong.Upstreams, func(u *declarative.Upstream) bool { return u.Name == b.Upstream }) {
			names = append(names, b.Name)
		}
	}
	return names
}

// route is the one that is referred to; nil: none is.
func (g *Gateway) route(ref *declarative.Ref) *declarative.Route {
	for _, r := range g.kong.Routes {
		if ref != nil && ref.ID == r.ID {
			return r
		}
	}
	return nil
}

// routes are those whose requests a row is for, as far as no other row of the plugin
// takes its place there.
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

// replaces reports whether all requests of a route get another row than this one, which
// is for it too: Kong runs the plugin once, for the most specific row. A row on the
// consumer comes before one without; then one on the route, and one on the Service.
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

// isStream reports whether a route is of Kong's other side, which passes on connections.
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
