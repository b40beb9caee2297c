package declarative

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
)

// Lacks returns what a running Kong has, as GET /config has it in live, and would not have
// any more with this file: a line for each row that the file does not have, and for each
// key that has another value there. It has no values, which may be secrets. What the file
// leaves out is not compared, as Kong fills in its defaults.
func (f File) Lacks(live File) (lines []string) {
	type row struct {
		*node
		given bool // its id
	}
	var mine []row
	for n := range f.nodes() {
		mine = append(mine, row{nil, n.row["id"] != nil})
	}
	i := 0
	for n := range f.withIDs().nodes() { // the same ones
		mine[i].node = n
		i++
	}
	for n := range live.nodes() {
		i := slices.IndexFunc(mine, func(m row) bool { return m.entity == n.entity && m.row["id"] == n.row["id"] })
		if i < 0 { // Kong has given it an id that it will not have again
			i = slices.IndexFunc(mine, func(m row) bool { return m.entity == n.entity && !m.given && len(m.differs(n)) == 0 })
		}
		if i < 0 {
			lines = append(lines, fmt.Sprintf("%s %s: is not in the file", n.entity, n.name()))
			continue
		}
		for _, path := range mine[i].differs(n) {
			lines = append(lines, fmt.Sprintf("%s %s: %s has another value in the file", n.entity, n.name(), path))
		}
		mine = slices.Delete(mine, i, i+1)
	}
	// Rows of other entities than this package knows.
	for entity, rows := range live {
		list, _ := sequence(rows)
		if slices.Contains(entityOrder, entity) || len(list) == 0 {
			continue
		}
		if have := f.count(entity); have < len(list) {
			lines = append(lines, fmt.Sprintf("%s: there are %d, and %d in the file", entity, len(list), have))
		}
	}
	sort.Strings(lines)
	return lines
}

// count returns how many rows a file has of an entity that this package does not know, at
// any depth.
func (f File) count(entity string) (n int) {
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				if list, ok := inner.([]any); ok && key == entity {
					n += len(list)
				}
				visit(inner)
			}
		case []any:
			for _, inner := range v {
				visit(inner)
			}
		}
	}
	visit(map[string]any(f))
	return n
}

// differs returns the paths of the row's values that another one has in another way.
func (n *node) differs(other *node) (paths []string) {
	for key, value := range n.row {
		have, known := other.row[key]
		_, list := value.([]any)
		inside := list && slices.Contains(children[n.entity], key)
		reference := slices.Contains([]string{"route", "service", "consumer", "upstream"}, key) && n.entity != "upstreams"
		if !known || inside || reference || key == "id" || key[0] == '_' { // a shorthand, a child, a name for an id
			continue
		}
		paths = append(paths, differing(key, value, have)...)
	}
	return paths
}

func differing(path string, value, have any) (paths []string) {
	switch v := value.(type) {
	case nil:
		return nil
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return []string{path}
		}
		for key := range v {
			if inner, known := h[key]; known {
				paths = append(paths, differing(path+"."+key, v[key], inner)...)
			} else if v[key] != nil {
				paths = append(paths, path+"."+key)
			}
		}
		return paths
	case []any:
		h, ok := have.([]any)
		if !ok || len(h) != len(v) {
			return []string{path}
		}
		for i := range v {
			paths = append(paths, differing(fmt.Sprintf("%s[%d]", path, i), v[i], h[i])...)
		}
		return paths
	}
	if !reflect.DeepEqual(value, have) {
		return []string{path}
	}
	return nil
}
