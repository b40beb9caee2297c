package declarative

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// aliasGrowth bounds how many values a file may have for each of its bytes once
// its aliases are resolved, and maxDepth how deep they may be nested.
const (
	aliasGrowth = 10
	maxDepth    = 100
)

// A File is a declarative configuration as it was written, with the entities
// nested as their author nested them. Its values are those of encoding/json.
type File map[string]any

// ParseError says that a text is neither JSON nor YAML of the right shape.
type ParseError struct{ reason string }

func (e *ParseError) Error() string {
	return "failed parsing declarative configuration: " + e.reason
}

// Parse reads JSON or YAML.
func Parse(text []byte) (File, error) {
	var v any
	err := json.Unmarshal(text, &v)
	if _, isTable := v.(map[string]any); err != nil || !isTable {
		v, err = decodeYAML(text)
	}
	if err != nil {
		return nil, &ParseError{err.Error()}
	}
	f, ok := v.(map[string]any)
	if !ok {
		return nil, &ParseError{"expected an object"}
	}
	return f, nil
}

// YAML writes the file.
func (f File) YAML() ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(wholeNumbers(map[string]any(f))); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// wholeNumbers makes numbers without a fraction integers, so that no exponent
// is written.
func wholeNumbers(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = wholeNumbers(element)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = wholeNumbers(value)
		}
		return out
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return v
}

// decodeYAML reads the first document of a YAML text, with the scalars that
// Kong's reader knows.
func decodeYAML(text []byte) (any, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if document.Kind == 0 {
		return nil, nil // an empty text
	}
	limit := aliasGrowth * len(text)
	d := yamlDecoder{limit: limit, left: limit}
	return d.value(document.Content[0], 0)
}

type yamlDecoder struct {
	limit int // of values
	left  int // values that may still come
}

func (d *yamlDecoder) value(n *yaml.Node, depth int) (any, error) {
	if d.left--; d.left < 0 || depth > maxDepth {
		return nil, fmt.Errorf("line %d: more than %d values, or %d levels, once aliases are resolved",
			n.Line, d.limit, maxDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return d.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, element := range n.Content {
			var err error
			if list[i], err = d.value(element, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case yaml.MappingNode:
		return d.mapping(n, depth)
	}
	return scalar(n), nil
}

func (d *yamlDecoder) mapping(n *yaml.Node, depth int) (any, error) {
	m := map[string]any{}
	var merged []any
	for i := 0; i+1 < len(n.Content); i += 2 {
		value, err := d.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if n.Content[i].Tag == "!!merge" {
			if list, ok := value.([]any); ok {
				merged = append(merged, list...)
			} else {
				merged = append(merged, value)
			}
			continue
		}
		key, err := d.value(n.Content[i], depth+1)
		if err != nil {
			return nil, err
		}
		m[LuaString(key)] = value
	}
	for _, value := range merged {
		inherited, ok := value.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("line %d: << needs a map", n.Line)
		}
		for key, value := range inherited {
			if _, own := m[key]; !own {
				m[key] = value
			}
		}
	}
	return m, nil
}

// scalar resolves a plain scalar as YAML 1.1 does, which is what Kong reads.
func scalar(n *yaml.Node) any {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 ||
		n.Tag == "!!str" && n.Style&yaml.TaggedStyle != 0 {
		return n.Value
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON":
		return true
	case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF":
		return false
	}
	if number, ok := yamlNumber(n.Value); ok {
		return number
	}
	return n.Value
}

var (
	decimalPattern = regexp.MustCompile(`^[-+]?(0|[1-9][0-9_]*)$`)
	octalPattern   = regexp.MustCompile(`^[-+]?0[0-7_]+$`)
	prefixPattern  = regexp.MustCompile(`^[-+]?(0x[0-9a-fA-F_]+|0b[01_]+)$`)
	floatPattern   = regexp.MustCompile(`^[-+]?([0-9][0-9_]*)?\.[0-9_]*([eE][-+]?[0-9]+)?$|^[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$`)
)

func yamlNumber(text string) (float64, bool) {
	plain := strings.ReplaceAll(text, "_", "")
	switch {
	case decimalPattern.MatchString(text), floatPattern.MatchString(text) && strings.ContainsAny(text, "0123456789"):
		n, err := strconv.ParseFloat(plain, 64)
		return n, err == nil
	case octalPattern.MatchString(text), prefixPattern.MatchString(text):
		n, err := strconv.ParseInt(plain, 0, 64)
		return float64(n), err == nil
	}
	return 0, false
}
