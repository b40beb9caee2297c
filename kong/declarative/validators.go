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
	"eq":          equal,
	"ne":          notEqual,
	"one_of":      oneOf,
	"not_one_of":  notOneOf,
	"gt":          greaterThan,
	"timestamp":   flag(func(v any) bool { n, ok := v.(float64); return ok && n > 0 }, "expected a valid timestamp"),
	"uuid":        flag(isUUID, "expected a valid UUID"),
	"is_regex":    flag(isRegex, ""),
	"between":     between,
	"len_eq":      length("length must be %d", func(n, limit int) bool { return n == limit }),
	"len_min":     length("length must be at least %d", func(n, limit int) bool { return n >= limit }),
	"len_max":     length("length must be at most %d", func(n, limit int) bool { return n <= limit }),
	"starts_with": startsWith,
	"match":       matching(true),
	"not_match":   matching(false),
	"match_all":   matchingList(true),
	"match_none":  matchingList(false),
	"match_any":   matchAny,
	"contains":    contains,

	"custom_validator":           customValidator,
	"mutually_exclusive_subsets": exclusiveSubsets,
}

func equal(wanted any) (validator, error) {
	return func(v any) string {
		if luaEqual(v, wanted) {
			return ""
		}
		return "value must be " + LuaString(wanted)
	}, nil
}

func notEqual(unwanted any) (validator, error) {
	return func(v any) string {
		if !luaEqual(v, unwanted) {
			return ""
		}
		return "value must not be " + LuaString(v)
	}, nil
}

func oneOf(options any) (validator, error) {
	list, ok := sequence(options)
	if !ok {
		return nil, errors.New("expected an array")
	}
	return func(v any) string {
		if hasElement(list, v) {
			return ""
		}
		return "expected one of: " + joined(list)
	}, nil
}

