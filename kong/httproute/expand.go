package httproute

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// expander resolves aliases and merge keys in the documents of a chunk, and gives lines
// their number in the file.
type expander struct {
	left     int // values that may still come
	line     int // lines before the chunk
	problems []place
}

type place struct {
	line, column int
	message      string
}

func (e *expander) problem(n *yaml.Node, format string, args ...any) {
	e.problems = append(e.problems, place{max(n.Line+e.line, 1), max(n.Column, 1), fmt.Sprintf(format, args...)})
}

// expand expands a value in place. What an alias stands for was expanded before it, as it
// comes before it in the file.
func (e *expander) expand(n *yaml.Node, depth int) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return e.copy(n.Alias, n, depth+1)
	}
	if e.full(n, depth) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	n.Tag, n.Line = tagOf(n), n.Line+e.line
	if n.Tag == "!!bool" {
		n.Value = strconv.FormatBool(slices.Contains([]string{"y", "yes", "on", "true"}, strings.ToLower(n.Value)))
	}
	if n.Kind != yaml.MappingNode {
		for i, item := range n.Content {
			n.Content[i] = e.expand(item, depth+1)
		}
		return n
	}
	seen := make(map[string]bool, len(n.Content)/2)
	var merged []*yaml.Node
	kept := n.Content[:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], e.expand(n.Content[i+1], depth+1)
		switch {
		case key.ShortTag() == "!!merge":
			merged = append(merged, value)
			continue
		case key.Kind != yaml.ScalarNode:
			e.problem(key, "a key is not a string")
			continue
		case seen[key.Value]:
			e.problem(key, "%s stands here twice; keep one of them", quote(key.Value))
			continue
		}
		seen[key.Value] = true
		kept = append(kept, e.expand(key, depth+1), value)
	}
	for _, value := range merged {
		if value.Kind == yaml.MappingNode {
			value = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{value}}
		}
		for _, from := range value.Content {
			for i := 0; i+1 < len(from.Content); i += 2 {
				if key := from.Content[i]; !seen[key.Value] {
					seen[key.Value] = true
					kept = append(kept, key, from.Content[i+1])
				}
			}
		}
	}
	n.Content = kept
	return n
}

// copy copies a value for an alias. It is expanded, unless the alias stands in what it
// names: then this ends because there are too many levels.
func (e *expander) copy(n, alias *yaml.Node, depth int) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if e.full(alias, depth) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	out := *n
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		out.Content[i] = e.copy(item, alias, depth+1)
	}
	return &out
}

// full counts a value, and reports whether there are too many, or too many levels.
func (e *expander) full(at *yaml.Node, depth int) bool {
	if e.left--; e.left >= 0 && depth <= maxDepth {
		return false
	}
	if len(e.problems) == 0 {
		e.problem(at, "is nested too deeply, or grows too much by its aliases: at most %d levels, and %d values for each byte", maxDepth, maxGrowth)
	}
	return true
}

// tagOf is a value's type as kubectl reads it, by YAML 1.1: there yes and off are booleans.
func tagOf(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.Style == 0 && n.ShortTag() == "!!str" {
		switch n.Value {
		case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF":
			return "!!bool"
		}
	}
	return n.ShortTag()
}
