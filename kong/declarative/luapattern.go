package declarative

import (
	"fmt"
	"strings"
)

// Lua's patterns, as the Lua 5.1 manual describes them in §5.4.1 ("Patterns"):
// schemas use them in match, not_match and their like. A pattern is checked
// when it is compiled, so that matching cannot fail.
//
// github.com/yuin/gopher-lua/pm (1.1.2) cannot take their place: it has no
// frontiers (%f), takes "a%", "%b(" and "(a)%9" for well-formed, and nothing bounds
// its work or can stop it.

// maxPatternSteps bounds the work of one match. A pattern that needs more (it
// takes several stars over a long text) counts as one that does not match.
const maxPatternSteps = 1_000_000

// luaPattern is a Lua pattern that is well-formed.
type luaPattern struct {
	text string
}

// compileLuaPattern checks a pattern.
func compileLuaPattern(text string) (luaPattern, error) {
	p := luaPattern{text}
	open := 0
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '(':
			open++
			i++
		case c == ')':
			if open--; open < 0 {
				return p, p.malformed("invalid pattern capture")
			}
			i++
		case c == '%' && strings.HasPrefix(text[i+1:], "b"):
			if i+4 > len(text) {
				return p, p.malformed("missing arguments to '%b'")
			}
			i += 4
		case c == '%' && strings.HasPrefix(text[i+1:], "f"):
			if !strings.HasPrefix(text[i+2:], "[") {
				return p, p.malformed("missing '[' after '%f' in pattern")
			}
			i += 2
		case c == '%' && i+1 < len(text) && isDigit(text[i+1]):
			return p, p.malformed("back references are not supported")
		default:
			end, err := p.itemEnd(i)
			if err != nil {
				return p, err
			}
			i = end
		}
	}
	if open > 0 {
		return p, p.malformed("unfinished capture")
	}
	return p, nil
}

func (p luaPattern) malformed(what string) error {
	return fmt.Errorf("malformed pattern %q: %s", p.text, what)
}

// itemEnd is where the single character class at i ends.
func (p luaPattern) itemEnd(i int) (int, error) {
	switch p.text[i] {
	case '%':
		if i+1 >= len(p.text) {
			return 0, p.malformed("ends with '%'")
		}
		return i + 2, nil
	case '[':
		i++
		if i < len(p.text) && p.text[i] == '^' {
			i++
		}
		for first := true; ; first = false {
			if i >= len(p.text) {
				return 0, p.malformed("missing ']'")
			}
			c := p.text[i]
			i++
			switch {
			case c == '%':
				i++ // an escaped character, ] too
			case c == ']' && !first:
				return i, nil
			}
		}
	}
	return i + 1, nil
}

// match reports whether the pattern matches somewhere in text.
func (p luaPattern) match(text string) bool {
	m := luaMatcher{p: p, text: text}
	if rest, anchored := strings.CutPrefix(p.text, "^"); anchored {
		return m.matchFrom(0, len(p.text)-len(rest))
	}
	for start := range len(text) + 1 {
		if m.matchFrom(start, 0) {
			return true
		}
	}
	return false
}

type luaMatcher struct {
	p     luaPattern
	text  string
	steps int
}

// matchFrom reports whether the pattern from p on matches the text from s on.
func (m *luaMatcher) matchFrom(s, p int) bool {
	pattern := m.p.text
	for p < len(pattern) {
		if m.steps++; m.steps > maxPatternSteps {
			return false
		}
		switch {
		case pattern[p] == '(' || pattern[p] == ')': // captures decide nothing
			p++
		case pattern[p] == '$' && p+1 == len(pattern):
			return s == len(m.text)
		case strings.HasPrefix(pattern[p:], "%b"):
			end, ok := m.balanced(s, pattern[p+2], pattern[p+3])
			if !ok {
				return false
			}
			s, p = end, p+4
		case strings.HasPrefix(pattern[p:], "%f"):
			end, _ := m.p.itemEnd(p + 2) // the pattern is well-formed
			if !m.frontier(s, p+2, end) {
				return false
			}
			p = end
		default:
			end, _ := m.p.itemEnd(p)
			if end < len(pattern) && strings.IndexByte("?*+-", pattern[end]) >= 0 {
				return m.repeated(s, p, end)
			}
			if !m.single(s, p, end) {
				return false
			}
			s, p = s+1, end
		}
	}
	return true
}

