package config

import (
	"fmt"
	"strings"
)

// control is the class of the ASCII control characters.
const control = `\x00-\x1f\x7f`

// luaPattern says in Lua's patterns, which Kong's schemas use, what a regular
// expression says, so that Kong and this package cannot disagree. The language
// is what both have: characters and classes in brackets, each with *, + or ?
// behind it or nothing, between an optional ^ and an optional $. Alternatives,
// groups and every other escape than a backslash before punctuation are not in
// it; they, and a class that is not closed, are a mistake in the table and
// panic.
//
// Lua's patterns see bytes and not characters. That makes no difference as long
// as a class that takes more than ASCII (one that is negated) has a * or +, or
// an end of the pattern that is open, behind it.
func luaPattern(expr string) string {
	var lua strings.Builder
	rest := expr
	if strings.HasPrefix(rest, "^") {
		lua.WriteByte('^')
		rest = rest[1:]
	}
	for rest != "" {
		if rest == "$" {
			lua.WriteByte('$')
			break
		}
		var item string
		if rest[0] == '[' {
			item, rest = luaClass(expr, rest[1:])
		} else {
			item, rest = luaChar(expr, rest, special)
		}
		lua.WriteString(item)
		if rest != "" && strings.IndexByte("*+?", rest[0]) >= 0 {
			lua.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	return lua.String()
}

// luaClass translates what follows an opening bracket and returns what follows
// the closing one.
func luaClass(expr, rest string) (item, after string) {
	var lua strings.Builder
	lua.WriteByte('[')
	if strings.HasPrefix(rest, "^") {
		lua.WriteByte('^')
		rest = rest[1:]
	}
	for {
		switch {
		case rest == "":
			panic(fmt.Sprintf("pattern %q: a class is not closed", expr))
		case rest[0] == ']':
			lua.WriteByte(']')
			return lua.String(), rest[1:]
		case strings.HasPrefix(rest, control):
			lua.WriteString("%c")
			rest = rest[len(control):]
		case isAlnum(rest[0]) && len(rest) > 2 && rest[1] == '-' && isAlnum(rest[2]):
			lua.WriteString(rest[:3])
			rest = rest[3:]
		default:
			var char string
			char, rest = luaChar(expr, rest, specialInClass)
			lua.WriteString(char)
		}
	}
}

// What has a meaning of its own in a regular expression, so that it has to be
// escaped: everywhere, and in a class (- is taken there as it is meant when it
// is no range).
const (
	special        = `.*+?()|{}[]^$`
	specialInClass = `[]^`
	specialInLua   = `^$()%.[]*+-?`
)

// luaChar translates one character, escaped or not.
func luaChar(expr, rest, special string) (item, after string) {
	char, after := rest[0], rest[1:]
	escaped := char == '\\' && after != ""
	if escaped {
		char, after = after[0], after[1:]
	}
	switch {
	case char < ' ' || char > '~',
		escaped && isAlnum(char),
		!escaped && (char == '\\' || strings.IndexByte(special, char) >= 0):
		panic(fmt.Sprintf("pattern %q: not in the language of luaPattern: %q", expr, rest))
	case strings.IndexByte(specialInLua, char) >= 0:
		return "%" + string(char), after
	}
	return string(char), after
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}
