package httproute

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// A Source is a file of manifests: documents in YAML or JSON, each an object or a list of
// objects.
type Source struct {
	Name string
	Data []byte
}

const (
	// maxGrowth bounds how many values a document may have for each of its bytes once
	// its aliases are resolved, and maxDepth how deep they may be nested.
	maxGrowth = 10
	maxDepth  = 64
	// chunkSize is how many bytes of a file are parsed at a time, beside others.
	chunkSize = 256 << 10
)

// read returns the objects of a file, lists taken apart.
func read(s Source) []*document {
	if !utf8.Valid(s.Data) {
		return []*document{unreadable(s.Name, 0, 1, "is not UTF-8")}
	}
	data := s.Data
	if json.Valid(data) { // a tab is white space there, but not in YAML
		data = bytes.ReplaceAll(data, []byte("\t"), []byte(" "))
		data = surrogates.ReplaceAllFunc(data, func(pair []byte) []byte {
			var s string
			if json.Unmarshal([]byte(`"`+string(pair)+`"`), &s) != nil {
				return pair
			}
			return []byte(s)
		})
	}
	chunks := split(data)
	parsed := make([][]*document, len(chunks))
	var all sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, c := range chunks {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			parsed[i] = parse(s.Name, c)
		})
	}
	all.Wait()
	var out []*document
	number := 0
	for _, documents := range parsed {
		before := number
		for _, d := range documents {
			number = before + d.number
			d.number = number
			for i := range d.problems {
				d.problems[i].Document = number
			}
			out = append(out, d)
		}
	}
	return out
}

// surrogates are two escapes that stand for one character in JSON, and for none in YAML.
var surrogates = regexp.MustCompile(`(?i)\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}`)

// chunk is a part of a file that begins with a document.
type chunk struct {
	data []byte
	line int // that come before it
}

var separator = regexp.MustCompile(`(?m)^---(?:[ \t\r].*)?$`)

// split cuts a file between documents. A line that begins with --- begins one wherever it
// stands (YAML 1.2, section 9.1.2).
func split(data []byte) (chunks []chunk) {
	line := 0
	for len(data) > 2*chunkSize {
		at := separator.FindIndex(data[chunkSize:])
		if at == nil {
			break
		}
		end := chunkSize + at[0]
		chunks = append(chunks, chunk{data[:end], line})
		line += bytes.Count(data[:end], []byte("\n"))
		data = data[end:]
	}
	return append(chunks, chunk{data, line})
}

// parse reads the documents of a chunk, numbered from 1. After one that is no YAML it
// finds no more.
func parse(file string, c chunk) (out []*document) {
	decoder := yaml.NewDecoder(bytes.NewReader(c.data))
	e := &expander{left: maxGrowth*len(c.data) + 1000, line: c.line}
	for number := 1; ; {
		var root yaml.Node
		switch err := decode(decoder, &root); {
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			line, message := yamlError(err)
			return append(out, unreadable(file, number, c.line+line, message))
		case len(root.Content) == 0 || root.Content[0].Tag == "!!null":
			continue // nothing but comments
		}
		out = append(out, documentsOf(file, number, e, root.Content[0])...)
		number++
	}
}

// decode reads a document. The library panics on some texts that are no YAML.
func decode(d *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	return d.Decode(n)
}

var lineInError = regexp.MustCompile(`^yaml: line (\d+): `)

// yamlError takes the line from a message of the library's.
func yamlError(err error) (line int, message string) {
	message = err.Error()
	if m := lineInError.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = message[len(m[0]):]
	}
	return max(line, 1), "is not YAML: " + strings.TrimPrefix(message, "yaml: ")
}

func unreadable(file string, number, line int, message string) *document {
	return &document{file: file, number: number, problems: []Problem{{File: file, Document: number, Line: line, Column: 1, Message: message}}}
}

