package declarative

import "cmp"

// check finds what is wrong with a row whose defaults are filled in. It
// returns nil where nothing is.
func (r *record) check(row map[string]any) Errors {
	if r.variant != nil {
		if _, errs := r.variant(row); errs != nil {
			return errs // nothing else can be checked
		}
	}
	variant := r.variantOf(row)
	errs := Errors{}
	for _, field := range pairs(row) {
		name := field.key.(string)
		if name == "updated_at" {
			continue
		}
		f := r.field(variant, name)
		if f == nil {
			errs[name] = "unknown field"
		} else if problem := f.check(field.value); problem != nil {
			errs[name] = problem
		}
	}
	for _, name := range r.names {
		if r.fields[name].required && row[name] == nil {
			errs[name] = "required field missing"
		}
	}
	for _, c := range r.checks {
		c.run(r, row, errs)
	}
	if variant != nil {
		for _, c := range variant.checks {
			c.run(variant, row, errs)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// variantOf is the schema that refines r for a row, or nil.
func (r *record) variantOf(row map[string]any) *record {
	if r.variant == nil {
		return nil
	}
	v, _ := r.variant(row)
	return v
}

// field is the definition of a field of a row of that variant, or nil.
func (r *record) field(variant *record, name string) *field {
	base := r.fields[name]
	if base == nil || variant == nil || variant.fields[name] == nil {
		return base
	}
	return variant.fields[name]
}

// check returns a message, the Errors of what is inside, or nil.
func (f *field) check(value any) any {
	if value == nil {
		return f.checkNull()
	}
	if f.eq != nil && f.eq.value == nil {
		return cmp.Or(f.message, "value must be null")
	}
	if problem := f.checkKind(value); problem != nil {
		return problem
	}
	if s, ok := value.(string); ok && f.referenceable && isReference(s) {
		return nil
	}
	for _, v := range f.validators {
		if message := v(value); message != "" {
			return cmp.Or(f.message, message)
		}
	}
	return nil
}

func (f *field) checkNull() any {
	switch {
	case f.ne != nil && f.ne.value == nil:
		return cmp.Or(f.message, "value must not be null")
	case f.eq != nil && f.eq.value != nil:
		return "value must be " + LuaString(f.eq.value)
	case f.required:
		return "required field missing"
	}
	return nil
}

// checkKind checks that the value has the field's type, and what is inside.
func (f *field) checkKind(value any) any {
	switch f.kind {
	case "string":
		if _, ok := value.(string); !ok {
			return "expected a string"
		}
	case "integer":
		if !isInteger(value) {
			return "expected an integer"
		}
	case "number":
		if _, ok := value.(float64); !ok {
			return "expected a number"
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			return "expected a boolean"
		}
	case "array", "set":
		list, ok := sequence(value)
		if !ok {
			return map[string]string{"array": "expected an array", "set": "expected a set"}[f.kind]
		}
		return f.checkElements(list)
	case "map":
		if !isTable(value) {
			return "expected a map"
		}
		return f.checkMap(value)
	case "record":
		return f.checkRecord(value)
	case "foreign":
		return checkReference(value)
	}
	return nil
}

func (f *field) checkElements(list []any) any {
	errs := Errors{}
	for i, element := range list {
		if problem := f.elements.check(element); problem != nil {
			errs[i+1] = problem
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// checkMap returns the first problem, without its key, as Kong does.
func (f *field) checkMap(value any) any {
	for _, pair := range pairs(value) {
		if problem := f.keys.check(pair.key); problem != nil {
			return problem
		}
		if problem := f.values.check(pair.value); problem != nil {
			return problem
		}
	}
	return nil
}

func (f *field) checkRecord(value any) any {
	row, ok := value.(map[string]any)
	switch {
	case !isTable(value):
		return "expected a record"
	case !ok && len(value.([]any)) > 0:
		errs := Errors{}
		for i := range value.([]any) {
			errs[i+1] = "unknown field"
		}
		return errs
	case f.abstract:
		return "error in schema definition: abstract field was not specialized"
	}
	if errs := f.record.check(row); errs != nil {
		return errs
	}
	return nil
}

// checkReference checks a field that names another entity: by its name or id, or
// as a table with the id.
func checkReference(value any) any {
	switch v := value.(type) {
	case string:
		if v == "" {
			return "length must be at least 1"
		}
		return nil
	case map[string]any:
		if id, ok := v["id"]; !ok {
			return Errors{"id": "missing primary key"}
		} else if !isUUID(id) {
			return Errors{"id": "expected a valid UUID"}
		}
		return nil
	}
	return "expected a string"
}
