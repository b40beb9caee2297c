package declarative

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode/utf8"
)

// A DeckFile is a file as decK reads it.
type DeckFile struct {
	File // with the values of ${{ … }}; see [File.WithoutDeck]
	// Text is what was read with letters in place of each ${{ … }}, as many as it has: it can
	// be parsed, and has the same lines and columns.
	Text string

	original string
	masked   [][]int // where in it: start, end
}

// expression matches what decK replaces. Other templates than these, such as loops, have
// no } in them either.
var expression = regexp.MustCompile(`\$\{\{[^}]*\}\}`)

// variables are what decK lets a file take from the environment.
const variables = "DECK_"

// ParseDeck reads JSON or YAML as decK does: with environment variables in place of
// ${{ env "DECK_…" }}. After an error there is no File.
func ParseDeck(text []byte, lookup func(string) (string, bool)) (*DeckFile, error) {
	d := &DeckFile{original: string(text)}
	d.Text, d.masked = mask(d.original)
	if len(d.masked) > 0 {
		rendered, err := render(d.original, lookup)
		if err != nil {
			return d, err
		}
		text = []byte(rendered)
	}
	var err error
	d.File, err = Parse(text)
	return d, err
}

// HasExpressions reports whether decK alone can read the file, as ${{ … }} is in it.
func (d *DeckFile) HasExpressions() bool { return len(d.masked) > 0 }

// Restore puts the expressions back into a text that has become of d.Text. An error says
// which one is not there any more.
func (d *DeckFile) Restore(text string) (string, error) {
	if len(d.masked) == 0 {
		return text, nil
	}
	var out strings.Builder
	for i, at := range d.masked {
		before, after, ok := strings.Cut(text, letters(i, at))
		if !ok {
			line := 1 + strings.Count(d.original[:at[0]], "\n")
			return "", fmt.Errorf("line %d: the value comes from %s: change it there, or write the value into the file first", line, d.original[at[0]:at[1]])
		}
		out.WriteString(before)
		out.WriteString(d.original[at[0]:at[1]])
		text = after
	}
	out.WriteString(text)
	return out.String(), nil
}

// mask puts letters in place of expressions outside of comments.
func mask(text string) (masked string, at [][]int) {
	for _, found := range expression.FindAllStringIndex(text, -1) {
		if !isComment(text, found[0]) {
			at = append(at, []int{found[0], found[1], utf8.RuneCountInString(text[found[0]:found[1]])})
		}
	}
	var out strings.Builder
	end := 0
	for i, found := range at {
		out.WriteString(text[end:found[0]])
		out.WriteString(letters(i, found))
		end = found[1]
	}
	out.WriteString(text[end:])
	return out.String(), at
}

// letters are those in place of an expression, which no other text has.
func letters(i int, at []int) string {
	name := "D" + strconv.Itoa(i) + "_"
	return name + strings.Repeat("K", max(at[2]-len(name), 1))
}

// isComment reports whether a line is a comment from its beginning on: decK leaves those.
func isComment(text string, at int) bool {
	line := text[strings.LastIndexByte(text[:at], '\n')+1 : at]
	return strings.HasPrefix(strings.TrimSpace(line), "#")
}

// render returns the text with the values of its expressions. They are templates of Go's,
// with decK's functions.
func render(text string, lookup func(string) (string, bool)) (string, error) {
	var kept []string // the expressions of comments
	const mark = "\x00"
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines[i] = expression.ReplaceAllStringFunc(line, func(e string) string {
				kept = append(kept, e)
				return mark
			})
		}
	}
	t, err := template.New("decK").Delims("${{", "}}").Funcs(template.FuncMap{
		"env": func(name string) (string, error) {
			if !strings.HasPrefix(name, variables) {
				return "", fmt.Errorf("decK reads only environment variables that begin with %s", variables)
			}
			value, ok := lookup(name)
			if !ok {
				return "", fmt.Errorf("the environment variable %s is not set, which decK needs", name)
			}
			return value, nil
		},
		"toBool":  strconv.ParseBool,
		"toInt":   strconv.Atoi,
		"toFloat": func(s string) (float64, error) { return strconv.ParseFloat(s, 64) },
		"indent": func(spaces int, s string) string {
			return strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", min(max(spaces, 0), maxIndent)))
		},
	}).Parse(strings.Join(lines, "\n"))
	if err != nil {
		return "", renderError(err)
	}
	if n := foreign(t.Tree); n != nil {
		line := 1 + strings.Count(text[:min(int(n.Position()), len(text))], "\n")
		return "", fmt.Errorf("line %d: of ${{ }} only env, toBool, toInt, toFloat and indent are understood here, without loops: write out what it makes", line)
	}
	var out bytes.Buffer
	if err := t.Execute(&limited{&out}, nil); err != nil {
		return "", renderError(err)
	}
	rendered := out.String()
	for _, e := range kept {
		rendered = strings.Replace(rendered, mark, e, 1)
	}
	return rendered, nil
}

// decksFunctions are those that decK gives its templates.
var decksFunctions = []string{"env", "toBool", "toInt", "toFloat", "indent"}

// foreign returns the first thing in a template that is more than a value by decK's own
// functions; nil: there is none. Go's templates have loops that need not end, and functions
// that double a text each time.
func foreign(t *parse.Tree) parse.Node {
	if t == nil || t.Root == nil {
		return nil
	}
	for _, n := range t.Root.Nodes {
		action, ok := n.(*parse.ActionNode)
		switch {
		case ok && !known(action.Pipe), !ok && n.Type() != parse.NodeText && n.Type() != parse.NodeComment:
			return n
		}
	}
	return nil
}

func known(pipe *parse.PipeNode) bool {
	for _, command := range pipe.Cmds {
		for _, argument := range command.Args {
			switch n := argument.(type) {
			case *parse.IdentifierNode:
				if !slices.Contains(decksFunctions, n.Ident) {
					return false
				}
			case *parse.PipeNode:
				if !known(n) {
					return false
				}
			case *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
			default:
				return false
			}
		}
	}
	return true
}

// Limits of what an expression may make.
const (
	maxRendered = 64 << 20 // bytes
	maxIndent   = 1000
)

type limited struct{ *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxRendered {
		return 0, fmt.Errorf("its expressions make more than %d bytes of it", maxRendered)
	}
	return l.Buffer.Write(p)
}

var (
	templatePlace = regexp.MustCompile(`^template: decK:(\d+):?(\d+)?:? ?`)
	templateWords = regexp.MustCompile(`^executing "decK" at (<.*>): (?:error calling \w+: )?`)
)

// renderError makes one of Go's errors about templates one about the file's line.
func renderError(err error) error {
	message := err.Error()
	place := ""
	if m := templatePlace.FindStringSubmatch(message); m != nil {
		place = "line " + m[1] + ": "
		message = message[len(m[0]):]
	}
	if m := templateWords.FindStringSubmatch(message); m != nil {
		message = "${{ " + strings.Trim(m[1], "<>") + " }}: " + message[len(m[0]):]
	}
	return fmt.Errorf("%s%s", place, message)
}
