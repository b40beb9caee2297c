package file

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// WithoutStrings returns a text in YAML with spaces in the place of what is in quotes, and of
// the lines behind | and >, but of those behind | that keep says are a text with comments of
// its own. So what looks like a comment in it is one. Lines and columns stay. A text that is
// not YAML is returned as it is.
func WithoutStrings(text string, keep func(string) bool) string {
	var out strings.Builder
	for _, d := range Documents(text) {
		content := text[d.Start:d.End]
		first, _, err := documents(content)
		if err != nil {
			return text
		}
		x, done := newExtents(content), 0
		eachScalar(first, func(y *yaml.Node) {
			const block = yaml.LiteralStyle | yaml.FoldedStyle
			if y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|block) == 0 || y.Style&yaml.LiteralStyle != 0 && keep(y.Value) {
				return
			}
			start, err := x.value(y)
			if err == nil && y.Style&block != 0 {
				start = x.lineEnd(start) // a comment may be behind the |
			}
			end, wrong := x.end(y)
			if err != nil || wrong != nil || start < done || end < start {
				return
			}
			out.WriteString(content[done:start])
			out.WriteString(blank(content[start:end]))
			done = end
		})
		out.WriteString(content[done:])
	}
	return out.String()
}

// eachScalar visits the scalars of a document in their order.
func eachScalar(y *yaml.Node, visit func(*yaml.Node)) {
	switch {
	case y == nil:
	case y.Kind == yaml.ScalarNode:
		visit(y)
	default:
		for _, inner := range y.Content {
			eachScalar(inner, visit)
		}
	}
}

// blank returns spaces for all characters of a text but its line breaks.
func blank(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("\r\n\u0085\u2028\u2029", r) {
			return r
		}
		return ' '
	}, text)
}
