package declarative

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"
)

// A Loader checks declarative files for a set of enabled plugins. It may be
// used by several goroutines at the same time.
type Loader struct {
	schemas *schemas
	lenient func() *schemas           // with which it examines
	plugins map[string]map[string]any // the schemas of plugins, as they are written
}

// NewLoader makes a loader for the enabled plugins, and for Kong's default router. "bundled"
// stands for those of Kong's own that are known here, see entities.yaml; the schemas of
// others are given by name, as the plugins dump them.
func NewLoader(enabled []string, dumped map[string]json.RawMessage) (*Loader, error) {
	return NewLoaderFor(TraditionalCompatible, enabled, dumped)
}

// NewLoaderFor makes one for a router of that flavor.
func NewLoaderFor(flavor Flavor, enabled []string, dumped map[string]json.RawMessage) (*Loader, error) {
	own := rawEntities()["plugins"].(map[string]any)
	plugins := map[string]map[string]any{}
	for _, name := range Enabled(enabled) {
		if text, ok := dumped[name]; ok {
			v, err := decodeJSON(text)
			if err != nil {
				return nil, fmt.Errorf("schema of plugin %s: %w", name, err)
			}
			plugins[name], _ = v.(map[string]any)
		} else if definition, ok := own[name].(map[string]any); ok {
			plugins[name] = definition
		} else {
			return nil, fmt.Errorf("%s plugin is enabled but not installed", name)
		}
	}
	s, err := newSchemas(flavor, plugins)
	if err != nil {
		return nil, err
	}
	return &Loader{s, sync.OnceValue(s.withOthers), plugins}, nil
}

// Enabled lists the plugins that Kong's property "plugins" enables.
func Enabled(property []string) []string {
	names := map[string]bool{}
	for _, name := range property {
		switch name {
		case "bundled":
			for _, own := range bundled {
				names[own] = true
			}
		case "", "off":
		default:
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Load checks a file and returns its rows. The file stays as it is. The error
// is an [*InvalidError].
func (l *Loader) Load(f File) (*Config, error) {
	tree := File(cloneMap(f))
	migrate(tree)
	tree.addIDs()
	filled := filler{time.Now()}.fill(l.schemas.top, tree)
	if errs := l.schemas.top.check(filled); errs != nil {
		return nil, &InvalidError{Errors: errs, file: f}
	}
	flat := l.schemas.flatten(filled)
	if len(flat.errs) > 0 {
		return nil, &InvalidError{Errors: flat.errs, file: f}
	}
	return newConfig(l.schemas, flat.rows)
}

// flattener takes nested rows apart and checks what they refer to.
type flattener struct {
	schemas  *schemas
	rows     map[string][]map[string]any
	nodes    map[string][]*node // of the rows
	known    map[rowKey]map[string]any
	errs     Errors
	problems []Problem // the same
}

// flatten returns the rows of a file.
func (s *schemas) flatten(f File) *flattener {
	fl := &flattener{s, map[string][]map[string]any{}, map[string][]*node{}, map[rowKey]map[string]any{}, Errors{}, nil}
	fl.collect(f)
	fl.resolve()
	return fl
}

// rowKey is the value of a field that only one row of an entity may have.
type rowKey struct{ entity, field, value string }

// collect adds the rows of a file that was checked.
func (fl *flattener) collect(f File) {
	for n := range f.nodes() {
		flat := map[string]any{}
		for _, own := range fl.schemas.entities[n.entity].names {
			flat[own] = n.row[own]
		}
		if n.outer != nil {
			flat[referring(n.outer.entity)] = map[string]any{"id": n.outer.row["id"]}
		}
		fl.add(n, flat)
	}
}

// add adds a row, unless there is one with the same id or the same value of a
// field that is unique.
func (fl *flattener) add(n *node, row map[string]any) {
	entity := n.entity
	s := fl.schemas.entities[entity]
	unique := slices.DeleteFunc(slices.Clone(s.names), func(name string) bool { return !s.fields[name].unique })
	for _, name := range append(unique, "id") {
		text, ok := row[name].(string)
		if !ok {
			continue
		}
		key := rowKey{entity, name, text}
		if fl.known[key] != nil {
			place := append(n.path(), name)
			if name == "id" {
				name, place = "primary key", n.path()
			}
			message := fmt.Sprintf("uniqueness violation: '%s' entity with %s set to '%s' already declared", entity, name, text)
			fl.errs.inner(entity)[n.index+1] = message
			fl.problems = append(fl.problems, Problem{place, message})
			return
		}
		fl.known[key] = row
	}
	fl.rows[entity] = append(fl.rows[entity], row)
	fl.nodes[entity] = append(fl.nodes[entity], n)
}

// resolve replaces the names of other entities by their ids.
func (fl *flattener) resolve() {
	for _, entity := range entityOrder {
		s := fl.schemas.entities[entity]
		for i, row := range fl.rows[entity] {
			for _, name := range s.names {
				target := s.fields[name].reference
				if target == "" || row[name] == nil {
					continue
				}
				wanted := row[name]
				if table, ok := wanted.(map[string]any); ok {
					wanted = table["id"]
				}
				text, _ := wanted.(string)
				found := fl.known[rowKey{target, entityKeys[target], text}]
				if found == nil {
					found = fl.known[rowKey{target, "id", text}]
				}
				if found == nil {
					referrer, ok := row[entityKeys[entity]].(string)
					if !ok {
						referrer, _ = row["id"].(string)
					}
					message := fmt.Sprintf("invalid reference '%s: %s' (no such entry in '%s')", name, text, target)
					fl.errs.inner(entity)[referrer] = Errors{1: message}
					fl.problems = append(fl.problems, Problem{append(fl.nodes[entity][i].path(), name), message})
					continue
				}
				row[name] = map[string]any{"id": found["id"]}
			}
		}
	}
}

// migrate makes a file of an older format one of the format 3.0, in which a
// path that is a regular expression says so.
func migrate(tree File) {
	if v := tree["_format_version"]; v != "1.1" && v != "2.1" {
		return
	}
	tree["_format_version"] = "3.0"
	for n := range tree.nodes() {
		paths, _ := sequence(n.row["paths"])
		for i, path := range paths {
			if text, ok := path.(string); ok && n.entity == "routes" && !plainPath.MatchString(text) {
				paths[i] = "~" + text
			}
		}
	}
}

// plainPath matches what the older formats did not take for a regular expression.
var plainPath = regexp.MustCompile(`^[a-zA-Z0-9._~/%-]*$`)
