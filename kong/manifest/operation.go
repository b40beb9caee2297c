package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"kong-traffic-split/plugin/config"
)

// kinds are those of operations, and whether they need a value and from.
var kinds = map[string]struct{ value, from bool }{
	"add": {value: true}, "remove": {}, "replace": {value: true},
	"move": {from: true}, "copy": {from: true}, "test": {value: true},
}

// decodePatch decodes a patch in JSON or YAML.
func decodePatch(text []byte) (jsonpatch.Patch, error) {
	// What is JSON keeps the order of its keys.
	if !json.Valid(text) {
		var err error
		if text, err = toJSON(string(text)); err != nil {
			return nil, fmt.Errorf("the patch is neither JSON nor YAML: %w", err)
		}
	}
	var operations []map[string]json.RawMessage
	if err := json.Unmarshal(text, &operations); err != nil || operations == nil {
		return nil, errors.New(`the patch is no list of operations, such as [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 20}]`)
	}
	patch := make(jsonpatch.Patch, len(operations))
	for i, o := range operations {
		if err := checkOperation(o); err != nil {
			return nil, fmt.Errorf("patch[%d]%w", i, err)
		}
		patch[i] = jsonpatch.Operation{}
		for key, value := range o {
			patch[i][key] = &value
		}
	}
	return patch, nil
}

// checkOperation checks the form of an operation. Errors begin with where in it.
func checkOperation(o map[string]json.RawMessage) error {
	text := func(key string) (s string, err error) {
		if o[key] == nil {
			return "", fmt.Errorf(": has no %q", key)
		}
		if json.Unmarshal(o[key], &s) != nil {
			return "", fmt.Errorf(".%s: is not a string: %s", key, o[key])
		}
		return s, nil
	}
	op, err := text("op")
	if err != nil {
		return err
	}
	needs, ok := kinds[op]
	if !ok {
		return fmt.Errorf(".op: %q is not one of add, remove, replace, move, copy, test", op)
	}
	pointers := []string{"path"}
	if needs.from {
		pointers = append(pointers, "from")
	}
	for _, key := range pointers {
		pointer, err := text(key)
		if err != nil {
			return err
		}
		if pointer == "" {
			return fmt.Errorf(".%s: is the whole object; name what is in it, as in /spec/rules/0", key)
		}
		if pointer[0] != '/' {
			return fmt.Errorf(".%s: %q does not begin with /", key, pointer)
		}
	}
	if needs.value && o["value"] == nil {
		return fmt.Errorf(": has no %q", "value")
	}
	return nil
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// stepsOf returns a JSON pointer as keys and indexes, as far as it leads in a value. Behind a
// list's last item are its length and -, and what is not there is as it is written.
func stepsOf(v any, pointer string) (steps []any) {
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = unescape.Replace(token)
		list, isList := v.([]any)
		var step any = token
		if isList && token == "-" {
			step = len(list)
		} else if i, err := strconv.Atoi(token); isList && err == nil && i >= 0 {
			step = i
		}
		steps = append(steps, step)
		v, _ = lookup(v, step)
	}
	return steps
}

// lookup returns what is at a path of keys and indexes.
func lookup(v any, steps ...any) (any, bool) {
	for _, step := range steps {
		switch step := step.(type) {
		case int:
			list, ok := v.([]any)
			if !ok || step >= len(list) {
				return nil, false
			}
			v = list[step]
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			if v, ok = m[step]; !ok {
				return nil, false
			}
		}
	}
	return v, true
}

func at(v any, steps ...any) any {
	v, _ = lookup(v, steps...)
	return v
}

// absent is an error about the place that steps lead to.
type absent struct {
	error
	steps []any
}

// placed is an error about a place in the text of a document.
type placed struct {
	error
	line, column int
}

// reason says why the library does not make an operation.
func reason(before any, o jsonpatch.Operation, err error) error {
	pointers := []string{"from", "path"}
	for _, key := range pointers {
		pointer := ""
		if o[key] == nil || json.Unmarshal(*o[key], &pointer) != nil {
			continue
		}
		steps := stepsOf(before, pointer)
		for i := range steps {
			v := at(before, steps[:i]...)
			if _, ok := lookup(v, steps[i]); ok {
				continue
			}
			if key == "path" && i == len(steps)-1 && o.Kind() != "replace" && o.Kind() != "remove" {
				list, isList := v.([]any)
				if _, isMap := v.(map[string]any); isMap || isList && steps[i] == len(list) {
					break // where it would come
				}
			}
			return absent{missing(v, steps[i]), steps[:i]}
		}
	}
	return err
}

// test compares a value with the one of an operation: the library does not get along with
// null in lists.
func test(object any, o jsonpatch.Operation) error {
	pointer, err := o.Path()
	if err != nil {
		return err
	}
	steps := stepsOf(object, pointer)
	for i := range steps {
		v := at(object, steps[:i]...)
		if _, ok := lookup(v, steps[i]); !ok {
			return absent{missing(v, steps[i]), steps[:i]}
		}
	}
	has, err := json.Marshal(at(object, steps...))
	if err != nil {
		return err
	}
	var is, wanted any // with numbers that are equal however they are written
	if err := errors.Join(json.Unmarshal(has, &is), json.Unmarshal(*o["value"], &wanted)); err != nil {
		return err
	}
	if reflect.DeepEqual(is, wanted) {
		return nil
	}
	var text bytes.Buffer
	if err := json.Compact(&text, *o["value"]); err != nil {
		return err
	}
	return absent{fmt.Errorf("is %s, not %s", has, text.String()), steps}
}

// missing says what is not there.
func missing(v, step any) error {
	switch v := v.(type) {
	case map[string]any:
		return fmt.Errorf("is not there: there is no key %q", step)
	case []any:
		if _, ok := step.(int); !ok {
			return fmt.Errorf("is not there: %q is no index of a list", step)
		}
		return fmt.Errorf("is not there: there is no item %v, as the list has %d", step, len(v))
	}
	text, _ := json.Marshal(v) // it comes from JSON
	return fmt.Errorf("is not there: %s is neither a map nor a list", text)
}

// looseJSON returns what a text says in encoding/json's types.
func looseJSON(text string) (v any) {
	out, err := toJSON(text)
	if err == nil {
		_ = json.Unmarshal(out, &v) // it was made of a value
	}
	return v
}

// nodeOf returns a value in JSON as a node, with the order of its keys.
func nodeOf(text []byte) (*config.Node, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return node(d)
}

func node(d *json.Decoder) (*config.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	n := &config.Node{}
	switch token := token.(type) {
	case bool:
		n.Kind, n.Bool = config.Bool, token
	case json.Number:
		n.Kind, n.Text = config.Number, token.String()
	case string:
		n.Kind, n.Text = config.String, token
	case json.Delim:
		n.Kind = config.List
		if token == '{' {
			n.Kind = config.Map
		}
		for d.More() {
			key := ""
			if n.Kind == config.Map {
				token, err := d.Token()
				if err != nil {
					return nil, err
				}
				key, _ = token.(string)
			}
			value, err := node(d)
			if err != nil {
				return nil, err
			}
			if n.Kind == config.Map {
				n.Members = append(n.Members, config.Member{Key: key, Value: value})
			} else {
				n.Items = append(n.Items, value)
			}
		}
		_, err = d.Token() // the bracket
	}
	return n, err
}
