package httproute

import (
	"cmp"
	"fmt"
	"slices"
)

// A Problem is something in a manifest that is wrong or cannot be converted.
type Problem struct {
	File     string `json:"file"`
	Document int    `json:"document"` // in the file, from 1; 0: the whole file
	Line     int    `json:"line"`     // from 1
	Column   int    `json:"column"`   // from 1
	Object   string `json:"object,omitempty"`
	Path     string `json:"path,omitempty"`
	Message  string `json:"message"`
	Warning  bool   `json:"warning,omitempty"` // the output does without it
}

// String returns the problem in one line, as editors understand it.
func (p Problem) String() string {
	text := fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Document > 0 {
		text += fmt.Sprintf("document %d: ", p.Document)
	}
	if p.Object != "" {
		text += p.Object + ": "
	}
	if p.Path != "" {
		text += p.Path + ": "
	}
	if p.Warning {
		text += "warning: "
	}
	return text + p.Message
}

// Failed reports whether one of the problems is more than a warning.
func Failed(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return !p.Warning })
}

// sorted puts the problems of a file in the order of its lines.
func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Document, b.Document), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return problems
}
