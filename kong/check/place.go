package check

import (
	"strconv"
	"strings"

	"kong-traffic-split/plugin/config"
)

// walk returns what is at a place of a tree; nil: nothing.
func walk(n *config.Node, place []any) *config.Node {
	for _, step := range place {
		if n == nil {
			return nil
		}
		switch step := step.(type) {
		case int:
			if step < 0 || step >= len(n.Items) {
				return nil
			}
			n = n.Items[step]
		case string:
			n = n.Get(step)
		}
	}
	return n
}

// problemAt returns a problem at a place of a tree, or else at the innermost map or list
// around it. The line of a map is that of its key, where it has one, so that a comment
// above it is about it.
func problemAt(n *config.Node, place []any) config.Problem {
	p := config.Problem{Path: pathOf(place), Line: 1, Column: 1}
	for i, step := range place {
		line, column := 0, 0
		var inner *config.Node
		switch step := step.(type) {
		case int:
			if step >= 0 && step < len(n.Items) {
				inner = n.Items[step]
				line, column = inner.Line, inner.Column
			}
		case string:
			for _, m := range n.Members {
				if m.Key == step {
					inner, line, column = m.Value, m.Line, m.Column
				}
			}
			if inner != nil && i == len(place)-1 && inner.Kind != config.Map && inner.Kind != config.List && inner.Line > 0 {
				line, column = inner.Line, inner.Column
			}
		}
		if inner == nil {
			break
		}
		if n = inner; line > 0 {
			p.Line, p.Column = line, column
		}
	}
	return p
}

// pathOf writes a place: services[0].routes[1].
func pathOf(place []any) string {
	path := ""
	for _, step := range place {
		switch step := step.(type) {
		case int:
			path += "[" + strconv.Itoa(step) + "]"
		case string:
			path = config.Join(path, step)
		}
	}
	return path
}

// join puts one path behind another one.
func join(outer, inner string) string {
	switch {
	case inner == "" || outer == "":
		return outer + inner
	case strings.HasPrefix(inner, "["):
		return outer + inner
	}
	return outer + "." + inner
}
