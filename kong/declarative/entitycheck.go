package declarative

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// An entityCheck is a rule across several fields of a row.
type entityCheck struct {
	// reads are the fields that it looks at.
	reads []string
	// needed are those of them without which it cannot run.
	needed []string
	// evenMissing and evenInvalid say that it runs even where fields are absent, or
	// have errors of their own.
	evenMissing, evenInvalid bool
	// find returns what is wrong, or nothing. It may add to the errors of
	// single fields.
	find func(get func(path string) any, errs Errors) string
}

// run adds what is wrong to errs.
func (c entityCheck) run(r *record, row map[string]any, errs Errors) {
	var missing []string
	allAbsent := true
	for _, path := range c.reads {
		value, present := lookup(row, path)
		f := r.fieldAt(path)
		switch {
		case present:
			allAbsent = false
			if s, ok := value.(string); ok && f != nil && f.referenceable && isReference(s) {
				return // its value is not known yet
			}
		case !c.evenMissing && slices.Contains(c.needed, path):
			missing = append(missing, path)
		}
		if _, wrong := errs[path]; wrong && !c.evenInvalid {
			return
		}
	}
	if allAbsent && !c.evenMissing {
		return
	}
	for _, path := range missing {
		errs.set(path, "field required for entity check")
	}
	if missing != nil {
		return
	}
	get := func(path string) any {
		value, _ := lookup(row, path)
		return value
	}
	if message := c.find(get, errs); message != "" {
		errs.addEntity(message)
	}
}

// compileEntityCheck compiles a table with one key, the name of the check.
func compileEntityCheck(r *record, definition any) (entityCheck, error) {
	name, argument, ok := onlyPair(definition)
	if !ok {
		return entityCheck{}, errors.New("expected a table with the name of one check")
	}
	compile, known := entityChecks[name]
	if !known {
		return entityCheck{}, fmt.Errorf("%s: unknown field", name)
	}
	c, err := compile(r, argument)
	if err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	for _, path := range c.reads {
		if r.fieldAt(path) == nil {
			return c, fmt.Errorf("%s: there is no field %q", name, path)
		}
	}
	return c, nil
}

// entityChecks makes a check from its argument in the schema.
var entityChecks map[string]func(r *record, argument any) (entityCheck, error)

func init() {
	entityChecks = map[string]func(*record, any) (entityCheck, error){
		"at_least_one_of": counting(
			entityCheck{evenMissing: true, evenInvalid: true},
			func(set, _ int) bool { return set >= 1 },
			"at least one of these fields must be non-empty: %s"),
		"only_one_of": counting(
			entityCheck{evenInvalid: true},
			func(set, _ int) bool { return set == 1 },
			"exactly one of these fields must be non-empty: %s"),
		"mutually_exclusive": counting(
			entityCheck{evenMissing: true},
			func(set, _ int) bool { return set <= 1 },
			"only one or none of these fields must be set: %s"),
		"mutually_required": counting(
			entityCheck{evenMissing: true},
			func(set, total int) bool { return set == 0 || set == total },
			"all or none of these fields must be set: %s"),
		"distinct":                    distinct,
		"mutually_exclusive_sets":     exclusiveSets,
		"conditional":                 conditional,
		"conditional_at_least_one_of": conditionalAtLeastOneOf,
	}
}

// counting makes a check of how many of its fields are set.
func counting(c entityCheck, holds func(set, total int) bool, message string) func(*record, any) (entityCheck, error) {
	return func(_ *record, argument any) (entityCheck, error) {
		names, err := nameList(argument)
		c := c
		c.reads, c.needed = names, names
		c.find = func(get func(string) any, _ Errors) string {
			if holds(len(setFields(names, get)), len(names)) {
				return ""
			}
			return fmt.Sprintf(message, quotedList(names))
		}
		return c, err
	}
}

// setFields lists those of the fields that are set.
func setFields(names []string, get func(string) any) []string {
	var set []string
	for _, name := range names {
		if nonempty(get(name)) {
			set = append(set, name)
		}
	}
	return set
}

// distinct makes a check that no two fields have the same value.
func distinct(_ *record, argument any) (entityCheck, error) {
	names, err := nameList(argument)
	return entityCheck{
		reads: names, needed: names, evenInvalid: true,
		find: func(get func(string) any, _ Errors) string {
			var seen []any
			for _, name := range setFields(names, get) {
				if hasElement(seen, get(name)) {
					return "values of these fields must be distinct: " + quotedList(names)
				}
				seen = append(seen, get(name))
			}
			return ""
		},
	}, err
}

