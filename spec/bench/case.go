package main

import (
	"fmt"
	"regexp"
	"slices"
)

// A kase is what an event asks of Kong, and how many connections have one in
// hand at once.
type kase struct {
	Calls int `json:"calls"` // of methods that return nothing
	Reads int `json:"reads"` // before them, of methods that return a string
	Conns int `json:"conns"`
}

func (k kase) String() string {
	name := fmt.Sprintf("calls=%d,reads=%d,conns=%d", k.Calls, k.Reads, k.Conns)
	if k.Reads == len(reads) {
		name = "everything," + name
	}
	return name
}

// maxConns is the most connections of a case.
const maxConns = 32

// allCases are the calls alone; with the two calls of a split that sets a target
// and a header, the reads; and everything, with a decision that all of the reads
// have a part in.
func allCases() []kase {
	var all []kase
	for _, k := range []kase{
		{Calls: 0},
		{Calls: 1},
		{Calls: 2},
		{Calls: 5},
		{Calls: 10},
		{Calls: 2, Reads: 1},
		{Calls: 2, Reads: 3},
		{Calls: 10, Reads: len(reads)},
	} {
		for _, k.Conns = range []int{1, 8, maxConns} {
			all = append(all, k)
		}
	}
	return all
}

func casesMatching(names *regexp.Regexp) []kase {
	return slices.DeleteFunc(allCases(), func(k kase) bool { return !names.MatchString(k.String()) })
}
