package file

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/plugin/config"
)

// Limits of one file, with its aliases expanded.
const (
	maxValues = 100_000
	maxDepth  = 64
)

// parseYAML parses a YAML text into a tree. It returns a problem only if there is no
// tree; what is wrong with single values is in the tree, as faults.
func parseYAML(content string) (*config.Node, *config.Problem) {
	if problem := unprintable(content); problem != nil {
		return nil, problem
	}
	first, second, err := documents(content)
	switch {
	case err != nil:
		return nil, syntaxProblem(content, err)
	case first == nil || first.ShortTag() == "!!null":
		return nil, &config.Problem{Message: "is empty; splits: is needed", Line: 1, Column: 1}
	case second != nil:
		return nil, &config.Problem{Message: "a second document begins here; put all splits into the first", Line: second.Line, Column: second.Column}
	}
	c := converter{left: maxValues}
	tree, err := c.node(first, 0)
	if err != nil {
		return nil, &config.Problem{Message: err.Error(), Line: first.Line, Column: first.Column}
	}
	return tree, nil
}

// documents parses the first two documents of a text; nil where there are fewer.
func documents(content string) (first, second *yaml.Node, err error) {
	defer func() {
		// A bug of the library must not end the process.
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	d := yaml.NewDecoder(strings.NewReader(content))
	next := func() (*yaml.Node, error) {
		var document yaml.Node
		if err := d.Decode(&document); errors.Is(err, io.EOF) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		return document.Content[0], nil
	}
	if first, err = next(); first == nil || err != nil {
		return nil, nil, err
	}
	second, err = next()
	return first, second, err
}

// libraryPlace matches where the library says a problem is. It is left out, as it is
// often the line before, or where something begins that is wrong only later.
var libraryPlace = regexp.MustCompile(`^yaml: (line \d+: )?`)

// hints say how to mend a problem for which the library says only what it expected.
var hints = map[string]string{
	"did not find expected key":                              "the keys of one map are indented alike",
	"did not find expected '-' indicator":                    "the items of one list are indented alike",
	"did not find expected ',' or ']'":                       "close the list with ]",
	"did not find expected ',' or '}'":                       "close the map with }",
	"found unexpected end of stream":                         "close the quotes",
	"mapping values are not allowed in this context":         "write a value with a colon in it in quotes, and indent the keys of one map alike",
	"found character that cannot start any token":            "indent with spaces, not tabs, and write a value that begins with @, ` or % in quotes",
	"could not find expected ':'":                            "a key has a colon and a space behind it",
	"block sequence entries are not allowed in this context": "a list begins on a line of its own, or is written in [ ]",
}

// libraryAnchor is replaced: what looks like an anchor's name may be a secret that
// somebody wrote without quotes.
var libraryAnchor = regexp.MustCompile(`^unknown anchor '.*' referenced$`)

// syntaxProblem returns the problem of a text that is not YAML. Its place is the end of
// the shortest prefix of the text that has the same error as the whole.
func syntaxProblem(content string, whole error) *config.Problem {
	const limit = 128 << 10 // bytes; parsing longer texts again and again takes too long
	message := libraryPlace.ReplaceAllString(whole.Error(), "")
	message = libraryAnchor.ReplaceAllString(message, "an alias has no anchor before it; write a value that begins with * in quotes")
	if hint, ok := hints[message]; ok {
		message += "; " + hint
	}
	problem := &config.Problem{Message: "is not YAML: " + message}
	if len(content) > limit {
		return problem
	}
	offset := sort.Search(len(content), func(i int) bool {
		end := i + 1
		for end < len(content) && !utf8.RuneStart(content[end]) {
			end++
		}
		_, _, err := documents(content[:end])
		return err != nil && err.Error() == whole.Error()
	})
	problem.Line, problem.Column = place(content, offset)
	return problem
}

// place returns the line and the column of a byte, both counted from 1, the column in
// characters.
func place(content string, offset int) (line, column int) {
	before := content[:offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1
}

// unprintable finds bytes that YAML does not allow.
func unprintable(content string) *config.Problem {
	for i, r := range content {
		var what string
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(content[i:], "\uFFFD"):
			what = "a byte that is not UTF-8; save the file as UTF-8"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == '\x7f':
			what = fmt.Sprintf("the control character %U; take it out", r)
		default:
			continue
		}
		line, column := place(content, i)
		return &config.Problem{Message: "has " + what, Line: line, Column: column}
	}
	return nil
}

// converter converts YAML's nodes into those of a configuration. It expands aliases, so
// it counts the values: a few lines can stand for more values than there is memory.
type converter struct {
	left int // values that it may still convert
}

var (
	errTooMany = fmt.Errorf("stands for more than %d values, its aliases written out; nothing of it is used", maxValues)
	errTooDeep = fmt.Errorf("nests deeper than %d levels, or an alias stands inside its own anchor", maxDepth)
)

// node converts a value.
func (c *converter) node(y *yaml.Node, depth int) (*config.Node, error) {
	if c.left--; c.left < 0 {
		return nil, errTooMany
	}
	if depth > maxDepth {
		return nil, errTooDeep
	}
	n := &config.Node{Line: y.Line, Column: y.Column}
	switch y.Kind {
	case yaml.AliasNode:
		return c.node(y.Alias, depth+1)
	case yaml.ScalarNode:
		scalar(n, y)
		return n, nil
	case yaml.SequenceNode:
		return n, c.sequence(n, y, depth)
	case yaml.MappingNode:
		return n, c.mapping(n, y, depth)
	}
	return nil, errors.New("has a value of a kind that is not known")
}

func (c *converter) sequence(n *config.Node, y *yaml.Node, depth int) error {
	n.Kind = config.List
	if y.ShortTag() != "!!seq" {
		fault(n, "the tag %s is not known here; leave it out", y.Tag)
	}
	for _, item := range y.Content {
		v, err := c.node(item, depth+1)
		if err != nil {
			return err
		}
		n.Items = append(n.Items, v)
	}
	return nil
}

func (c *converter) mapping(n *config.Node, y *yaml.Node, depth int) error {
	n.Kind = config.Map
	if y.ShortTag() != "!!map" {
		fault(n, "the tag %s is not known here; leave it out", y.Tag)
	}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		m := config.Member{Line: key.Line, Column: key.Column}
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		v, err := c.node(y.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		m.Key, m.Value = key.Value, v
		if wrong := wrongKey(key); wrong != "" {
			m.Value = &config.Node{Kind: config.Fault, Text: wrong, Quotes: true, Line: m.Line, Column: m.Column}
		}
		n.Members = append(n.Members, m)
	}
	return nil
}

// wrongKey returns what is wrong with a key; empty: nothing.
func wrongKey(key *yaml.Node) string {
	switch tag := key.ShortTag(); {
	case key.Kind != yaml.ScalarNode:
		return "a key must be a string, not a list or a map"
	case tag == "!!merge":
		return "merge keys are not supported; write the keys out, use an alias for the whole value, or put under defaults what all splits share"
	case tag == "!!null":
		return "a key must be a string, not nothing"
	case tag != "!!str" && tag != "!!timestamp":
		return fmt.Sprintf("the key %s must be a string; write it in quotes", shorten(key.Value))
	}
	return ""
}

// number is JSON's grammar of a number.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// scalar converts a string, a number or a boolean. YAML has more ways to write these
// than people know of, so only the plain ones are accepted.
func scalar(n *config.Node, y *yaml.Node) {
	n.Text = y.Value
	switch tag := y.ShortTag(); tag {
	case "!!str", "!!timestamp": // nothing here is a time, so it is a name that looks like one
		n.Kind = config.String
	case "!!bool":
		n.Kind = config.Bool
		if err := y.Decode(&n.Bool); err != nil {
			fault(n, "%s is neither true nor false", shorten(y.Value))
		}
	case "!!int", "!!float":
		n.Kind = config.Number
		if !number.MatchString(y.Value) {
			fault(n, "%s is not a plain decimal number%s; for a string, write it in quotes", shorten(y.Value), decimal(y))
		}
	case "!!null":
		fault(n, "has no value; give it one or leave the key out")
	default:
		fault(n, "the tag %s is not known here; leave it out", tag)
	}
}

// decimal returns how to write a number plainly; empty if it is not clear what it is.
func decimal(y *yaml.Node) string {
	var v int64
	if len(y.Value) > 1 && y.Value[0] == '0' && y.Value[1] >= '0' && y.Value[1] <= '9' {
		return ", as it begins with 0"
	}
	if err := y.Decode(&v); err != nil || y.ShortTag() != "!!int" {
		return ""
	}
	return "; write " + strconv.FormatInt(v, 10)
}

// fault turns a node into a problem to report.
func fault(n *config.Node, format string, args ...any) {
	n.Kind, n.Text, n.Quotes = config.Fault, fmt.Sprintf(format, args...), len(args) > 0
}

// shorten cuts a text that is too long for a message.
func shorten(s string) string {
	const limit = 80 // bytes
	if len(s) <= limit {
		return s
	}
	return fmt.Sprintf("%.*s…", limit/4, s) // a quarter, as a character has up to 4 bytes
}
