package expression

import "testing"

// What Kong 3.9.3 answered to routes with these expressions.
func TestCompile(t *testing.T) {
	for _, text := range []string{
		"/(?P<a>x)", "/(?<a>x)", "/(?P<_a1>x)", "/(?i)x", "/(?U)x", "/[[:word:]]", "/[[:word:]{]", `/\d+\z`, "/[a&&b]", `/\pL`, `/\p{Greek}{2}`, `/\x{41}`,
		`/\/`, `/\_`, "/a{1}", "/a{1,}", "/a{1,2}", `/\{a`, "/[]{]", "/[^]{]", "/[{]", "/[[a]]",
	} {
		if _, err := Compile(text); err != nil {
			t.Errorf("%s is refused: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"/(?P<1a>x)":        "invalid capture group character: the name 1a begins with a digit",
		`/\Qa.b\E`:          `unrecognized escape sequence \Q`,
		"/[[a]":             "unclosed character class: a [ in brackets that stands for itself needs a backslash",
		"/(?P<a>x)(?P<a>y)": "duplicate capture group name a",
		"/a{,3}":            "repetition quantifier expects a valid decimal; a { that stands for itself needs a backslash",
		"/{a":               "repetition quantifier expects a valid decimal; a { that stands for itself needs a backslash",
		"/a{":               "repetition quantifier expects a valid decimal; a { that stands for itself needs a backslash",
	} {
		if _, err := Compile(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"/(?=x)", `/(a)\1`, `/\Z`, `/\C`, "/(?P<>x)", "/(?P<a-b>x)"} {
		if _, err := Compile(text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestAmbiguous(t *testing.T) {
	for _, text := range []string{"/a&&b--c~~d", "/[a-z]", `/[\[\&&\--\~~]`, "/[[:word:]-]", "/[]&]", "/[^]]--", `/[\p{Greek}]`, `/\[&&`, "/[a]&&[b]"} {
		if err := Ambiguous(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"/[a&&b]", "/[a--b]", "/[a~~b]", "/[[a]]", "/[]&&]", "/[^][]", "/[[:word:][]", "/[a][&&]"} {
		if Ambiguous(text) == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestHeaderField(t *testing.T) {
	if got := HeaderField("X-Forwarded_For"); got != "x_forwarded_for" {
		t.Error(got)
	}
}
