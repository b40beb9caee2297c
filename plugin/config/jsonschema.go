package config

import (
	"fmt"
	"slices"
)

// JSONSchema returns the schema of a split file for editors (JSON Schema, draft 2020-12).
// It accepts everything that DecodeFile accepts, and more.
func JSONSchema() []byte {
	schema := splitFile.jsonSchema()
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "Split file of traffic-split"
	return indented(schema)
}

type object = map[string]any

// jsonSchema returns what JSON Schema can express of a field.
func (f *field) jsonSchema() object {
	s := object{"type": map[kind]string{kindMap: "object", kindRecord: "object"}[f.kind], "description": f.described()}
	if s["type"] == "" {
		s["type"] = string(f.kind)
	}
	if f.def != nil {
		s["default"] = f.def
	}
	if f.onlyTrue {
		s["const"] = true
	}
	switch f.kind {
	case kindInteger:
		if s["enum"] = f.numbers; f.numbers == nil {
			delete(s, "enum")
			s["minimum"], s["maximum"] = f.min, f.max
		}
	case kindNumber:
		s["minimum"], s["maximum"] = f.low, f.high
	case kindString:
		f.jsonString(s)
	case kindArray:
		s["items"] = f.elements.jsonSchema()
		limit(s, "minItems", f.min)
		limit(s, "maxItems", f.max)
	case kindMap:
		s["propertyNames"], s["additionalProperties"] = f.keys.jsonSchema(), f.values.jsonSchema()
		limit(s, "minProperties", f.min)
	case kindRecord:
		f.jsonRecord(s)
	}
	return s
}

// limit sets a limit, if there is one.
func limit(s object, word string, n int) {
	if n > 0 {
		s[word] = n
	}
}

// described returns the description, with a default that depends on others.
func (f *field) described() string {
	if f.derived == "" {
		return f.doc
	}
	return fmt.Sprintf("%s Default: %s.", f.doc, f.derived)
}

func (f *field) jsonString(s object) {
	if !f.empty {
		s["minLength"] = max(f.min, 1)
	}
	limit(s, "maxLength", f.max)
	if f.oneOf != nil {
		s["enum"] = f.oneOf
	}
	var all []object
	for _, rule := range f.none {
		all = append(all, object{"not": object{"pattern": rule.pattern.String()}})
	}
	for _, rule := range f.match {
		all = append(all, object{"pattern": rule.pattern.String()})
	}
	if all != nil {
		s["allOf"] = all
	}
}

func (f *field) jsonRecord(s object) {
	properties := object{}
	var required []string
	for i := range f.fields {
		p := &f.fields[i]
		properties[p.name] = p.jsonSchema()
		if p.required {
			required = append(required, p.name)
		}
	}
	s["properties"], s["additionalProperties"] = properties, false
	if required != nil {
		s["required"] = required
	}
	var all []object
	for i := range f.checks {
		c := &f.checks[i]
		if f.inherits && c.requires() || c.distinct != nil {
			continue // what is required may be in the defaults; and JSON Schema cannot compare
		}
		all = append(all, c.jsonSchema())
	}
	if all != nil {
		s["allOf"] = all
	}
}

// isSet is the schema of a record in which a field is set: an empty record is not.
func isSet(name string) object {
	return object{"required": []string{name}, "properties": object{name: object{"minProperties": 1}}}
}

// jsonSchema returns a check in JSON Schema.
func (c *check) jsonSchema() object {
	var present []object
	for _, name := range slices.Concat(c.onlyOneOf, c.atLeastOneOf) {
		present = append(present, object{"required": []string{name}})
	}
	switch {
	case c.onlyOneOf != nil:
		return object{"oneOf": present}
	case c.atLeastOneOf != nil:
		return object{"anyOf": present}
	case c.mutuallyExclusive != nil:
		var both []object
		for i, name := range c.mutuallyExclusive {
			for _, other := range c.mutuallyExclusive[i+1:] {
				both = append(both, object{"allOf": []object{isSet(name), isSet(other)}})
			}
		}
		return object{"not": object{"anyOf": both}}
	}
	condition := object{"required": []string{c.ifField}}
	if c.ifEquals != nil {
		condition["properties"] = object{c.ifField: object{"const": c.ifEquals}}
	} else if c.ifMatch != nil {
		condition["properties"] = object{c.ifField: object{"pattern": c.ifMatch.String()}}
	}
	then := object{"required": []string{c.thenField}}
	switch {
	case c.thenPositive:
		then["properties"] = object{c.thenField: object{"exclusiveMinimum": 0}}
	case c.thenAbsent:
		then = object{"not": then}
	case c.thenOneOf != nil:
		then = object{"properties": object{c.thenField: object{"enum": c.thenOneOf}}}
	}
	return object{"if": condition, "then": then}
}
