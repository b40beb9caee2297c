package standin

import (
	"cmp"
	"iter"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/kong/expression"
)

// A router finds the route of a request, or of a TCP connection, as Kong's does: each
// route is conditions with a priority, and the first whose conditions hold counts, the
// highest priority first and among equals the highest id. In the flavor
// traditional_compatible it does not look at protocols.
type router struct {
	matchers []matcher
	fields   map[string]bool // of Kong's router, that a route asks for
	cache    *matchCache     // nil: in a stream
}

// matcher is a route, or those of its paths that have the same priority.
type matcher struct {
	priority   uint64
	id         string
	route      *declarative.Route
	service    *declarative.Service
	conditions []condition
	paths      []*regexp.Regexp       // none: any path
	expression *expression.Expression // or nil
}

type condition func(s subject) bool

// match is what the router finds out about a request or a connection.
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
	r := newRouterOf(config, isHTTP, priority)
	r.cache = &matchCache{}
	return r
}

func newStreamRouter(config *declarative.Config) *router {
	return newRouterOf(config, isStream, streamPriority)
}

func newRouterOf(config *declarative.Config, belongs func(...string) bool, priority func(*declarative.Route, []string) uint64) *router {
	r := &router{fields: map[string]bool{}}
	for route, service := range routesOf(config, belongs) {
		conditions := r.conditionsOf(route)
		if config.Flavor == declarative.Expressions {
			conditions = append(conditions, r.protocolConditions(route)...)
		}
		if route.Expression != nil {
			r.matchers = append(r.matchers, r.expressionMatcher(route, service, conditions))
			continue
		}
		for i, paths := range groupPaths(route.Paths) {
			m := matcher{priority(route, paths), route.ID, route, service, conditions, nil, nil}
			if i > 0 {
				m.id += "#" + strconv.Itoa(i)
			}
			for _, path := range paths {
				r.fields["http.path"] = true
				m.paths = append(m.paths, pathRegexp(path))
			}
			r.matchers = append(r.matchers, m)
		}
	}
	slices.SortFunc(r.matchers, func(a, b matcher) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(b.id, a.id))
	})
	return r
}

// expressionBits are those of an expression's priority, which is above all others.
const expressionBits = 0xff << 56

// expressionMatcher is a route with an expression. What does not parse was refused with
// the file.
func (r *router) expressionMatcher(route *declarative.Route, service *declarative.Service, conditions []condition) matcher {
	e, err := expression.Parse(*route.Expression, isStream(route.Protocols...))
	if err != nil {
		panic(err)
	}
	for _, field := range e.Fields() {
		r.fields[field] = true
	}
	return matcher{expressionBits | route.Priority, route.ID, route, service, conditions, nil, e}
}

// protocolConditions have a request's protocol be one of the route's, but for routes of
// TLS alone: they redirect a request without it.
func (r *router) protocolConditions(route *declarative.Route) []condition {
	if len(route.Protocols) == 1 && slices.Contains([]string{"https", "tls", "tls_passthrough"}, route.Protocols[0]) {
		return nil
	}
	r.fields["net.protocol"] = true
	var protocols []string
	for _, p := range route.Protocols {
		stands, ok := map[string]string{"grpc": "http", "grpcs": "https", "tls_passthrough": "tcp"}[p]
		if !ok {
			stands = p
		}
		protocols = append(protocols, stands)
	}
	return []condition{func(s subject) bool { return slices.Contains(protocols, s.protocol()) }}
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
			service := services[declarative.IDOf(route.Service)]
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

// groupPaths puts the regular expressions together, and prefixes of a length.
func groupPaths(paths []string) [][]string {
	if len(paths) == 0 {
		return [][]string{nil}
	}
	var groups [][]string
	indexes := map[int]int{}
	for _, path := range paths {
		kind := len(path)
		if strings.HasPrefix(path, "~") {
			kind = 0
		}
		i, ok := indexes[kind]
		if !ok {
			i = len(groups)
			indexes[kind] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], path)
	}
	return groups
}

