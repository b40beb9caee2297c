package file

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// remove removes a key with its value from a map, which is the value of another key unless
// that is nil, and its comment in the same line.
func (e *editor) remove(key, y *yaml.Node, m member) (string, error) {
	isFlow := y.Style&yaml.FlowStyle != 0
	if !isFlow && len(y.Content) == 2 {
		return e.behind(key, y, "{}")
	}
	var before, after *yaml.Node // the value before it, the key behind it
	for i := 0; i+1 < len(y.Content); i += 2 {
		if y.Content[i] != m.key {
			continue
		}
		if i > 0 {
			before = y.Content[i-1]
		}
		if i+2 < len(y.Content) {
			after = y.Content[i+2]
		}
	}
	start, err := e.start(m.key)
	if err != nil {
		return "", err
	}
	end, err := e.end(m.value)
	if err != nil {
		return "", err
	}
	next := 0
	if after != nil {
		if next, err = e.start(after); err != nil {
			return "", err
		}
	}
	return e.cut(isFlow, before, start, end, next)
}

// cut removes one element of a map or a list, from start to end. The next one begins at
// next, unless that is 0; before is the end of the one before.
func (e *editor) cut(isFlow bool, before *yaml.Node, start, end, next int) (string, error) {
	if from := e.lineStart(start); !isFlow && strings.Trim(e.text[from:start], " ") == "" {
		to, err := e.rest(end)
		if err != nil {
			return "", err
		}
		if to < len(e.text) {
			to += lineBreak(e.text[to:])
		}
		return e.splice(from, to, "")
	}
	switch {
	case next > 0:
		if end > next || strings.Trim(e.text[end:next], " \t\r\n,") != "" { // a comment
			return "", errNoEnd
		}
		return e.splice(start, next, "")
	case before != nil && isFlow:
		from, err := e.end(before)
		if err != nil {
			return "", err
		}
		return e.splice(from, end, "")
	case isFlow:
		return e.splice(start, end, "")
	}
	return "", errNoEnd
}

// behind puts a text in place of a map or a list that is written without brackets. As the
// value of a key, it comes behind that, where it need not be indented.
func (e *editor) behind(key, y *yaml.Node, text string) (string, error) {
	start, err := e.value(y)
	if err != nil {
		return "", err
	}
	end, err := e.end(y)
	if err != nil {
		return "", err
	}
	from := e.lineStart(start)
	if key == nil || strings.Trim(e.text[from:start], " ") != "" {
		return e.splice(start, end, text)
	}
	if end, err = e.rest(end); err != nil {
		return "", err
	}
	if end < len(e.text) {
		end += lineBreak(e.text[end:])
	}
	colon, err := e.end(key)
	if err != nil {
		return "", err
	}
	if colon = e.skip(colon, " "); colon >= from || e.text[colon] != ':' {
		return "", errNoEnd
	}
	return e.splice(colon+1, end, " "+text+e.text[colon+1:from])
}