// repeated matches the class at p as often as the sign at end says, and the
// rest of the pattern.
func (m *luaMatcher) repeated(s, p, end int) bool {
	switch m.p.text[end] {
	case '?':
		return m.single(s, p, end) && m.matchFrom(s+1, end+1) || m.matchFrom(s, end+1)
	case '*':
		return m.longest(s, p, end)
	case '+':
		return m.single(s, p, end) && m.longest(s+1, p, end)
	}
	for ; !m.matchFrom(s, end+1); s++ {
		if !m.single(s, p, end) {
			return false
		}
	}
	return true
}

// longest matches as many of the class as there are, then fewer.
func (m *luaMatcher) longest(s, p, end int) bool {
	n := 0
	for m.single(s+n, p, end) {
		n++
	}
	for ; n >= 0; n-- {
		if m.matchFrom(s+n, end+1) {
			return true
		}
	}
	return false
}

// single reports whether the byte at s is of the class at p.
func (m *luaMatcher) single(s, p, end int) bool {
	return s < len(m.text) && m.p.class(m.text[s], p, end)
}

// frontier is %f: the class begins here.
func (m *luaMatcher) frontier(s, p, end int) bool {
	var before, here byte
	if s > 0 {
		before = m.text[s-1]
	}
	if s < len(m.text) {
		here = m.text[s]
	}
	return !m.p.class(before, p, end) && m.p.class(here, p, end)
}

// balanced is %b: from s on, up to the closing byte that belongs to the first.
func (m *luaMatcher) balanced(s int, begin, end byte) (int, bool) {
	if s >= len(m.text) || m.text[s] != begin {
		return 0, false
	}
	depth := 0
	for i := s; i < len(m.text); i++ {
		switch {
		case m.text[i] == end && (begin != end || i > s):
			if depth--; depth == 0 {
				return i + 1, true
			}
		case m.text[i] == begin:
			depth++
		}
	}
	return 0, false
}

// class reports whether c is of the class that stands from i to end.
func (p luaPattern) class(c byte, i, end int) bool {
	switch p.text[i] {
	case '.':
		return true
	case '%':
		return luaClass(c, p.text[i+1])
	case '[':
		return luaSet(c, p.text[i+1:end-1])
	}
	return p.text[i] == c
}

// luaSet reports whether c is in the set whose text, without brackets, is given.
func luaSet(c byte, set string) bool {
	set, negated := strings.CutPrefix(set, "^")
	found := false
	for i := 0; i < len(set); i++ {
		switch {
		case set[i] == '%' && i+1 < len(set):
			i++
			found = found || luaClass(c, set[i])
		case i+2 < len(set) && set[i+1] == '-':
			found = found || set[i] <= c && c <= set[i+2]
			i += 2
		default:
			found = found || set[i] == c
		}
	}
	return found != negated
}

// luaClass is %a and its like: ASCII, as in the C locale.
func luaClass(c, class byte) bool {
	lower := class | 0x20
	isLower, isUpper := 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z'
	printable := 0x20 < c && c < 0x7f
	alphanumeric := isLower || isUpper || isDigit(c)
	var is bool
	switch lower {
	case 'a':
		is = isLower || isUpper
	case 'c':
		is = c < 0x20 || c == 0x7f
	case 'd':
		is = isDigit(c)
	case 'l':
		is = isLower
	case 'p':
		is = printable && !alphanumeric
	case 's':
		is = c == ' ' || '\t' <= c && c <= '\r'
	case 'u':
		is = isUpper
	case 'w':
		is = alphanumeric
	case 'x':
		is = isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f'
	case 'z':
		is = c == 0
	default:
		return class == c
	}
	return is == (class == lower)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