// pathRegexp is a path of a route: a prefix or, behind ~, a regular expression. What
// does not compile was refused with the file.
func pathRegexp(path string) *regexp.Regexp {
	if expression, isRegex := strings.CutPrefix(path, "~"); isRegex {
		return regexp.MustCompile(declarative.RouteRegexp(expression))
	}
	return regexp.MustCompile("^" + regexp.QuoteMeta(path))
}

// conditionsOf are a route's conditions but for its paths.
func (r *router) conditionsOf(route *declarative.Route) (all []condition) {
	if len(route.Methods) > 0 {
		r.fields["http.method"] = true
		all = append(all, func(s subject) bool { return slices.Contains(route.Methods, s.method) })
	}
	if len(route.SNIs) > 0 { // they count for TLS only
		r.fields["tls.sni"], r.fields["net.protocol"] = true, true
		all = append(all, func(s subject) bool {
			return !s.tls || slices.ContainsFunc(route.SNIs, func(sni string) bool {
				return matchesWildcard(strings.TrimSuffix(sni, "."), s.sni)
			})
		})
	}
	if len(route.Hosts) > 0 {
		r.fields["http.host"] = true
		if slices.ContainsFunc(route.Hosts, func(h string) bool { return strings.Contains(h, ":") }) {
			r.fields["net.dst.port"] = true
		}
		all = append(all, func(s subject) bool {
			host, port := splitPort(s.host, s.port)
			return slices.ContainsFunc(route.Hosts, func(wanted string) bool {
				name, wantedPort := splitPort(wanted, port)
				return wantedPort == port && matchesWildcard(name, host)
			})
		})
	}
	for name, values := range route.Headers {
		r.fields["http.headers."+expression.HeaderField(name)] = true
		all = append(all, headerCondition(name, values))
	}
	if len(route.Sources) > 0 {
		all = append(all, func(s subject) bool { return matchesAddress(route.Sources, s.source) })
	}
	if len(route.Destinations) > 0 {
		all = append(all, func(s subject) bool { return matchesAddress(route.Destinations, s.destination) })
	}
	return all
}

// headerCondition wants a header to have one of the values, or to match one of the
// regular expressions, which stand behind ~*. Letters are alike in both cases.
func headerCondition(name string, wanted []string) condition {
	var expressions []*regexp.Regexp
	for _, value := range wanted {
		expression, isRegex := strings.CutPrefix(strings.ToLower(value), "~*")
		compiled, err := regexp.Compile(expression)
		if !isRegex || err != nil {
			compiled = regexp.MustCompile("^" + regexp.QuoteMeta(strings.ToLower(value)) + "$")
		}
		expressions = append(expressions, compiled)
	}
	return func(s subject) bool {
		return slices.ContainsFunc(s.header.Values(name), func(value string) bool {
			value = strings.ToLower(value)
			return slices.ContainsFunc(expressions, func(r *regexp.Regexp) bool { return r.MatchString(value) })
		})
	}
}

// matchesAddress reports whether an address is in one of the blocks, where one is
// given, and has its port, where one is.
func matchesAddress(wanted []declarative.Address, address netip.AddrPort) bool {
	return slices.ContainsFunc(wanted, func(w declarative.Address) bool {
		block, err := parsePrefix(w.IP) // what does not parse was refused with the file
		return (w.IP == "" || err == nil && block.Contains(address.Addr())) && (w.Port == nil || *w.Port == int(address.Port()))
	})
}

// splitPort takes the port off a host, which has the given one otherwise.
func splitPort(host string, otherwise int) (string, int) {
	name, text, ok := strings.Cut(host, ":")
	if port, err := strconv.Atoi(text); ok && err == nil {
		return name, port
	}
	return host, otherwise
}

// matchesWildcard allows a * at the start or the end of the pattern.
func matchesWildcard(pattern, text string) bool {
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(text, suffix)
	}
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(text, prefix)
	}
	return text == pattern
}

