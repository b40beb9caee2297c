package declarative

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// A validator checks one value that has the type of its field. It returns what
// is wrong, or nothing.
type validator func(value any) string

// validatorOrder is the order in which Kong runs validators; the first that
// finds something ends it.
var validatorOrder = []string{
	"eq", "ne", "not_one_of", "one_of",
	"gt", "timestamp", "uuid", "is_regex", "between",
	"len_eq", "len_min", "len_max",
	"starts_with", "not_match", "match_none", "match", "match_all", "match_any",
	"contains", "custom_validator", "mutually_exclusive_subsets",
}

// validatorsByName makes a validator from its argument in the schema.
var validatorsByName = map[string]func(argument any) (validator, error){
	"eq": takes(func(wanted, v any) string {
		return unless(luaEqual(v, wanted), "value must be "+LuaString(wanted))
	}),
	"ne": takes(func(unwanted, v any) string {
		return unless(!luaEqual(v, unwanted), "value must not be "+LuaString(v))
	}),
	"one_of": takes(func(options []any, v any) string {
		return unless(hasElement(options, v), "expected one of: "+joined(options))
	}),
	"not_one_of": takes(func(options []any, v any) string {
		return unless(!hasElement(options, v), "must not be one of: "+joined(options))
	}),
	"gt": takes(func(limit, n float64) string {
		return unless(n > limit, "value must be greater than "+LuaString(limit))
	}),
	"between": takes(func(limits interval, n float64) string {
		return unless(limits.low <= n && n <= limits.high,
			fmt.Sprintf("value should be between %d and %d", int64(limits.low), int64(limits.high)))
	}),
	"timestamp": takes(func(_ any, n float64) string { return unless(n > 0, "expected a valid timestamp") }),
	"uuid":      takes(func(_, v any) string { return unless(isUUID(v), "expected a valid UUID") }),
	"is_regex": takes(func(_ any, s string) string {
		_, err := regexp.Compile(s)
		return unless(err == nil, "not a valid regex: "+s)
	}),
	"len_eq": takes(func(limit float64, v any) string {
		return unless(length(v) == limit, "length must be "+LuaString(limit))
	}),
	"len_min": takes(func(limit float64, v any) string {
		return unless(length(v) >= limit, "length must be at least "+LuaString(limit))
	}),
	"len_max": takes(func(limit float64, v any) string {
		return unless(length(v) <= limit, "length must be at most "+LuaString(limit))
	}),
	"starts_with": takes(func(prefix, s string) string {
		return unless(strings.HasPrefix(s, prefix), "should start with: "+prefix)
	}),
	"match":      takes(func(p luaPattern, s string) string { return unless(p.match(s), "invalid value: "+s) }),
	"not_match":  takes(func(p luaPattern, s string) string { return unless(!p.match(s), "invalid value: "+s) }),
	"match_all":  takes(func(all []rule, s string) string { return firstBroken(all, true, s) }),
	"match_none": takes(func(all []rule, s string) string { return firstBroken(all, false, s) }),
	"match_any": takes(func(c choice, s string) string {
		matches := slices.ContainsFunc(c.patterns, func(p luaPattern) bool { return p.match(s) })
		return unless(matches, cmp.Or(c.message, "invalid value: "+s))
	}),
	"contains": takes(func(wanted any, list []any) string {
		return unless(hasElement(list, wanted), "expected to contain: "+LuaString(wanted))
	}),
	"mutually_exclusive_subsets": takes(func(subsets, list []any) string {
		var touched []string
		for _, subset := range subsets {
			members, _ := sequence(subset)
			if slices.ContainsFunc(list, func(v any) bool { return hasElement(members, v) }) {
				touched = append(touched, fmt.Sprintf("('%s')", strings.ReplaceAll(joined(members), ", ", "', '")))
			}
		}
		return unless(len(touched) <= 1, "these sets are mutually exclusive: "+strings.Join(touched, ", "))
	}),

	"custom_validator": func(check any) (validator, error) { return attribute[validator](check) },
}

