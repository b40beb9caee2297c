package expression

import (
	"errors"
	"regexp"
	"strings"
)

// validRepetition matches what may follow an expression in braces: {3}, {3,} and {3,5}.
var validRepetition = regexp.MustCompile(`^\{\s*\d+\s*(,\s*\d*\s*)?\}`)

// className matches a class of POSIX's, which is in brackets.
var className = regexp.MustCompile(`^\[:\^?[a-z]+:\]`)

// Compile compiles a regular expression, and refuses what Kong's library, Rust's, refuses
// and Go's takes: \Q and \E, braces that are no repetition, a bracket in brackets that is not
// closed, and names of groups that begin with a digit or are there twice.
func Compile(text string) (*regexp.Regexp, error) {
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, name := range compiled.SubexpNames() {
		switch {
		case name == "":
		case isDigit(name[0]):
			return nil, errors.New("invalid capture group character: the name " + name + " begins with a digit")
		case named[name]:
			return nil, errors.New("duplicate capture group name " + name)
		}
		named[name] = true
	}
	open, err := scan(text, func(rest string, open int) error {
		switch {
		case strings.HasPrefix(rest, `\Q`), strings.HasPrefix(rest, `\E`):
			return errors.New("unrecognized escape sequence " + rest[:2])
		case open == 0 && rest[0] == '{' && !validRepetition.MatchString(rest):
			return errors.New("repetition quantifier expects a valid decimal; a { that stands for itself needs a backslash")
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case open > 0:
		return nil, errors.New("unclosed character class: a [ in brackets that stands for itself needs a backslash")
	}
	return compiled, nil
}

// Ambiguous returns what of a regular expression Kong's library, Rust's, and Go's both take
// and understand otherwise; nil: nothing.
func Ambiguous(text string) error {
	_, err := scan(text, func(rest string, open int) error {
		if open > 0 && (rest[0] == '[' && !className.MatchString(rest) || strings.HasPrefix(rest, "&&") || strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "~~")) {
			return errors.New("in brackets, [ and && and -- and ~~ need a backslash")
		}
		return nil
	})
	return err
}

// scan calls f for what is left of a regular expression at each character, escape and class
// of POSIX's, with the number of brackets that are open there, up to an error of f's. It
// returns how many are open at the end.
func scan(text string, f func(rest string, open int) error) (open int, err error) {
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		if err := f(rest, open); err != nil {
			return open, err
		}
		switch c := text[i]; {
		case c == '\\':
			if property := strings.IndexByte(rest, '}'); len(rest) > 2 && strings.IndexByte("pPx", rest[1]) >= 0 && rest[2] == '{' && property > 0 {
				i += property - 1
			}
			i++
		case open > 0 && className.MatchString(rest):
			i += len(className.FindString(rest)) - 1
		case open > 0 && c == ']':
			open--
		case c == '[':
			open++
			if after := strings.TrimPrefix(rest[1:], "^"); strings.HasPrefix(after, "]") { // it stands for itself
				i += len(rest) - len(after)
			}
		}
	}
	return open, nil
}
