package config

import (
	"regexp"
	"strconv"
	"strings"
)

// Node is a value of a source before it is checked: a tree that both JSON and
// YAML become, with the place where each value was written.
type Node struct {
	Kind         Kind
	Text         string   // of a string: its content; of a number: as it was written, in JSON's grammar; of a fault: what is wrong
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

// Kind says what a Node is.
type Kind int

// The kinds of nodes. A Fault stands where the source has a value that cannot
// be one of the others; its Text is reported as the problem of that place.
const (
	Null Kind = iota // as good as absent
	Bool
	Number
	String
	List
	Map
	Fault
)

// Get is the value of a key of a map, nil where there is none.
func (n *Node) Get(key string) *Node {
	for i := range n.Members {
		if n.Members[i].Key == key {
			return n.Members[i].Value
		}
	}
	return nil
}

// orItself is the value of a key, or the map where the default stands for it.
func (n *Node) orItself(key string) *Node {
	if v := n.Get(key); v != nil {
		return v
	}
	return n
}

// set says whether a key of a map has a value that is not empty, as Kong counts
// it for checks between fields.
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
		return len(v.Members) > 0
	}
	return true
}

// describe names a value in a message.
func (n *Node) describe() string {
	switch n.Kind {
	case Number:
		return shorten(n.Text)
	case String:
		return "the string " + quote(n.Text)
	}
	return n.kind()
}

// kind names a value in a message that does not show it.
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

// secretValue is a value behind the key of a secret, as in secret:abc, which is no
// key and a value but one string.
var secretValue = regexp.MustCompile(`(?is)(secret["']?\s*[:=]).+`)

// quote quotes a string for a message, the beginning of it where it is long, and
// nothing that is likely to be a secret.
func quote(s string) string {
	return strconv.Quote(secretValue.ReplaceAllString(shorten(s), "${1}…"))
}

// shorten cuts a text that would drown a message.
func shorten(s string) string {
	const most = 80 // bytes
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
