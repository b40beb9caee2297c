package file

import (
	"strings"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/plugin/config"
)

// insertItem puts a value into a list, before the item of that index, or as the last one.
func (e *editor) insertItem(y *yaml.Node, index int, value *config.Node) (string, error) {
	isFlow := y.Style&yaml.FlowStyle != 0
	switch {
	case len(y.Content) == 0:
		return e.first(y, e.flow(value))
	case isFlow && index == len(y.Content):
		last := y.Content[index-1]
		return e.append(last, last, e.flow(value))
	case isFlow:
		return e.prepend(y.Content[index], e.flow(value))
	}
	like := y.Content[max(index-1, 0)]
	indent := strings.Repeat(" ", y.Column-1)
	if index == 0 {
		at, err := e.dash(y, 0)
		if err != nil {
			return "", err
		}
		newline := e.newline(at)
		return e.splice(at, at, e.blockItem(like, value, indent, newline)+newline+indent)
	}
	end, err := e.end(like)
	if err != nil {
		return "", err
	}
	if end, err = e.rest(end); err != nil {
		return "", err
	}
	newline := e.newline(end)
	return e.splice(end, end, newline+indent+e.blockItem(like, value, indent, newline))
}

// prepend adds a text before an element between brackets: in a line of its own, if that has
// one.
func (e *editor) prepend(y *yaml.Node, text string) (string, error) {
	start, err := e.start(y)
	if err != nil {
		return "", err
	}
	separator := ", "
	if line := e.lineStart(start); line > 0 && strings.Trim(e.text[line:start], " \t") == "" {
		separator = "," + e.newline(start) + e.text[line:start]
	}
	return e.splice(start, start, text+separator)
}

// blockItem returns a value as an item of a list without brackets, with its dash, which is
// indented by indent: a map one key a line, if its neighbour is.
func (e *editor) blockItem(like *yaml.Node, n *config.Node, indent, newline string) string {
	if n.Kind != config.Map || len(n.Members) == 0 || like.Kind != yaml.MappingNode || like.Style&yaml.FlowStyle != 0 {
		return e.item(n, indent, newline)
	}
	return e.mapItem(n, indent, newline)
}

// removeItem removes an item of a list, which is the value of a key unless that is nil, and
// its comment in the same line.
func (e *editor) removeItem(key, y *yaml.Node, index int) (string, error) {
	isFlow := y.Style&yaml.FlowStyle != 0
	if !isFlow && len(y.Content) == 1 {
		return e.behind(key, y, "[]")
	}
	begin := e.dash
	if isFlow {
		begin = func(y *yaml.Node, index int) (int, error) { return e.start(y.Content[index]) }
	}
	start, err := begin(y, index)
	if err != nil {
		return "", err
	}
	end, err := e.end(y.Content[index])
	if err != nil {
		return "", err
	}
	next := 0
	if index+1 < len(y.Content) {
		if next, err = begin(y, index+1); err != nil {
			return "", err
		}
	}
	var before *yaml.Node
	if index > 0 {
		before = y.Content[index-1]
	}
	return e.cut(isFlow, before, start, end, next)
}

// dash returns where the dash of an item is, in a list without brackets.
func (e *editor) dash(y *yaml.Node, index int) (int, error) {
	start, err := e.start(y.Content[index])
	if err != nil {
		return 0, err
	}
	line := e.lineStart(start)
	at := line + y.Column - 1 // the indentation has spaces and dashes only
	if at >= start || e.text[at] != '-' || strings.Trim(e.text[line:at], " -") != "" || strings.Trim(e.text[at+1:start], " \t-") != "" {
		return 0, errNoEnd
	}
	return at, nil
}
