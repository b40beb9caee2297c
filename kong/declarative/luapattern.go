package declarative

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// A luaPattern is one of Lua's patterns, which schemas use in match, not_match and
// their like, as a regular expression (Lua 5.1's manual, §5.4.1 "Patterns"). Its work
// is linear in the text, where Lua's may never end.
//
// What no regular expression can say is refused: %b, %f and back references.
// github.com/yuin/gopher-lua/pm (1.1.2) takes what is malformed for well-formed, and
// nothing bounds its work or can stop it.
type luaPattern struct{ *regexp.Regexp }

// match reports whether the pattern matches somewhere in text.
func (p luaPattern) match(text string) bool { return p.MatchString(latin1(text)) }

// latin1 has a rune for each byte, as patterns see bytes.
func latin1(text string) string {
	runes := make([]rune, len(text))
	for i := range runes {
		runes[i] = rune(text[i])
	}
	return string(runes)
}

// luaClasses are the letters behind a %, by the names of POSIX. In upper case a letter
// is the opposite.
var luaClasses = map[byte]string{
	'a': "alpha", 'c': "cntrl", 'd': "digit", 'l': "lower", 'p': "punct",
	's': "space", 'u': "upper", 'w': "alnum", 'x': "xdigit",
}

// compileLuaPattern translates a pattern.
func compileLuaPattern(text string) (luaPattern, error) {
	malformed := func(reason string) (luaPattern, error) {
		return luaPattern{}, fmt.Errorf("malformed pattern %q: %s", text, reason)
	}
	rest, anchored := strings.CutPrefix(text, "^")
	expression := "(?s)"
	if anchored {
		expression += "^"
	}
	for rest != "" {
		if rest == "$" || rest[0] == '(' || rest[0] == ')' {
			expression += rest[:1]
			rest = rest[1:]
			continue
		}
		var item string
		var err error
		if item, rest, err = luaItem(rest); err != nil {
			return malformed(err.Error())
		}
		expression += item
		if rest != "" && strings.IndexByte("*+?-", rest[0]) >= 0 {
			expression += strings.Replace(rest[:1], "-", "*?", 1)
			rest = rest[1:]
		}
	}
	compiled, err := regexp.Compile(expression)
	if wrong, ok := errors.AsType[*syntax.Error](err); ok {
		return malformed(wrong.Code.String())
	}
	return luaPattern{compiled}, err
}

// luaItem translates what matches one byte at the start of text.
func luaItem(text string) (item, rest string, err error) {
	switch {
	case text[0] == '.':
		return ".", text[1:], nil
	case text[0] == '[':
		return luaSet(text)
	case text == "%":
		return "", "", errors.New("ends with '%'")
	case text[0] == '%' && strings.IndexByte("bf0123456789", text[1]) >= 0:
		return "", "", fmt.Errorf("%s is not supported", text[:2])
	case text[0] == '%':
		return "[" + luaClass(text[1]) + "]", text[2:], nil
	}
	return luaByte(text[0]), text[1:], nil
}

// luaSet translates a set in brackets.
func luaSet(text string) (item, rest string, err error) {
	item = "["
	rest, negated := strings.CutPrefix(text[1:], "^")
	if negated {
		item += "^"
	}
	for first := true; ; first = false {
		switch {
		case rest == "":
			return "", "", errors.New("missing ']'")
		case rest[0] == ']' && !first:
			return item + "]", rest[1:], nil
		case rest[0] == '%' && len(rest) > 1:
			item += luaClass(rest[1])
			rest = rest[2:]
		case len(rest) > 2 && rest[1] == '-' && rest[2] != ']':
			item += luaByte(rest[0]) + "-" + luaByte(rest[2])
			rest = rest[3:]
		default:
			item += luaByte(rest[0])
			rest = rest[1:]
		}
	}
}

// luaClass translates the letter behind a %, for use in brackets.
func luaClass(letter byte) string {
	name := luaClasses[letter|0x20]
	switch {
	case letter == 'z':
		return `\x00`
	case letter == 'Z':
		return `\x01-\x{ff}`
	case name == "":
		return luaByte(letter)
	case letter&0x20 == 0:
		return "[:^" + name + ":]"
	}
	return "[:" + name + ":]"
}

func luaByte(b byte) string { return fmt.Sprintf(`\x{%02x}`, b) }
