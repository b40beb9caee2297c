package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Edit is a change of one value of a configuration.
type Edit struct {
	Path   []any // the keys (string) and indexes (int) that lead to it
	Value  *Node // nil: the key is removed, if there is one, or the item of a list
	Insert bool  // the value becomes one more item of a list, before the one that is there, or its last one
}

// Difference returns what edits change in a configuration, a line for each value: one with
// - for what is there and one with + for what comes. It is empty if they change nothing.
func Difference(n *Node, edits []Edit) (lines []string) {
	for _, e := range edits {
		was := n.At(e.Path...)
		if e.Insert {
			was = nil
		}
		if was == e.Value || was != nil && e.Value != nil && was.text() == e.Value.text() {
			continue
		}
		if was != nil {
			lines = append(lines, "- "+PathOf(e.Path...)+": "+was.text())
		}
		if e.Value != nil {
			lines = append(lines, "+ "+PathOf(e.Path...)+": "+e.Value.text())
		}
	}
	return lines
}

// At returns what is at a path of keys and indexes; nil: nothing.
func (n *Node) At(path ...any) *Node {
	for _, step := range path {
		switch step := step.(type) {
		case int:
			if step >= len(n.Items) {
				return nil
			}
			n = n.Items[step]
		case string:
			if n = n.Get(step); n == nil {
				return nil
			}
		}
	}
	return n
}

// text returns a value in JSON, or in words.
func (n *Node) text() string {
	text, err := json.Marshal(n)
	if err != nil { // it is a fault
		return n.describe()
	}
	return string(text)
}

// PathOf returns keys and indexes as messages have them: backends[1].weight.
func PathOf(steps ...any) (path string) {
	for _, step := range steps {
		switch step := step.(type) {
		case int:
			path += "[" + strconv.Itoa(step) + "]"
		case string:
			path = Join(path, step)
		}
	}
	return path
}

// Apply returns a configuration with edits made to it. n stays as it is, and shares the
// nodes that are not changed.
func Apply(n *Node, edits ...Edit) (*Node, error) {
	for _, e := range edits {
		var err error
		if n, err = apply(n, e.Path, e); err != nil {
			return nil, fmt.Errorf("%s %w", PathOf(e.Path...), err)
		}
	}
	return n, nil
}

func apply(n *Node, path []any, e Edit) (*Node, error) {
	value := e.Value
	if len(path) == 0 {
		return value, nil
	}
	out := *n
	switch step := path[0].(type) {
	case int:
		last := len(path) == 1
		switch {
		case n.Kind == List && last && e.Insert && step <= len(n.Items):
			out.Items = slices.Insert(slices.Clone(n.Items), step, value)
			return &out, nil
		case n.Kind != List || step >= len(n.Items):
			return nil, fmt.Errorf("is not there: there is no item %d", step)
		case last && value == nil:
			out.Items = slices.Delete(slices.Clone(n.Items), step, step+1)
			return &out, nil
		}
		item, err := apply(n.Items[step], path[1:], e)
		out.Items = slices.Clone(n.Items)
		out.Items[step] = item
		return &out, err
	case string:
		at := slices.IndexFunc(n.Members, func(m Member) bool { return m.Key == step })
		switch {
		case n.Kind != Map || at < 0 && len(path) > 1:
			return nil, fmt.Errorf("is not there: there is no key %s", quote(step))
		case at < 0 && value == nil:
			return n, nil
		case at < 0:
			out.Members = append(slices.Clip(n.Members), Member{Key: step, Value: value, Line: n.Line, Column: n.Column})
			return &out, nil
		case value == nil && len(path) == 1:
			out.Members = slices.Delete(slices.Clone(n.Members), at, at+1)
			return &out, nil
		}
		v, err := apply(n.Members[at].Value, path[1:], e)
		out.Members = slices.Clone(n.Members)
		out.Members[at].Value = v
		return &out, err
	}
	return nil, fmt.Errorf("has a step that is neither a key nor an index: %v", path[0])
}

// WithoutNulls returns a configuration without keys that have no value, as Kong's Admin API
// has them.
func (n *Node) WithoutNulls() *Node {
	out := *n
	out.Items, out.Members = nil, nil
	for _, item := range n.Items {
		out.Items = append(out.Items, item.WithoutNulls())
	}
	for _, m := range n.Members {
		if m.Value.Kind != Null {
			m.Value = m.Value.WithoutNulls()
			out.Members = append(out.Members, m)
		}
	}
	return &out
}

// MarshalJSON implements [json.Marshaler]. A fault has no JSON.
func (n *Node) MarshalJSON() ([]byte, error) {
	switch n.Kind {
	case Null:
		return []byte("null"), nil
	case Bool:
		return json.Marshal(n.Bool)
	case Number:
		return []byte(n.Text), nil
	case String:
		return json.Marshal(n.Text)
	case List:
		return json.Marshal(append([]*Node{}, n.Items...))
	case Map:
		out := []byte{'{'}
		for i, m := range n.Members {
			if i > 0 {
				out = append(out, ',')
			}
			key, err := json.Marshal(m.Key)
			if err != nil {
				return nil, err
			}
			value, err := m.Value.MarshalJSON()
			if err != nil {
				return nil, err
			}
			out = append(append(append(out, key...), ':'), value...)
		}
		return append(out, '}'), nil
	}
	return nil, fmt.Errorf("a value %s", n.Text)
}

// Text returns a node of a string.
func Text(s string) *Node { return &Node{Kind: String, Text: s} }

// Int returns a node of a number.
func Int(n int) *Node { return &Node{Kind: Number, Text: strconv.Itoa(n)} }

// Float returns a node of a number. It has to be finite.
func Float(x float64) *Node {
	return &Node{Kind: Number, Text: strconv.FormatFloat(x, 'f', -1, 64)}
}

// InSeconds returns a time as parameters have it, with no more decimals than it has:
// [time.Duration.Seconds] makes 1.3639999999999999 of 1.364 s.
func InSeconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }
