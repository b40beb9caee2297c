package declarative

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// InvalidError is why a file was refused. Its text is what `kong start`
// prints.
type InvalidError struct {
	Errors Errors

	file File
}

func (e *InvalidError) Error() string { return e.Errors.Error() }

// Response is what the Admin API answers, with status 400. Flattened, the
// errors are a list by entity, as decK and the ingress controller ask for.
func (e *InvalidError) Response(flatten bool) map[string]any {
	remaining := e.Errors
	response := map[string]any{"code": 14, "name": "invalid declarative configuration"}
	if flatten {
		f := flattenedErrors{list: []entityErrors{}}
		remaining = f.file(cloneMap(e.file), e.Errors)
		response["flattened_errors"] = f.list
	}
	response["fields"] = remaining
	response["message"] = "declarative config is invalid: " + luaWrite(remaining, "", "")
	return response
}

// SchemaViolation is what the Admin API answers, with status 400, when a
// single entity is wrong.
func SchemaViolation(errs Errors) map[string]any {
	var all []string
	if messages, ok := errs[entityKey].([]string); ok {
		all = append(all, messages...)
	}
	for _, key := range errs.keys() {
		name := fmt.Sprint(key)
		switch problem := errs[key].(type) {
		case string:
			all = append(all, name+": "+problem)
		case Errors:
			for _, inner := range problem.keys() {
				text, ok := problem[inner].(string)
				if !ok {
					text = luaWrite(problem[inner], "  ", "")
				}
				all = append(all, name+"."+fmt.Sprint(inner)+": "+text)
			}
		}
	}
	count := "schema violation"
	if len(all) != 1 {
		count = fmt.Sprintf("%d schema violations", len(all))
	}
	return map[string]any{
		"code": 2, "name": "schema violation", "fields": errs,
		"message": count + " (" + strings.Join(all, "; ") + ")",
	}
}

// entityErrors are those of one entity, as the Admin API lists them.
type entityErrors struct {
	Type   string         `json:"entity_type"`
	ID     any            `json:"entity_id,omitempty"`
	Name   any            `json:"entity_name,omitempty"`
	Tags   any            `json:"entity_tags,omitempty"`
	Entity map[string]any `json:"entity"`
	Errors []problem      `json:"errors"`
}

// flattenedErrors collects nested errors by entity.
type flattenedErrors struct {
	list []entityErrors
}

// file collects the errors of a file, and returns those that belong to no entity.
func (f *flattenedErrors) file(file map[string]any, errs Errors) Errors {
	remaining := Errors{}
	keys := errs.keys()
	slices.Reverse(keys)
	for _, key := range keys {
		name := fmt.Sprint(key)
		section, isTable := errs[key].(Errors)
		list, isList := file[name].([]any)
		if !isTable || !isList {
			remaining[key] = errs[key]
			continue
		}
		indexes := section.keys()
		slices.Reverse(indexes)
		for _, index := range indexes {
			i, ok := index.(int)
			if !ok || i > len(list) || !f.entity(name, list[i-1], section[index]) {
				remaining.inner(key)[index] = section[index]
			}
		}
	}
	return remaining
}

// entity collects the errors of an entity, after those of the entities inside of it.
// It returns false where the element is no entity.
func (f *flattenedErrors) entity(name string, element, found any) bool {
	row, ok := element.(map[string]any)
	if !ok {
		return false
	}
	errs, ok := found.(Errors)
	if !ok {
		errs = Errors{entityKey: found}
	}
	errs = maps.Clone(errs)
	for _, child := range children[name] {
		list, isList := row[child].([]any)
		if !isList {
			continue
		}
		inner, _ := errs[child].(Errors)
		delete(row, child)
		delete(errs, child)
		for i, element := range list {
			problem, wrong := inner[i+1]
			childRow, isRow := element.(map[string]any)
			if !wrong || !isRow {
				continue
			}
			field := referring(name)
			if _, given := childRow[field]; !given && isUUID(row["id"]) {
				childRow[field] = map[string]any{"id": row["id"]}
			}
			f.entity(child, childRow, problem)
		}
	}
	if len(errs) == 0 {
		return true
	}
	e := entityErrors{Type: strings.TrimSuffix(name, "s"), Entity: row, Errors: errs.flat("")}
	if text, ok := row["name"].(string); ok && text != "" {
		e.Name = text
	}
	if isUUID(row["id"]) {
		e.ID = row["id"]
	}
	if list, ok := row["tags"].([]any); ok && allTexts(list) {
		e.Tags = list
	}
	f.list = append(f.list, e)
	return true
}

func allTexts(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool { _, ok := v.(string); return !ok })
}
