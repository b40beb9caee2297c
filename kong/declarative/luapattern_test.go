package declarative

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLuaPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern  string
		matches  []string
		refusals []string
	}{
		{"", []string{"", "a"}, nil},
		{"b", []string{"b", "abc"}, []string{"", "a"}},
		{"^a", []string{"a", "ab"}, []string{"ba"}},
		{"a$", []string{"a", "ba"}, []string{"ab"}},
		{"^[%w._:-]+$", []string{"a-b", "A.1:_"}, []string{"", "a b", "ä"}},
		{"^[^*]*%*?[^*]*$", []string{"", "a", "*.b", "a.*"}, []string{"*.*", "a**"}},
		{"^%*%.", []string{"*.a"}, []string{"*", "a*."}},
		{"a-b", []string{"b", "ab", "aab"}, []string{"a", "c"}},
		{"^a-$", []string{"", "aaa"}, []string{"ab"}},
		{"^a*ab$", []string{"ab", "aaab"}, []string{"b"}},
		{"^%d+%.?%d*$", []string{"1", "1.", "1.25"}, []string{".5", "1.2.3"}},
		{"^%u+$", []string{"GET"}, []string{"Get", ""}},
		{"^%x%x$", []string{"aF", "09"}, []string{"g0"}},
		{"^%S+$", []string{"ab"}, []string{"a b", "a\tb"}},
		{"^[%a_][%w_]*$", []string{"_a1"}, []string{"1a"}},
		{"^[a-cx-z]+$", []string{"abxz"}, []string{"d"}},
		{"^[]]$", []string{"]"}, []string{"[", "a"}},
		{"^[^]]+$", []string{"a["}, []string{"]"}},
		{"^[%]%-]+$", []string{"]-"}, []string{"%"}},
		{"^[a-]+$", []string{"-a"}, []string{"b"}},
		{"^(%a+)=(%d+)$", []string{"a=1"}, []string{"a=", "=1"}},
		{"^()a()$", []string{"a"}, []string{"b"}},
		{"^%z$", []string{"\x00"}, []string{"0"}},
		{"^.$", []string{"\xff"}, []string{"ä"}}, // bytes, not letters
		{"a$b", []string{"a$b"}, []string{"ab"}},
		{"^%c$", []string{"\x1f", "\x7f"}, []string{" "}},
		{"^%p$", []string{"!", "~"}, []string{"a", " "}},
		{"^%l%U$", []string{"a1", "ab"}, []string{"aB"}},
		{"*a", []string{"*a"}, []string{"a"}},
		{"(a)*$", []string{"a*"}, []string{"a", "aa"}},
		{"^[%W_]+$", []string{"\xff_ "}, []string{"_a"}},
		{"^%Z$", []string{"\xff", "a"}, []string{"\x00"}},
	} {
		p, err := compileLuaPattern(tt.pattern)
		if err != nil {
			t.Errorf("%q: %v", tt.pattern, err)
			continue
		}
		for _, text := range tt.matches {
			if !p.match(text) {
				t.Errorf("%q does not match %q", tt.pattern, text)
			}
		}
		for _, text := range tt.refusals {
			if p.match(text) {
				t.Errorf("%q matches %q", tt.pattern, text)
			}
		}
	}
}

func TestMalformedLuaPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"[a":    `malformed pattern "[a": missing ']'`,
		"[]":    `malformed pattern "[]": missing ']'`,
		"[%]":   `malformed pattern "[%]": missing ']'`,
		"a%":    `malformed pattern "a%": ends with '%'`,
		"(a":    `malformed pattern "(a": missing closing )`,
		"a)":    `malformed pattern "a)": unexpected )`,
		"[z-a]": `malformed pattern "[z-a]": invalid character class range`,
		"%b()":  `malformed pattern "%b()": %b is not supported`,
		"%f[a]": `malformed pattern "%f[a]": %f is not supported`,
		"(a)%1": `malformed pattern "(a)%1": %1 is not supported`,
	} {
		if _, err := compileLuaPattern(pattern); err == nil || err.Error() != want {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

// TestLuaPatternsAgainstRegexp compares patterns that mean the same in both.
func TestLuaPatternsAgainstRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", ".", "[ab]", "[^a]", "a*", "b+", "[bc]?", "(a)", "c"}), 1, 6).Draw(t, "items")
		pattern := strings.Join(items, "")
		if rapid.Bool().Draw(t, "whole") {
			pattern = "^" + pattern + "$"
		}
		text := rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 8, -1).Draw(t, "text")
		p, err := compileLuaPattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.match(text), regexp.MustCompile(pattern).MatchString(text); got != want {
			t.Fatalf("%q on %q: %v, not %v", pattern, text, got, want)
		}
	})
}

// TestLuaPatternsEnd covers patterns that try very many ways.
func TestLuaPatternsEnd(t *testing.T) {
	p, err := compileLuaPattern(strings.Repeat("a*", 20) + "b")
	if err != nil {
		t.Fatal(err)
	}
	if p.match(strings.Repeat("a", 1000)) {
		t.Error("it matches")
	}
}

func FuzzLuaPattern(f *testing.F) {
	f.Add("^[%w._:-]+$", "a b")
	f.Add("^[^]%w-]*%-?$", "(a)")
	f.Fuzz(func(_ *testing.T, pattern, text string) {
		if p, err := compileLuaPattern(pattern); err == nil {
			p.match(text)
		}
	})
}
