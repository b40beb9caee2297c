package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// FromKong decodes and checks the JSON with which Kong starts an instance. What
// Kong itself adds to a configuration is ignored. The error is a Problems.
func FromKong(text []byte, options ...Option) (*Config, error) {
	if err := CheckLength(len(text)); err != nil {
		return nil, Problems{{Message: "the configuration that Kong sent " + err.Error()}}
	}
	n, err := parseJSON(text)
	if err != nil {
		return nil, Problems{{Message: "the configuration that Kong sent cannot be read: " + err.Error()}}
	}
	c, problems := DecodeRow(n, options...)
	if problems != nil {
		return nil, problems
	}
	return c, nil
}

// CheckLength refuses a configuration that has too many bytes as JSON to be read.
func CheckLength(bytes int) error {
	if bytes > maxText {
		return fmt.Errorf("is %d bytes long; at most %d are read: shorten its lists", bytes, maxText)
	}
	return nil
}

// DecodeRow checks the configuration of a plugin row, as Kong would send it or as a
// declarative file has it. There is none where there are problems.
func DecodeRow(n *Node, options ...Option) (*Config, Problems) {
	r := newReader(options)
	r.lua = true
	c := r.row(n)
	if len(r.problems) > 0 {
		return nil, r.found()
	}
	return c, nil
}

// parseJSON makes a tree of a JSON text.
func parseJSON(text []byte) (*Node, error) {
	p := parser{text: text, Decoder: json.NewDecoder(bytes.NewReader(text)), left: new(maxValues)}
	p.UseNumber()
	n, err := p.value(0)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty or ends in the middle")
	}
	if err != nil {
		return nil, err
	}
	if _, err := p.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after its end")
	}
	return n, nil
}

type parser struct {
	*json.Decoder
	text []byte
	left *int // values that may still come
}

// What a configuration may hold, that decoding it takes neither long nor much.
const (
	deepest   = 64 // levels; the table needs 6
	maxValues = 100_000
	maxText   = 1 << 20 // bytes
)

// value reads the next value and all that is in it.
func (p parser) value(depth int) (*Node, error) {
	if depth > deepest {
		return nil, errors.New("it nests too deep")
	}
	if *p.left--; *p.left < 0 {
		return nil, fmt.Errorf("it has more than %d values", maxValues)
	}
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
		// The decoder puts U+FFFD for bytes that are not UTF-8, so it is seen in the text only.
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
func (p parser) inside(open json.Delim, depth int) (*Node, error) {
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
