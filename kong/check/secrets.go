package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// shortestHidden is how long a variable's value has to be to be hidden: shorter ones, such as
// ports, are no secrets, and part of much else.
const shortestHidden = 8

// variables are those of the environment that files take values from. Findings, which end up
// in the logs of a CI, name them in place of their values.
type variables map[string]string // names by values

// recorded returns lookup as one that records what it has found.
func (v variables) recorded(lookup func(string) (string, bool)) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := lookup(name)
		if len(value) >= shortestHidden {
			v[value] = name
		}
		return value, ok
	}
}

// hide puts the names of variables in the place of their values, be these in quotes, or cut off.
func (v variables) hide(text string) string {
	values := slices.SortedFunc(maps.Keys(v), func(a, b string) int { return len(b) - len(a) }) // one may be part of another
	for _, value := range values {
		quoted := strconv.Quote(value)
		for _, form := range []string{value, quoted[1 : len(quoted)-1]} {
			text = replaceBeginning(text, form, `${{ env "`+v[value]+`" }}`)
		}
	}
	return text
}

// replaceBeginning replaces as much of a value as is found, from its beginning on.
func replaceBeginning(text, value, with string) string {
	var out strings.Builder
	for {
		at := strings.Index(text, value[:shortestHidden])
		if at < 0 {
			return out.String() + text
		}
		end := at + shortestHidden
		for n := shortestHidden; n < len(value) && end < len(text) && text[end] == value[n]; n++ {
			end++
		}
		out.WriteString(text[:at] + with)
		text = text[end:]
	}
}
