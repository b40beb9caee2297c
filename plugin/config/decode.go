package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"unicode/utf8"
)

// An Option changes what is accepted.
type Option func(*reader)

// WithoutOutcomes is the Option that refuses parameters for which Kong has to report the
// outcomes of requests, as it does only to a plugin server with -outcomes.
func WithoutOutcomes(r *reader) { r.noOutcomes = true }

// References is the Option that accepts references to vaults as secrets. Kong's own
// configuration has them; Kong sends the secrets to the plugin.
func References(r *reader) { r.references = true }

func newReader(options []Option) *reader {
	var r reader
	for _, set := range options {
		set(&r)
	}
	return &r
}

// row reads the configuration of a plugin row.
func (r *reader) row(n *Node) *Config {
	var c Config
	r.read(&row, n, "", reflect.ValueOf(&c).Elem())
	return &c
}

// DecodeFile checks a split file and returns the configuration of each entry of its
// splits, by the entry's name. An entry takes keys that it lacks from the file's defaults.
// If there are problems, it returns no configurations.
func DecodeFile(n *Node, options ...Option) (map[string]*Config, Problems) {
	r := newReader(options)
	var to struct {
		Defaults Config
		Splits   map[string]Config
	}
	r.read(&splitFile, r.inherit(n), "", reflect.ValueOf(&to).Elem())
	if len(r.problems) > 0 {
		return nil, r.found()
	}
	splits := make(map[string]*Config, len(to.Splits))
	for name, c := range to.Splits {
		splits[name] = &c
	}
	return splits, nil
}

// maxInherited is how many values all splits together may take from the defaults.
const maxInherited = 200_000

// inherit adds the defaults to each entry of a split file that lacks them. The entries
// share the nodes of their values, so that a wrong one is reported once.
func (r *reader) inherit(file *Node) *Node {
	defaults, splits := file.Get("defaults"), file.Get("splits")
	if defaults == nil || splits == nil {
		return file
	}
	given := map[string]bool{}
	var inherited []Member
	size := 0
	for _, d := range defaults.Members {
		if !given[d.Key] && splitFile.field("defaults").field(d.Key) != nil {
			given[d.Key] = true
			inherited = append(inherited, d)
			size += d.Value.size()
		}
	}
	if all := size * len(splits.Members); all > maxInherited {
		r.report(defaults, "defaults", "are %d values, written out in all %d splits, which makes %d; at most %d are allowed: shorten their lists, or put the splits into several files", size, len(splits.Members), all, maxInherited)
		return file
	}
	merged := *splits
	merged.Members = make([]Member, len(splits.Members))
	for i, m := range splits.Members {
		entry := *m.Value
		for _, d := range inherited {
			if entry.Kind == Map && m.Value.Get(d.Key) == nil {
				entry.Members = append(entry.Members[:len(entry.Members):len(entry.Members)], d)
			}
		}
		m.Value = &entry
		merged.Members[i] = m
	}
	whole := *file
	whole.Members = nil
	for _, m := range file.Members {
		if m.Key == "splits" && m.Value == splits {
			m.Value = &merged
		}
		whole.Members = append(whole.Members, m)
	}
	return &whole
}

// size returns the number of values in a node, itself included.
func (n *Node) size() int {
	size := 1
	for _, item := range n.Items {
		size += item.size()
	}
	for i := range n.Members {
		size += n.Members[i].Value.size()
	}
	return size
}

// FromKong decodes and checks the JSON with which Kong starts an instance. Keys that
// Kong itself adds are ignored. The error is a Problems.
func FromKong(text []byte, options ...Option) (*Config, error) {
	n, err := ParseKong(text)
	if err != nil {
		return nil, err
	}
	return checkRow(n, options...)
}

// checkRow is [DecodeRow] with an error that is nil where there are no problems.
func checkRow(n *Node, options ...Option) (*Config, error) {
	c, problems := DecodeRow(n, options...)
	if problems != nil {
		return nil, problems
	}
	return c, nil
}

