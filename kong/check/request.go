package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
)

// A Request is what somebody says of a request to a row; empty: nothing is said.
type Request struct {
	Method   string
	Path     string // as Kong normalises it, without a query
	Host     string // with a port or without
	Scheme   string // http or https
	Headers  []Header
	Query    string   // as it is in the address
	Captures []string // names of captures of the route's path
	HTTP     string   // an option that only a request of HTTP has
}

// A Header of a request.
type Header struct{ Name, Value string }

// Refuses returns why Kong would not give a request to the row: none of the routes for which
// it runs takes the request; nil: one does.
func (r *Row) Refuses(q Request) error {
	var first error
	for _, route := range r.Routes {
		err := q.refusedBy(route)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// refusedBy returns why a route does not take the request; nil: it does.
func (q *Request) refusedBy(r *declarative.Route) error {
	if isStream(r.Protocols) {
		if q.HTTP != "" {
			return fmt.Errorf("%s: Kong does not look into the TCP or TLS connections of the %s: leave it out", q.HTTP, nameOf(r))
		}
		return nil
	}
	if q.Scheme != "" && !slices.Contains(r.Protocols, q.Scheme) && !slices.Contains(r.Protocols, strings.Replace(q.Scheme, "http", "grpc", 1)) {
		return fmt.Errorf("%s: the %s has the protocols %s, so that Kong answers with 404", q.Scheme, nameOf(r), strings.Join(r.Protocols, ", "))
	}
	if q.Method != "" && len(r.Methods) > 0 && !slices.Contains(r.Methods, q.Method) {
		return fmt.Errorf("method %s: the %s has the methods %s, so that Kong answers with 404", q.Method, nameOf(r), strings.Join(r.Methods, ", "))
	}
	if q.Path != "" && len(r.Paths) > 0 && !slices.ContainsFunc(r.Paths, func(path string) bool { return takesPath(path, q.Path) }) {
		return fmt.Errorf("path %q: the %s has the paths %s, so that Kong answers with 404", q.Path, nameOf(r), strings.Join(r.Paths, ", "))
	}
	if q.Host != "" && len(r.Hosts) > 0 && !slices.ContainsFunc(r.Hosts, func(host string) bool { return takesHost(host, q.Host) }) {
		return fmt.Errorf("header Host %q: the %s has the hosts %s, so that Kong answers with 404", q.Host, nameOf(r), strings.Join(r.Hosts, ", "))
	}
	if err := q.refusedByHeaders(r); err != nil {
		return err
	}
	if err := q.refusedByExpression(r); err != nil {
		return err
	}
	for _, name := range q.Captures {
		if !captures(r, name) {
			return fmt.Errorf("capture %q: no path of the %s captures it", name, nameOf(r))
		}
	}
	return nil
}

// takesPath reports whether a route's path, a prefix or an expression behind a ~, is that of
// a request.
func takesPath(path, request string) bool {
	text, isRegexp := strings.CutPrefix(path, "~")
	if !isRegexp {
		return strings.HasPrefix(request, path)
	}
	re, err := regexp.Compile(declarative.RouteRegexp(text))
	return err != nil || re.MatchString(request)
}

// takesHost reports whether a route's host, perhaps with a wildcard and a port, is that of a
// request.
func takesHost(host, request string) bool {
	host, request = strings.ToLower(host), strings.ToLower(request)
	if !strings.Contains(host, ":") {
		request, _, _ = strings.Cut(request, ":")
	}
	if before, after, wildcard := strings.Cut(host, "*"); wildcard {
		return len(request) > len(before)+len(after) && strings.HasPrefix(request, before) && strings.HasSuffix(request, after)
	}
	return host == request
}
