package standin

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kong-traffic-split/kong/declarative"
)

// matcher is the condition of a route, or of those of its paths that have the
// same priority.
type matcher struct {
	priority uint64
	id       string
	route    *declarative.Route
	service  *declarative.Service
	paths    []pathMatcher
	headers  []headerMatcher
}

// pathMatcher is a prefix or a regular expression.
type pathMatcher struct {
	prefix string
	regex  *regexp.Regexp
}

// headerMatcher wants a header to have one of the values, lower case, or to
// match one of the expressions.
type headerMatcher struct {
	name   string
	values []string
	regex  []*regexp.Regexp
}

// The bits of a priority; the number of kinds of conditions is above them all.
const (
	weightShift        = 61
	plainHostsBit      = 1 << 60
	headersShift       = 52
	regexBit           = 1 << 51
	regexPriorityShift = 19
	maxPathLength      = 1<<19 - 1
	maxHeaders         = 255
)

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

func newMatcher(id string, route *declarative.Route, service *declarative.Service, paths []string) matcher {
	m := matcher{id: id, route: route, service: service, priority: priority(route, paths)}
	for _, path := range paths {
		expression, isRegex := strings.CutPrefix(path, "~")
		if !isRegex {
			m.paths = append(m.paths, pathMatcher{prefix: path})
			continue
		}
		// One that does not compile was refused with the file.
		if regex, err := regexp.Compile(declarative.RouteRegexp(expression)); err == nil {
			m.paths = append(m.paths, pathMatcher{regex: regex})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(route.Headers)) {
		h := headerMatcher{name: name}
		for _, value := range route.Headers[name] {
			value = strings.ToLower(value)
			expression, isRegex := strings.CutPrefix(value, "~*")
			regex, err := regexp.Compile(expression)
			if isRegex && err == nil {
				h.regex = append(h.regex, regex)
			} else {
				h.values = append(h.values, value)
			}
		}
		m.headers = append(m.headers, h)
	}
	return m
}

func priority(route *declarative.Route, paths []string) uint64 {
	var weight, p uint64
	for _, given := range []bool{
		len(route.Methods) > 0, len(route.Hosts) > 0, len(route.Headers) > 0,
		len(route.SNIs) > 0, len(paths) > 0,
	} {
		if given {
			weight++
		}
	}
	if route.Hosts != nil && !strings.Contains(strings.Join(route.Hosts, ""), "*") {
		p |= plainHostsBit
	}
	p |= uint64(min(len(route.Headers), maxHeaders)) << headersShift
	switch {
	case len(paths) == 0:
	case strings.HasPrefix(paths[0], "~"):
		p |= regexBit | uint64(route.RegexPriority)<<regexPriorityShift
	default:
		p |= uint64(len(paths[0]) & maxPathLength)
	}
	return p | weight<<weightShift
}

func (m *matcher) matchesMethod(s subject) bool {
	return len(m.route.Methods) == 0 || slices.Contains(m.route.Methods, s.method)
}

// matchesSNI looks at the server name of TLS; a request without TLS may pass.
func (m *matcher) matchesSNI(s subject) bool {
	if len(m.route.SNIs) == 0 || s.session == nil {
		return true
	}
	return slices.ContainsFunc(m.route.SNIs, func(sni string) bool {
		return matchesWildcard(strings.TrimSuffix(sni, "."), s.session.ServerName)
	})
}

func (m *matcher) matchesHost(s subject) bool {
	if len(m.route.Hosts) == 0 {
		return true
	}
	host, port := splitPort(s.host, s.port)
	return slices.ContainsFunc(m.route.Hosts, func(wanted string) bool {
		name, wantedPort := splitPort(wanted, port)
		return wantedPort == port && matchesWildcard(name, host)
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

func (m *matcher) matchesHeaders(s subject) bool {
	return !slices.ContainsFunc(m.headers, func(h headerMatcher) bool {
		return !slices.ContainsFunc(s.header.Values(h.name), h.matches)
	})
}

func (h headerMatcher) matches(value string) bool {
	value = strings.ToLower(value)
	return slices.Contains(h.values, value) ||
		slices.ContainsFunc(h.regex, func(r *regexp.Regexp) bool { return r.MatchString(value) })
}

func (m *matcher) matchPath(path string) (*match, bool) {
	if len(m.paths) == 0 {
		return &match{}, true
	}
	for _, p := range m.paths {
		if p.regex == nil {
			if strings.HasPrefix(path, p.prefix) {
				return &match{path: p.prefix}, true
			}
			continue
		}
		if groups := p.regex.FindStringSubmatch(path); groups != nil {
			return &match{path: groups[0], captures: newCaptures(p.regex, groups)}, true
		}
	}
	return nil, false
}

// newCaptures is nil for an expression without groups.
func newCaptures(regex *regexp.Regexp, groups []string) *captures {
	if len(groups) == 1 {
		return nil
	}
	c := &captures{unnamed: groups[1:], named: map[string]string{}}
	for i, name := range regex.SubexpNames() {
		if name != "" {
			c.named[name] = groups[i]
		}
	}
	return c
}
