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
	classes := 0 // within so many brackets, which may be nested
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch c := text[i]; {
		case c == '\\':
			if len(rest) > 1 && (rest[1] == 'Q' || rest[1] == 'E') {
				return nil, errors.New("unrecognized escape sequence " + rest[:2])
			}
			if property := strings.IndexByte(rest, '}'); len(rest) > 2 && strings.IndexByte("pPx", rest[1]) >= 0 && rest[2] == '{' && property > 0 {
				i += property - 1
			}
			i++
		case classes > 0 && className.MatchString(rest):
			i += len(className.FindString(rest)) - 1
		case classes > 0 && c == ']':
			classes--
		case c == '[':
			classes++
			if after := strings.TrimPrefix(rest[1:], "^"); strings.HasPrefix(after, "]") { // it stands for itself
				i += len(rest) - len(after)
			}
		case classes == 0 && c == '{' && !validRepetition.MatchString(rest):
			return nil, errors.New("repetition quantifier expects a valid decimal; a { that stands for itself needs a backslash")
		}
	}
	if classes > 0 {
		return nil, errors.New("unclosed character class: a [ in brackets that stands for itself needs a backslash")
	}
	return compiled, nil
}
