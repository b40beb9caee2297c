package file

import (
	"strings"
	"testing"
)

func TestWithoutStrings(t *testing.T) {
	none := func(string) bool { return false }
	for text, want := range map[string]string{
		"a: \"x # y\" # z\n":                         "a:         # z\n",
		"a: 'it''s # y' # z\n":                       "a:             # z\n",
		"a: \"x\\\" # y\" # z\n":                     "a:           # z\n",
		"a: b # c\n":                                 "a: b # c\n",
		"- |  # c\n  # x\n\n  y\n- b # d\n":          "- |  # c\n     \n\n   \n- b # d\n",
		"a: >-\n  # x\nb: c # d\n":                   "a: >-\n     \nb: c # d\n",
		"a: \"ü # y\"\nb: c # d\n":                   "a:        \nb: c # d\n",
		"a: 'x # y'\n---\nb: 'x # z' # d\n":          "a:        \n---\nb:         # d\n",
		"a: &x \"# y\"\nb: *x # d\n":                 "a: &x      \nb: *x # d\n",
		"{\"a\": \"# b\", \"c\": [\"# d\"]} # e\r\n": "{   :      ,    : [     ]} # e\r\n",
		"a: [ # \"not\" yaml":                        "a: [ # \"not\" yaml",
	} {
		if got := WithoutStrings(text, none); got != want {
			t.Errorf("%q\ngot  %q\nwant %q", text, got, want)
		}
	}
	const inner = "a: |\n  b: c # d\ne: |\n  # f\n"
	want := "a: |\n  b: c # d\ne: |\n     \n"
	if got := WithoutStrings(inner, func(s string) bool { return strings.HasPrefix(s, "b:") }); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
