package httproute

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"kong-traffic-split/kong/declarative"
)

// entry is a match of a rule for hostnames of one specificity: one route of Kong's.
type entry struct {
	rule      *rule
	match     *match
	name      string
	hostnames []string // of one specificity; none: any
	protocols []string
	priority  uint64
	order     int  // 0 has the highest precedence of all
	dropped   bool // it is left out of the output
	strip     bool // what it matches is taken off the path
}

// nameEntries tells entries of one match apart. No object of Kubernetes has a _ in its name.
func (p *plan) nameEntries() {
	seen := map[string]int{}
	for _, e := range p.entries {
		match := e.name
		if n := seen[match]; n > 0 {
			e.name += "_" + strconv.Itoa(n)
		}
		seen[match]++
	}
}

// The precedence of an entry, as the Gateway API orders matches: the most specific
// hostname, then an exact path, the longest prefix, a method, the most headers and the
// most arguments; for calls the longest service, the longest method and the most headers.
// What is equal then goes to the older route, the first one by namespace and name, and the
// first in its list. Kong's priorities have 46 bits; the lowest ones are for what is equal.
const priorityBits = 46

// precedence returns what stands for all but the last step, and how many bits are left
// for that.
func (e *entry) precedence() (key uint64, left int) {
	left = priorityBits
	put := func(value, bits int) {
		key = key<<bits | uint64(min(value, 1<<bits-1))
		left -= bits
	}
	exact, length := hostClass(e.hostnames)
	put(exact, 1)
	put(length, 8)
	m := e.match
	if e.rule.route.grpc {
		put(m.length, 11)
		put(m.methodLength, 11)
		put(len(m.headers), 5)
		return key, left
	}
	put(map[gateway.PathMatchType]int{gateway.PathMatchExact: 2, gateway.PathMatchRegularExpression: 1}[m.pathType], 2)
	put(map[bool]int{true: m.length}[m.pathType == gateway.PathMatchPathPrefix], 11)
	put(min(len(m.method), 1), 1)
	put(len(m.headers), 5)
	put(len(m.queries), 5)
	return key, left
}

// hostClass is the specificity of hostnames: those without a wildcard come first, then the
// longest.
func hostClass(hostnames []string) (exact, length int) {
	switch {
	case len(hostnames) == 0:
		return 0, 0
	case !strings.HasPrefix(hostnames[0], "*"):
		return 1, 0 // two of them have no host in common
	}
	return 0, len(hostnames[0])
}

// byClass parts hostnames by their specificity, the most specific ones first.
func byClass(hostnames []string) (classes [][]string) {
	if len(hostnames) == 0 {
		return [][]string{nil}
	}
	sorted := slices.Clone(hostnames)
	rank := func(h string) int {
		exact, length := hostClass([]string{h})
		return exact<<8 | length
	}
	slices.SortStableFunc(sorted, func(a, b string) int { return cmp.Compare(rank(b), rank(a)) })
	for i, h := range sorted {
		if i == 0 || rank(h) != rank(sorted[i-1]) {
			classes = append(classes, nil)
		}
		last := len(classes) - 1
		classes[last] = append(classes[last], h)
	}
	return classes
}

// compareRoutes orders routes whose matches are equal.
func compareRoutes(a, b *route) int {
	created := func(r *route) string { return cmp.Or(r.created, "~") } // without one: after all others
	return cmp.Or(
		cmp.Compare(created(a), created(b)),
		cmp.Compare(a.doc.namespace, b.doc.namespace),
		cmp.Compare(a.doc.name, b.doc.name),
	)
}

// arrange sorts entries by precedence and gives each its priority. It reports those for
// which there are not enough.
func arrange(entries []*entry) {
	type ranked struct {
		*entry
		key  uint64
		left int
	}
	all := make([]ranked, len(entries))
	for i, e := range entries {
		all[i].entry = e
		all[i].key, all[i].left = e.precedence()
	}
	slices.SortStableFunc(all, func(a, b ranked) int {
		return cmp.Or(
			cmp.Compare(b.key, a.key),
			compareRoutes(a.rule.route, b.rule.route),
			cmp.Compare(a.rule.index, b.rule.index),
		)
	})
	// Entries whose requests cannot be the same, as host or path differ, may have the
	// same priority. So a priority does not change with routes that have nothing to do
	// with it.
	type place struct {
		key        uint64
		host, path string
	}
	taken := map[place]int{}
	for i, r := range all {
		r.order = i
		hosts := r.hostnames
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		path := ""
		if r.match.pathType != gateway.PathMatchRegularExpression && !r.rule.route.grpc {
			path = string(r.match.pathType) + strings.TrimSuffix(declarative.NormalizePath(r.match.path), "/")
		}
		next := 0
		for _, host := range hosts {
			next = max(next, taken[place{r.key, host, path}])
		}
		for _, host := range hosts {
			taken[place{r.key, host, path}] = next + 1
		}
		most := 1<<r.left - 1
		if next > most {
			r.rule.route.doc.leave(r.match.at, "is one of more than %d matches of the same precedence, which Kong's priorities cannot order", most)
		}
		r.priority = r.key<<r.left | uint64(max(most-next, 0))
		entries[i] = r.entry
	}
}
