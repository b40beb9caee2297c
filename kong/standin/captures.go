package standin

import (
	"regexp"
	"strconv"
)

// capturesOf sorts the groups of expressions by numbers and names. It is nil where there
// is none but the whole match.
func capturesOf(groups map[string]string) *captures {
	if len(groups) < 2 {
		return nil
	}
	c := &captures{named: map[string]string{}}
	for name, group := range groups {
		number, err := strconv.Atoi(name)
		switch {
		case err != nil || number >= len(groups): // a name that is a number, which Kong's router has not
			c.named[name] = group
		case number > 0:
			c.unnamed = append(c.unnamed, make([]string, max(number-len(c.unnamed), 0))...)
			c.unnamed[number-1] = group
		}
	}
	return c
}

// newCaptures is nil for an expression without groups.
func newCaptures(regex *regexp.Regexp, groups []string) *captures {
	if len(groups) == 1 {
		return nil
	}
	c := &captures{unnamed: groups[1:], named: map[string]string{}}
	for i, name := range regex.SubexpNames() {
		if name != "" {
			c.named[name] = groups[i]
		}
	}
	return c
}
