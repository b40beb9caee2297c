package httproute

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"pgregory.net/rapid"
)

// wish is a request, as far as routes look at it.
type wish struct {
	host, path, method string
	headers, queries   map[string]string
}

func (e *entry) takes(w wish) bool {
	host := len(e.hostnames) == 0 || slices.ContainsFunc(e.hostnames, func(h string) bool { return covers(h, w.host) })
	path := false
	switch m := e.match; m.pathType {
	case gateway.PathMatchExact:
		path = w.path == m.path
	case gateway.PathMatchRegularExpression:
		path = strings.HasPrefix(w.path, m.path) // the generator's have no operators in them
	default:
		prefix := strings.TrimSuffix(m.path, "/")
		path = w.path == prefix || strings.HasPrefix(w.path, prefix+"/")
	}
	method := e.match.method == "" || e.match.method == w.method
	return host && path && method && holdAll(e.match.headers, w.headers) && holdAll(e.match.queries, w.queries)
}

func holdAll(conditions []condition, values map[string]string) bool {
	return !slices.ContainsFunc(conditions, func(c condition) bool { return values[c.name] != c.value })
}

// better is the Gateway API's order of two matches that take a request, written down once
// more: negative if a comes first.
func better(a, b *entry) int {
	specific := func(e *entry) int {
		most := 0
		for _, h := range e.hostnames {
			most = max(most, len(h))
		}
		if len(e.hostnames) > 0 && !strings.HasPrefix(e.hostnames[0], "*") {
			return 1000
		}
		return most
	}
	kind := func(e *entry) int {
		return slices.Index([]gateway.PathMatchType{gateway.PathMatchPathPrefix, gateway.PathMatchRegularExpression, gateway.PathMatchExact}, e.match.pathType)
	}
	length := func(e *entry) int {
		if e.match.pathType == gateway.PathMatchPathPrefix {
			return len(e.match.path)
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(specific(b), specific(a)),
		cmp.Compare(kind(b), kind(a)),
		cmp.Compare(length(b), length(a)),
		cmp.Compare(len(b.match.method), len(a.match.method)),
		cmp.Compare(len(b.match.headers), len(a.match.headers)),
		cmp.Compare(len(b.match.queries), len(a.match.queries)),
		cmp.Compare(a.rule.route.created, b.rule.route.created),
		cmp.Compare(a.rule.route.doc.name, b.rule.route.doc.name),
		cmp.Compare(a.rule.index, b.rule.index),
	)
}

func anyEntries(t *rapid.T) (entries []*entry) {
	routes := rapid.IntRange(1, 3).Draw(t, "routes")
	for i := range routes {
		r := &route{doc: &document{namespace: "default", name: string(rune('c' - i))}, created: rapid.SampledFrom([]string{"2020", "2021"}).Draw(t, "created")}
		for j := range rapid.IntRange(1, 3).Draw(t, "rules") {
			rule := &rule{route: r, index: j}
			m := match{pathType: rapid.SampledFrom([]gateway.PathMatchType{gateway.PathMatchPathPrefix, gateway.PathMatchPathPrefix, gateway.PathMatchExact, gateway.PathMatchRegularExpression}).Draw(t, "type")}
			m.path = rapid.SampledFrom([]string{"/", "/a", "/a/", "/a/b", "/ab", "/b"}).Draw(t, "path")
			m.length = len(m.path)
			m.method = rapid.SampledFrom([]string{"", "", "GET"}).Draw(t, "method")
			m.headers = anyConditions(t)
			m.queries = anyConditions(t)
			hosts := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x.a.test", "y.a.test", "*.a.test", "*.test"}), 0, 2, rapid.ID).Draw(t, "hosts")
			for _, hostnames := range byClass(hosts) {
				entries = append(entries, &entry{rule: rule, match: &m, hostnames: hostnames, protocols: []string{"http", "https"}})
			}
		}
	}
	return entries
}

func anyConditions(t *rapid.T) (all []condition) {
	for _, name := range []string{"p", "q"} {
		if rapid.IntRange(0, 4).Draw(t, name) == 0 {
			all = append(all, condition{name: name, value: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")})
		}
	}
	return all
}

func anyWish(t *rapid.T) wish {
	values := func() map[string]string {
		return rapid.MapOfN(rapid.SampledFrom([]string{"p", "q"}), rapid.SampledFrom([]string{"1", "2"}), 0, 2).Draw(t, "values")
	}
	return wish{
		host:    rapid.SampledFrom([]string{"x.a.test", "y.a.test", "z.a.test", "b.test", "else"}).Draw(t, "host"),
		path:    rapid.SampledFrom([]string{"/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/c"}).Draw(t, "path"),
		method:  rapid.SampledFrom([]string{"GET", "POST"}).Draw(t, "method"),
		headers: values(), queries: values(),
	}
}

// With expressions the highest priority is the match that the Gateway API prefers, and no
// other one has it.
func TestPrioritiesKeepThePrecedence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := anyEntries(t)
		arrange(entries)
		w := anyWish(t)
		var first, highest *entry
		for _, e := range entries {
			if !e.takes(w) {
				continue
			}
			if first == nil || better(e, first) < 0 {
				first = e
			}
			if highest != nil && e.priority == highest.priority && e.rule != highest.rule {
				t.Fatalf("two have the priority %d", e.priority)
			}
			if highest == nil || e.priority > highest.priority {
				highest = e
			}
		}
		if first != highest {
			t.Fatalf("the Gateway API prefers %+v %+v, and the priorities %+v %+v", first, first.match, highest, highest.match)
		}
		for _, e := range entries {
			if e.priority >= 1<<priorityBits {
				t.Fatalf("%d has more than %d bits", e.priority, priorityBits)
			}
		}
	})
}

// Where the traditional flavor is said to have no problem, its own order is that of the
// Gateway API for every request.
func TestTraditionalOrderIsTheSameWhereItIsUsed(t *testing.T) {
	used := 0
	rapid.Check(t, func(t *rapid.T) {
		entries := anyEntries(t)
		arrange(entries)
		if len(traditionalProblems(entries, true)) > 0 {
			return
		}
		used++
		w := anyWish(t)
		var first *entry
		of := rapid.IntRange(0, len(priorities{})-1).Draw(t, "which priorities")
		var best []part
		for _, e := range entries {
			if !e.takes(w) {
				continue
			}
			if first == nil || better(e, first) < 0 {
				first = e
			}
			for _, p := range e.parts() {
				takes := p.kind == regexPath || p.kind == onePath && p.path == w.path || p.kind == prefixPath && strings.HasPrefix(w.path, p.path)
				switch {
				case !takes:
				case len(best) == 0 || p.priority[of] > best[0].priority[of]:
					best = []part{p}
				case p.priority[of] == best[0].priority[of]:
					best = append(best, p)
				}
			}
		}
		for _, p := range best {
			if p.rule != first.rule {
				t.Fatalf("the Gateway API prefers %+v %+v, and Kong may %+v %+v", first, first.match, p.entry, p.match)
			}
		}
	})
	if used == 0 {
		t.Error("it is never used")
	}
}