// documentsOf makes a document of each object in a document: one, or those of a list.
func documentsOf(file string, number int, e *expander, root *yaml.Node) []*document {
	e.problems = nil
	root = e.expand(root, 0)
	whole := &document{file: file, number: number, root: root}
	if len(e.problems) > 0 {
		whole.root = &yaml.Node{}
	}
	for _, p := range e.problems {
		whole.refuse(nil, "%s", p.message)
		last := &whole.problems[len(whole.problems)-1]
		last.Line, last.Column = p.line, p.column
	}
	if len(whole.problems) > 0 {
		return []*document{whole}
	}
	if root.Kind != yaml.MappingNode {
		whole.refuse(nil, "is not an object: it has no apiVersion and no kind")
		return []*document{whole}
	}
	list := get(root, "items")
	if !strings.HasSuffix(text(root, "kind"), "List") || list == nil {
		return []*document{whole}
	}
	if list.Kind != yaml.SequenceNode {
		whole.refuse((*trail)(nil).field("items"), "is not a list")
		return []*document{whole}
	}
	out := make([]*document, 0, len(list.Content))
	for i, item := range list.Content {
		d := &document{file: file, number: number, root: item}
		if item.Kind != yaml.MappingNode {
			whole.refuse((*trail)(nil).field("items").item(i), "is not an object")
			return []*document{whole}
		}
		// What kubectl lists has the kind in each item; a typed list need not.
		if kind, ok := strings.CutSuffix(text(root, "kind"), "List"); ok && kind != "" && get(item, "kind") == nil {
			item.Content = append(item.Content, scalar("kind", root), scalar(kind, root))
		}
		if get(item, "apiVersion") == nil && text(root, "kind") != "List" {
			item.Content = append(item.Content, scalar("apiVersion", root), scalar(text(root, "apiVersion"), root))
		}
		out = append(out, d)
	}
	return out
}

// scalar is a string that is not in the file, at the place of another node.
func scalar(value string, at *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Line: at.Line, Column: at.Column}
}

// expander resolves aliases and merge keys in the documents of a chunk, and gives lines
// their number in the file.
type expander struct {
	left     int // values that may still come
	line     int // lines before the chunk
	problems []place
}

type place struct {
	line, column int
	message      string
}

func (e *expander) problem(n *yaml.Node, format string, args ...any) {
	e.problems = append(e.problems, place{max(n.Line+e.line, 1), max(n.Column, 1), fmt.Sprintf(format, args...)})
}

// expand expands a value in place. What an alias stands for was expanded before it, as it
// comes before it in the file.
func (e *expander) expand(n *yaml.Node, depth int) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return e.copy(n.Alias, n, depth+1)
	}
	if e.full(n, depth) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	n.Tag, n.Line = tagOf(n), n.Line+e.line
	if n.Tag == "!!bool" {
		n.Value = strconv.FormatBool(slices.Contains([]string{"y", "yes", "on", "true"}, strings.ToLower(n.Value)))
	}
	if n.Kind != yaml.MappingNode {
		for i, item := range n.Content {
			n.Content[i] = e.expand(item, depth+1)
		}
		return n
	}
	seen := make(map[string]bool, len(n.Content)/2)
	var merged []*yaml.Node
	kept := n.Content[:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], e.expand(n.Content[i+1], depth+1)
		switch {
		case key.ShortTag() == "!!merge":
			merged = append(merged, value)
			continue
		case key.Kind != yaml.ScalarNode:
			e.problem(key, "a key is not a string")
			continue
		case seen[key.Value]:
			e.problem(key, "%s stands here twice; keep one of them", quote(key.Value))
			continue
		}
		seen[key.Value] = true
		kept = append(kept, e.expand(key, depth+1), value)
	}
	for _, value := range merged {
		if value.Kind == yaml.MappingNode {
			value = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{value}}
		}
		for _, from := range value.Content {
			for i := 0; i+1 < len(from.Content); i += 2 {
				if key := from.Content[i]; !seen[key.Value] {
					seen[key.Value] = true
					kept = append(kept, key, from.Content[i+1])
				}
			}
		}
	}
	n.Content = kept
	return n
}

// copy copies a value for an alias. It is expanded, unless the alias stands in what it
// names: then this ends because there are too many levels.
func (e *expander) copy(n, alias *yaml.Node, depth int) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if e.full(alias, depth) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	out := *n
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		out.Content[i] = e.copy(item, alias, depth+1)
	}
	return &out
}

// full counts a value, and reports whether there are too many, or too many levels.
func (e *expander) full(at *yaml.Node, depth int) bool {
	if e.left--; e.left >= 0 && depth <= maxDepth {
		return false
	}
	if len(e.problems) == 0 {
		e.problem(at, "is nested too deeply, or grows too much by its aliases: at most %d levels, and %d values for each byte", maxDepth, maxGrowth)
	}
	return true
}

// tagOf is a value's type as kubectl reads it, by YAML 1.1: there yes and off are booleans.
func tagOf(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.Style == 0 && n.ShortTag() == "!!str" {
		switch n.Value {
		case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF":
			return "!!bool"
		}
	}
	return n.ShortTag()
}

// maxQuoted is how many bytes of a value a message shows.
const maxQuoted = 80

func quote(s string) string {
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return strconv.Quote(s)
}
