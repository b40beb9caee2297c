package declarative

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A record is a compiled schema: fields with names, in an order, and checks
// across them.
type record struct {
	names  []string
	fields map[string]*field
	checks []entityCheck
	parent *record // of a variant, what it refines

	// variant, where there is one, chooses the schema that refines this one
	// for a row (Kong's subschema), or says what is wrong with the choice.
	variant func(row map[string]any) (*record, Errors)
	// shorthands turn other spellings of a row into its own fields, before
	// the defaults are filled in. They change the row.
	shorthands func(row map[string]any)
}

// A field is a compiled definition of one field, element, key or value.
type field struct {
	kind          string // Kong's "type"
	required      bool
	fallback      any // Kong's "default"
	hasDefault    bool
	auto          bool
	unique        bool
	referenceable bool
	abstract      bool
	reference     string // of a foreign field, the entity it refers to
	message       string // Kong's "err", instead of any other
	eq, ne        *operand
	validators    []validator
	elements      *field
	keys, values  *field
	record        *record

	raw map[string]any // what it was compiled from, for checks that refine it
}

// operand is a value to compare with, which may be null.
type operand struct{ value any }

// kinds are the types that a field may have. "any" takes all values.
var kinds = []string{"string", "integer", "number", "boolean", "array", "set", "map", "record", "foreign", "any"}

// passive are the attributes that do not affect how a value is checked.
var passive = []string{
	"deprecation", "description", "encrypted", "examples", "immutable", "indexed", "nilable",
	"on_delete", "timestamp_format", "transient", "unique_across_ws",
}

// structure are those that setStructure takes.
var structure = []string{"elements", "keys", "values", "fields", "entity_checks"}

// compileRecord compiles a definition with "fields" and perhaps
// "entity_checks". In an entity, records are required where they do not say
// otherwise, which is what makes Kong create them; in a list they are not.
// parent is what the definition refines, or nil.
func compileRecord(raw map[string]any, inEntity bool, parent *record) (*record, error) {
	fields, ok := sequence(raw["fields"])
	if !ok || raw["fields"] == nil {
		return nil, errors.New("error in schema definition: no 'fields' table")
	}
	r := &record{fields: map[string]*field{}, parent: parent}
	for i, element := range fields {
		name, definition, ok := onlyPair(element)
		if !ok {
			return nil, fmt.Errorf("fields.%d: expected a table with the name of one field", i+1)
		}
		f, err := compileField(definition, inEntity)
		if err != nil {
			return nil, fmt.Errorf("fields.%s: %w", name, err)
		}
		r.add(name, f)
	}
	checks, ok := sequence(raw["entity_checks"])
	if !ok && raw["entity_checks"] != nil {
		return nil, errors.New("entity_checks: expected an array")
	}
	for i, definition := range checks {
		check, err := compileEntityCheck(r, definition)
		if err != nil {
			return nil, fmt.Errorf("entity_checks.%d: %w", i+1, err)
		}
		r.checks = append(r.checks, check)
	}
	return r, nil
}

// compileField compiles the definition of a field.
func compileField(definition any, inEntity bool) (*field, error) {
	raw, ok := definition.(map[string]any)
	if !ok {
		return nil, errors.New("expected a record")
	}
	f := &field{raw: raw}
	for _, attribute := range slices.Sorted(maps.Keys(raw)) {
		if err := f.setAttribute(attribute, raw[attribute]); err != nil {
			return nil, fmt.Errorf("%s: %w", attribute, err)
		}
	}
	if !slices.Contains(kinds, f.kind) {
		return nil, fmt.Errorf("type: invalid type: %s", LuaString(raw["type"]))
	}
	if err := f.setStructure(inEntity); err != nil {
		return nil, err
	}
	if _, given := raw["required"]; f.kind == "record" && inEntity && !given && !f.abstract {
		f.required = true
	}
	return f, f.setValidators()
}

// setAttribute takes the attributes that are no validators.
func (f *field) setAttribute(name string, value any) (err error) {
	texts := map[string]*string{"type": &f.kind, "err": &f.message, "reference": &f.reference}
	flags := map[string]*bool{
		"required": &f.required, "auto": &f.auto, "unique": &f.unique,
		"referenceable": &f.referenceable, "abstract": &f.abstract,
	}
	switch _, validates := validatorsByName[name]; {
	case texts[name] != nil:
		*texts[name], err = attribute[string](value)
	case flags[name] != nil:
		*flags[name], err = attribute[bool](value)
	case name == "default":
		f.fallback, f.hasDefault = value, true
	case name == "eq":
		f.eq = &operand{value}
	case name == "ne":
		f.ne = &operand{value}
	case !validates && !slices.Contains(passive, name) && !slices.Contains(structure, name):
		return errors.New("unknown field")
	}
	return err
}

// setStructure compiles what is inside of a field.
func (f *field) setStructure(inEntity bool) error {
	parts := map[string]**field{}
	switch f.kind {
	case "array", "set":
		parts["elements"] = &f.elements
	case "map":
		parts["keys"], parts["values"] = &f.keys, &f.values
	case "record":
		if f.abstract {
			return nil
		}
		var err error
		f.record, err = compileRecord(f.raw, inEntity, nil)
		return err
	}
	for name, part := range parts {
		inner, err := compileField(f.raw[name], false)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		inner.required = true
		*part = inner
	}
	return nil
}

// setValidators compiles the validators in the order in which Kong runs them.
func (f *field) setValidators() error {
	for _, name := range validatorOrder {
		argument, given := f.raw[name]
		if name == "len_min" && f.kind == "string" && !given {
			argument, given = 1.0, true // an empty string has to be asked for
		}
		if !given {
			continue
		}
		v, err := validatorsByName[name](argument)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.validators = append(f.validators, v)
	}
	return nil
}

// refine compiles a definition that takes what it does not say from f.
func (f *field) refine(definition any) (*field, error) {
	overrides, ok := definition.(map[string]any)
	if !ok {
		return nil, errors.New("expected a record")
	}
	raw := maps.Clone(f.raw)
	maps.Copy(raw, overrides)
	refined, err := compileField(raw, false)
	if err != nil {
		return nil, err
	}
	if _, given := overrides["required"]; !given {
		refined.required = f.required
	}
	return refined, nil
}

// decodeJSON reads JSON into a value.
func decodeJSON(text []byte) (any, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return v, nil
}
