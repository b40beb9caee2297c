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
// default, or null. What is wrong with the row is found later, by check.
func (fl filler) fill(r *record, row map[string]any) map[string]any {
	out := cloneMap(row)
	if r.shorthands != nil {
		r.shorthands(out)
	}
	variant := r.variantOf(out)
	for _, name := range r.names {
		f := r.field(variant, name)
		value, present := out[name]
		if f.auto && (!present || value == nil && name == "created_at" || name == "updated_at") {
			value, present = fl.automatic(f), true
		}
		if !present {
			value, present = fl.missing(f)
		}
		if present {
			out[name] = fl.value(f, value)
		}
	}
	return out
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

// value fills in what is inside of a value. Of one that has another type than its field,
// check says so.
func (fl filler) value(f *field, value any) any {
	list, _ := value.([]any)
	row, isMap := value.(map[string]any)
	switch {
	case f.kind == "record" && !f.abstract && isTable(value) && len(list) == 0:
		return fl.fill(f.record, row)
	case f.kind == "map" && isMap:
		out := make(map[string]any, len(row))
		for key, element := range row {
			out[key] = fl.value(f.values, element)
		}
		return out
	case (f.kind == "array" || f.kind == "set") && list != nil:
		out := make([]any, 0, len(list))
		for _, element := range list {
			filled := fl.value(f.elements, element)
			if f.kind == "array" || !hasElement(out, filled) { // a set loses what is in it twice
				out = append(out, filled)
			}
		}
		return out
	}
	return value
}
