package config

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"
)

// The time to match a regular expression is at most about the text's length, which
// plugin/split bounds, times the number of instructions that it is compiled to. A
// repetition is compiled to as many as it may repeat: x{1000} has a thousand. Most
// expressions have some tens.
const (
	maxInstructions     = 4_000   // of a configuration
	maxFileInstructions = 400_000 // of a split file, for the memory that they take
)

// validValue checks a value of a match, which may be a regular expression.
func validValue(value string) string {
	n, err := instructions(value)
	var wrong *syntax.Error
	switch {
	case errors.As(err, &wrong):
		return "is not a regular expression (RE2) behind the ~: " + string(wrong.Code) + ": " + quote(wrong.Expr)
	case n > maxInstructions:
		return "is too large a regular expression: " + tooLarge(n, maxInstructions)
	}
	return ""
}

func tooLarge(n, limit int) string {
	return fmt.Sprintf("%d instructions, in which a repetition counts as often as it may be there; at most %d are allowed: repeat less, or list exact values", n, limit)
}

// instructions returns how many a value of a match is compiled to: 0, unless it is a
// regular expression.
func instructions(value string) (int, error) {
	expr, isRegexp := strings.CutPrefix(value, "~")
	if !isRegexp {
		return 0, nil
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return 0, err
	}
	return 2 + sizeOf(tree), nil // it begins and matches
}

// sizeOf returns an upper bound of the instructions that a part of an expression is
// compiled to. The parser lets repetitions multiply to 1000 at most.
func sizeOf(tree *syntax.Regexp) int {
	inside := 0
	for _, sub := range tree.Sub {
		inside += sizeOf(sub)
	}
	switch tree.Op {
	case syntax.OpConcat:
		return inside
	case syntax.OpAlternate:
		return inside + len(tree.Sub)
	case syntax.OpRepeat:
		optional := max(tree.Max-tree.Min, 2) // 2: a loop at the end
		return inside*max(tree.Max, tree.Min, 1) + optional
	case syntax.OpLiteral:
		return len(tree.Rune)
	}
	return inside + 2 // a capture, a loop, or one of the others, which are 1
}

// instructions returns how many the values of conditions are compiled to. One that is
// wrong is not in it.
func (c *Conditions) instructions() (sum int) {
	for _, byName := range []map[string][]string{c.Headers, c.Cookies, c.QueryArgs} {
		for _, values := range byName {
			for _, value := range values {
				size, _ := instructions(value)
				sum += size
			}
		}
	}
	return sum
}

// boundExpressions reports the first rule whose regular expressions, together with those
// of the rules before it, are too large.
func (r *reader) boundExpressions(c *Config, n *Node, path string) {
	sum := 0
	for i := range c.Rules {
		m := &c.Rules[i].Match
		before := sum
		sum += m.instructions()
		if m.Not != nil {
			sum += m.Not.instructions()
		}
		rule, at := n.Get("rules").Items[i], path+"["+strconv.Itoa(i)+"]"
		switch r.instructions += sum - before; {
		case sum > maxInstructions:
			r.report(rule, at, "the regular expressions up to here are together too large: %s", tooLarge(sum, maxInstructions))
			return
		case r.instructions > maxFileInstructions:
			r.report(rule, at, "the regular expressions of all splits up to here are together too large: %s", tooLarge(r.instructions, maxFileInstructions))
			return
		}
	}
}
