package file

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/plugin/config"
)

// converter makes nodes of a configuration of YAML's. Aliases are written out,
// so it counts what it makes: a few lines can stand for more values than there
// is memory.
type converter struct {
	left int // values that may still come
}

var (
	errTooMany = fmt.Errorf("stands for more than %d values, its aliases written out; nothing of it is used", maxValues)
	errTooDeep = fmt.Errorf("nests deeper than %d levels, or an alias stands inside its own anchor", maxDepth)
)

// node converts a value.
func (c *converter) node(y *yaml.Node, depth int) (*config.Node, error) {
	if c.left--; c.left < 0 {
		return nil, errTooMany
	}
	if depth > maxDepth {
		return nil, errTooDeep
	}
	n := &config.Node{Line: y.Line, Column: y.Column}
	switch y.Kind {
	case yaml.AliasNode:
		return c.node(y.Alias, depth+1)
	case yaml.ScalarNode:
		scalar(n, y)
		return n, nil
	case yaml.SequenceNode:
		return n, c.sequence(n, y, depth)
	case yaml.MappingNode:
		return n, c.mapping(n, y, depth)
	}
	return nil, errors.New("has a value of a kind that is not known")
}

func (c *converter) sequence(n *config.Node, y *yaml.Node, depth int) error {
	n.Kind = config.List
	if y.ShortTag() != "!!seq" {
		fault(n, "the tag %s is not known here; leave it out", y.Tag)
	}
	for _, item := range y.Content {
		v, err := c.node(item, depth+1)
		if err != nil {
			return err
		}
		n.Items = append(n.Items, v)
	}
	return nil
}

func (c *converter) mapping(n *config.Node, y *yaml.Node, depth int) error {
	n.Kind = config.Map
	if y.ShortTag() != "!!map" {
		fault(n, "the tag %s is not known here; leave it out", y.Tag)
	}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		m := config.Member{Line: key.Line, Column: key.Column}
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		v, err := c.node(y.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		m.Key, m.Value = key.Value, v
		if wrong := wrongKey(key); wrong != "" {
			m.Value = &config.Node{Kind: config.Fault, Text: wrong, Quotes: true, Line: m.Line, Column: m.Column}
		}
		n.Members = append(n.Members, m)
	}
	return nil
}

// wrongKey says why a key is none; empty: it is one.
func wrongKey(key *yaml.Node) string {
	switch tag := key.ShortTag(); {
	case key.Kind != yaml.ScalarNode:
		return "a key must be a string, not a list or a map"
	case tag == "!!merge":
		return "merge keys are not supported; write the keys out, use an alias for the whole value, or put under defaults what all splits share"
	case tag == "!!null":
		return "a key must be a string, not nothing"
	case tag != "!!str" && tag != "!!timestamp":
		return fmt.Sprintf("the key %s must be a string; write it in quotes", shorten(key.Value))
	}
	return ""
}

// number is JSON's grammar of a number.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// scalar converts a value that holds no others. YAML has more ways to write
// one than people know of, so only the plain ones are taken.
func scalar(n *config.Node, y *yaml.Node) {
	n.Text = y.Value
	switch tag := y.ShortTag(); tag {
	case "!!str", "!!timestamp": // nothing here is a time, so it is a name that looks like one
		n.Kind = config.String
	case "!!bool":
		n.Kind = config.Bool
		if err := y.Decode(&n.Bool); err != nil {
			fault(n, "%s is neither true nor false", shorten(y.Value))
		}
	case "!!int", "!!float":
		n.Kind = config.Number
		if !number.MatchString(y.Value) {
			fault(n, "%s is not a plain decimal number%s; for a string, write it in quotes", shorten(y.Value), decimal(y))
		}
	case "!!null":
		fault(n, "has no value; give it one or leave the key out")
	default:
		fault(n, "the tag %s is not known here; leave it out", tag)
	}
}

// decimal says how a number would be written plainly; empty where it is not
// sure what was meant.
func decimal(y *yaml.Node) string {
	var v int64
	if len(y.Value) > 1 && y.Value[0] == '0' && y.Value[1] >= '0' && y.Value[1] <= '9' {
		return ", as it begins with 0"
	}
	if err := y.Decode(&v); err != nil || y.ShortTag() != "!!int" {
		return ""
	}
	return "; write " + strconv.FormatInt(v, 10)
}

// fault turns a node into one that is reported.
func fault(n *config.Node, format string, args ...any) {
	n.Kind, n.Text, n.Quotes = config.Fault, fmt.Sprintf(format, args...), len(args) > 0
}

// shorten cuts a text that would drown a message.
func shorten(s string) string {
	const most = 80 // bytes
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%.*s…", most/4, s) // a quarter, as a character has up to 4 bytes
}
