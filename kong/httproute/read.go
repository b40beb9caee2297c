package httproute

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
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
	chunks := values(s.Data)
	if chunks == nil {
		chunks = split(s.Data)
	}
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
	return numbered(parsed)
}

// values are the objects of a file in JSON that has several, one after another; none where it
// has not.
func values(data []byte) (chunks []chunk) {
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	start := 0
	for {
		var value json.RawMessage
		switch err := decoder.Decode(&value); {
		case errors.Is(err, io.EOF):
			return chunks
		case err != nil:
			return nil
		}
		end := int(decoder.InputOffset())
		chunks = append(chunks, chunk{json2yaml(data[start:end]), bytes.Count(data[:start], []byte("\n"))})
		start = end
	}
}

// json2yaml makes YAML of JSON, in which a tab is white space, and two escapes stand for one
// character.
func json2yaml(data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte("\t"), []byte(" "))
	return surrogates.ReplaceAllFunc(data, func(pair []byte) []byte {
		var s string
		if json.Unmarshal([]byte(`"`+string(pair)+`"`), &s) != nil {
			return pair
		}
		return []byte(s)
	})
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

// parse reads the documents of a chunk, numbered from 1. Where one is no YAML, each is read
// for itself.
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
			if parts := c.documents(); len(parts) > 1 {
				parsed := make([][]*document, len(parts))
				for i, part := range parts {
					parsed[i] = parse(file, part)
				}
				return numbered(parsed)
			}
			return append(out, unreadable(file, number, c.line+line, message))
		case len(root.Content) == 0 || root.Content[0].Tag == "!!null":
			continue // nothing but comments
		}
		out = append(out, documentsOf(file, number, e, root.Content[0])...)
		number++
	}
}

// documents cuts a chunk before each line that begins a document.
func (c chunk) documents() (parts []chunk) {
	start, line := 0, c.line
	add := func(end int) {
		if end > start {
			parts = append(parts, chunk{c.data[start:end], line})
			line += bytes.Count(c.data[start:end], []byte("\n"))
			start = end
		}
	}
	for _, at := range separator.FindAllIndex(c.data, -1) {
		add(at[0])
	}
	add(len(c.data))
	return parts
}

// numbered are the documents of the parts of a file, numbered on through all of them.
func numbered(parts [][]*document) (out []*document) {
	number := 0
	for _, documents := range parts {
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
	return whole.listed()
}

// listed returns the objects of a list, of lists in it, too; of another document, that one.
func (d *document) listed() []*document {
	list := get(d.root, "items")
	kind, isList := strings.CutSuffix(text(d.root, "kind"), "List")
	switch {
	case !isList || list == nil:
		return []*document{d}
	case list.Tag == "!!null":
		return nil
	case list.Kind != yaml.SequenceNode:
		d.refuse((*trail)(nil).field("items"), "is not a list")
		return []*document{d}
	}
	out := make([]*document, 0, len(list.Content))
	for i, item := range list.Content {
		if item.Kind != yaml.MappingNode {
			d.refuse((*trail)(nil).field("items").item(i), "is not an object")
			return []*document{d}
		}
		// What kubectl lists has the kind in each item; a typed list need not.
		if kind != "" && get(item, "kind") == nil {
			item.Content = append(item.Content, scalar("kind", d.root), scalar(kind, d.root))
		}
		if kind != "" && get(item, "apiVersion") == nil {
			item.Content = append(item.Content, scalar("apiVersion", d.root), scalar(text(d.root, "apiVersion"), d.root))
		}
		out = append(out, (&document{file: d.file, number: d.number, root: item}).listed()...)
	}
	return out
}

// scalar is a string that is not in the file, at the place of another node.
func scalar(value string, at *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Line: at.Line, Column: at.Column}
}

// maxQuoted is how many bytes of a value a message shows.
const maxQuoted = 80

func quote(s string) string {
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return strconv.Quote(s)
}
