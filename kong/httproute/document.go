package httproute

import (
	"fmt"
	"regexp"
	"strconv"

	"gopkg.in/yaml.v3"
)

// document is one object of a file, and what is wrong with it.
type document struct {
	file      string
	number    int // from 1
	root      *yaml.Node
	kind      string
	namespace string
	name      string
	partial   bool // what cannot be converted is a warning
	problems  []Problem
}

// object is what messages call the document.
func (d *document) object() string {
	switch {
	case d.kind == "":
		return ""
	case d.name == "":
		return d.kind
	}
	return d.kind + " " + d.namespace + "/" + d.name
}

// refuse reports what makes the object wrong.
func (d *document) refuse(at *trail, format string, args ...any) {
	d.report(false, at, fmt.Sprintf(format, args...))
}

// leave reports what cannot be converted, which is an error unless a part of the output
// is wanted.
func (d *document) leave(at *trail, format string, args ...any) {
	d.report(d.partial, at, fmt.Sprintf(format, args...))
}

// warn reports what the output does otherwise than the object says.
func (d *document) warn(at *trail, format string, args ...any) {
	d.report(true, at, fmt.Sprintf(format, args...))
}

// refuseAt reports what makes the object wrong, of a field and of what it does not fit: the
// line is that of the latter.
func (d *document) refuseAt(field, cause *trail, message string) {
	d.refuse(field, "%s", message)
	last := &d.problems[len(d.problems)-1]
	if node := cause.node(d.root); node != nil && last.Message == message {
		last.Line, last.Column = node.Line, node.Column
	}
}

// maxProblems bounds those of a document, so that one that is wrong all over does not take
// long.
const maxProblems = 100

func (d *document) report(warning bool, at *trail, message string) {
	switch n := len(d.problems); {
	case n > maxProblems:
		return
	case n == maxProblems:
		warning, at, message = false, nil, "there are more problems in this document"
	}
	node := d.root
	if found := at.node(d.root); found != nil {
		node = found
	}
	d.problems = append(d.problems, Problem{
		File: d.file, Document: d.number, Line: max(node.Line, 1), Column: max(node.Column, 1),
		Object: d.object(), Path: at.String(), Message: message, Warning: warning,
	})
}

// A trail is the way from an object to one of its fields; nil: the object itself.
type trail struct {
	parent *trail
	key    string // or, if empty,
	index  int
}

func (t *trail) field(name string) *trail { return &trail{parent: t, key: name} }
func (t *trail) item(i int) *trail        { return &trail{parent: t, index: i} }

// fields is the trail of a field of a field.
func (t *trail) fields(names ...string) *trail {
	for _, name := range names {
		t = t.field(name)
	}
	return t
}

func (t *trail) String() string {
	switch {
	case t == nil:
		return ""
	case t.key == "":
		return t.parent.String() + "[" + strconv.Itoa(t.index) + "]"
	case !plainKey.MatchString(t.key):
		key := t.key
		if !printable.MatchString(key) {
			key = quote(key)
		}
		return t.parent.String() + "[" + key + "]"
	case t.parent == nil:
		return t.key
	}
	return t.parent.String() + "." + t.key
}

var (
	plainKey  = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	printable = regexp.MustCompile(`^[!-~]{1,320}$`)
)

// node finds where the trail leads: the value of a field, or the nearest thing above it
// that is there.
func (t *trail) node(root *yaml.Node) *yaml.Node {
	_, shown := t.find(root)
	return shown
}

// find returns the value at the trail, nil if there is none, and the node to show.
func (t *trail) find(root *yaml.Node) (value, shown *yaml.Node) {
	if t == nil {
		return root, root
	}
	parent, shown := t.parent.find(root)
	if parent == nil {
		return nil, shown
	}
	if t.key == "" {
		if parent.Kind == yaml.SequenceNode && t.index < len(parent.Content) {
			item := parent.Content[t.index]
			return item, item
		}
		return nil, shown
	}
	if parent.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(parent.Content); i += 2 {
			if parent.Content[i].Value == t.key {
				return parent.Content[i+1], parent.Content[i+1]
			}
		}
	}
	return nil, shown
}

// get returns a field of a mapping, or of a field of it; nil if it is not there.
func get(n *yaml.Node, names ...string) *yaml.Node {
	for _, name := range names {
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var value *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				value = n.Content[i+1]
			}
		}
		n = value
	}
	return n
}

// text returns a field that is a scalar; empty if it is not there, or null.
func text(n *yaml.Node, names ...string) string {
	if n = get(n, names...); n != nil && n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		return n.Value
	}
	return ""
}

// items returns the items of a field that is a list.
func items(n *yaml.Node, names ...string) []*yaml.Node {
	if n = get(n, names...); n != nil && n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return nil
}
