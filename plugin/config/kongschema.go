package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// KongSchema returns the plugin's schema in the form that Kong reads from -dump.
func KongSchema() []byte {
	http := []string{"http", "https", "grpc", "grpcs"}
	config := row.kong()
	config.Required = new(true)
	return indented(kongField{
		Name: "traffic-split",
		Fields: []map[string]*kongField{
			{"protocols": {
				Type: "set", Required: new(true), Default: http,
				Elements: &kongField{Type: kindString, OneOf: append(http, "tcp", "tls", "tls_passthrough")},
			}},
			{"config": config},
		},
	})
}

// kongField is a field in the words of Kong's schemas.
type kongField struct {
	Name          string                  `json:"name,omitempty"`
	Type          kind                    `json:"type,omitempty"`
	Description   string                  `json:"description,omitempty"`
	Required      *bool                   `json:"required,omitempty"`
	Default       any                     `json:"default,omitempty"`
	Referenceable bool                    `json:"referenceable,omitempty"`
	Encrypted     bool                    `json:"encrypted,omitempty"` // at rest, where Kong Enterprise has a keyring
	Between       []float64               `json:"between,omitempty"`
	Ne            any                     `json:"ne,omitempty"`
	LenMin        *int                    `json:"len_min,omitempty"`
	LenMax        int                     `json:"len_max,omitempty"`
	OneOf         any                     `json:"one_of,omitempty"`
	MatchNone     []kongMatch             `json:"match_none,omitempty"`
	MatchAll      []kongMatch             `json:"match_all,omitempty"`
	Err           string                  `json:"err,omitempty"`
	Elements      *kongField              `json:"elements,omitempty"`
	Keys          *kongField              `json:"keys,omitempty"`
	Values        *kongField              `json:"values,omitempty"`
	Fields        []map[string]*kongField `json:"fields,omitempty"`
	Checks        []kongCheck             `json:"entity_checks,omitempty"`
}

type kongMatch struct {
	Pattern string `json:"pattern"`
	Err     string `json:"err"`
}

type kongCheck struct {
	OnlyOneOf         []string         `json:"only_one_of,omitempty"`
	AtLeastOneOf      []string         `json:"at_least_one_of,omitempty"`
	MutuallyExclusive []string         `json:"mutually_exclusive,omitempty"`
	Distinct          []string         `json:"distinct,omitempty"`
	Conditional       *kongConditional `json:"conditional,omitempty"`

	ConditionalAtLeastOneOf *kongConditional `json:"conditional_at_least_one_of,omitempty"`
}

type kongConditional struct {
	IfField   string         `json:"if_field"`
	IfMatch   map[string]any `json:"if_match"`
	ThenField string         `json:"then_field,omitempty"`
	ThenMatch map[string]any `json:"then_match,omitempty"`
	ThenErr   string         `json:"then_err"`

	ThenAtLeastOneOf []string `json:"then_at_least_one_of,omitempty"`
}

// kong returns what Kong's schemas can express of a field.
func (f *field) kong() *kongField {
	k := &kongField{Type: f.kind, Description: f.doc, Default: f.def}
	switch {
	case f.oneOf != nil:
		k.OneOf = f.oneOf
	case f.numbers != nil:
		k.OneOf = f.numbers
	}
	if f.required {
		k.Required = new(true)
	} else if f.kind == kindRecord {
		k.Required = new(false) // else Kong creates the record in configurations without it
	}
	f.kongLimits(k)
	for _, rule := range f.none {
		k.MatchNone = append(k.MatchNone, rule.kong())
	}
	for _, rule := range f.match {
		k.MatchAll = append(k.MatchAll, rule.kong())
	}
	if f.elements != nil {
		k.Elements = f.elements.kong()
	}
	if f.keys != nil {
		k.Keys, k.Values = f.keys.kong(), f.values.kong()
	}
	for i := range f.fields {
		k.Fields = append(k.Fields, map[string]*kongField{f.fields[i].name: f.fields[i].kong()})
	}
	for i := range f.checks {
		k.Checks = append(k.Checks, f.checks[i].kong())
	}
	return k
}

func (f *field) kongLimits(k *kongField) {
	switch {
	case f.onlyTrue:
		k.Ne, k.Err = false, mustBeTrue // "eq" would require it
	case f.numbers != nil:
	case f.kind == kindInteger:
		k.Between = []float64{float64(f.min), float64(f.max)}
	case f.kind == kindNumber:
		k.Between = []float64{f.low, f.high}
		k.Err = "must be in " + f.between() + f.rangeHint(f.low) // Kong's own message leaves the decimals out
	case f.min > 0 || f.empty:
		k.LenMin, k.LenMax = new(f.min), f.max
	default:
		k.LenMax = f.max
	}
	if f.kind == kindString && f.secret {
		k.Referenceable, k.Encrypted = true, true
	}
}

