package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/plugin/config"
)

// Edit returns a YAML text with edits made to the map to which steps lead. Nothing else of
// the text changes: comments, order and layout stay. A value that others share, by an
// alias, is not edited, nor one that is merged in from elsewhere: that is the problem then.
func Edit(content string, steps []any, edits ...config.Edit) (string, *config.Problem) {
	const mark = "\uFEFF" // the parser does not count it
	content, marked := strings.CutPrefix(content, mark)
	for _, e := range edits {
		path := append(steps[:len(steps):len(steps)], e.Path...)
		next, problem := edit(content, path, e)
		if problem != nil {
			problem.Path = config.PathOf(path...)
			return "", problem
		}
		content = next
	}
	if marked {
		content = mark + content
	}
	return content, nil
}

// edit makes one edit. What comes out is parsed again, and has to be what went in but for
// that edit: where it is not, the text is one that this code does not understand.
func edit(content string, path []any, change config.Edit) (string, *config.Problem) {
	root, _, err := documents(content)
	if err != nil {
		return "", syntaxProblem(content, err)
	}
	if root == nil {
		return "", &config.Problem{Message: "is empty", Line: 1, Column: 1}
	}
	e := editor{extents: newExtents(content), writer: writer{json: json.Valid([]byte(content))}, root: root}
	out, at, err := e.edit(path, change)
	if err == nil && out != content {
		after, _, wrong := documents(out)
		if wrong != nil || after == nil || !reflect.DeepEqual(shape(after), edited(shape(root), path, change)) {
			err = errNoEnd
		}
	}
	if err != nil {
		return "", &config.Problem{Message: err.Error(), Line: at.line, Column: at.column}
	}
	return out, nil
}

// editor edits one value of a text.
type editor struct {
	*extents
	writer
	root *yaml.Node
}

// edit returns the text with a value put at path, or with what is there removed. Where
// that cannot be done, it returns the place that is the reason.
func (e *editor) edit(path []any, change config.Edit) (string, position, error) {
	value := change.Value
	y, at := e.root, position{e.root.Line, e.root.Column}
	var key *yaml.Node // of y, where it is a member of a map
	for i, step := range path {
		last := i == len(path)-1
		if err := e.own(y); err != nil {
			return "", at, err
		}
		index, ok := step.(int)
		if ok {
			inner := item(y, index)
			switch {
			case last && change.Insert && y.Kind == yaml.SequenceNode && index <= len(y.Content):
				out, err := e.insertItem(y, index, value)
				return out, at, err
			case inner == nil:
				return "", at, fmt.Errorf("is not there: there is no item %d", index)
			case last && value == nil:
				out, err := e.removeItem(key, y, index)
				return out, position{inner.Line, inner.Column}, err
			}
			key, y, at = nil, inner, position{inner.Line, inner.Column}
			continue
		}
		m := ownMember(y, step.(string))
		switch {
		case y.Kind != yaml.MappingNode:
			return "", at, fmt.Errorf("is not there: there is no key %q", step)
		case m.key == nil && members(y, maxDepth)[step.(string)].key != nil:
			return "", at, errors.New("is merged in from elsewhere; write it out here")
		case m.key == nil && !last:
			return "", at, fmt.Errorf("is not there: there is no key %q", step)
		case m.key == nil && value == nil:
			return e.text, at, nil
		case m.key == nil:
			out, err := e.insert(y, step.(string), value)
			return out, at, err
		case value == nil && last:
			out, err := e.remove(key, y, m)
			return out, position{m.key.Line, m.key.Column}, err
		}
		key, y, at = m.key, m.value, position{m.value.Line, m.value.Column}
	}
	if err := e.own(y); err != nil {
		return "", at, err
	}
	out, err := e.replace(key, y, value)
	return out, at, err
}

// own returns an error if a change of a node would be one elsewhere too.
func (e *editor) own(y *yaml.Node) error {
	if y.Kind == yaml.AliasNode {
		return fmt.Errorf("is shared by the alias *%s; write it out here", y.Value)
	}
	if y.Anchor != "" && aliased(e.root, y) {
		return fmt.Errorf("is shared by aliases of &%s; write it out where these are", y.Anchor)
	}
	return nil
}

