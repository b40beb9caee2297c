package file

import (
	"fmt"
	"strings"

	"kong-traffic-split/plugin/config"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File string
	config.Problem
}

// String is "file:line:column: path: what is wrong, what would be right".
func (p Problem) String() string {
	if p.Line == 0 { // it is the file as a whole
		return p.File + ": " + p.Problem.String()
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Problem)
}

// Problems is everything that is wrong with a file or a folder. It is an error
// where it is not empty.
type Problems []Problem

// Error is one problem a line.
func (ps Problems) Error() string { return strings.Join(ps.lines(), "\n") }

// lines are the problems, the first of them where there are very many.
func (ps Problems) lines() []string {
	const most = 100
	var all []string
	for _, p := range ps[:min(len(ps), most)] {
		all = append(all, p.String())
	}
	if len(ps) > most {
		more := 0
		for _, p := range ps[most:] {
			more += 1 + p.More
		}
		all = append(all, fmt.Sprintf("and %d more problems", more))
	}
	return all
}
