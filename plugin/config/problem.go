package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Path         string // where: backends[1].weight, counted from 0; empty: the whole
	Message      string // the value, what is wrong with it and what would be right
	Line, Column int    // counted from 1; 0 where the source has none
	More         int    // how many it stands for besides itself, where it is the last of very many
}

// String is "path: message".
func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Problems is everything that is wrong with a configuration, in the order of
// its source. It is an error where it is not empty.
type Problems []Problem

// Error is all of it in one line, as it suits a log.
func (ps Problems) Error() string {
	const most = 20
	var all []string
	for _, p := range ps[:min(len(ps), most)] {
		all = append(all, p.String())
	}
	if len(ps) > most {
		more := len(ps) - most + ps[len(ps)-1].More
		all = append(all, fmt.Sprintf("and %d more problems", more))
	}
	return strings.Join(all, "; ")
}

// sorted puts the problems in the order of the source's lines.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}
