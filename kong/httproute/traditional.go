package httproute

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"kong-traffic-split/kong/declarative"
)

// The flavor traditional_compatible orders routes by how many kinds of conditions they
// have, then by headers, then by paths, which is another order than the Gateway API's. Kong
// 3.9 means to, but what it computes is yet another one, which depends on the processor. So
// this flavor is used only where no request meets two routes that one of these orders has
// the wrong way round.

// traditionalProblem is what this flavor cannot do.
type traditionalProblem struct {
	entry   *entry
	at      *trail
	message string
}

// part is one path of an entry: Kong sorts each as if it were a route.
type part struct {
	*entry
	path     string // without the ~ and what follows it
	kind     partKind
	priority priorities
}

type partKind int

const (
	onePath partKind = iota
	prefixPath
	regexPath
)

// regexPriority lets an exact path win over a regular expression, and this one over the
// path of a prefix itself, which is a regular expression for Kong, too. In Kong 3.9 the bits
// below are those of the number of headers.
func (e *entry) regexPriority() int {
	return map[gateway.PathMatchType]int{gateway.PathMatchExact: 1 << 7, gateway.PathMatchRegularExpression: 1 << 6}[e.match.pathType]
}

// traditionalPaths are the paths of a route of this flavor.
func (e *entry) traditionalPaths() []string {
	m := e.match
	path := declarative.NormalizePath(m.path)
	prefix := strings.TrimSuffix(path, "/")
	switch {
	case m.pathType == gateway.PathMatchRegularExpression:
		return []string{"~" + strings.TrimPrefix(m.path, "^")}
	case m.pathType == gateway.PathMatchExact:
		return []string{"~" + regexp.QuoteMeta(path) + "$"}
	case prefix == "":
		return []string{"/"}
	}
	return []string{prefix + "/", "~" + regexp.QuoteMeta(prefix) + "$"}
}

func (e *entry) parts() []part {
	m := e.match
	path := declarative.NormalizePath(m.path)
	prefix := strings.TrimSuffix(path, "/")
	one := func(kind partKind, path string) part {
		return part{e, path, kind, e.traditionalPriority(kind, path)}
	}
	switch {
	case m.pathType == gateway.PathMatchRegularExpression:
		return []part{one(regexPath, "")}
	case m.pathType == gateway.PathMatchExact:
		return []part{one(onePath, path)}
	case prefix == "":
		return []part{one(prefixPath, "/")}
	}
	return []part{one(prefixPath, prefix+"/"), one(onePath, prefix)}
}

// priorities are what Kong may sort a path of a route by: as it means to, and as Kong 3.9
// does on x86-64 and on ARM. LuaJIT shifts numbers by 32 bits at most, so that four kinds of
// conditions make one that is negative: on x86-64 a negative number becomes the highest bit
// alone, on ARM 0.
type priorities [3]uint64

// above reports whether Kong prefers the path to the other one for certain.
func (p priorities) above(other priorities) bool {
	return p[0] > other[0] && p[1] > other[1] && p[2] > other[2]
}

func (e *entry) traditionalPriority(kind partKind, path string) priorities {
	var weight, wide, low uint64
	for _, is := range []bool{e.match.method != "", len(e.hostnames) > 0, len(e.match.headers) > 0, true} {
		if is {
			weight++
		}
	}
	if exact, _ := hostClass(e.hostnames); exact == 1 {
		wide |= 1 << 60
	}
	if kind == prefixPath {
		low = uint64(len(path))
	} else {
		wide |= 1 << 51
		low = uint64(e.regexPriority()) << 19
	}
	headers := uint64(len(e.match.headers))
	p := priorities{weight<<61 | wide | headers<<52 | low}
	switch {
	case weight < 4:
		p[1] = weight<<29 | wide | headers<<20 | low
		p[2] = p[1]
	case wide == 0: // all of it is a negative number
		p[1] = 1 << 63
	default:
		p[1] = 1<<63 | wide | headers<<20 | low
		p[2] = wide | headers<<20 | low
	}
	return p
}

// traditionalProblems are what this flavor cannot do of the entries: all of it, or enough
// to know that there is something.
func traditionalProblems(entries []*entry, all bool) (problems []traditionalProblem) {
	var able []*entry
	for _, e := range entries {
		own := e.traditionalProblems()
		problems = append(problems, own...)
		if len(own) == 0 && !e.dropped {
			able = append(able, e)
		}
		if len(problems) > 0 && !all {
			return problems
		}
	}
	return append(problems, conflicts(able, all)...)
}

func (e *entry) traditionalProblems() (problems []traditionalProblem) {
	m := e.match
	report := func(at *trail, format string, args ...any) {
		problems = append(problems, traditionalProblem{e, at, "the router's flavor " + Traditional + " " + fmt.Sprintf(format, args...)})
	}
	if len(m.queries) > 0 {
		report(m.at.field("queryParams"), "cannot match arguments of the query")
	}
	for _, h := range m.headers {
		switch {
		case h.regex:
			report(h.at.field("value"), "matches regular expressions of headers in lower case only")
		case strings.HasPrefix(h.value, "~*"):
			report(h.at.field("value"), "takes %s for a regular expression", quote(h.value))
		case strings.ToLower(h.value) != strings.ToUpper(h.value):
			report(h.at.field("value"), "does not tell %s from the same in other letters' case", quote(h.value))
		case strings.EqualFold(h.name, "Host"):
			report(h.at.field("name"), "cannot match Host by a header")
		}
	}
	value := m.at.fields("path", "value")
	if e.rule.route.grpc {
		value = m.at.field("method")
	}
	switch path := strings.TrimPrefix(m.path, "^"); {
	case m.pathType != gateway.PathMatchRegularExpression:
		if path := declarative.NormalizePath(m.path); !plainPath.MatchString(path) {
			report(value, "cannot match %s, which is %s when it is unescaped", quote(m.path), quote(path))
		}
	case !strings.HasPrefix(path, "/"):
		report(value, "needs a slash at the start of a regular expression")
	case strings.Contains(path, "|") && !e.rule.route.grpc:
		report(value, "cannot tie both sides of a | to the start of the path")
	}
	return problems
}

