package declarative

import (
	"fmt"
	"strings"
)

// A PluginRow is a row of a plugin as it stands in a file, checked or not.
type PluginRow struct {
	ID     string  // the one that Kong gives it; empty where Kong makes a new one at each load
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
func (f File) PluginRows(plugin string) ([]PluginRow, error) {
	tree, s, err := f.withIDs()
	if err != nil {
		return nil, err
	}
	finder := rowFinder{schemas: s, tree: tree, plugin: plugin}
	finder.find(tree, "", Owner{}, nil)
	return finder.rows, nil
}

// Consumer finds a consumer by its username, its custom_id or its id.
func (f File) Consumer(name string) (Consumer, bool) {
	tree, _, err := f.withIDs()
	if err != nil {
		return Consumer{}, false
	}
	list, _ := sequence(tree["consumers"])
	for _, key := range []string{"username", "custom_id", "id"} {
		for _, element := range list {
			row, _ := element.(map[string]any)
			if name != "" && row[key] == name {
				text := func(key string) string { v, _ := row[key].(string); return v }
				return Consumer{ID: text("id"), Username: text("username"), CustomID: text("custom_id")}, true
			}
		}
	}
	return Consumer{}, false
}

// withIDs is a copy whose rows have the ids that Kong gives them.
func (f File) withIDs() (File, *schemas, error) {
	l, err := NewLoader(nil, nil)
	if err != nil {
		return nil, nil, err
	}
	tree := cloneMap(f)
	l.schemas.addIDs(tree, "", "")
	return tree, l.schemas, nil
}

type rowFinder struct {
	schemas *schemas
	tree    File
	plugin  string
	rows    []PluginRow
}

// find looks through the rows in outer, which is the file or the row of parent.
func (r *rowFinder) find(outer map[string]any, parent string, owner Owner, place []any) {
	for _, entity := range entityOrder {
		if parent != "" && r.schemas.referring(entity, parent) == "" {
			continue
		}
		list, _ := sequence(outer[entity])
		for i, element := range list {
			row, _ := element.(map[string]any)
			rowPlace := append(place[:len(place):len(place)], entity, i)
			if entity == "plugins" {
				r.add(row, owner, rowPlace)
			} else {
				r.find(row, entity, ownerOf(entity, row, rowPlace), rowPlace)
			}
		}
	}
}

func (r *rowFinder) add(row map[string]any, owner Owner, place []any) {
	if row["name"] != r.plugin || row["enabled"] == false {
		return
	}
	found := PluginRow{Place: place, Config: row["config"]}
	found.ID, _ = row["id"].(string)
	if owner.Kind != "" {
		found.Owners = append(found.Owners, owner)
	}
	for _, entity := range []string{"routes", "services", "consumers"} {
		kind := strings.TrimSuffix(entity, "s")
		reference := row[kind]
		if table, ok := reference.(map[string]any); ok {
			reference = table["id"]
			if reference == nil {
				reference = table["name"]
			}
		}
		if text, ok := reference.(string); ok && kind != owner.Kind {
			found.Owners = append(found.Owners, Owner{kind, r.nameOf(entity, text, r.tree)})
		}
	}
	r.rows = append(r.rows, found)
}

// nameOf returns the name of the row that a reference leads to, or the reference
// where that has no name.
func (r *rowFinder) nameOf(entity, reference string, outer map[string]any) string {
	for _, section := range entityOrder {
		list, _ := sequence(outer[section])
		for _, element := range list {
			row, _ := element.(map[string]any)
			name, named := row[r.schemas.entities[entity].key].(string)
			if section == entity && named && row["id"] == reference {
				return name
			}
			if name := r.nameOf(entity, reference, row); name != reference {
				return name
			}
		}
	}
	return reference
}

func ownerOf(entity string, row map[string]any, place []any) Owner {
	o := Owner{Kind: strings.TrimSuffix(entity, "s")}
	for _, key := range []string{"name", "username", "id"} {
		if text, ok := row[key].(string); ok && text != "" {
			o.Name = text
			return o
		}
	}
	for i := 0; i+1 < len(place); i += 2 {
		o.Name += fmt.Sprintf(".%s[%d]", place[i], place[i+1])
	}
	o.Name = strings.TrimPrefix(o.Name, ".")
	return o
}