// exclusiveSets makes a check that fields of only one of two groups are set.
func exclusiveSets(_ *record, argument any) (entityCheck, error) {
	table, _ := argument.(map[string]any)
	first, err := nameList(table["set1"])
	second, err2 := nameList(table["set2"])
	return entityCheck{
		reads: slices.Concat(first, second), evenMissing: true,
		find: func(get func(string) any, _ Errors) string {
			a, b := setFields(first, get), setFields(second, get)
			if len(a) == 0 || len(b) == 0 {
				return ""
			}
			return fmt.Sprintf("these sets are mutually exclusive: (%s), (%s)", quotedList(a), quotedList(b))
		},
	}, errors.Join(err, err2)
}

// conditional makes a check of one field that applies where another one has a
// certain value.
func conditional(r *record, argument any) (entityCheck, error) {
	table, _ := argument.(map[string]any)
	ifField, _ := table["if_field"].(string)
	thenField, _ := table["then_field"].(string)
	ifMatch, err := refineCondition(r, ifField, table["if_match"])
	if err != nil {
		return entityCheck{}, fmt.Errorf("if_match: %w", err)
	}
	thenMatch, err := refineAt(r, thenField, table["then_match"])
	if err != nil {
		return entityCheck{}, fmt.Errorf("then_match: %w", err)
	}
	refinement, _ := table["then_match"].(map[string]any)
	required := refinement["required"] == true
	message, _ := table["then_err"].(string)
	message = cmp.Or(strings.Replace(message, "%s", ifField, 1),
		fmt.Sprintf("failed conditional validation given value of field '%s'", ifField))
	return entityCheck{
		reads: []string{ifField, thenField}, needed: []string{ifField}, evenInvalid: true,
		find: func(get func(string) any, errs Errors) string {
			if ifMatch.check(get(ifField)) != nil {
				return ""
			}
			then := get(thenField)
			if required && then == nil {
				errs.set(thenField, "required field missing")
				return fmt.Sprintf("failed conditional validation given value of field '%s'", ifField)
			}
			if problem := thenMatch.check(then); problem != nil {
				errs.set(thenField, problem)
				return message
			}
			return ""
		},
	}, nil
}

// conditionalAtLeastOneOf makes a check that at least one of several fields is set.
// Which ones they are depends on another field.
func conditionalAtLeastOneOf(r *record, argument any) (entityCheck, error) {
	table, _ := argument.(map[string]any)
	ifField, _ := table["if_field"].(string)
	c := entityCheck{reads: []string{ifField}, evenMissing: true, evenInvalid: true}
	type branch struct {
		match   *field
		names   []string
		message string
	}
	var branches []branch
	for _, prefix := range []string{"if", "else"} {
		then := map[string]string{"if": "then", "else": "else_then"}[prefix]
		definition, given := table[prefix+"_match"]
		if !given {
			continue
		}
		match, err := refineCondition(r, ifField, definition)
		if err != nil {
			return c, fmt.Errorf("%s_match: %w", prefix, err)
		}
		names, err := nameList(table[then+"_at_least_one_of"])
		if err != nil {
			return c, err
		}
		message, _ := table[then+"_err"].(string)
		branches = append(branches, branch{
			match, names,
			cmp.Or(message, "at least one of these fields must be non-empty: %s"),
		})
		c.reads = append(c.reads, names...)
	}
	c.find = func(get func(string) any, _ Errors) string {
		i := slices.IndexFunc(branches, func(b branch) bool { return b.match.check(get(ifField)) == nil })
		if i < 0 || len(setFields(branches[i].names, get)) > 0 {
			return ""
		}
		return strings.Replace(branches[i].message, "%s", quotedList(branches[i].names), 1)
	}
	return c, nil
}

// refineCondition compiles the condition of a check. Kong fails on one about a record, when an
// entity has that.
func refineCondition(r *record, path string, definition any) (*field, error) {
	if f := r.fieldAt(path); f != nil && f.kind == "record" {
		return nil, fmt.Errorf("%q is a record, about which Kong has no conditions", path)
	}
	return refineAt(r, path, definition)
}

// refineAt compiles a definition that takes the rest from a field of r.
func refineAt(r *record, path string, definition any) (*field, error) {
	f := r.fieldAt(path)
	if f == nil {
		return nil, fmt.Errorf("there is no field %q", path)
	}
	return f.refine(definition)
}

// fieldAt finds a definition by its path, or nil.
func (r *record) fieldAt(path string) *field {
	head, tail, nested := strings.Cut(path, ".")
	f := r.fields[head]
	if f == nil && r.parent != nil {
		f = r.parent.fields[head]
	}
	switch {
	case !nested:
		return f
	case f == nil || f.record == nil:
		return nil
	}
	return f.record.fieldAt(tail)
}

func nameList(v any) ([]string, error) {
	names, err := attributes[string](v)
	if err != nil || len(names) == 0 {
		return nil, errors.New("expected an array of names of fields")
	}
	return names, nil
}
