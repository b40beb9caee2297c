package httproute

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

//go:generate go run ./generate

// schemaText has the spec of each kind, as the CRDs of the Gateway API have it.
//
//go:embed schema.json
var schemaText []byte

// coreText has the same of objects of Kubernetes' own (ObjectMeta and ServiceSpec of
// Kubernetes 1.36). A type that is left out is any.
//
//go:embed core.json
var coreText []byte

// schema is what the CRD of a kind demands of a value: the part of OpenAPI that the
// Gateway API uses.
type schema struct {
	Type                 string
	Properties           map[string]*schema
	AdditionalProperties *schema
	Items                *schema
	Required             []string
	Enum                 []any
	Pattern              string
	Format               string // date-time or int32, or it does not matter
	Minimum, Maximum     *int64
	MinLength, MaxLength *int
	MinItems, MaxItems   *int
	MaxProperties        *int
	Default              json.RawMessage
	ListType             string        `json:"x-kubernetes-list-type"`
	ListMapKeys          []string      `json:"x-kubernetes-list-map-keys"`
	Validations          []*validation `json:"x-kubernetes-validations"`

	pattern  *regexp.Regexp
	defaults []defaultValue
}

// validation is a rule in CEL, which has its counterpart in rules.go.
type validation struct {
	Rule    string
	Message string
	rule    ruleFunc
}

// defaultValue is a property that is there though nobody has written it.
type defaultValue struct {
	name  string
	value *yaml.Node
}

// schemas are those of what stands in a spec, by kinds, and that of metadata.
var schemas = sync.OnceValue(func() map[string]*schema {
	all := map[string]*schema{}
	for _, text := range [][]byte{schemaText, coreText} {
		if err := json.Unmarshal(text, &all); err != nil {
			panic("schema.json or core.json: " + err.Error())
		}
	}
	for _, s := range all {
		s.prepare()
	}
	return all
})

func (s *schema) prepare() {
	if s.Pattern != "" {
		s.pattern = regexp.MustCompile(s.Pattern)
	}
	for _, v := range s.Validations {
		if v.rule = ruleOf(v.Message); v.rule == nil {
			panic("rules.go lacks the rule: " + v.Message)
		}
	}
	for _, part := range []*schema{s.Items, s.AdditionalProperties} {
		if part != nil {
			part.prepare()
		}
	}
	for name, property := range s.Properties {
		property.prepare()
		if property.Default != nil {
			var value yaml.Node
			if err := yaml.Unmarshal(property.Default, &value); err != nil {
				panic("schema.json: " + err.Error())
			}
			s.defaults = append(s.defaults, defaultValue{name, value.Content[0]})
		}
	}
	slices.SortFunc(s.defaults, func(a, b defaultValue) int { return strings.Compare(a.name, b.name) })
}

// typeOf is what OpenAPI calls the type of a value.
func typeOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "object"
	case yaml.SequenceNode:
		return "array"
	}
	switch n.Tag {
	case "!!int":
		return "integer"
	case "!!float":
		return "number"
	case "!!bool":
		return "boolean"
	case "!!null":
		return "null"
	}
	return "string"
}

// check reports what a value has that the schema does not allow, and adds what is there
// by default. It reports whether the value is right.
func (s *schema) check(d *document, n *yaml.Node, at *trail) bool {
	before := len(d.problems)
	if s.Type == "integer" {
		wholeNumber(n)
	}
	if kind := typeOf(n); kind != s.Type && s.Type != "" {
		hint := ""
		if s.Type == "string" && n.Kind == yaml.ScalarNode && kind != "null" {
			hint = "; put it into quotes"
		}
		d.refuse(at, "%s is not of the type %s%s", describe(n), s.Type, hint)
		return false
	}
	switch s.Type {
	case "object":
		s.checkObject(d, n, at)
	case "array":
		s.checkArray(d, n, at)
	case "string":
		s.checkString(d, n, at)
	case "integer":
		s.checkInteger(d, n, at)
	}
	if len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(v any) bool { return fmt.Sprint(v) == n.Value }) {
		var all []string
		for _, v := range s.Enum {
			all = append(all, fmt.Sprint(v))
		}
		d.refuse(at, "%s is not one of %s", describe(n), strings.Join(all, ", "))
	}
	if len(d.problems) > before { // as in an API server, the rules look at what is right otherwise
		return false
	}
	for _, v := range s.Validations {
		v.rule(d, n, at, v.Message)
	}
	return len(d.problems) == before
}

// wholeNumber makes an integer of one that is written with a decimal point or an exponent,
// as whoever reads YAML or JSON for an API server does.
func wholeNumber(n *yaml.Node) {
	var f float64
	if n.Tag == "!!float" && n.Decode(&f) == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		n.Tag, n.Value = "!!int", strconv.FormatInt(int64(f), 10)
	}
}

// describe is how a message shows a value.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "an object"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!str":
		return quote(n.Value)
	case n.Tag == "!!null":
		return "null"
	}
	return n.Value
}

