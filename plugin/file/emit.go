package file

import (
	"encoding/json"
	"regexp"
	"slices"
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
			lines = append(lines, indent+w.item(item, indent, newline))
		}
	case isText(n):
		return head + " " + literal(n.Text, indent+"  ", newline)
	default:
		return head + " " + w.flow(n)
	}
	return head + newline + strings.Join(lines, newline)
}

// item returns a value as an item of a list whose dashes are indented by indent, without the
// first indentation: in one line, unless it has a text of several.
func (w writer) item(n *config.Node, indent, newline string) string {
	switch {
	case isText(n):
		return "- " + literal(n.Text, indent+"  ", newline)
	case n.Kind == config.Map && slices.ContainsFunc(n.Members, func(m config.Member) bool { return hasText(m.Value) }):
		return w.mapItem(n, indent, newline)
	}
	return "- " + w.flow(n)
}

// mapItem does so with a map, one key a line.
func (w writer) mapItem(n *config.Node, indent, newline string) string {
	var lines []string
	for _, m := range n.Members {
		lines = append(lines, w.block(m.Key, m.Value, indent+"  ", newline))
	}
	return "- " + strings.Join(lines, newline)[len(indent)+2:]
}

// lines matches what a literal has in it as it is: whole lines, none of which begins with
// more blanks than the first.
var lines = regexp.MustCompile(`^[!-~][ -~]*\n(?:[ -~]*\n)*[ -~]*[!-~]\n$`)

// isText reports whether a value is a text of several lines.
func isText(n *config.Node) bool { return n.Kind == config.String && lines.MatchString(n.Text) }

// hasText reports whether there is one in a value.
func hasText(n *config.Node) bool {
	return isText(n) || slices.ContainsFunc(n.Items, hasText) ||
		slices.ContainsFunc(n.Members, func(m config.Member) bool { return hasText(m.Value) })
}

// literal returns a text in YAML's literal style, with lines that are indented by indent.
func literal(s, indent, newline string) string {
	out := "|"
	for line := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
		out += newline
		if line != "" {
			out += indent + line
		}
	}
	return out
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