// bucket are the parts of one hostname, by their paths.
type bucket struct {
	sorted []part
	regex  []part
}

// conflicts are pairs of entries that one request can meet, and that Kong has in another
// order: of each entry one, or only one at all.
func conflicts(entries []*entry, all bool) (problems []traditionalProblem) {
	buckets := map[string]*bucket{}
	for _, e := range entries {
		for _, host := range hostsOf(e) {
			b := buckets[host]
			if b == nil {
				b = &bucket{}
				buckets[host] = b
			}
			for _, p := range e.parts() {
				if p.kind == regexPath {
					b.regex = append(b.regex, p)
				} else {
					b.sorted = append(b.sorted, p)
				}
			}
		}
	}
	for _, b := range buckets {
		slices.SortStableFunc(b.sorted, func(x, y part) int { return strings.Compare(x.path, y.path) })
	}
	seen := map[*entry]bool{} // each is reported once
	for _, e := range entries {
		for _, x := range e.parts() {
			for _, host := range hostsOf(e) {
				for _, general := range generalizations(host) {
					b := buckets[general]
					if b == nil {
						continue
					}
					b.meet(x, general == host, func(y part) {
						if len(problems) > 0 && !all {
							return
						}
						first, second := x, y
						if first.order > second.order {
							first, second = second, first
						}
						// The router of this flavor does not look at protocols.
						same := !slices.ContainsFunc(second.protocols, func(p string) bool { return !slices.Contains(first.protocols, p) })
						if same && (first.priority.above(second.priority) || alike(first.entry, second.entry)) || seen[second.entry] || !overlap(first.match, second.match) {
							return
						}
						seen[second.entry] = true
						why := fmt.Sprintf("does not prefer %s, as the Gateway API does", first.name)
						if !same {
							why = "does not tell their protocols apart"
						}
						problems = append(problems, traditionalProblem{second.entry, second.match.at, fmt.Sprintf(
							"a request can meet both %s and %s, and the router's flavor %s %s", first.name, second.name, Traditional, why)})
					})
				}
			}
		}
	}
	slices.SortStableFunc(problems, func(x, y traditionalProblem) int { return cmp.Compare(x.entry.order, y.entry.order) })
	return problems
}

// alike reports whether it does not matter which of two entries has a request: they are of
// one rule, and take the same off its path.
func alike(a, b *entry) bool {
	return a.rule == b.rule && (!a.strip || a.match.pathType == b.match.pathType && a.match.path == b.match.path)
}

// meet calls f for the parts of a bucket whose paths a request to x can have. In x's own
// bucket it leaves out those below x: they find x when it is their turn.
func (b *bucket) meet(x part, own bool, f func(part)) {
	if x.kind == regexPath {
		for _, list := range [][]part{b.sorted, b.regex} {
			for _, y := range list {
				f(y)
			}
		}
		return
	}
	for _, y := range b.regex {
		f(y)
	}
	for i := 0; i <= len(x.path); i++ {
		if i < len(x.path) && x.path[i] != '/' {
			continue
		}
		above := x.path[:min(i+1, len(x.path))]
		for _, y := range b.at(above) {
			if y.kind == prefixPath || above == x.path && y.kind == onePath && x.kind == onePath {
				f(y)
			}
		}
	}
	if x.kind != prefixPath || own {
		return
	}
	start, _ := slices.BinarySearchFunc(b.sorted, x.path, func(y part, path string) int { return strings.Compare(y.path, path) })
	for _, y := range b.sorted[start:] {
		if !strings.HasPrefix(y.path, x.path) {
			return
		}
		f(y)
	}
}

// at are the parts with exactly that path.
func (b *bucket) at(path string) []part {
	start, _ := slices.BinarySearchFunc(b.sorted, path, func(y part, path string) int { return strings.Compare(y.path, path) })
	end := start
	for end < len(b.sorted) && b.sorted[end].path == path {
		end++
	}
	return b.sorted[start:end]
}

func hostsOf(e *entry) []string {
	if len(e.hostnames) == 0 {
		return []string{""}
	}
	return e.hostnames
}

// generalizations are a hostname and those that cover it; "" covers all.
func generalizations(host string) (all []string) {
	all = append(all, host)
	if host == "" {
		return all
	}
	rest := strings.TrimPrefix(host, "*.")
	for {
		_, after, ok := strings.Cut(rest, ".")
		if !ok {
			return append(all, "")
		}
		all = append(all, "*."+after)
		rest = after
	}
}

// overlap reports whether a request can meet the conditions of both but for paths and
// hosts.
func overlap(a, b *match) bool {
	if a.method != "" && b.method != "" && a.method != b.method {
		return false
	}
	for _, h := range a.headers {
		for _, other := range b.headers {
			if strings.EqualFold(h.name, other.name) && !h.regex && !other.regex && h.value != other.value {
				return false
			}
		}
	}
	return true
}