// ParseKong parses the JSON with which Kong starts an instance, for [DecodeRow]. After an
// error, a Problems, the tree may be empty. Of a configuration that is only too long or too
// deep, it has what Kong itself adds, which says whose it is.
func ParseKong(text []byte) (*Node, error) {
	values := maxValues
	long := CheckLength(len(text))
	if long != nil {
		values = 0
	}
	n, err := parseJSON(text, values)
	switch {
	case long != nil:
		return n, Problems{{Message: "the configuration that Kong sent " + long.Error()}}
	case err != nil:
		return n, Problems{{Message: "the configuration that Kong sent cannot be read: " + err.Error()}}
	}
	return n, nil
}

// CheckLength returns an error if a configuration has too many bytes in JSON to be read.
func CheckLength(bytes int) error {
	if bytes > maxText {
		return fmt.Errorf("is %d bytes long; at most %d are read: shorten its lists", bytes, maxText)
	}
	return nil
}

// DecodeRow checks the configuration of a plugin row, as Kong sends it or a declarative
// file has it. If there are problems, it returns no configuration.
func DecodeRow(n *Node, options ...Option) (*Config, Problems) {
	r := newReader(options)
	r.lua = true
	c := r.row(n)
	if len(r.problems) > 0 {
		return nil, r.found()
	}
	return c, nil
}

// parseJSON parses a JSON text into a tree. Of a text that has more values than it may, or
// nests too deep, it returns an error and a tree without those, but for what Kong adds.
func parseJSON(text []byte, values int) (*Node, error) {
	p := parser{text: text, Decoder: json.NewDecoder(bytes.NewReader(text)), left: values}
	p.UseNumber()
	n, err := p.value(0)
	switch {
	case err != nil && p.tooDeep:
		err = errTooDeep
	case errors.Is(err, io.EOF):
		err = errors.New("it is empty or ends in the middle")
	case err == nil:
		if _, more := p.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after its end")
		}
	}
	if err != nil {
		return new(Node), err
	}
	switch {
	case p.tooDeep:
		err = errTooDeep
	case p.left < 0:
		err = fmt.Errorf("it has more than %d values", values)
	}
	return n, err
}

var errTooDeep = errors.New("it nests too deep")

type parser struct {
	*json.Decoder
	text    []byte
	left    int // values that it may still keep
	tooDeep bool
}

// Limits of a configuration, so that decoding it takes little time and memory.
const (
	maxDepth  = 64 // levels; the table needs 7
	maxValues = 100_000
	maxText   = 1 << 20 // bytes
)

// value reads the next value with all values in it.
func (p *parser) value(depth int) (*Node, error) {
	if depth > maxDepth {
		p.tooDeep = true
		return new(Node), p.Decode(new(json.RawMessage))
	}
	p.left--
	start := p.InputOffset()
	token, err := p.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case bool:
		return &Node{Kind: Bool, Bool: t}, nil
	case json.Number:
		return &Node{Kind: Number, Text: t.String()}, nil
	case string:
		// The decoder replaces bytes that are not UTF-8 by U+FFFD: only the text has them.
		if !utf8.Valid(p.text[start:p.InputOffset()]) {
			return &Node{Kind: Fault, Text: quote(t) + " has bytes in it that are not UTF-8", Quotes: true}, nil
		}
		return &Node{Kind: String, Text: t}, nil
	case json.Delim:
		return p.inside(t, depth)
	}
	return &Node{Kind: Null}, nil
}

// inside reads what is between brackets.
func (p *parser) inside(open json.Delim, depth int) (*Node, error) {
	n := &Node{Kind: List}
	if open == '{' {
		n.Kind = Map
	}
	for p.More() {
		var key *Node
		if n.Kind == Map {
			var err error
			if key, err = p.value(depth); err != nil {
				return nil, err
			}
		}
		v, err := p.value(depth + 1)
		switch {
		case err != nil:
			return nil, err
		case p.left < 0 && (depth > 0 || key == nil || !addedByKong(key.Text, true)):
		case key == nil:
			n.Items = append(n.Items, v)
		case key.Kind == Fault:
			n.Members = append(n.Members, Member{Key: "?", Value: key})
		default:
			n.Members = append(n.Members, Member{Key: key.Text, Value: v})
		}
	}
	_, err := p.Token()
	return n, err
}
