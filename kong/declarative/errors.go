package declarative

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Errors says what is wrong with an entity or a whole file, in the shape of
// Kong's error tables. A key is a field's name or the index of an element,
// from 1; what it holds is a message, or the Errors of what is inside. Under
// "@entity" stand messages about several fields at once.
type Errors map[any]any

const entityKey = "@entity"

// addEntity adds a message about several fields.
func (e Errors) addEntity(message string) {
	messages, _ := e[entityKey].([]string)
	e[entityKey] = append(messages, message)
}

// set puts an error where a path such as "redis.host" leads.
func (e Errors) set(path string, problem any) {
	head, tail, nested := strings.Cut(path, ".")
	if !nested {
		e[head] = problem
		return
	}
	e.inner(head).set(tail, problem)
}

// inner is the Errors at a key, made where there are none.
func (e Errors) inner(key any) Errors {
	inner, ok := e[key].(Errors)
	if !ok {
		inner = Errors{}
		e[key] = inner
	}
	return inner
}

// keys are in the order of Lua's sort: indexes, then names.
func (e Errors) keys() []any {
	order := func(key any) string {
		if index, ok := key.(int); ok {
			return fmt.Sprintf("\x00%020d", index)
		}
		return key.(string)
	}
	return slices.SortedFunc(maps.Keys(e), func(a, b any) int { return strings.Compare(order(a), order(b)) })
}

// MarshalJSON writes the table as Kong does: as an array, with null where
// nothing is wrong, when there are only indexes.
func (e Errors) MarshalJSON() ([]byte, error) {
	object := make(map[string]any, len(e))
	var list []any
	for _, key := range e.keys() {
		object[fmt.Sprint(key)] = e[key]
		index, ok := key.(int)
		if !ok {
			list = nil
			continue
		}
		list = append(append(list, make([]any, index-1-len(list))...), e[key])
	}
	if list != nil {
		return json.Marshal(list)
	}
	return json.Marshal(object)
}

// Error lists the errors a line each, as `kong start` prints them.
func (e Errors) Error() string { return strings.Join(e.lines("", ""), "\n") }

func (e Errors) lines(item, indent string) []string {
	var out []string
	for _, key := range e.keys() {
		name := fmt.Sprintf("in '%v'", key)
		if index, ok := key.(int); ok {
			name = fmt.Sprintf("- in entry %d of '%s'", index, item)
		}
		switch problem := e[key].(type) {
		case string:
			out = append(out, indent+name+": "+problem)
		case []string:
			out = append(out, indent+name+":")
			for i, message := range problem {
				out = append(out, fmt.Sprintf("%s  - in entry %d of '%v': %s", indent, i+1, key, message))
			}
		case Errors:
			out = append(out, indent+name+":")
			out = append(out, problem.lines(fmt.Sprint(key), indent+"  ")...)
		}
	}
	return out
}

// luaWrite writes a message, messages or Errors as Lua would be written: on one
// line where space is empty, as the message of the Admin API carries them, or
// else indented by it.
func luaWrite(v any, space, indent string) string {
	var items []string
	switch v := v.(type) {
	case string:
		return luaQuote(v)
	case []string:
		for _, message := range v {
			items = append(items, indent+space+luaQuote(message))
		}
	case Errors:
		next := 1
		for _, key := range v.luaKeys() {
			name := luaKey(key, space)
			if key == next {
				name = ""
				next++
			}
			items = append(items, indent+space+name+luaWrite(v[key], space, indent+space))
		}
	}
	if space == "" {
		return "{" + strings.Join(items, ",") + "}"
	}
	return "{\n" + strings.Join(items, ",\n") + "\n" + indent + "}"
}

// luaKey is what stands before a value.
func luaKey(key any, space string) string {
	name := fmt.Sprint(key)
	if _, isIndex := key.(int); isIndex {
		name = "[" + name + "]"
	} else if !isLuaIdentifier(name) {
		name = "[" + luaQuote(name) + "]"
	}
	if space != "" {
		return name + " = "
	}
	return name + "="
}

// luaKeys has first the indexes from 1 without a gap, then the names, then the
// other indexes.
func (e Errors) luaKeys() []any {
	keys := e.keys()
	list, names := 0, len(keys)
	for list < len(keys) && keys[list] == list+1 {
		list++
	}
	if i := slices.IndexFunc(keys, func(key any) bool { _, ok := key.(string); return ok }); i >= 0 {
		names = i
	}
	return slices.Concat(keys[:list], keys[names:], keys[list:names])
}

func isLuaIdentifier(s string) bool {
	return luaIdentifier.MatchString(s) && !slices.Contains(luaKeywords, s)
}

var (
	luaIdentifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	luaKeywords   = strings.Fields(`and break do else elseif end false for function goto if in local
		nil not or repeat return then true until while`)
)

func luaQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", "\\\n", "\r", `\r`, "\x00", `\0`).Replace(s) + `"`
}

// problem is one error of an entity, with the path of its field.
type problem struct {
	Type    string `json:"type"` // "field", or "entity" where it is about several
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

// flat lists all errors in the order of the Admin API: the last key first.
func (e Errors) flat(path string) []problem {
	var all []problem
	keys := e.keys()
	slices.Reverse(keys)
	for _, key := range keys {
		field := fmt.Sprint(key)
		if path != "" {
			field = path + "." + field
		}
		switch found := e[key].(type) {
		case string:
			if key == entityKey {
				all = append(all, problem{Type: "entity", Message: found})
			} else {
				all = append(all, problem{Type: "field", Field: field, Message: found})
			}
		case []string:
			for _, message := range found {
				all = append(all, problem{Type: "entity", Message: message})
			}
		case Errors:
			all = append(all, found.flat(field)...)
		}
	}
	return all
}
