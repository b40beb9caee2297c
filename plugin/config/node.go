package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Node is a value before it is checked. Both JSON and YAML are parsed into a tree of
// nodes, with the place of each value in its source.
type Node struct {
	Kind         Kind
	Text         string   // of a string: its content; of a number: as written, in JSON's grammar; of a fault: what is wrong
	Quotes       bool     // the text of a fault quotes what the source has
	Bool         bool     // of a boolean
	Items        []*Node  // of an array
	Members      []Member // of a map, in the order of the source
	Line, Column int      // counted from 1; 0 where the source has none
}

// Member is one key of a map with its value.
type Member struct {
	Key          string
	Value        *Node
	Line, Column int // of the key
}

// Kind is the kind of a Node.
type Kind int

// The kinds of nodes. A Fault is a value that cannot be one of the others; its Text is
// reported as a problem.
const (
	Null Kind = iota // treated as absent
	Bool
	Number
	String
	List
	Map
	Fault
)

// Get returns the value of a key of a map; nil: there is none.
func (n *Node) Get(key string) *Node {
	for i := range n.Members {
		if n.Members[i].Key == key {
			return n.Members[i].Value
		}
	}
	return nil
}

// orItself returns the value of a key, or the map itself if that has no such key.
func (n *Node) orItself(key string) *Node {
	if v := n.Get(key); v != nil {
		return v
	}
	return n
}

// set reports whether a key of a map has a value that is not empty, as Kong counts it
// in checks between fields. A map in which everything is null is empty: so it arrives from
// Kong, and is saved.
func (n *Node) set(key string) bool {
	v := n.Get(key)
	if v == nil {
		return false
	}
	switch v.Kind {
	case Null:
		return false
	case String:
		return v.Text != ""
	case List:
		return len(v.Items) > 0
	case Map:
		return slices.ContainsFunc(v.Members, func(m Member) bool { return m.Value.Kind != Null })
	}
	return true
}

// describe returns a value as messages show it.
func (n *Node) describe() string {
	switch n.Kind {
	case Number:
		return shorten(n.Text)
	case String:
		return "the string " + quote(n.Text)
	}
	return n.kind()
}

// kind returns the kind of a value, for messages that must not show the value.
func (n *Node) kind() string {
	switch n.Kind {
	case Null:
		return "nothing"
	case Bool:
		if n.Bool {
			return "true"
		}
		return "false"
	case Number:
		return "a number"
	case String:
		return "a string"
	case List:
		return "an array"
	}
	return "a map"
}

// secretValue matches a secret in a string such as secret:abc, which was meant to be a
// key and a value.
var secretValue = regexp.MustCompile(`(?is)(secret["']?\s*[:=]).+`)

// quote quotes a string for a message. It cuts a long one, and hides what is likely to
// be a secret.
func quote(s string) string {
	return strconv.Quote(secretValue.ReplaceAllString(shorten(s), "${1}…"))
}

// shorten cuts a text that is too long for a message.
func shorten(s string) string {
	const limit = 80 // bytes
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
