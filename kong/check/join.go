package check

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
)

// decK makes one state of several files, in which what one file has may refer to what another
// one has. Such files are joined and checked as one file. What is found there is told of the
// file that it comes from.

// part is a file that was joined with others.
type part struct {
	name  string
	first map[string]int // the index of its first row in each list of the whole
}

// join joins the files of Kong's that refer to each other. Where all of them cannot be one
// state, as some are alternatives, each is joined with what it refers to, the one that needs
// most first; what is in no such state stays alone.
func (c *checker) join() {
	needs := make([][]int, len(c.kongs))
	for i, k := range c.kongs {
		needs[i] = c.needs(k)
	}
	var groups [][]int
	for i := range c.kongs {
		groups = append(groups, closure(needs, i))
	}
	var kongs []*Kong
	for _, together := range connected(groups) {
		if whole := c.joined(together); whole != nil {
			kongs = append(kongs, whole)
			continue
		}
		slices.SortStableFunc(together, func(i, j int) int { return len(groups[j]) - len(groups[i]) })
		done := map[int]bool{}
		for _, i := range together {
			if done[i] {
				continue
			}
			if whole := c.joined(groups[i]); whole != nil {
				kongs = append(kongs, whole)
				for _, part := range groups[i] {
					done[part] = true
				}
			}
		}
		for _, i := range together {
			if !done[i] {
				kongs = append(kongs, c.alone(c.kongs[i]))
			}
		}
	}
	c.kongs = kongs
}

// missing matches Kong's words for a reference to what is not there.
var missing = regexp.MustCompile(`^invalid reference .*\(no such entry in '([a-z_]+)'\)$`)

// needs returns the files, by their indexes, that have what a file refers to and has not: of
// several that have it, one that is needed anyway, or else the first.
func (c *checker) needs(k *Kong) (all []int) {
	var several [][]int
	for _, r := range c.elsewhere(k) {
		if len(r.files) == 1 {
			all = append(all, r.files[0])
		} else {
			several = append(several, r.files)
		}
	}
	for _, files := range several {
		if !slices.ContainsFunc(files, func(i int) bool { return slices.Contains(all, i) }) {
			all = append(all, files[0])
		}
	}
	return all
}

// reference is one to what other files have.
type reference struct {
	place []any // nil: it is no problem for Kong
	files []int
}

// elsewhere returns the references of a file to what others have.
func (c *checker) elsewhere(k *Kong) (all []reference) {
	add := func(place []any, entity, name string) {
		r := reference{place: place}
		for i, other := range c.kongs {
			if _, has := other.File.Find(entity, name); other != k && has {
				r.files = append(r.files, i)
			}
		}
		if name != "" && r.files != nil {
			all = append(all, r)
		}
	}
	for _, p := range k.problems {
		if m := missing.FindStringSubmatch(p.Message); m != nil {
			add(p.Place, m[1], referenceOf(k.File.At(p.Place...)))
		}
	}
	for _, row := range k.rows {
		if row.Config == nil {
			continue
		}
		for _, b := range row.Config.Backends {
			if b.Upstream != "" && k.upstreams[b.Upstream] == nil {
				add(nil, "upstreams", b.Upstream)
			}
		}
	}
	return all
}

// alone returns a file that cannot be joined with those that it needs, without what Kong
// would say of these.
func (c *checker) alone(k *Kong) *Kong {
	found := c.elsewhere(k)
	k.problems = slices.DeleteFunc(k.problems, func(p declarative.Problem) bool {
		return slices.ContainsFunc(found, func(r reference) bool {
			return r.place != nil && len(p.Place) >= len(r.place) && slices.Equal(p.Place[:len(r.place)], r.place)
		})
	})
	return k
}

// referenceOf returns the name or the id in a reference, which decK takes in a map, too.
func referenceOf(v any) string {
	if m, ok := v.(map[string]any); ok {
		if v = m["name"]; v == nil {
			v = m["id"]
		}
	}
	text, _ := v.(string)
	return text
}

