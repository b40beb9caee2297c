package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"kong-traffic-split/plugin/file"
)

// inOperation says where an error is: in the manifest as it is written, and in the patch.
func (p *patcher) inOperation(i int, o jsonpatch.Operation, err error) error {
	pointer, _ := o.Path() // it was checked
	line, column := 1, 1
	steps := p.object.steps
	if about, ok := errors.AsType[absent](err); ok {
		steps = append(slices.Clip(steps), about.steps...)
	}
	if n := file.Locate(p.text, at(looseJSON(p.text), steps...), steps...); n.Line > 0 {
		line, column = n.Line, n.Column
	}
	if about, ok := errors.AsType[placed](err); ok && about.line > 0 {
		line, column = about.line, about.column
	}
	line, column = p.asWritten(line, column)
	return fmt.Errorf("%s:%d:%d: %s: patch[%d]: %s %s: %w", p.name, p.object.document.Line+line, column, p.object, i, o.Kind(), pointer, err)
}

// change is what an operation has changed in a text: from start on, what ended at was has
// become what ends at is.
type change struct {
	start, was, is int
	before         string
}

func changeOf(before, after string) change {
	start, end := 0, 0
	for start < min(len(before), len(after)) && before[start] == after[start] {
		start++
	}
	for end < min(len(before), len(after))-start && before[len(before)-1-end] == after[len(after)-1-end] {
		end++
	}
	return change{start, len(before) - end, len(after) - end, before}
}

// asWritten returns where a place in the text as it is now was before all changes. What came
// with one is where it came.
func (p *patcher) asWritten(line, column int) (int, int) {
	text := p.text
	for _, c := range slices.Backward(p.changes) {
		at := offset(text, line, column)
		switch {
		case at >= c.is:
			at += c.was - c.is
		case at > c.start:
			at = c.start
		}
		text = c.before
		line, column = place(text, at)
	}
	return line, column
}

// offset returns the byte of a line and a column, which are counted from 1.
func offset(text string, line, column int) int {
	at := 0
	for range line - 1 {
		end := strings.IndexByte(text[at:], '\n')
		if end < 0 {
			break
		}
		at += end + 1
	}
	for range column - 1 {
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return at
}

// place is the reverse of offset.
func place(text string, at int) (line, column int) {
	before := text[:at]
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
}