func (s *schema) checkObject(d *document, n *yaml.Node, at *trail) {
	if s.Properties != nil {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if name := n.Content[i].Value; s.Properties[name] == nil {
				d.refuse(at.field(name), "there is no such field%s", s.similar(name))
			}
		}
		n.Content = withoutNulls(n.Content)
	}
	for _, value := range s.defaults {
		if get(n, value.name) == nil {
			key := scalar(value.name, n)
			key.HeadComment = addedByDefault
			n.Content = append(n.Content, key, placed(value.value, n))
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, field := n.Content[i].Value, s.AdditionalProperties
		if s.Properties != nil {
			field = s.Properties[name]
		}
		if field != nil {
			field.check(d, n.Content[i+1], at.field(name))
		}
	}
	if s.MaxProperties != nil && len(n.Content)/2 > *s.MaxProperties {
		d.refuse(at, "has %d fields; at most %d are allowed", len(n.Content)/2, *s.MaxProperties)
	}
	for _, name := range s.Required {
		if get(n, name) == nil {
			d.refuse(at.field(name), "has to be there")
		}
	}
}

// addedByDefault marks the key of a field that nobody has written.
const addedByDefault = "default"

// withoutNulls drops the fields without a value, as an API server does before it adds
// what is there by default.
func withoutNulls(content []*yaml.Node) []*yaml.Node {
	out := content[:0]
	for i := 0; i+1 < len(content); i += 2 {
		if content[i+1].Tag != "!!null" {
			out = append(out, content[i], content[i+1])
		}
	}
	return out
}

// placed is a copy of a default value, at the place of the object that has it.
func placed(value, at *yaml.Node) *yaml.Node {
	out := &yaml.Node{Kind: value.Kind, Tag: value.ShortTag(), Value: value.Value, Line: at.Line, Column: at.Column}
	for _, item := range value.Content {
		out.Content = append(out.Content, placed(item, at))
	}
	return out
}

// similar names a field that is spelled nearly so.
func (s *schema) similar(name string) string {
	for _, known := range sortedKeys(s.Properties) {
		if strings.EqualFold(known, name) || strings.EqualFold(known, name+"s") || strings.EqualFold(known+"s", name) {
			return "; did you mean " + known + "?"
		}
	}
	return ""
}

func (s *schema) checkArray(d *document, n *yaml.Node, at *trail) {
	switch count := len(n.Content); {
	case s.MinItems != nil && count < *s.MinItems:
		d.refuse(at, "has %d items; at least %d have to be there", count, *s.MinItems)
	case s.MaxItems != nil && count > *s.MaxItems:
		d.refuse(at, "has %d items; at most %d are allowed", count, *s.MaxItems)
		return
	}
	for i, item := range n.Content {
		s.Items.check(d, item, at.item(i))
	}
	if s.ListType != "map" && s.ListType != "set" {
		return
	}
	seen := make(map[string]int, len(n.Content))
	for i, item := range n.Content {
		key := item.Value
		if s.ListType == "map" {
			key = s.mapKey(item)
		}
		if first, twice := seen[key]; twice {
			d.refuse(at.item(i), "is the same as [%d]%s; keep one of them", first, byKeys(s.ListMapKeys))
			continue
		}
		seen[key] = i
	}
}

func (s *schema) mapKey(item *yaml.Node) string {
	var key strings.Builder
	for _, name := range s.ListMapKeys {
		key.WriteString(strconv.Quote(text(item, name)))
	}
	return key.String()
}

func byKeys(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	return " by " + strings.Join(keys, ", ")
}

func (s *schema) checkString(d *document, n *yaml.Node, at *trail) {
	switch count := utf8.RuneCountInString(n.Value); {
	case s.MinLength != nil && count < *s.MinLength:
		d.refuse(at, "%s is too short; it needs %d characters at least", quote(n.Value), *s.MinLength)
	case s.MaxLength != nil && count > *s.MaxLength:
		d.refuse(at, "%s has %d characters; at most %d are allowed", quote(n.Value), count, *s.MaxLength)
	case s.pattern != nil && !s.pattern.MatchString(n.Value):
		d.refuse(at, "%s does not match %s", quote(n.Value), s.Pattern)
	case s.Format == "date-time":
		if _, err := time.Parse(time.RFC3339, n.Value); err != nil {
			d.refuse(at, "%s is not a time as in 2026-11-29T12:00:00Z", quote(n.Value))
		}
	}
}

func (s *schema) checkInteger(d *document, n *yaml.Node, at *trail) {
	var value int64
	if err := n.Decode(&value); err != nil || s.Format == "int32" && int64(int32(value)) != value {
		d.refuse(at, "%s is too large", n.Value)
		return
	}
	n.Value = strconv.FormatInt(value, 10) // it may have been written as 0x10
	switch low, high := s.Minimum, s.Maximum; {
	case low != nil && high != nil && (value < *low || value > *high):
		d.refuse(at, "%d is not in %d..%d", value, *low, *high)
	case low != nil && value < *low:
		d.refuse(at, "%d is less than %d", value, *low)
	case high != nil && value > *high:
		d.refuse(at, "%d is more than %d", value, *high)
	}
}
