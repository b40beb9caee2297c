package file

import (
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/plugin/config"
)

// Locate makes a tree of a value that another reader has made of a YAML text, one of
// encoding/json's, and gives it the places where the text has it. The steps, keys
// and indexes, lead to the value. What is not found in the text, such as what the
// other reader has made up, has the place of what it is in.
func Locate(content string, value any, steps ...any) *config.Node {
	var at position
	y, _, _ := documents(content) // without a tree there are no places
	for _, step := range steps {
		y, at = resolve(y, at)
		switch step := step.(type) {
		case int:
			y = item(y, step)
		case string:
			y = members(y, maxDepth)[step].value
		}
	}
	return locate(value, y, at)
}

type position struct{ line, column int }

// member is a key of a map of the text, with its value.
type member struct{ key, value *yaml.Node }

// resolve follows an alias, and says where a node is: where there is none, at.
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

// members are those of a map, those of the maps that are merged into it included.
// depth is how often they may be merged.
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

// locate converts a value whose text is y, or, where that is nil, which is in at.
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