func (r rule) kong() kongMatch {
	return kongMatch{Pattern: luaPattern(r.pattern.String()), Err: r.message}
}

func (c *check) kong() kongCheck {
	if c.ifField == "" {
		return kongCheck{OnlyOneOf: c.onlyOneOf, AtLeastOneOf: c.atLeastOneOf, MutuallyExclusive: c.mutuallyExclusive, Distinct: c.distinct}
	}
	conditional := &kongConditional{
		IfField: c.ifField, IfMatch: map[string]any{"ne": nil},
		ThenField: c.thenField, ThenMatch: map[string]any{"required": true},
		ThenErr: c.thenField + ": " + c.message,
	}
	switch {
	case c.ifEquals != nil:
		conditional.IfMatch = map[string]any{"eq": c.ifEquals}
	case c.ifMatch != nil:
		conditional.IfMatch = map[string]any{"match": luaPattern(c.ifMatch.String()), "required": true} // else it holds where there is none
	}
	switch {
	case c.thenRecord: // Kong fails on a schema that requires a record
		conditional.ThenAtLeastOneOf, conditional.ThenField, conditional.ThenMatch = []string{c.thenField}, "", nil
		return kongCheck{ConditionalAtLeastOneOf: conditional}
	case c.thenPositive:
		conditional.ThenMatch = map[string]any{"gt": 0}
	case c.thenAbsent:
		conditional.ThenMatch = map[string]any{"eq": nil}
	case c.thenOneOf != nil:
		conditional.ThenMatch = map[string]any{"one_of": c.thenOneOf}
	}
	return kongCheck{Conditional: conditional}
}

// indented returns JSON for people to read: indented, and with <, > and & unescaped.
func indented(v any) []byte {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(err) // the table holds nothing that JSON does not
	}
	return text.Bytes()
}

// control is the class of the ASCII control characters.
const control = `\x00-\x1f\x7f`

// luaPattern translates a regular expression into one of Lua's patterns, which Kong's
// schemas use, so that Kong and this package agree. It accepts only what both languages
// have: characters and classes in brackets, each optionally followed by *, + or ?,
// between an optional ^ and an optional $; and a backslash only before punctuation. It
// panics for anything else, such as alternatives and groups: that is a mistake in the
// table.
//
// Lua's patterns match bytes, not characters. That makes no difference if a class that
// matches more than ASCII (a negated one) is followed by * or +, or by the end of a
// pattern without $.
func luaPattern(expr string) string {
	var lua strings.Builder
	rest := expr
	if strings.HasPrefix(rest, "^") {
		lua.WriteByte('^')
		rest = rest[1:]
	}
	for rest != "" {
		if rest == "$" {
			lua.WriteByte('$')
			break
		}
		var item string
		if rest[0] == '[' {
			item, rest = luaClass(expr, rest[1:])
		} else {
			item, rest = luaChar(expr, rest, special)
		}
		lua.WriteString(item)
		if rest != "" && strings.IndexByte("*+?", rest[0]) >= 0 {
			lua.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	return lua.String()
}

// luaClass translates what follows an opening bracket and returns what follows
// the closing one.
func luaClass(expr, rest string) (item, after string) {
	var lua strings.Builder
	lua.WriteByte('[')
	if strings.HasPrefix(rest, "^") {
		lua.WriteByte('^')
		rest = rest[1:]
	}
	for {
		switch {
		case rest == "":
			panic(fmt.Sprintf("pattern %q: a class is not closed", expr))
		case rest[0] == ']':
			lua.WriteByte(']')
			return lua.String(), rest[1:]
		case strings.HasPrefix(rest, control):
			lua.WriteString("%c")
			rest = rest[len(control):]
		case isAlnum(rest[0]) && len(rest) > 2 && rest[1] == '-' && isAlnum(rest[2]):
			lua.WriteString(rest[:3])
			rest = rest[3:]
		default:
			var char string
			char, rest = luaChar(expr, rest, specialInClass)
			lua.WriteString(char)
		}
	}
}

// Characters that have to be escaped in a regular expression: outside of a class, in one
// (a - that makes no range is taken for itself there), and in Lua.
const (
	special        = `.*+?()|{}[]^$`
	specialInClass = `[]^`
	specialInLua   = `^$()%.[]*+-?`
)

// luaChar translates one character, escaped or not.
func luaChar(expr, rest, special string) (item, after string) {
	char, after := rest[0], rest[1:]
	escaped := char == '\\' && after != ""
	if escaped {
		char, after = after[0], after[1:]
	}
	switch {
	case char < ' ' || char > '~',
		escaped && isAlnum(char),
		!escaped && (char == '\\' || strings.IndexByte(special, char) >= 0):
		panic(fmt.Sprintf("pattern %q: not in the language of luaPattern: %q", expr, rest))
	case strings.IndexByte(specialInLua, char) >= 0:
		return "%" + string(char), after
	}
	return string(char), after
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
