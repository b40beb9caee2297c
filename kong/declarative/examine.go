package declarative

import (
	"fmt"
	"slices"
	"time"
)

// A Problem is one thing for which Kong refuses a file.
type Problem struct {
	Place   []any // the keys and indexes, from 0, that lead to it; not all of them need be there
	Message string
}

// Examined is a file of which everything was looked at, whatever Kong refuses of it.
type Examined struct {
	Config   *Config // what Kong would make of the rows that are right; nil: nothing can be told
	Problems []Problem

	places map[rowKey][]any
}

// Place returns the keys and the indexes that lead to a row; nil: there is no such row.
func (e *Examined) Place(entity, id string) []any { return e.places[rowKey{entity, "id", id}] }

// Examine checks a file as [Loader.Load] does, but does not stop at the first kind of
// problem. It ignores entities and fields that this package does not know, and the configs
// of plugins that are not enabled, as they may be Kong's own. The file stays as it is.
func (l *Loader) Examine(f File) *Examined {
	s := l.lenient()
	tree := f.known()
	migrate(tree)
	tree.addIDs()
	out := &Examined{places: map[rowKey][]any{}}
	for n := range tree.nodes() {
		if n.row["id"] == nil { // Kong makes one, at random
			n.row["id"] = nameUUID(idNamespace, n.place())
		}
		if id, ok := n.row["id"].(string); ok {
			if key := (rowKey{n.entity, "id", id}); out.places[key] == nil {
				out.places[key] = n.path()
			}
		}
	}
	problems, rows := s.problems(tree)
	out.Problems = problems
	wrong := problems
	for range maxRounds {
		if len(wrong) == 0 {
			out.Config, _ = newConfig(s, rows.rows)
			break
		}
		if !tree.without(wrong) {
			break
		}
		wrong, rows = s.problems(tree)
	}
	return out
}

// maxRounds is how often rows are taken out: those that are wrong, those that refer to
// them, and so on.
const maxRounds = 8

// problems are those of a file that has ids. It returns the rows as well, for the case that
// there are none.
func (s *schemas) problems(tree File) ([]Problem, *flattener) {
	filled := File(filler{time.Now()}.fill(s.top, tree))
	all := s.top.check(filled).problems(nil, nil)
	reported := map[string]bool{}
	for _, p := range all {
		reported[placeText(p.Place)] = true
	}
	flat := s.flatten(filled)
	for _, p := range flat.problems {
		if !reported[placeText(p.Place)] {
			all = append(all, p)
		}
	}
	return all, flat
}

// problems returns them one by one.
func (e Errors) problems(place []any, all []Problem) []Problem {
	for _, key := range e.keys() {
		at := append(slices.Clip(place), key)
		switch k := key.(type) {
		case int:
			at[len(place)] = k - 1
		case string:
			if k == entityKey {
				at = place
			}
		}
		switch found := e[key].(type) {
		case string:
			all = append(all, Problem{at, found})
		case []string:
			for _, message := range found {
				all = append(all, Problem{at, message})
			}
		case Errors:
			all = found.problems(at, all)
		}
	}
	return all
}

// without takes out the rows and the keys that are wrong. It returns false if it cannot.
func (f File) without(problems []Problem) bool {
	taken := false
	wrong := map[string]bool{}
	for _, p := range problems {
		row := rowAround(p.Place)
		if row == nil && len(p.Place) > 0 {
			key, _ := p.Place[0].(string)
			_, has := f[key]
			delete(f, key)
			taken = taken || has
		}
		wrong[placeText(row)] = true
	}
	if f["_format_version"] == nil {
		f["_format_version"], taken = "3.0", true
	}
	return prune(f, nil, wrong) || taken
}

// prune takes rows out, by the texts of their places, and reports whether there are any.
func prune(rows map[string]any, outer []any, wrong map[string]bool) (taken bool) {
	for _, entity := range entityOrder {
		list, ok := rows[entity].([]any)
		if !ok {
			continue
		}
		kept := []any{}
		for i, element := range list {
			place := append(slices.Clip(outer), entity, i)
			if wrong[placeText(place)] {
				taken = true
				continue
			}
			kept = append(kept, element)
			if row, ok := element.(map[string]any); ok {
				taken = prune(row, place, wrong) || taken
			}
		}
		rows[entity] = kept
	}
	return taken
}

// rowAround returns the place of the innermost row at a place; nil: there is none.
func rowAround(place []any) []any {
	for i := len(place) - 1; i > 0; i-- {
		entity, _ := place[i-1].(string)
		if _, ok := place[i].(int); ok && slices.Contains(entityOrder, entity) {
			return place[:i+1]
		}
	}
	return nil
}

func placeText(place []any) string { return fmt.Sprint(place...) }

// known is a copy without the entities and fields that this package does not know.
func (f File) known() File {
	tree := File(cloneMap(f))
	forget := func(row map[string]any) {
		for _, key := range ignored {
			delete(row, key)
		}
	}
	forget(tree)
	for n := range tree.nodes() {
		if n.forGroup() && n.row["id"] == nil { // it has not the id of the row for everybody
			n.row["id"] = nameUUID(idNamespace, n.place())
		}
		forget(n.row)
	}
	return tree
}

// withOthers are the schemas of a file with rows of plugins that are not enabled.
func (s *schemas) withOthers() *schemas {
	out := &schemas{flavor: s.flavor, entities: cloneEntities(s.entities)}
	acceptOthers(out.entities["plugins"])
	out.top = out.file()
	return out
}

func cloneEntities(entities map[string]*record) map[string]*record {
	out := make(map[string]*record, len(entities))
	for name, r := range entities {
		c := *r
		out[name] = &c
	}
	return out
}

// acceptOthers makes the schema of a plugin's row accept plugins that are not enabled.
func acceptOthers(plugins *record) {
	others := &record{fields: map[string]*field{"config": {kind: "any"}}, names: []string{"config"}, parent: plugins}
	enabled := plugins.variant
	plugins.variant = func(row map[string]any) (*record, Errors) {
		v, errs := enabled(row)
		if name, ok := row["name"].(string); errs != nil && ok && name != "" {
			return others, nil
		}
		return v, errs
	}
}
