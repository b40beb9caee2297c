package file

import (
	"fmt"
	"maps"
	"slices"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/plugin/config"
)

// shape is what a YAML text says, however it is laid out: maps, slices and strings, for
// reflect.DeepEqual. Aliases and anchors are part of it.
func shape(y *yaml.Node) any {
	var v any
	switch y.Kind {
	case yaml.AliasNode:
		return "*" + y.Value
	case yaml.SequenceNode:
		items := []any{y.ShortTag()}
		for _, item := range y.Content {
			items = append(items, shape(item))
		}
		v = items
	case yaml.MappingNode:
		members := map[string]any{"": y.ShortTag()}
		for i := 0; i+1 < len(y.Content); i += 2 {
			key := fmt.Sprint(shape(y.Content[i]))
			for members[key] != nil { // twice
				key += "'"
			}
			members[key] = shape(y.Content[i+1])
		}
		v = members
	default:
		v = scalarShape(y.ShortTag(), y.Value)
	}
	if y.Anchor != "" {
		return []any{"&" + y.Anchor, v}
	}
	return v
}

func scalarShape(tag, value string) string {
	switch tag {
	case "!!timestamp": // nothing here is a time
		tag = "!!str"
	case "!!float":
		tag = "!!int"
	}
	return tag + " " + value
}

// nodeShape is the shape of a value that is written.
func nodeShape(n *config.Node) any {
	switch n.Kind {
	case config.List:
		items := []any{"!!seq"}
		for _, item := range n.Items {
			items = append(items, nodeShape(item))
		}
		return items
	case config.Map:
		members := map[string]any{"": "!!map"}
		for _, m := range n.Members {
			members[keyShape(m.Key)] = nodeShape(m.Value)
		}
		return members
	case config.String:
		return scalarShape("!!str", n.Text)
	case config.Bool:
		return scalarShape("!!bool", fmt.Sprint(n.Bool))
	case config.Number:
		return scalarShape("!!int", n.Text)
	}
	return scalarShape("!!null", "null")
}

func keyShape(key string) string { return scalarShape("!!str", key) }

// edited returns a shape with an edit made to what is at path. It returns nil if there is no
// such place.
func edited(v any, path []any, edit config.Edit) any {
	if anchored, ok := v.([]any); ok && len(anchored) == 2 {
		if name, ok := anchored[0].(string); ok && len(name) > 0 && name[0] == '&' {
			inner := edited(anchored[1], path, edit)
			return []any{name, inner}
		}
	}
	if len(path) == 0 {
		return nodeShape(edit.Value)
	}
	last := len(path) == 1
	switch step := path[0].(type) {
	case int:
		items, ok := v.([]any)
		items = slices.Clone(items)
		at := step + 1 // behind the tag
		switch {
		case ok && last && edit.Insert && at <= len(items):
			return slices.Insert(items, at, nodeShape(edit.Value))
		case !ok || at >= len(items):
			return nil
		case last && edit.Value == nil:
			return slices.Delete(items, at, at+1)
		}
		items[at] = edited(items[at], path[1:], edit)
		return items
	case string:
		members, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		members = maps.Clone(members)
		if key := keyShape(step); edit.Value == nil && last {
			delete(members, key)
		} else {
			members[key] = edited(members[key], path[1:], edit)
		}
		return members
	}
	return nil
}
