package standin

import (
	"cmp"
	"crypto/tls"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"kong-traffic-split/kong/declarative"
)

// The router is that of Kong's flavor traditional_compatible: each route is a
// condition with a priority, and the first that holds counts, the highest
// priority first and among equals the highest id.

// router finds the route of a request.
type router struct {
	matchers []matcher
	// looksAt are the facts of a request that a route asks for: "path",
	// "host" and names of headers.
	looksAt map[string]bool
}

// match is what the router finds out about a request.
type match struct {
	route    *declarative.Route
	service  *declarative.Service
	path     string // that the route's path matched
	captures *captures
}

// captures are the groups of a path that is a regular expression.
type captures struct {
	unnamed []string
	named   map[string]string
}

func newRouter(config *declarative.Config) *router {
	r := &router{looksAt: map[string]bool{}}
	for route, service := range routesOf(config, isHTTP) {
		r.lookAt(route)
		for i, paths := range groupPaths(route.Paths) {
			id := route.ID
			if i > 0 {
				id += "#" + strconv.Itoa(i)
			}
			r.matchers = append(r.matchers, newMatcher(id, route, service, paths))
		}
	}
	slices.SortFunc(r.matchers, func(a, b matcher) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(b.id, a.id))
	})
	return r
}

// routesOf are the routes of a subsystem, each with its Service. A Service of the
// other subsystem is ignored; the routes of one that is disabled are left out.
func routesOf(config *declarative.Config, belongs func(protocols ...string) bool) iter.Seq2[*declarative.Route, *declarative.Service] {
	services := map[string]*declarative.Service{}
	for _, service := range config.Services {
		services[service.ID] = service
	}
	return func(yield func(*declarative.Route, *declarative.Service) bool) {
		for _, route := range config.Routes {
			service := services[idOf(route.Service)]
			if !belongs(route.Protocols...) || service != nil && !service.Enabled {
				continue
			}
			if service != nil && !belongs(service.Protocol) {
				service = nil
			}
			if !yield(route, service) {
				return
			}
		}
	}
}

// lookAt adds the facts that the route asks for.
func (r *router) lookAt(route *declarative.Route) {
	if len(route.Paths) > 0 {
		r.looksAt["path"] = true
	}
	if len(route.Hosts) > 0 {
		r.looksAt["host"] = true
	}
	for name := range route.Headers {
		r.looksAt[http.CanonicalHeaderKey(name)] = true
	}
}

// subject is what a request is routed by.
type subject struct {
	path    string // normalised
	method  string
	host    string // as it stands in the request
	port    int    // of the listener
	header  http.Header
	session *tls.ConnectionState
}

// errNoText is the error of a request that cannot be routed, as a fact that a route
// asks for is not UTF-8.
var errNoText = errors.New("invalid utf-8 sequence")

// find returns the route of a request, or nil.
func (r *router) find(s subject) (*match, error) {
	if !r.isText(s) {
		return nil, errNoText
	}
	for i := range r.matchers {
		m := &r.matchers[i]
		if !m.matchesMethod(s) || !m.matchesSNI(s) || !m.matchesHost(s) || !m.matchesHeaders(s) {
			continue
		}
		if found, ok := m.matchPath(s.path); ok {
			found.route, found.service = m.route, m.service
			return found, nil
		}
	}
	return nil, nil
}

// isText reports whether all facts that routes ask for are UTF-8, as Kong's router
// requires.
func (r *router) isText(s subject) bool {
	for fact := range r.looksAt {
		values := s.header[fact]
		switch fact {
		case "path":
			values = []string{s.path}
		case "host":
			values = []string{s.host}
		}
		if slices.ContainsFunc(values, func(value string) bool { return !utf8.ValidString(value) }) {
			return false
		}
	}
	return true
}
