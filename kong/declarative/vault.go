package declarative

import (
	"encoding/json"
	"os"
	"strings"
)

// pluginValue returns a value as a plugin gets it: without nulls, and with
// references to a vault resolved. A reference is also kept under "$refs" in its
// record.
func pluginValue(f *field, value any) any {
	switch {
	case f == nil || value == nil:
		return value
	case f.kind == "record":
		row, _ := value.(map[string]any)
		return pluginRecord(f.record, row)
	case f.kind == "map":
		out := map[string]any{}
		for _, pair := range pairs(value) {
			if pair.value != nil {
				out[LuaString(pair.key)] = pluginValue(f.values, pair.value)
			}
		}
		return out
	case f.kind == "array" || f.kind == "set":
		list, _ := sequence(value)
		out := make([]any, len(list))
		for i, element := range list {
			out[i] = pluginValue(f.elements, element)
		}
		return out
	}
	if text, ok := value.(string); ok && f.referenceable && isReference(text) {
		return resolveReference(text)
	}
	return value
}

func pluginRecord(r *record, row map[string]any) map[string]any {
	out, refs := map[string]any{}, map[string]any{}
	for name, value := range row {
		if value == nil {
			continue
		}
		f := r.fields[name]
		out[name] = pluginValue(f, value)
		if f == nil {
			continue
		}
		if found := references(f, value); found != nil {
			refs[name] = found
		}
	}
	if len(refs) > 0 {
		out["$refs"] = refs
	}
	return out
}

// references are those that stand in a text, or in a list or map of texts.
func references(f *field, value any) any {
	switch f.kind {
	case "string":
		if text, ok := value.(string); ok && f.referenceable && isReference(text) {
			return text
		}
	case "array", "set", "map":
		inner := f.elements
		if f.kind == "map" {
			inner = f.values
		}
		found := map[string]any{}
		for _, pair := range pairs(value) {
			if inner.kind == "string" {
				if text := references(inner, pair.value); text != nil {
					found[LuaString(pair.key)] = text
				}
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
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
