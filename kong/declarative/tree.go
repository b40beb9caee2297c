package declarative

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// A node is a row where it stands in a file.
type node struct {
	entity string
	index  int // in its list, from 0
	row    map[string]any
	outer  *node // in whose row it stands; nil: in the file
}

// nodes are the rows of a file, or of a row, each before those inside of it. What is no
// row, or stands where Kong knows none, is left out.
func (f File) nodes() iter.Seq[*node] {
	return func(yield func(*node) bool) { walk(f, nil, yield) }
}

func walk(rows map[string]any, outer *node, yield func(*node) bool) bool {
	for _, entity := range entityOrder {
		if outer != nil && !slices.Contains(children[outer.entity], entity) {
			continue
		}
		list, _ := sequence(rows[entity])
		for i, element := range list {
			if row, ok := element.(map[string]any); ok {
				n := &node{entity, i, row, outer}
				if !yield(n) || !walk(row, n, yield) {
					return false
				}
			}
		}
	}
	return true
}

// place is where the row stands, as in services[0].routes[1].
func (n *node) place() string {
	place := fmt.Sprintf("%s[%d]", n.entity, n.index)
	if n.outer != nil {
		place = n.outer.place() + "." + place
	}
	return place
}

// name is the row's own, its id, or else its place.
func (n *node) name() string {
	for _, key := range []string{"name", "username", "id"} {
		if text, ok := n.row[key].(string); ok && text != "" {
			return text
		}
	}
	return n.place()
}

// path has the keys and the indexes that lead to the row.
func (n *node) path() []any {
	if n == nil {
		return nil
	}
	return append(n.outer.path(), n.entity, n.index)
}

// Find returns the row of an entity by its name, at any depth, such as the route
// "checkout" or, by its plugin's name, the first plugin row. The row is the
// file's own: a change of it is a change of the file.
func (f File) Find(entity, name string) (File, bool) {
	for n := range f.nodes() {
		if n.entity == entity && n.name() == name {
			return n.row, true
		}
	}
	return nil, false
}

// A PluginRow is a row of a plugin as it stands in a file, checked or not.
type PluginRow struct {
	ID     string  // the one that Kong gives it; empty where Kong makes a new one at each load
	Name   string  // its instance_name; empty: it has none
	Place  []any   // the keys and the indexes, from 0, that lead to it in the file
	Owners []Owner // what it applies to; none: to all requests
	Config any     // as it is written
}

// An Owner is what a plugin row applies to.
type Owner struct {
	Kind string // route, service or consumer
	Name string // where it has none, its id, or else its place: services[0].routes[0]
}

// PluginRows finds the rows of a plugin that are enabled, at any depth. The rest of
// the file is not checked.
func (f File) PluginRows(plugin string) (rows []PluginRow) {
	tree := f.withIDs()
	names := map[rowKey]string{} // by id
	for n := range tree.nodes() {
		if id, ok := n.row["id"].(string); ok {
			if key := (rowKey{n.entity, "id", id}); names[key] == "" {
				names[key] = n.name()
			}
		}
	}
	for n := range tree.nodes() {
		if n.entity != "plugins" || n.row["name"] != plugin || n.row["enabled"] == false {
			continue
		}
		row := PluginRow{Place: n.path(), Config: n.row["config"]}
		row.ID, _ = n.row["id"].(string)
		row.Name, _ = n.row["instance_name"].(string)
		if n.outer != nil {
			row.Owners = append(row.Owners, Owner{strings.TrimSuffix(n.outer.entity, "s"), n.outer.name()})
		}
		for _, entity := range []string{"routes", "services", "consumers"} {
			kind := strings.TrimSuffix(entity, "s")
			reference := n.row[kind]
			if table, ok := reference.(map[string]any); ok {
				reference = table["id"]
				if reference == nil {
					reference = table["name"]
				}
			}
			if text, ok := reference.(string); ok && (n.outer == nil || n.outer.entity != entity) {
				row.Owners = append(row.Owners, Owner{kind, cmp.Or(names[rowKey{entity, "id", text}], text)})
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// Consumer finds a consumer by its username, its custom_id or its id.
func (f File) Consumer(name string) (Consumer, bool) {
	tree := f.withIDs()
	for _, key := range []string{"username", "custom_id", "id"} {
		for n := range tree.nodes() {
			if n.entity == "consumers" && name != "" && n.row[key] == name {
				text := func(key string) string { v, _ := n.row[key].(string); return v }
				return Consumer{ID: text("id"), Username: text("username"), CustomID: text("custom_id")}, true
			}
		}
	}
	return Consumer{}, false
}

// withIDs is a copy whose rows have the ids that Kong gives them.
func (f File) withIDs() File {
	tree := File(cloneMap(f))
	tree.addIDs()
	return tree
}

// At returns what stands at a place of the file, as [PluginRow] has it; nil: nothing.
func (f File) At(place ...any) any {
	var v any = map[string]any(f)
	for _, step := range place {
		switch step := step.(type) {
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		case string:
			table, _ := v.(map[string]any)
			v = table[step]
		}
	}
	return v
}
