package file

import "strings"

// Document is one of the documents of a YAML text, with the line --- before it.
type Document struct {
	Start, End int // bytes
	Line       int // of its first byte, counted from 0: what to add to lines in it
}

// Documents returns where the documents of a YAML text are, which may be empty. A line that
// begins with --- separates them, wherever it is: YAML allows it in no value.
func Documents(content string) []Document {
	x := newExtents(content)
	all := []Document{{}}
	for i, at := range x.lines {
		after, ok := strings.CutPrefix(content[at:], "---")
		if !ok || after != "" && !strings.ContainsAny(after[:1], " \t\r\n") || at == 0 {
			continue
		}
		all[len(all)-1].End = at
		all = append(all, Document{Start: at, Line: i})
	}
	all[len(all)-1].End = len(content)
	return all
}