// The bits of a priority. Kong means the number of kinds of conditions to be above them all
// and headers above regular expressions; but LuaJIT shifts numbers by 32 bits at most
// (kong/router/transform.lua, 3.9), so these two land in the lower half.
const (
	plainHostsBit      = 1 << 60
	regexBit           = 1 << 51
	weightShift        = 61 - 32
	headersShift       = 52 - 32
	regexPriorityShift = 19
	maxPathLength      = 1<<19 - 1
	maxHeaders         = 255
)

func priority(route *declarative.Route, paths []string) uint64 {
	var weight, length, wide uint64
	for _, n := range []int{
		len(route.Sources), len(route.Destinations), len(route.Methods), len(route.Hosts), len(route.Headers),
		len(route.SNIs), len(paths),
	} {
		weight += uint64(min(n, 1))
	}
	if route.Hosts != nil && !strings.Contains(strings.Join(route.Hosts, ""), "*") {
		wide |= plainHostsBit
	}
	regexPriority := 0
	switch {
	case len(paths) == 0:
	case strings.HasPrefix(paths[0], "~"):
		wide |= regexBit
		regexPriority = route.RegexPriority
	default:
		length = uint64(len(paths[0]) & maxPathLength)
	}
	parts := []int32{
		int32(weight << weightShift), int32(min(len(route.Headers), maxHeaders) << headersShift),
		int32(regexPriority << regexPriorityShift), int32(length),
	}
	if wide == 0 { // LuaJIT joins numbers before it makes 64 bits of them
		return unsigned(parts[0] | parts[1] | parts[2] | parts[3])
	}
	for _, part := range parts {
		wide |= unsigned(part)
	}
	return wide
}

// unsigned is what LuaJIT makes of a number for 64 bits without a sign, on x86-64: of a
// negative one, as four kinds of conditions are, the highest bit alone.
func unsigned(n int32) uint64 {
	if n < 0 {
		return 1 << 63
	}
	return uint64(n)
}

// The bits of a stream route's priority; those of sources are above those of
// destinations.
const (
	sniBit      = 1 << 61 // also of a route that has both sources and destinations
	ipBit       = 1 << 3
	portBit     = 1 << 2
	cidrBit     = 1
	sourceShift = 4
)

func streamPriority(route *declarative.Route, _ []string) uint64 {
	p := addressPriority(route.Sources)<<sourceShift | addressPriority(route.Destinations)
	if len(route.SNIs) > 0 || len(route.Sources) > 0 && len(route.Destinations) > 0 {
		p |= sniBit
	}
	return p
}

func addressPriority(addresses []declarative.Address) (p uint64) {
	for _, a := range addresses {
		switch {
		case strings.Contains(a.IP, "/"):
			p |= cidrBit
		case a.IP != "":
			p |= ipBit
		}
		if a.Port != nil {
			p |= portBit
		}
	}
	return p
}

// find returns the route of a request or a connection, or nil.
func (r *router) find(s subject) (*match, error) {
	facts, key, err := r.facts(s)
	if err != nil {
		return nil, err
	}
	if r.cache != nil {
		if m, known := r.cache.get(key); known {
			return m, nil
		}
	}
	m := r.search(s, func(field string) []expression.Value { return facts[field] })
	if r.cache != nil {
		r.cache.set(key, m)
	}
	return m, nil
}

func (r *router) search(s subject, values func(field string) []expression.Value) *match {
	for _, m := range r.matchers {
		if slices.ContainsFunc(m.conditions, func(holds condition) bool { return !holds(s) }) {
			continue
		}
		if m.expression != nil {
			if found, ok := m.expression.Eval(values); ok {
				return &match{m.route, m.service, found.Matched("http.path"), capturesOf(found.Captures())}
			}
			continue
		}
		if m.paths == nil {
			return &match{route: m.route, service: m.service}
		}
		for _, path := range m.paths {
			if groups := path.FindStringSubmatch(s.path); groups != nil {
				return &match{m.route, m.service, groups[0], newCaptures(path, groups)}
			}
		}
	}
	return nil
}
