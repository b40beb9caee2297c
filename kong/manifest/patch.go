package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

// Patched is what a patch has made of a manifest.
type Patched struct {
	Object     *Object
	Text       string   // of the whole manifest
	Difference []string // a line with - for each value that goes, one with + for each that comes
}

// Patch makes a JSON patch (RFC 6902), which may be written in YAML as with kubectl, to one
// object of a manifest. What the patch does not touch stays as it is written, comments and
// layout included. name is what errors call the manifest.
//
// What does not apply is an error that names the operation and the place in the manifest. No
// part of a patch is made then.
func Patch(name, content string, s Selector, patch []byte) (*Patched, error) {
	operations, err := decodePatch(patch)
	if err != nil {
		return nil, err
	}
	all, err := objects(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	o, err := choose(all, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := patcher{name: name, object: o, text: content[o.document.Start:o.document.End], json: o.json}
	for i, operation := range operations {
		if err := p.apply(operation); err != nil {
			return nil, p.inOperation(i, operation, err)
		}
	}
	return &Patched{o, content[:o.document.Start] + p.text + content[o.document.End:], p.difference}, nil
}

// patcher makes the operations of a patch one by one: a library says what becomes of the
// object's JSON, and the same is edited in its text.
type patcher struct {
	name       string
	object     *Object
	text       string // of the document
	json       []byte // of the object
	difference []string
	changes    []change // of the text, in order
}

// maxObject bounds an object, in bytes of JSON: an API server takes no more than 3 MiB.
const maxObject = 8 << 20

func (p *patcher) apply(o jsonpatch.Operation) error {
	before := decode(p.json)
	if o.Kind() == "test" {
		return test(before, o)
	}
	after, err := applied(p.json, o)
	if err != nil {
		return reason(before, o, err)
	}
	if len(after) > maxObject { // "copy" doubles what it is told to, each time
		return fmt.Errorf("makes the object larger than %d MiB", maxObject>>20)
	}
	edits, err := editsOf(before, o)
	if err != nil {
		return err
	}
	for _, e := range edits {
		p.difference = append(p.difference, difference(before, e)...)
	}
	text, problem := file.Edit(p.text, p.object.steps, edits...)
	if problem != nil {
		return placed{errors.New(problem.Message), problem.Line, problem.Column}
	}
	var want any
	if err := json.Unmarshal(after, &want); err != nil || !reflect.DeepEqual(at(looseJSON(text), p.object.steps...), want) {
		return errors.New("cannot be made in place; edit the file by hand")
	}
	p.changes = append(p.changes, changeOf(p.text, text))
	p.text, p.json = text, after
	return nil
}

// applied returns what the library makes of an object by an operation.
func applied(object []byte, o jsonpatch.Operation) (after []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // a bug of the library must not end the process
			err = fmt.Errorf("the library gave up: %v", p)
		}
	}()
	options := jsonpatch.NewApplyOptions()
	options.SupportNegativeIndices = false // they are not in RFC 6902
	options.EscapeHTML = false
	return jsonpatch.Patch{o}.ApplyWithOptions(object, options)
}

// editsOf returns an operation as edits of the object before it. The library has made it
// already, so that its paths are there.
func editsOf(before any, o jsonpatch.Operation) ([]config.Edit, error) {
	path, err := o.Path()
	if err != nil {
		return nil, err
	}
	steps := stepsOf(before, path)
	var edits []config.Edit
	var value *config.Node
	switch kind := o.Kind(); kind {
	case "remove":
		return []config.Edit{{Path: steps}}, nil
	case "move", "copy":
		from, err := o.From()
		if err != nil {
			return nil, err
		}
		source := stepsOf(before, from)
		text, err := json.Marshal(at(before, source...))
		if err != nil {
			return nil, err
		}
		if value, err = nodeOf(text); err != nil {
			return nil, err
		}
		if kind == "move" {
			if reflect.DeepEqual(source, steps) {
				return nil, nil
			}
			edits = append(edits, config.Edit{Path: source})
			// The target is a place in what is left.
			if before, err = without(before, source); err != nil {
				return nil, err
			}
			steps = stepsOf(before, path)
		}
	default: // add, replace
		if value, err = nodeOf(*o["value"]); err != nil {
			return nil, err
		}
		if kind == "replace" {
			return []config.Edit{{Path: steps, Value: value}}, nil
		}
	}
	_, isItem := last(steps).(int)
	return append(edits, config.Edit{Path: steps, Value: value, Insert: isItem}), nil
}

func last(steps []any) any {
	if len(steps) == 0 {
		return nil
	}
	return steps[len(steps)-1]
}

// without returns a value without what is at a path in it.
func without(v any, steps []any) (any, error) {
	if len(steps) == 0 {
		return nil, errors.New("the whole object cannot be moved")
	}
	switch step := steps[0].(type) {
	case int:
		list := slices.Clone(v.([]any))
		if len(steps) == 1 {
			return slices.Delete(list, step, step+1), nil
		}
		inner, err := without(list[step], steps[1:])
		list[step] = inner
		return list, err
	default:
		key := step.(string)
		out := map[string]any{}
		for k, value := range v.(map[string]any) {
			out[k] = value
		}
		if len(steps) == 1 {
			delete(out, key)
			return out, nil
		}
		inner, err := without(out[key], steps[1:])
		out[key] = inner
		return out, err
	}
}

// difference returns what an edit changes, as [config.Difference] does.
func difference(before any, e config.Edit) (lines []string) {
	text := func(v any) string {
		b, _ := json.Marshal(v) // it comes from JSON
		return string(b)
	}
	path := config.PathOf(e.Path...)
	was, is := "", ""
	if v, ok := lookup(before, e.Path...); ok && !e.Insert {
		was = text(v)
	}
	if e.Value != nil {
		is = text(e.Value)
	}
	if was == is {
		return nil
	}
	if was != "" {
		lines = append(lines, "- "+path+": "+was)
	}
	if is != "" {
		lines = append(lines, "+ "+path+": "+is)
	}
	return lines
}
