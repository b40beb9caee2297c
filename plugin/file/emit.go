package file

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/plugin/config"
)

// writer writes values, in YAML or in the part of it that is JSON.
type writer struct{ json bool }

// flow returns a value in YAML's flow style, in one line.
func (w writer) flow(n *config.Node) string {
	var parts []string
	switch n.Kind {
	case config.List:
		for _, item := range n.Items {
			parts = append(parts, w.flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case config.Map:
		for _, m := range n.Members {
			parts = append(parts, w.quote(m.Key)+": "+w.flow(m.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case config.String:
		return w.quote(n.Text)
	case config.Bool:
		return strconv.FormatBool(n.Bool)
	case config.Number:
		return n.Text
	}
	return "null"
}

// block returns a key with its value as lines that are indented by indent: a map one key
// a line, and a list one item a line.
func (w writer) block(key string, n *config.Node, indent, newline string) string {
	head := indent + w.quote(key) + ":"
	var lines []string
	switch {
	case n.Kind == config.Map && len(n.Members) > 0:
		for _, m := range n.Members {
			lines = append(lines, w.block(m.Key, m.Value, indent+"  ", newline))
		}
	case n.Kind == config.List && len(n.Items) > 0:
		for _, item := range n.Items {
			lines = append(lines, indent+"- "+w.flow(item))
		}
	default:
		return head + " " + w.flow(n)
	}
	return head + newline + strings.Join(lines, newline)
}

var (
	word = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	// keywords are strings without quotes for this library, and booleans for others.
	keywords = regexp.MustCompile(`^(?i:y|n|yes|no|on|off)$`)
)

// plain returns a string without quotes if it is a word that nothing takes for anything
// else, and in quotes otherwise.
func plain(s string) string {
	if word.MatchString(s) && !keywords.MatchString(s) && (&yaml.Node{Kind: yaml.ScalarNode, Value: s}).ShortTag() == "!!str" {
		return s
	}
	return strconv.Quote(s)
}

// quote returns a string as the text has strings: with quotes where it needs them, and in
// JSON always.
func (w writer) quote(s string) string {
	if !w.json {
		return plain(s)
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // of a string there is no error
	return strings.TrimSuffix(b.String(), "\n")
}

// scalarLike returns a scalar in the style of the one in whose place it comes.
func (w writer) scalarLike(old *yaml.Node, n *config.Node) string {
	if n.Kind != config.String || old.Kind != yaml.ScalarNode {
		return w.flow(n)
	}
	switch {
	case w.json:
	case old.Style&yaml.DoubleQuotedStyle != 0:
		return strconv.Quote(n.Text)
	case old.Style&yaml.SingleQuotedStyle != 0 && !strings.ContainsAny(n.Text, "'\r\n"):
		return "'" + n.Text + "'"
	case old.ShortTag() == "!!timestamp" && (&yaml.Node{Kind: yaml.ScalarNode, Value: n.Text}).ShortTag() == "!!timestamp":
		return n.Text
	}
	return w.quote(n.Text)
}
