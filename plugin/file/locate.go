package file

import (
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/plugin/config"
)

// Locate converts value, which another reader has made of the YAML text content, into a
// tree with the lines and columns of the text. The value consists of encoding/json's
// types; steps are the keys and indexes that lead to it in the text. What the text does
// not have, such as a default, gets the place of the map or list that it is in.
func Locate(content string, value any, steps ...any) *config.Node {
	first, _, _ := documents(content) // without a tree there are no places
	return (&Index{first: first}).Locate(value, steps...)
}

type position struct{ line, column int }

// member is a key of a map of the text, with its value.
type member struct{ key, value *yaml.Node }

// resolve follows an alias, and returns where the node is; if there is no node, at.
func resolve(y *yaml.Node, at position) (*yaml.Node, position) {
	for range maxDepth {
		if y == nil || y.Kind != yaml.AliasNode {
			break
		}
		y = y.Alias
	}
	if y != nil {
		at = position{y.Line, y.Column}
	}
	return y, at
}

func item(y *yaml.Node, i int) *yaml.Node {
	if y == nil || y.Kind != yaml.SequenceNode || i >= len(y.Content) {
		return nil
	}
	return y.Content[i]
}

// members returns the members of a map, with those of the maps that are merged into it,
// down to that depth.
func members(y *yaml.Node, depth int) map[string]member {
	y, _ = resolve(y, position{})
	if y == nil || y.Kind != yaml.MappingNode || depth == 0 {
		return nil
	}
	merged, own := map[string]member{}, map[string]member{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.Tag != "!!merge" {
			own[key.Value] = member{key, value} // of two, the last one counts
			continue
		}
		maps.Copy(merged, members(value, depth-1))
		if from, _ := resolve(value, position{}); from.Kind == yaml.SequenceNode {
			for _, each := range from.Content {
				maps.Copy(merged, members(each, depth-1))
			}
		}
	}
	maps.Copy(merged, own)
	return merged
}

// locate converts a value that the text has as y; if that is nil, the value is at at.
func locate(value any, y *yaml.Node, at position) *config.Node {
	y, at = resolve(y, at)
	n := &config.Node{Line: at.line, Column: at.column}
	switch v := value.(type) {
	case nil:
	case bool:
		n.Kind, n.Bool = config.Bool, v
	case float64:
		n.Kind = config.Number
		if n.Text = strconv.FormatFloat(v, 'f', -1, 64); !number.MatchString(n.Text) { // an infinity
			fault(n, "%s is not a number", n.Text)
		}
	case string:
		n.Kind, n.Text = config.String, v
		if !utf8.ValidString(v) {
			fault(n, "has bytes in it that are not UTF-8")
		}
	case []any:
		n.Kind = config.List
		for i := range v {
			n.Items = append(n.Items, locate(v[i], item(y, i), at))
		}
	case map[string]any:
		n.Kind = config.Map
		found := members(y, maxDepth)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			m := config.Member{Key: key, Line: at.line, Column: at.column}
			text := found[key]
			if text.key != nil {
				m.Line, m.Column = text.key.Line, text.key.Column
			}
			m.Value = locate(v[key], text.value, at)
			n.Members = append(n.Members, m)
		}
	default:
		fault(n, "has a value of a kind that is not known: %T", v)
	}
	return n
}
