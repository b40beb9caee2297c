package file

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"kong-traffic-split/plugin/config"
)

// What a file may hold at most, aliases written out.
const (
	maxValues = 100_000
	maxDepth  = 64
)

// parseYAML makes a tree of a YAML text. A problem is one that leaves no tree;
// what is wrong with single values is in the tree, as faults.
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

// documents parses the first two documents of a text, nil where there are less.
func documents(content string) (first, second *yaml.Node, err error) {
	defer func() {
		// The library is not ours, and a file is not worth the process.
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

// libraryPlace is where the library says a problem is. It is left out, as it
// names the beginning of what is not right, or the line before, or nothing.
var libraryPlace = regexp.MustCompile(`^yaml: (line \d+: )?`)

// hints say what would be right where the library says only what it expected.
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

// libraryAnchor is replaced, as the name of an anchor may be no name but the
// secret that somebody wrote without quotes.
var libraryAnchor = regexp.MustCompile(`^unknown anchor '.*' referenced$`)

// syntaxProblem is the problem of a text that is not YAML. It is found where
// the shortest beginning of the text ends that has the same error as the whole.
func syntaxProblem(content string, whole error) *config.Problem {
	const most = 128 << 10 // bytes; parsing longer texts again and again takes too long
	message := libraryPlace.ReplaceAllString(whole.Error(), "")
	message = libraryAnchor.ReplaceAllString(message, "an alias has no anchor before it; write a value that begins with * in quotes")
	if hint, ok := hints[message]; ok {
		message += "; " + hint
	}
	problem := &config.Problem{Message: "is not YAML: " + message}
	if len(content) > most {
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

// place is the line and the column of a byte, counted from 1, the column in
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
