package declarative

import (
	"crypto/rand"
	"time"
)

// filler fills in what a row leaves out, as Kong does when it inserts one.
type filler struct {
	now time.Time
}

// fill returns a copy of the row in which every field is present: with its
// default, or null. What is wrong with the row is found later, by check; only
// a shorthand can be wrong already here.
func (fl filler) fill(r *record, row map[string]any) (map[string]any, Errors) {
	out := cloneMap(row)
	if r.shorthands != nil {
		if errs := r.shorthands(out); errs != nil {
			return nil, errs
		}
	}
	variant := r.variantOf(out)
	for _, name := range r.names {
		value, present := out[name]
		filled, ok, errs := fl.field(r.field(variant, name), name, value, present)
		if errs != nil {
			return nil, Errors{name: errs}
		}
		if ok {
			out[name] = filled
		}
	}
	return out, nil
}

// field fills in one field. ok is false where it stays absent.
func (fl filler) field(f *field, name string, value any, present bool) (filled any, ok bool, errs Errors) {
	if f.auto && (!present || value == nil && name == "created_at" || name == "updated_at") {
		value, present = fl.automatic(f), true
	}
	if !present {
		value, present = fl.missing(f)
		if !present {
			return nil, false, nil
		}
	}
	filled, errs = fl.value(f, value)
	return filled, true, errs
}

// missing is what stands for a field that is not given.
func (fl filler) missing(f *field) (any, bool) {
	switch {
	case f.hasDefault:
		return clone(f.fallback), true
	case !f.required:
		return nil, true
	case f.kind == "record" && !f.abstract:
		return map[string]any{}, true
	}
	return nil, false
}

// automatic is the value of a field that Kong makes up.
func (fl filler) automatic(f *field) any {
	switch {
	case f.kind == "integer":
		return float64(fl.now.Unix())
	case f.kind == "number":
		return float64(fl.now.UnixMilli()) / 1000
	case f.raw["uuid"] == true:
		return NewUUID()
	}
	return rand.Text()
}

// value fills in what is inside of a value.
func (fl filler) value(f *field, value any) (any, Errors) {
	if !isTable(value) || f.abstract {
		return value, nil
	}
	switch f.kind {
	case "record":
		row, ok := value.(map[string]any)
		if !ok && len(value.([]any)) > 0 {
			return value, nil // check refuses the indexes
		}
		return fl.fill(f.record, row)
	case "array", "set":
		list, ok := value.([]any)
		if !ok {
			return value, nil
		}
		return fl.list(f, list)
	case "map":
		row, ok := value.(map[string]any)
		if !ok {
			return value, nil
		}
		out := make(map[string]any, len(row))
		for key, element := range row {
			filled, errs := fl.value(f.values, element)
			if errs != nil {
				return nil, Errors{key: errs}
			}
			out[key] = filled
		}
		return out, nil
	}
	return value, nil
}

// list fills in the elements; a set loses what is in it twice.
func (fl filler) list(f *field, list []any) (any, Errors) {
	out := make([]any, 0, len(list))
	for i, element := range list {
		filled, errs := fl.value(f.elements, element)
		if errs != nil {
			return nil, Errors{i + 1: errs}
		}
		if f.kind == "set" && hasElement(out, filled) {
			continue
		}
		out = append(out, filled)
	}
	return out, nil
}
