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
	Message      string // the value, what is wrong with it and what to do
	Line, Column int    // counted from 1; 0 where the source has none
	More         int    // if it is the last of very many: how many more it stands for
}

// String returns "path: message".
func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Problems is everything that is wrong with a configuration, in the order of
// its source. An empty one is no error: functions return nil then.
type Problems []Problem

// Error returns the problems in one line, for a log.
func (ps Problems) Error() string {
	const limit = 20
	var all []string
	for _, p := range ps[:min(len(ps), limit)] {
		all = append(all, p.String())
	}
	if len(ps) > limit {
		more := len(ps) - limit + ps[len(ps)-1].More
		all = append(all, fmt.Sprintf("and %d more problems", more))
	}
	return strings.Join(all, "; ")
}

// sorted sorts the problems by their place in the source.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}
