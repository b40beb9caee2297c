package config

import (
	"slices"
	"strings"
)

// suggest finds the word that somebody who wrote name is likely to have meant,
// and says so as the end of a message; empty where no word is near.
func suggest(name string, words []string) string {
	const longest = 40 // bytes; what is longer is no slip, and need not be measured
	if len(name) > longest {
		return ""
	}
	best, least := "", len(name)/3+2
	for _, word := range words {
		if max(len(name), len(word))-min(len(name), len(word)) >= least { // so many slips at least
			continue
		}
		if d := distance(strings.ToLower(name), word); d < least {
			best, least = word, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + quote(best) + "?"
}

// distance is the number of slips between two words: a byte too many, one
// missing, a wrong one or two in the wrong order (the optimal string alignment
// distance).
func distance(a, b string) int {
	before := make([]int, len(b)+1) // the row before the last one
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			wrong := 1
			if a[i] == b[j] {
				wrong = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+wrong)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// names are the names of fields.
func names(fields []field) []string {
	words := make([]string, 0, len(fields))
	for _, f := range fields {
		words = append(words, f.name)
	}
	return slices.Clip(words)
}