// aliased reports whether somewhere in a tree is an alias of a node.
func aliased(tree, y *yaml.Node) bool {
	if tree.Kind == yaml.AliasNode {
		return tree.Alias == y
	}
	for _, inner := range tree.Content {
		if aliased(inner, y) {
			return true
		}
	}
	return false
}

// ownMember returns the member of a map with that key that is not merged in.
func ownMember(y *yaml.Node, key string) (m member) {
	if y.Kind != yaml.MappingNode {
		return m
	}
	for i := 0; i+1 < len(y.Content); i += 2 {
		if k := y.Content[i]; k.Kind == yaml.ScalarNode && k.Tag != "!!merge" && k.Value == key {
			m = member{k, y.Content[i+1]}
		}
	}
	return m
}

// splice returns the text with another one in place of what is from start to end. The ends
// that are found of nodes need not be right: see [extents.end].
func (e *editor) splice(start, end int, text string) (string, error) {
	if start > end || end > len(e.text) {
		return "", errNoEnd
	}
	return e.text[:start] + text + e.text[end:], nil
}

// replace puts a value in place of a node, which is the value of a key unless that is nil.
func (e *editor) replace(key, y *yaml.Node, value *config.Node) (string, error) {
	start, err := e.value(y)
	if err != nil {
		return "", err
	}
	end, err := e.end(y)
	if err != nil {
		return "", err
	}
	text := e.scalarLike(y, value)
	if start == end { // there was only the key
		text = " " + text
	}
	if y.Style&yaml.FlowStyle != 0 || len(y.Content) == 0 {
		return e.splice(start, end, text)
	}
	newline, indent := e.newline(start), strings.Repeat(" ", y.Column-1)
	switch {
	case y.Kind == yaml.SequenceNode && value.Kind == config.List && len(value.Items) > 0:
		lines := make([]string, len(value.Items))
		for i, item := range value.Items {
			lines[i] = "- " + e.flow(item)
		}
		text = strings.Join(lines, newline+indent)
	case y.Kind == yaml.MappingNode && value.Kind == config.Map && len(value.Members) > 0:
		lines := make([]string, len(value.Members))
		for i, m := range value.Members {
			lines[i] = e.block(m.Key, m.Value, indent, newline)
		}
		text = strings.Join(lines, newline)[len(indent):]
	default:
		return e.behind(key, y, text)
	}
	return e.splice(start, end, text)
}

// insert adds a key with its value to a map, as its last one.
func (e *editor) insert(y *yaml.Node, key string, value *config.Node) (string, error) {
	text := e.quote(key) + ": " + e.flow(value)
	if len(y.Content) == 0 {
		return e.first(y, text)
	}
	if y.Style&yaml.FlowStyle != 0 {
		return e.append(y.Content[len(y.Content)-2], y.Content[len(y.Content)-1], text)
	}
	end, err := e.end(y.Content[len(y.Content)-1])
	if err != nil {
		return "", err
	}
	if end, err = e.rest(end); err != nil {
		return "", err
	}
	newline := e.newline(end)
	indent := strings.Repeat(" ", y.Content[0].Column-1)
	return e.splice(end, end, newline+e.block(key, value, indent, newline))
}

// first puts the first text between the brackets of an empty map or list.
func (e *editor) first(y *yaml.Node, text string) (string, error) {
	start, err := e.value(y)
	if err != nil {
		return "", err
	}
	return e.splice(start+1, start+1, text)
}

// append adds a text behind the last element between brackets, which goes from one node to
// another: in a line of its own, if that has one.
func (e *editor) append(from, to *yaml.Node, text string) (string, error) {
	end, err := e.end(to)
	if err != nil {
		return "", err
	}
	start, err := e.start(from)
	if err != nil {
		return "", err
	}
	separator := ", "
	if line := e.lineStart(start); line > 0 && strings.Trim(e.text[line:start], " \t") == "" {
		separator = "," + e.newline(end) + e.text[line:start]
	}
	return e.splice(end, end, separator+text)
}

// newline returns the line break that the text has after at; before it, if it has none.
func (e *editor) newline(at int) string {
	if end := e.lineEnd(at); end < len(e.text) {
		return e.text[end : end+lineBreak(e.text[end:])]
	}
	if strings.Contains(e.text, "\r\n") {
		return "\r\n"
	}
	return "\n"
}
