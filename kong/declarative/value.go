package declarative

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A value is what encoding/json makes of JSON: nil for null, bool, float64,
// string, []any or map[string]any. What Kong's Lua sees of it counts: an empty
// array and an empty map are the same to it, a table.

// isTable reports whether Lua would call the value a table.
func isTable(v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return true
	}
	return false
}

// sequence returns the elements of a table that Lua takes for a list.
func sequence(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case map[string]any:
		return nil, len(v) == 0
	}
	return nil, false
}

// entry is one pair of a table. Its key is a string, or an index from 1.
type entry struct {
	key, value any
}

// pairs returns what is in a table, maps in order of their keys.
func pairs(v any) []entry {
	var all []entry
	switch v := v.(type) {
	case []any:
		for i, element := range v {
			all = append(all, entry{float64(i + 1), element})
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all = append(all, entry{key, v[key]})
		}
	}
	return all
}

// onlyPair returns what is in a map that has one key.
func onlyPair(v any) (key string, value any, ok bool) {
	m, _ := v.(map[string]any)
	for key, value = range m {
	}
	return key, value, len(m) == 1
}

// nonempty is Kong's idea of a field that is set.
func nonempty(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// clone copies a value and everything in it.
func clone(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = clone(element)
		}
		return out
	case map[string]any:
		return cloneMap(v)
	}
	return v
}

func cloneMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for key, value := range m {
		out[key] = clone(value)
	}
	return out
}

// lookup finds a field by its path, such as "redis.host". A field that is
// absent is not the same as one that is null.
func lookup(row map[string]any, path string) (value any, present bool) {
	head, tail, nested := strings.Cut(path, ".")
	value, present = row[head]
	if !nested || !present {
		return value, present
	}
	inner, ok := value.(map[string]any)
	if !ok {
		return nil, false
	}
	return lookup(inner, tail)
}

// LuaString is Lua's tostring of what a configuration may have. null is "null", a
// table "table".
func LuaString(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'g', 14, 64)
	}
	return "table"
}

// luaEqual is Lua's ==, of which two tables are never equal.
func luaEqual(a, b any) bool {
	return !isTable(a) && !isTable(b) && a == b
}

// quotedList is how Kong's messages name fields: 'a', 'b'.
func quotedList(names []string) string {
	return "'" + strings.Join(names, "', '") + "'"
}