func notOneOf(options any) (validator, error) {
	list, ok := sequence(options)
	if !ok {
		return nil, errors.New("expected an array")
	}
	return func(v any) string {
		if !hasElement(list, v) {
			return ""
		}
		return "must not be one of: " + joined(list)
	}, nil
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

func greaterThan(limit any) (validator, error) {
	least, err := attribute[float64](limit)
	return func(v any) string {
		if n, ok := v.(float64); !ok || n > least {
			return ""
		}
		return "value must be greater than " + LuaString(limit)
	}, err
}

func between(limits any) (validator, error) {
	list, ok := sequence(limits)
	if !ok || len(list) != 2 {
		return nil, errors.New("expected an array of two numbers")
	}
	low, err := attribute[float64](list[0])
	high, err2 := attribute[float64](list[1])
	return func(v any) string {
		if n, ok := v.(float64); !ok || low <= n && n <= high {
			return ""
		}
		return fmt.Sprintf("value should be between %d and %d", int64(low), int64(high))
	}, errors.Join(err, err2)
}

// flag makes a validator that takes no argument. Without a message it has
// Kong's for a validator that gives none.
func flag(holds func(any) bool, message string) func(any) (validator, error) {
	return func(any) (validator, error) {
		return func(v any) string {
			switch {
			case holds(v):
				return ""
			case message == "":
				return "not a valid regex: " + LuaString(v)
			}
			return message
		}, nil
	}
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func isUUID(v any) bool {
	s, ok := v.(string)
	return ok && uuidPattern.MatchString(s)
}

func isRegex(v any) bool {
	s, ok := v.(string)
	if !ok {
		return false
	}
	_, err := regexp.Compile(s)
	return err == nil
}

func length(message string, holds func(n, limit int) bool) func(any) (validator, error) {
	return func(argument any) (validator, error) {
		limit, err := attribute[float64](argument)
		return func(v any) string {
			n := 0
			switch v := v.(type) {
			case string:
				n = len(v)
			default:
				n = len(pairs(v))
			}
			if holds(n, int(limit)) {
				return ""
			}
			return fmt.Sprintf(message, int(limit))
		}, err
	}
}

func startsWith(argument any) (validator, error) {
	prefix, err := attribute[string](argument)
	return func(v any) string {
		if s, ok := v.(string); !ok || strings.HasPrefix(s, prefix) {
			return ""
		}
		return "should start with: " + prefix
	}, err
}

func matching(wanted bool) func(any) (validator, error) {
	return func(argument any) (validator, error) {
		text, err := attribute[string](argument)
		if err != nil {
			return nil, err
		}
		pattern, err := compileLuaPattern(text)
		return func(v any) string {
			if s, ok := v.(string); !ok || pattern.match(s) == wanted {
				return ""
			}
			return "invalid value: " + LuaString(v)
		}, err
	}
}

// matchingList makes a validator of patterns, each with a message of its own.
func matchingList(wanted bool) func(any) (validator, error) {
	return func(argument any) (validator, error) {
		list, ok := sequence(argument)
		if !ok {
			return nil, errors.New("expected an array")
		}
		patterns, messages := make([]luaPattern, len(list)), make([]string, len(list))
		for i, element := range list {
			row, _ := element.(map[string]any)
			text, err := attribute[string](row["pattern"])
			if err != nil {
				return nil, fmt.Errorf("pattern: %w", err)
			}
			if patterns[i], err = compileLuaPattern(text); err != nil {
				return nil, err
			}
			messages[i], _ = row["err"].(string)
		}
		return func(v any) string {
			s, ok := v.(string)
			for i, pattern := range patterns {
				if ok && pattern.match(s) != wanted {
					return cmp.Or(messages[i], "invalid value: "+s)
				}
			}
			return ""
		}, nil
	}
}

func matchAny(argument any) (validator, error) {
	row, _ := argument.(map[string]any)
	list, ok := sequence(row["patterns"])
	if !ok {
		return nil, errors.New("patterns: expected an array")
	}
	patterns := make([]luaPattern, len(list))
	for i, element := range list {
		text, err := attribute[string](element)
		if err != nil {
			return nil, fmt.Errorf("patterns: %w", err)
		}
		if patterns[i], err = compileLuaPattern(text); err != nil {
			return nil, err
		}
	}
	message, _ := row["err"].(string)
	return func(v any) string {
		s, ok := v.(string)
		if !ok || slices.ContainsFunc(patterns, func(p luaPattern) bool { return p.match(s) }) {
			return ""
		}
		return cmp.Or(message, "invalid value: "+s)
	}, nil
}

func contains(wanted any) (validator, error) {
	return func(v any) string {
		list, _ := sequence(v)
		if hasElement(list, wanted) {
			return ""
		}
		return "expected to contain: " + LuaString(wanted)
	}, nil
}

// exclusiveSubsets makes a validator of sets that must not be mixed in one value.
func exclusiveSubsets(argument any) (validator, error) {
	subsets, ok := sequence(argument)
	if !ok {
		return nil, errors.New("expected an array")
	}
	return func(v any) string {
		list, _ := sequence(v)
		var touched []string
		for _, subset := range subsets {
			members, _ := sequence(subset)
			if slices.ContainsFunc(list, func(v any) bool { return hasElement(members, v) }) {
				touched = append(touched, fmt.Sprintf("('%s')", strings.ReplaceAll(joined(members), ", ", "', '")))
			}
		}
		if len(touched) <= 1 {
			return ""
		}
		return "these sets are mutually exclusive: " + strings.Join(touched, ", ")
	}, nil
}

// A textCheck checks a text where Kong has a function of its own for that, a
// recordCheck a record. Only Kong's own entities have such checks: a plugin's dump
// is data.
type (
	textCheck   func(text string) string
	recordCheck func(row map[string]any) string
)

// recordChecks are the checks of records, by the names that entities.yaml gives
// them.
var recordChecks = map[string]recordCheck{"termination": checkTermination}

// checkTermination checks the config of request-termination.
func checkTermination(config map[string]any) string {
	present := func(name string) bool {
		text, _ := config[name].(string)
		return text != ""
	}
	switch {
	case present("message") && (present("content_type") || present("body")):
		return "message cannot be used with content_type or body"
	case present("content_type") && !present("body"):
		return "content_type requires a body"
	case config["echo"] == true && (present("content_type") || present("body")):
		return "echo cannot be used with content_type and body"
	}
	return ""
}

func customValidator(argument any) (validator, error) {
	switch check := argument.(type) {
	case textCheck:
		return func(v any) string {
			s, ok := v.(string)
			if !ok {
				return ""
			}
			return check(s)
		}, nil
	case recordCheck:
		return func(v any) string {
			row, _ := v.(map[string]any)
			return check(row)
		}, nil
	}
	return nil, errors.New("expected a function")
}

// isInteger is Kong's integer: a whole number, however it is written.
func isInteger(v any) bool {
	n, ok := v.(float64)
	return ok && n == math.Floor(n) && !math.IsInf(n, 0)
}
