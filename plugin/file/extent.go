package file

import (
	"errors"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// extents finds where in a YAML text its nodes begin and end. The library says where they
// begin only.
type extents struct {
	text  string
	lines []int // where each line begins
}

func newExtents(text string) *extents {
	x := &extents{text: text, lines: []int{0}}
	for i := 0; i < len(text); {
		n := lineBreak(text[i:])
		if n > 0 {
			x.lines = append(x.lines, i+n)
		}
		i += max(n, 1)
	}
	return x
}

// lineBreak returns how many bytes of a line break, in YAML's sense, a text begins with.
func lineBreak(text string) int {
	for _, b := range []string{"\r\n", "\n", "\r", "\u0085", "\u2028", "\u2029"} {
		if strings.HasPrefix(text, b) {
			return len(b)
		}
	}
	return 0
}

var errNoEnd = errors.New("is written in a way of YAML's that cannot be edited in place; edit it by hand")

// start returns where a node begins, with its anchor and tag.
func (x *extents) start(y *yaml.Node) (int, error) {
	if y.Line < 1 || y.Line > len(x.lines) {
		return 0, errNoEnd
	}
	at := x.lines[y.Line-1]
	for range y.Column - 1 {
		if at >= len(x.text) {
			return 0, errNoEnd
		}
		_, n := utf8.DecodeRuneInString(x.text[at:])
		at += n
	}
	return at, nil
}

// value returns where a node begins behind its anchor and tag.
func (x *extents) value(y *yaml.Node) (int, error) {
	at, err := x.start(y)
	if y.Kind == yaml.AliasNode {
		return at, err
	}
	for err == nil && at < len(x.text) && (x.text[at] == '&' || x.text[at] == '!') {
		for at < len(x.text) && !strings.ContainsRune(" \t\r\n", rune(x.text[at])) {
			at++
		}
		at = x.skip(at, " \t\r\n")
	}
	return at, err
}

func (x *extents) skip(at int, bytes string) int {
	for at < len(x.text) && strings.IndexByte(bytes, x.text[at]) >= 0 {
		at++
	}
	return at
}

// end returns where a node ends. What is edited with a wrong end is no longer what it has
// to be, which is found out: see [edit].
func (x *extents) end(y *yaml.Node) (int, error) {
	at, err := x.value(y)
	if err != nil {
		return 0, err
	}
	flow := y.Style&yaml.FlowStyle != 0
	switch {
	case y.Kind == yaml.AliasNode:
		return at + 1 + len(y.Value), nil
	case y.Kind == yaml.ScalarNode:
		return x.scalarEnd(at, y)
	case len(y.Content) > 0:
		if at, err = x.end(y.Content[len(y.Content)-1]); err != nil || !flow {
			return at, err
		}
	case flow:
		at++
	default:
		return 0, errNoEnd
	}
	// To the bracket, over a comma, comments and the colon of an empty value.
	for {
		at = x.skip(at, " \t\r\n,:")
		if at >= len(x.text) || x.text[at] != '#' {
			break
		}
		at = x.lineEnd(at)
	}
	if at >= len(x.text) || x.text[at] != ']' && x.text[at] != '}' {
		return 0, errNoEnd
	}
	return at + 1, nil
}

func (x *extents) scalarEnd(at int, y *yaml.Node) (int, error) {
	rest := x.text[at:]
	switch {
	case y.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			switch rest[i] {
			case '\\':
				i++
			case '"':
				return at + i + 1, nil
			}
		}
		return 0, errNoEnd
	case y.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(rest); i++ {
			if rest[i] == '\'' {
				if !strings.HasPrefix(rest[i:], "''") {
					return at + i + 1, nil
				}
				i++
			}
		}
		return 0, errNoEnd
	case y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return x.blockEnd(at), nil
	}
	for _, word := range strings.Fields(y.Value) { // the spaces between them may be line breaks
		at = x.skip(at, " \t\r\n")
		if !strings.HasPrefix(x.text[at:], word) {
			return 0, errNoEnd
		}
		at += len(word)
	}
	return at, nil
}

// blockEnd returns where the text of a block scalar ends that begins, with its | or >, at
// at: behind the last line that is indented as its first one is.
func (x *extents) blockEnd(at int) int {
	end := x.lineEnd(at)
	indent := -1
	for from := end; from < len(x.text); {
		from += max(lineBreak(x.text[from:]), 1)
		to := x.lineEnd(from)
		text := x.skip(from, " ")
		if text < to {
			if indent < 0 {
				indent = text - from
			}
			if text-from < indent {
				break
			}
			end = to
		}
		from = to
	}
	return end
}

// lineEnd returns where the line that at is in ends, before its break.
func (x *extents) lineEnd(at int) int {
	for at < len(x.text) && lineBreak(x.text[at:]) == 0 {
		at++
	}
	return at
}

// lineStart returns where the line that at is in begins.
func (x *extents) lineStart(at int) int {
	start := 0
	for _, line := range x.lines { // few edits, so that searching need not be quick
		if line > at {
			break
		}
		start = line
	}
	return start
}

// rest returns where the line that at is in ends, if there is nothing but a comment from
// at on.
func (x *extents) rest(at int) (int, error) {
	end := x.lineEnd(at)
	if after := strings.TrimLeft(x.text[at:end], " \t"); after != "" && after[0] != '#' {
		return 0, errNoEnd
	}
	return end, nil
}
