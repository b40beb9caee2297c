package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Kong's check of a string and ours are the same, for each rule of the table.
func TestLuaPatternsMeanTheSame(t *testing.T) {
	for _, expr := range patternsOf(&splitFile, nil) {
		t.Run(expr, func(t *testing.T) {
			ours, lua := regexp.MustCompile(expr), luaPattern(expr)
			same := func(t rapid.TB, s string) {
				if want, got := ours.MatchString(s), luaMatches(lua, s); got != want {
					t.Fatalf("%q: %s says %v, Lua's %s says %v", s, expr, want, lua, got)
				}
			}
			for c := range 0x180 {
				same(t, string(rune(c)))
				same(t, "a"+string(rune(c)))
				same(t, string(rune(c))+"a")
				same(t, "/"+string(rune(c)))
			}
			rapid.Check(t, func(t *rapid.T) {
				// Characters that mean something to the patterns, and some that do not.
				s := rapid.StringOfN(rapid.RuneFrom([]rune("hHoOsStT:/.-[]%? \t\x00~é\U0001F600")), 0, 8, -1).Draw(t, "s")
				same(t, s)
				same(t, rapid.String().Draw(t, "any"))
			})
		})
	}
}

// patternsOf are the patterns of a field and all that is in it, each once.
func patternsOf(f *field, found []string) []string {
	if f == nil {
		return found
	}
	for _, rule := range slices.Concat(f.none, f.match) {
		if expr := rule.pattern.String(); !strings.Contains(strings.Join(found, "\n")+"\n", expr+"\n") {
			found = append(found, expr)
		}
	}
	for _, inner := range []*field{f.elements, f.keys, f.values} {
		found = patternsOf(inner, found)
	}
	for i := range f.fields {
		found = patternsOf(&f.fields[i], found)
	}
	return found
}

func TestLuaPattern(t *testing.T) {
	tests := []struct{ expr, want string }{
		{`^[A-Za-z0-9_.-]+$`, `^[A-Za-z0-9_%.%-]+$`},
		{`a+b*c?`, `a+b*c?`},
		{`\.\-\[\]%-x`, `%.%-%[%]%%%-x`},
		{`[\x00-\x1f\x7f ]`, `[%c ]`},
		{`[^\]\\\^]$`, `[^%]\%^]$`},
	}
	for _, tt := range tests {
		if got := luaPattern(tt.expr); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.expr, got, tt.want)
		}
	}
	for _, expr := range []string{`(a)`, `a|b`, `a{2}`, `.`, `\d`, `[a`, `é`, `a^`, `$a`, `[é]`, `\`, `+`, `[[:alpha:]]`} {
		t.Run(expr, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken as %s", expr, luaPattern(expr))
				}
			}()
			luaPattern(expr)
		})
	}
}

// luaMatches is Lua's string.match for patterns of characters and classes, each
// with *, + or ? behind it or nothing. It reads bytes, as Lua does.
func luaMatches(pattern, s string) bool {
	if rest, ok := strings.CutPrefix(pattern, "^"); ok {
		return luaMatchHere(rest, s)
	}
	for i := range len(s) + 1 {
		if luaMatchHere(pattern, s[i:]) {
			return true
		}
	}
	return false
}

func luaMatchHere(pattern, s string) bool {
	switch pattern {
	case "":
		return true
	case "$":
		return s == ""
	}
	size := luaItem(pattern)
	item, rest := pattern[:size], pattern[size:]
	matches := func(s string) bool { return s != "" && luaItemHas(item, s[0]) }
	if rest == "" || strings.IndexByte("*+?", rest[0]) < 0 {
		return matches(s) && luaMatchHere(rest, s[1:])
	}
	least, most := 0, len(s)
	switch rest[0] {
	case '+':
		least = 1
	case '?':
		most = 1
	}
	for n := 0; ; n++ {
		if n >= least && luaMatchHere(rest[1:], s[n:]) {
			return true
		}
		if n >= most || !matches(s[n:]) {
			return false
		}
	}
}

// luaItem is the length of a pattern's first item.
func luaItem(pattern string) int {
	switch pattern[0] {
	case '%':
		return 2
	case '[':
		i := 1
		if pattern[i] == '^' {
			i++
		}
		for ; pattern[i] != ']'; i++ {
			if pattern[i] == '%' {
				i++
			}
		}
		return i + 1
	}
	return 1
}

func luaItemHas(item string, c byte) bool {
	switch {
	case item[0] == '%':
		return luaEscape(item[1], c)
	case item[0] != '[':
		return item[0] == c
	}
	item, negated := strings.CutPrefix(item[1:len(item)-1], "^")
	for i := 0; i < len(item); i++ {
		switch {
		case item[i] == '%':
			i++
			if luaEscape(item[i], c) {
				return !negated
			}
		case i+2 < len(item) && item[i+1] == '-':
			if item[i] <= c && c <= item[i+2] {
				return !negated
			}
			i += 2
		case item[i] == c:
			return !negated
		}
	}
	return negated
}

func luaEscape(class, c byte) bool {
	switch {
	case class == 'c':
		return c < ' ' || c == 0x7f
	case isAlnum(class):
		panic(fmt.Sprintf("%%%c is not expected here", class))
	}
	return class == c
}
