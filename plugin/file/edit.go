package file

import (
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
		next, problem := edit(content, path, e.Value)
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
func edit(content string, path []any, value *config.Node) (string, *config.Problem) {
	root, _, err := documents(content)
	if err != nil {
		return "", syntaxProblem(content, err)
	}
	if root == nil {
		return "", &config.Problem{Message: "is empty", Line: 1, Column: 1}
	}
	e := editor{extents: newExtents(content), root: root}
	out, at, err := e.edit(path, value)
	if err == nil && out != content {
		after, _, wrong := documents(out)
		if wrong != nil || after == nil || !reflect.DeepEqual(shape(after), edited(shape(root), path, value)) {
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
	root *yaml.Node
}

// edit returns the text with a value put at path, or with what is there removed. Where
// that cannot be done, it returns the place that is the reason.
func (e *editor) edit(path []any, value *config.Node) (string, position, error) {
	y, at := e.root, position{e.root.Line, e.root.Column}
	for i, step := range path {
		if err := e.own(y); err != nil {
			return "", at, err
		}
		index, ok := step.(int)
		if ok {
			if y = item(y, index); y == nil {
				return "", at, fmt.Errorf("is not there: there is no item %d", index)
			}
			at = position{y.Line, y.Column}
			continue
		}
		m := ownMember(y, step.(string))
		switch last := i == len(path)-1; {
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
			out, err := e.remove(y, m)
			return out, position{m.key.Line, m.key.Column}, err
		}
		y, at = m.value, position{m.value.Line, m.value.Column}
	}
	if err := e.own(y); err != nil {
		return "", at, err
	}
	out, err := e.replace(y, value)
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

// replace puts a value in place of a node.
func (e *editor) replace(y *yaml.Node, value *config.Node) (string, error) {
	start, err := e.value(y)
	if err != nil {
		return "", err
	}
	end, err := e.end(y)
	if err != nil {
		return "", err
	}
	text := scalarLike(y, value)
	if start == end { // there was only the key
		text = " " + text
	}
	if isBlock := y.Kind == yaml.SequenceNode && y.Style&yaml.FlowStyle == 0; isBlock && value.Kind == config.List && len(value.Items) > 0 {
		lines := make([]string, len(value.Items))
		for i, item := range value.Items {
			lines[i] = "- " + flow(item)
		}
		text = strings.Join(lines, e.newline(start)+strings.Repeat(" ", y.Column-1))
	}
	return e.splice(start, end, text)
}

// insert adds a key with its value to a map, as its last one.
func (e *editor) insert(y *yaml.Node, key string, value *config.Node) (string, error) {
	if len(y.Content) == 0 {
		start, err := e.value(y)
		if err != nil {
			return "", err
		}
		return e.splice(start+1, start+1, plain(key)+": "+flow(value))
	}
	end, err := e.end(y.Content[len(y.Content)-1])
	if err != nil {
		return "", err
	}
	if y.Style&yaml.FlowStyle != 0 {
		return e.splice(end, end, ", "+plain(key)+": "+flow(value))
	}
	if end, err = e.rest(end); err != nil {
		return "", err
	}
	newline := e.newline(end)
	indent := strings.Repeat(" ", y.Content[0].Column-1)
	return e.splice(end, end, newline+block(key, value, indent, newline))
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

// remove removes a key with its value from a map, and its comment in the same line.
func (e *editor) remove(y *yaml.Node, m member) (string, error) {
	var before, after *yaml.Node // the value before it, the key behind it
	for i := 0; i+1 < len(y.Content); i += 2 {
		if y.Content[i] != m.key {
			continue
		}
		if i > 0 {
			before = y.Content[i-1]
		}
		if i+2 < len(y.Content) {
			after = y.Content[i+2]
		}
	}
	start, err := e.start(m.key)
	if err != nil {
		return "", err
	}
	end, err := e.end(m.value)
	if err != nil {
		return "", err
	}
	isFlow := y.Style&yaml.FlowStyle != 0
	if from := e.lineStart(start); !isFlow && strings.Trim(e.text[from:start], " ") == "" {
		to, err := e.rest(end)
		if err != nil {
			return "", err
		}
		if to < len(e.text) {
			to += lineBreak(e.text[to:])
		}
		return e.splice(from, to, "")
	}
	switch {
	case after != nil:
		next, err := e.start(after)
		if err != nil {
			return "", err
		}
		if end > next || strings.Trim(e.text[end:next], " \t\r\n,") != "" { // a comment
			return "", errNoEnd
		}
		return e.splice(start, next, "")
	case before != nil && isFlow:
		from, err := e.end(before)
		if err != nil {
			return "", err
		}
		return e.splice(from, end, "")
	case isFlow:
		return e.splice(start, end, "")
	}
	return "", errNoEnd
}
