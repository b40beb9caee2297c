package httproute

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"kong-traffic-split/kong/declarative"
)

// route is an HTTPRoute or a GRPCRoute.
type route struct {
	doc         *document
	grpc        bool
	annotations map[string]string
	created     string // when, as RFC 3339, in UTC
	parents     []gateway.ParentReference
	hostnames   []string
	rules       []*rule
}

// prefix is what the names of Kong's entities begin with.
func (r *route) prefix() string {
	kind := "httproute"
	if r.grpc {
		kind = "grpcroute"
	}
	return kind + "." + r.doc.namespace + "." + r.doc.name
}

// rule is a rule of a route. A GRPCRoute's filters are those of the same name of an
// HTTPRoute.
type rule struct {
	route    *route
	index    int
	at       *trail
	matches  []match
	filters  []gateway.HTTPRouteFilter
	refs     []backendRef
	timeouts *gateway.HTTPRouteTimeouts
	retry    *gateway.HTTPRouteRetry
	session  *gateway.SessionPersistence
}

func (r *rule) name() string { return r.route.prefix() + "." + strconv.Itoa(r.index) }

type backendRef struct {
	at      *trail
	ref     gateway.BackendRef
	filters []gateway.HTTPRouteFilter
}

// match is one of the matches of a rule: all of it has to hold.
type match struct {
	at           *trail
	pathType     gateway.PathMatchType
	path         string
	length       int // of the path, or of the service of a call, as precedence counts it
	methodLength int // of the method of a call
	method       string
	headers      []condition
	queries      []condition
}

// condition is what a header or an argument of the query has to be.
type condition struct {
	at    *trail
	name  string
	value string
	regex bool
}

func newRoute(d *document) *route {
	r := &route{doc: d, annotations: stringsOf(get(d.root, "metadata", "annotations"))}
	if created, err := time.Parse(time.RFC3339, text(d.root, "metadata", "creationTimestamp")); err == nil {
		r.created = created.UTC().Format(time.RFC3339)
	}
	return r
}

func (r *route) set(spec *gateway.CommonRouteSpec, hostnames []gateway.Hostname) {
	r.parents = spec.ParentRefs
	for i, hostname := range hostnames {
		if _, err := netip.ParseAddr(string(hostname)); err == nil {
			r.doc.refuse((*trail)(nil).fields("spec", "hostnames").item(i), "%s is an IP address; the Gateway API has names here", hostname)
		}
		r.hostnames = append(r.hostnames, string(hostname))
	}
	r.hostnames = distinct(r.hostnames)
}

func (o *objects) addHTTPRoute(d *document) {
	var spec gateway.HTTPRouteSpec
	d.spec(&spec)
	r := newRoute(d)
	r.set(&spec.CommonRouteSpec, spec.Hostnames)
	rules := (*trail)(nil).fields("spec", "rules")
	for i, from := range spec.Rules {
		to := &rule{route: r, index: i, at: rules.item(i), filters: from.Filters, timeouts: from.Timeouts, retry: from.Retry, session: from.SessionPersistence}
		for j, m := range from.Matches {
			to.matches = append(to.matches, httpMatch(m, to.at.field("matches").item(j)))
		}
		for j, ref := range from.BackendRefs {
			to.refs = append(to.refs, backendRef{to.at.field("backendRefs").item(j), ref.BackendRef, ref.Filters})
		}
		r.rules = append(r.rules, to)
	}
	o.routes = append(o.routes, r)
}

func httpMatch(m gateway.HTTPRouteMatch, at *trail) match {
	out := match{at: at, pathType: *m.Path.Type, path: *m.Path.Value}
	out.length = utf8.RuneCountInString(strings.TrimSuffix(declarative.NormalizePath(out.path), "/"))
	if m.Method != nil {
		out.method = string(*m.Method)
	}
	for i, h := range m.Headers {
		out.headers = appendOnce(out.headers, condition{at.field("headers").item(i), string(h.Name), h.Value, *h.Type == gateway.HeaderMatchRegularExpression}, strings.EqualFold)
	}
	for i, q := range m.QueryParams {
		out.queries = appendOnce(out.queries, condition{at.field("queryParams").item(i), string(q.Name), q.Value, *q.Type == gateway.QueryParamMatchRegularExpression}, func(a, b string) bool { return a == b })
	}
	return out
}

// appendOnce leaves a condition out whose name is that of one before it: only the first
// one counts, as the Gateway API has it.
func appendOnce(all []condition, c condition, same func(a, b string) bool) []condition {
	for _, other := range all {
		if same(other.name, c.name) {
			return all
		}
	}
	return append(all, c)
}

func (o *objects) addGRPCRoute(d *document) {
	var spec gateway.GRPCRouteSpec
	d.spec(&spec)
	r := newRoute(d)
	r.grpc = true
	r.set(&spec.CommonRouteSpec, spec.Hostnames)
	rules := (*trail)(nil).fields("spec", "rules")
	for i, from := range spec.Rules {
		to := &rule{route: r, index: i, at: rules.item(i), filters: httpFilters(from.Filters), session: from.SessionPersistence}
		matches := from.Matches
		if len(matches) == 0 {
			matches = []gateway.GRPCRouteMatch{{}}
		}
		for j, m := range matches {
			to.matches = append(to.matches, grpcMatch(m, to.at.field("matches").item(j)))
		}
		for j, ref := range from.BackendRefs {
			to.refs = append(to.refs, backendRef{to.at.field("backendRefs").item(j), ref.BackendRef, httpFilters(ref.Filters)})
		}
		r.rules = append(r.rules, to)
	}
	o.routes = append(o.routes, r)
}

func httpFilters(filters []gateway.GRPCRouteFilter) (out []gateway.HTTPRouteFilter) {
	for _, f := range filters {
		out = append(out, gateway.HTTPRouteFilter{
			Type: gateway.HTTPRouteFilterType(f.Type), RequestHeaderModifier: f.RequestHeaderModifier,
			ResponseHeaderModifier: f.ResponseHeaderModifier, RequestMirror: f.RequestMirror, ExtensionRef: f.ExtensionRef,
		})
	}
	return out
}