// takes makes a validator from a check of an argument and a value. Values of other types
// than the check's pass.
func takes[A, V any](check func(argument A, value V) string) func(any) (validator, error) {
	return func(given any) (validator, error) {
		argument, err := attribute[A](given)
		return func(value any) string {
			if list, ok := sequence(value); ok {
				value = list // an empty map is one, too
			}
			if v, ok := value.(V); ok {
				return check(argument, v)
			}
			return ""
		}, err
	}
}

func unless(holds bool, message string) string {
	if holds {
		return ""
	}
	return message
}

func hasElement(list []any, v any) bool {
	return slices.ContainsFunc(list, func(element any) bool { return luaEqual(element, v) })
}

func joined(list []any) string {
	texts := make([]string, len(list))
	for i, element := range list {
		texts[i] = LuaString(element)
	}
	return strings.Join(texts, ", ")
}

// length is that of a text in bytes, or how many elements a table has.
func length(v any) float64 {
	if s, ok := v.(string); ok {
		return float64(len(s))
	}
	return float64(len(pairs(v)))
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func isUUID(v any) bool {
	s, ok := v.(string)
	return ok && uuidPattern.MatchString(s)
}

// Arguments of validators.
type (
	interval struct{ low, high float64 }
	rule     struct {
		pattern luaPattern
		message string // empty: the usual one
	}
	choice struct {
		patterns []luaPattern
		message  string // likewise
	}
)

// firstBroken returns the message of the first pattern that a text does not match, or
// does, where it is not wanted.
func firstBroken(rules []rule, wanted bool, s string) string {
	for _, r := range rules {
		if r.pattern.match(s) != wanted {
			return cmp.Or(r.message, "invalid value: "+s)
		}
	}
	return ""
}

// attribute is the value of an attribute of a schema, of the type that it has to have.
func attribute[T any](value any) (t T, err error) {
	ok := true
	expected := ""
	switch to := any(&t).(type) {
	case *any:
		*to = value
	case *string:
		*to, ok = value.(string)
		expected = "a string"
	case *bool:
		*to, ok = value.(bool)
		expected = "a boolean"
	case *float64:
		*to, ok = value.(float64)
		expected = "a number"
	case *[]any:
		*to, ok = sequence(value)
		expected = "an array"
	case *validator:
		*to, ok = value.(validator)
		expected = "a function"
	case *interval:
		list, _ := sequence(value)
		if ok = len(list) == 2; ok {
			var err2 error
			to.low, err = attribute[float64](list[0])
			to.high, err2 = attribute[float64](list[1])
			err = errors.Join(err, err2)
		}
		expected = "an array of two numbers"
	case *luaPattern:
		var text string
		if text, err = attribute[string](value); err == nil {
			*to, err = compileLuaPattern(text)
		}
	case *[]luaPattern:
		*to, err = attributes[luaPattern](value)
	case *[]rule:
		*to, err = attributes[rule](value)
	case *rule:
		row, _ := value.(map[string]any)
		to.message, _ = row["err"].(string)
		to.pattern, err = attribute[luaPattern](row["pattern"])
	case *choice:
		row, _ := value.(map[string]any)
		to.message, _ = row["err"].(string)
		to.patterns, err = attribute[[]luaPattern](row["patterns"])
	}
	if !ok {
		err = errors.New("expected " + expected)
	}
	return t, err
}

// attributes are the elements of a list in a schema.
func attributes[T any](value any) ([]T, error) {
	list, err := attribute[[]any](value)
	all := make([]T, len(list))
	for i := range list {
		var wrong error
		all[i], wrong = attribute[T](list[i])
		err = cmp.Or(err, wrong)
	}
	return all, err
}

// isInteger is Kong's integer: a whole number, however it is written.
func isInteger(v any) bool {
	n, ok := v.(float64)
	return ok && n == math.Floor(n) && !math.IsInf(n, 0)
}
