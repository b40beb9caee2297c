package declarative

import (
	"cmp"
	"encoding/json"
	"os"
	"strings"
)

// pluginRecord returns a record as a plugin gets it: without nulls, and with references
// to a vault resolved. What they were is kept under "$refs".
func pluginRecord(r *record, row map[string]any) map[string]any {
	out, refs := map[string]any{}, map[string]any{}
	for name, value := range row {
		if value == nil {
			continue
		}
		var found any
		if out[name], found = pluginValue(r.fields[name], value); found != nil {
			refs[name] = found
		}
	}
	if len(refs) > 0 {
		out["$refs"] = refs
	}
	return out
}

// pluginValue returns a value likewise, and the references that stood in it: a text, or
// those of a list or a map of texts.
func pluginValue(f *field, value any) (out, refs any) {
	switch {
	case f == nil || value == nil:
		return value, nil
	case f.kind == "record":
		row, _ := value.(map[string]any)
		return pluginRecord(f.record, row), nil
	case isTable(value):
		list, table, found := []any{}, map[string]any{}, map[string]any{}
		for _, pair := range pairs(value) {
			inner, ref := pluginValue(cmp.Or(f.elements, f.values), pair.value)
			key := LuaString(pair.key)
			list = append(list, inner)
			if inner != nil {
				table[key] = inner
			}
			if text, ok := ref.(string); ok {
				found[key] = text
			}
		}
		if len(found) > 0 {
			refs = found
		}
		if f.kind == "map" {
			return table, refs
		}
		return list, refs
	}
	if text, ok := value.(string); ok && f.referenceable && isReference(text) {
		return resolveReference(text), text
	}
	return value, nil
}

// resolveReference looks up {vault://env/name} or {vault://env/name/key} in the
// environment. What cannot be resolved is an empty text.
func resolveReference(reference string) string {
	path := strings.TrimSuffix(strings.TrimPrefix(reference, "{vault://"), "}")
	vault, resource, _ := strings.Cut(path, "/")
	if vault != "env" {
		return ""
	}
	name, key, hasKey := strings.Cut(resource, "/")
	text := os.Getenv(strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	if !hasKey {
		return text
	}
	var values map[string]any
	if json.Unmarshal([]byte(text), &values) != nil {
		return ""
	}
	value, _ := values[key].(string)
	return value
}