// closure returns a file with all that it needs, and what these need, sorted.
func closure(needs [][]int, i int) []int {
	all := []int{i}
	for next := 0; next < len(all); next++ {
		for _, j := range needs[all[next]] {
			if !slices.Contains(all, j) {
				all = append(all, j)
			}
		}
	}
	slices.Sort(all)
	return all
}

// connected puts groups together that have a file in common.
func connected(groups [][]int) (all [][]int) {
	for _, group := range groups {
		group = slices.Clone(group)
		all = slices.DeleteFunc(all, func(other []int) bool {
			if !slices.ContainsFunc(other, func(i int) bool { return slices.Contains(group, i) }) {
				return false
			}
			group = append(group, other...)
			return true
		})
		slices.Sort(group)
		all = append(all, slices.Compact(group))
	}
	return all
}

// joined returns one file of several; nil: these cannot be in one state.
func (c *checker) joined(group []int) *Kong {
	if len(group) == 1 {
		return c.kongs[group[0]]
	}
	f, tree := declarative.File{}, &config.Node{Kind: config.Map, Line: 1, Column: 1}
	var parts []part
	names := ""
	violations := 0
	for _, i := range group {
		k := c.kongs[i]
		p := part{k.Name, map[string]int{}}
		for _, key := range slices.Sorted(maps.Keys(k.File)) {
			list, isList := f[key].([]any)
			p.first[key] = len(list)
			if more, ok := k.File[key].([]any); ok && (isList || f[key] == nil) {
				f[key] = append(slices.Clip(list), more...)
			} else if f[key] == nil {
				f[key] = k.File[key]
			}
		}
		for _, m := range k.tree.Members {
			appendMember(tree, m)
		}
		parts, names = append(parts, p), names+"\x00"+k.Name
		violations += k.violations()
	}
	for i, row := range sequence(f["routes"]) { // decK refers to a Service by a map
		if route, ok := row.(map[string]any); ok && referenceOf(route["service"]) != "" {
			route = maps.Clone(route)
			route["service"] = referenceOf(route["service"])
			f["routes"].([]any)[i] = route
		}
	}
	whole := newKongOf(names, f, tree)
	if whole.parts = parts; whole.violations() > violations {
		return nil
	}
	return whole
}

func sequence(v any) []any {
	list, _ := v.([]any)
	return list
}

// appendMember adds a key, or the items of a list to those that the key has.
func appendMember(to *config.Node, m config.Member) {
	for i := range to.Members {
		if has := &to.Members[i]; has.Key == m.Key {
			if has.Value.Kind == config.List && m.Value.Kind == config.List {
				both := *has.Value
				both.Items = slices.Concat(has.Value.Items, m.Value.Items)
				has.Value = &both
			}
			return
		}
	}
	to.Members = append(to.Members, m)
}

// violations returns how many rows are there twice.
func (k *Kong) violations() (n int) {
	for _, p := range k.problems {
		if strings.HasPrefix(p.Message, "uniqueness violation") {
			n++
		}
	}
	return n
}

// in returns the file that a path of joined files is in, and the path there.
func (k *Kong) in(path string) (file, inside string) {
	m := rowPath.FindStringSubmatch(path)
	if k.parts == nil || m == nil {
		return k.partNames()[0], path
	}
	i, _ := strconv.Atoi(m[2]) // digits
	for _, p := range slices.Backward(k.parts) {
		if first, has := p.first[m[1]]; has && i >= first {
			return p.name, fmt.Sprintf("%s[%d]%s", m[1], i-first, strings.TrimPrefix(path, fmt.Sprintf("%s[%s]", m[1], m[2])))
		}
	}
	return k.parts[0].name, path
}

// partNames returns the names of the files that were joined, or that of the only one.
func (k *Kong) partNames() (names []string) {
	for _, p := range k.parts {
		names = append(names, p.name)
	}
	if names == nil {
		return []string{k.Name}
	}
	return names
}

// toParts makes findings in files that were joined to findings in each of them.
func (c *checker) toParts(k *Kong) {
	for i := range c.findings {
		if f := &c.findings[i]; k.parts != nil && f.File == k.Name {
			f.File, f.Path = k.in(f.Path)
		}
	}
}
