package file

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// in makes a split file with one line more in a split's only backend.
func in(line string) string {
	return "splits:\n  a:\n    backends:\n    - host: a\n      " + line + "\n"
}

func TestWhatIsWrongInAFile(t *testing.T) {
	tests := []struct{ name, file, want string }{
		// Not YAML.
		{"empty", "", `1:1: is empty; splits: is needed`},
		{"only comments", "# later\n", `1:1: is empty; splits: is needed`},
		{"only a null", "---\n~\n", `1:1: is empty; splits: is needed`},
		{"not UTF-8", "splits:\n  b\xfccher: {}\n", `2:4: has a byte that is not UTF-8; save the file as UTF-8`},
		{"UTF-16", "\xff\xfes\x00p\x00", `1:1: has a byte that is not UTF-8; save the file as UTF-8`},
		{"a NUL", "splits: {ä\x00: 1}", `1:11: has the control character U+0000; take it out`},
		{"an escape", "splits: \"\x1b[31m\"", `1:10: has the control character U+001B; take it out`},
		{"two documents", weights("a", 1, 1) + "---\n" + weights("b", 1, 1), `7:1: a second document begins here; put all splits into the first`},
		{"a second document that is wrong", weights("a", 1, 1) + "---\n]", `7:1: is not YAML: did not find expected node content`},
		{"indented otherwise", "splits:\n  web:\n    backends:\n    - host: a\n     weight: 3\n", `5:6: is not YAML: did not find expected key; the keys of one map are indented alike`},
		{"a list that goes on as a map", "splits:\n  web:\n    - a\n    b: c\n", `4:6: is not YAML: did not find expected '-' indicator; the items of one list are indented alike`},
		{"a tab", "splits:\n\tweb: {}\n", "2:1: is not YAML: found character that cannot start any token; indent with spaces, not tabs, and write a value that begins with @, ` or % in quotes"},
		{"an open list", "splits:\n  web: {backends: [\n", `2:17: is not YAML: did not find expected node content`},
		{"an open map", "splits:\n  web: {algorithm: random\n\n", `2:9: is not YAML: did not find expected ',' or '}'; close the map with }`},
		{"open quotes", "splits:\n  web: \"x\n", `2:8: is not YAML: found unexpected end of stream; close the quotes`},
		{"a colon too many", "splits:\n  web: a: b\n", `2:9: is not YAML: mapping values are not allowed in this context; write a value with a colon in it in quotes, and indent the keys of one map alike`},
		{"an anchor that is missing", "splits:\n  web: *shop\n", `2:12: is not YAML: an alias has no anchor before it; write a value that begins with * in quotes`},

		// Not what this kind of file takes.
		{"a list", "- a\n", `1:1: expected a map, not an array; for example {splits: {shop: {backends: [{host: a.example.com}]}}}`},
		{"a word", "splits", `1:1: expected a map, not the string "splits"; for example {splits: {shop: {backends: [{host: a.example.com}]}}}`},
		{"an unknown key", "splits: {}\nsplitz: {}\n", `2:1: unknown key "splitz"; did you mean "splits"?`},
		{"an unknown key in a backend", in("wieght: 3"), `5:7: splits.a.backends[0]: unknown key "wieght"; did you mean "weight"?`},
		{"a key twice", in("weight: 3\n      weight: 4"), `6:7: splits.a.backends[0].weight: is there twice, first in line 5; keep one`},
		{
			"backends twice, not equally many", "splits:\n  a:\n    backends: [{host: a, weight: x}]\n    backends: [{host: a}, {host: a, weight: y}]\n",
			`3:34: splits.a.backends[0].weight: expected an integer, not the string "x"
4:5: splits.a.backends: is there twice, first in line 3; keep one
4:45: splits.a.backends[1].weight: expected an integer, not the string "y"`,
		},
		{"a split twice", weights("a", 1, 1) + "  a: {backends: [{host: a}]}\n", `6:3: splits.a: is there twice, first in line 2; keep one`},
		{"the wrong type", in(`weight: "3"`), `5:15: splits.a.backends[0].weight: expected an integer, not the string "3"; write it without quotes`},
		{"the wrong value", in(`weight: -3`), `5:15: splits.a.backends[0].weight: -3 is not in 0..1000000`},
		{"no value", in(`weight:`), `5:14: splits.a.backends[0].weight: has no value; give it one or leave the key out`},
		{"null", in(`weight: ~`), `5:15: splits.a.backends[0].weight: has no value; give it one or leave the key out`},
		{"no backends", "splits:\n  a:\n", `2:5: splits.a: has no value; give it one or leave the key out`},
		{"a URL", in("path: http://b"), `5:13: splits.a.backends[0].path: "http://b" must start with /`},

		// The surprises of YAML.
		{"yes", "splits: {}\ndefaults: {log_decision: yes}\n", `2:26: defaults.log_decision: expected true or false, not the string "yes"; write true without quotes`},
		{"hexadecimal", in("port: 0x50"), `5:13: splits.a.backends[0].port: 0x50 is not a plain decimal number; write 80; for a string, write it in quotes`},
		{"octal", in("port: 0o120"), `5:13: splits.a.backends[0].port: 0o120 is not a plain decimal number; write 80; for a string, write it in quotes`},
		{"a zero before it", in("port: 010"), `5:13: splits.a.backends[0].port: 010 is not a plain decimal number, as it begins with 0; for a string, write it in quotes`},
		{"an underline", in("port: 8_080"), `5:13: splits.a.backends[0].port: 8_080 is not a plain decimal number; write 8080; for a string, write it in quotes`},
		{"a plus", in("port: +80"), `5:13: splits.a.backends[0].port: +80 is not a plain decimal number; write 80; for a string, write it in quotes`},
		{"no digit before the point", in("weight: .5"), `5:15: splits.a.backends[0].weight: .5 is not a plain decimal number; for a string, write it in quotes`},
		{"infinity", in("weight: .inf"), `5:15: splits.a.backends[0].weight: .inf is not a plain decimal number; for a string, write it in quotes`},
		{"digits without end", in("weight: 0" + strings.Repeat("1", 100)), `5:15: splits.a.backends[0].weight: 01111111111111111111… is not a plain decimal number, as it begins with 0; for a string, write it in quotes`},
		{"half", in("weight: 0.5"), `5:15: splits.a.backends[0].weight: expected an integer, not 0.5; weights are relative: 1 and 1 share as 0.5 and 0.5 do`},
		{"a long number", in("weight: 99999999999999999999"), `5:15: splits.a.backends[0].weight: 99999999999999999999 is not in 0..1000000`},
		{"a name that is a number", in("name: 1"), `5:13: splits.a.backends[0].name: expected a string, not 1; write it in quotes`},
		{"a name that is a boolean", in("name: true"), `5:13: splits.a.backends[0].name: expected a string, not true; write it in quotes`},
		{"a split that is a number", "splits:\n  1: {backends: [{host: a}]}\n", `2:3: splits.1: the key 1 must be a string; write it in quotes`},
		{"a split that is a boolean", "splits:\n  true: {backends: [{host: a}]}\n", `2:3: splits.true: the key true must be a string; write it in quotes`},
		{"a split that is null", "splits:\n  ~: {backends: [{host: a}]}\n", `2:3: splits["~"]: a key must be a string, not nothing`},
		{"a split that is a list", "splits:\n  [a]: {backends: [{host: a}]}\n", `2:3: splits[""]: a key must be a string, not a list or a map`},
		{"a long key", "splits:\n  ? [" + strings.Repeat("a", 100) + "]\n  : 1\n", `2:5: splits[""]: a key must be a string, not a list or a map`},
		{"a merge key", "splits:\n  a:\n    <<: {algorithm: random}\n    backends: [{host: a}]\n", `3:5: splits.a["<<"]: merge keys are not supported; write the keys out, use an alias for the whole value, or put under defaults what all splits share`},
		{"a tag of one's own", in("name: !mine x"), `5:13: splits.a.backends[0].name: the tag !mine is not known here; leave it out`},
		{"binary", in("name: !!binary eA=="), `5:13: splits.a.backends[0].name: the tag !!binary is not known here; leave it out`},
		{"a set", "splits: !!set {a: }\n", `1:9: splits: the tag !!set is not known here; leave it out`},
		{"a tagged list", "splits: {a: {backends: !mine [{host: a}]}}\n", `1:24: splits.a.backends: the tag !mine is not known here; leave it out`},
		{"a number that is none", in("port: !!int x"), `5:13: splits.a.backends[0].port: x is not a plain decimal number; for a string, write it in quotes`},
		{"a boolean that is none", "splits: {}\ndefaults: {log_decision: !!bool x}\n", `2:26: defaults.log_decision: x is neither true nor false`},
		{"an alias of what is wrong", "splits:\n  a: {backends: [&x {host: a, weight: -1}]}\n  b: {backends: [*x]}\n", "2:39: splits.a.backends[0].weight: -1 is not in 0..1000000\n2:39: splits.b.backends[0].weight: -1 is not in 0..1000000"},
		{"an alias as a key", "splits:\n  &x a: {backends: [{host: a}]}\n  *x : {backends: [{host: a}]}\n", `3:3: splits.a: is there twice, first in line 2; keep one`},
		{"control characters in quotes", in(`request_headers: {set: {X-A: "a\r\nX-B: b"}}`), `5:36: splits.a.backends[0].request_headers.set.X-A: "a\r\nX-B: b" must not have control characters in it`},

		// All at once, in the order of the lines.
		{
			"many",
			"defaults: {algorithm: none}\nsplits:\n  a:\n    algoritm: random\n    backends:\n    - {host: a, weight: -1, port: 0x50}\n  1: {}\n",
			"1:23: defaults.algorithm: \"none\" is not one of smooth, random\n" +
				"4:5: splits.a: unknown key \"algoritm\"; did you mean \"algorithm\"?\n" +
				"6:25: splits.a.backends[0].weight: -1 is not in 0..1000000\n" +
				"6:35: splits.a.backends[0].port: 0x50 is not a plain decimal number; write 80; for a string, write it in quotes\n" +
				"7:3: splits.1: the key 1 must be a string; write it in quotes",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			splits, problems := parse([]text{{Path: "x.yaml", Content: tt.file}}, nil)
			if splits != nil || len(problems) == 0 {
				t.Fatalf("it was taken: %v", splits)
			}
			want := "x.yaml:" + strings.ReplaceAll(tt.want, "\n", "\nx.yaml:")
			if diff := cmp.Diff(want, problems.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What is large or deep is refused before it takes memory or time.
func TestHostileFiles(t *testing.T) {
	bomb := "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n"
	for i := range 9 {
		this, that := string(rune('1'+i)), string(rune('0'+i))
		bomb += "x" + this + ": &x" + this + " [" + strings.Repeat("*x"+that+", ", 9) + "*x" + that + "]\n"
	}
	const (
		tooMany = `x.yaml:1:1: stands for more than 100000 values, its aliases written out; nothing of it is used`
		tooDeep = `x.yaml:1:1: nests deeper than 64 levels, or an alias stands inside its own anchor`
	)
	tests := []struct{ name, file, want string }{
		{"an alias bomb", bomb, tooMany},
		{"an alias in its own anchor", "splits: &a [*a]\n", tooDeep},
		{"two aliases in their own anchor", "splits: &a {b: *a, c: *a}\n", tooDeep},
		{"many values", "splits:\n" + strings.Repeat("- a\n", 150_000), tooMany},
		{"deep lists", "splits: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), tooDeep},
		{"lists deeper than the parser goes", strings.Repeat("[", MaxFile), `x.yaml: is not YAML: exceeded max depth of 10000`},
		{"maps deeper than the parser goes", strings.Repeat("{", MaxFile), `x.yaml: is not YAML: exceeded max depth of 10000`},
		{"items in items", strings.Repeat("- ", MaxFile/2), `x.yaml: is not YAML: exceeded max depth of 10000`},
		{"a long text that is wrong", "splits: {}\n" + strings.Repeat("#\n", 100_000) + "]", `x.yaml: is not YAML: did not find expected key; the keys of one map are indented alike`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			splits, problems := parse([]text{{Path: "x.yaml", Content: tt.file}}, nil)
			if splits != nil {
				t.Fatalf("it was taken: %v", splits)
			}
			if diff := cmp.Diff(tt.want, problems.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func FuzzSplitFile(f *testing.F) {
	for _, seed := range []string{
		"", "splits: {}\n", weights("a", 1, 2), in("port: 0x50"), "splits: &a [*a]\n", "a: b: c", "splits:\n  ? [a]\n  : !x y\n",
		"defaults: {on_unavailable: fallback, fallback: a}\nsplits: {b: {backends: [&x {upstream: a}, *x]}}\n", "---\n...\n---\n", "<<: *x\n",
		"splits:\n  a:\n    backends: x\n    backends: [{host: a}, {host: a}]\n", "\r\r00",
		"splits: {a: {backends: [{host: \"::1\", request_headers: {set: {A: b}}}]}}\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		splits, problems := parse([]text{{Path: "x.yaml", Content: content}}, nil)
		if (splits == nil) == (problems == nil) {
			t.Fatalf("got %v and %v", splits, problems)
		}
		lines := 1 + strings.Count(content, "\n") + strings.Count(content, "\r") + // what YAML takes for the end of a line
			strings.Count(content, "\u0085") + strings.Count(content, "\u2028") + strings.Count(content, "\u2029")
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines+1 || p.Message == "" {
				t.Errorf("a problem at line %d of %d: %v", p.Line, lines, p)
			}
		}
		for name, c := range splits {
			if len(c.Backends) == 0 || name == "" {
				t.Errorf("split %q: %+v", name, c)
			}
			if got := len(c.Compile(name).Backends); got != len(c.Backends) {
				t.Errorf("split %q: %d of %d backends", name, got, len(c.Backends))
			}
		}
	})
}

// Whatever is wrong around a session, nothing of its secret is shown.
func TestNoSecretIsShown(t *testing.T) {
	const splits = "splits:\n  a:\n    backends: [{host: a}]\n    session:"
	for _, session := range []string{
		" secret:TOPSECRET\n",
		" {secret:TOPSECRET}\n",
		" {cookie: x, secret:TOPSECRET}\n",
		"\n      cookie: x\n      secret:TOPSECRET\n",
		"\n      secret:TOPSECRET\n      cookie: x\n",
		"\n      secret: TOP: TOPSECRET\n",
		"\n      secret: @TOPSECRET\n",
		"\n      secret: %TOPSECRET\n",
		"\n      secret: !TOPSECRET\n",
		"\n      secret: !!TOPSECRET x\n",
		"\n      secret: *TOPSECRET\n",
		"\n      secret: &TOPSECRET\n",
		"\n      secret: \"TOPSECRET\n",
		"\n      secret: \"TOPSECRET\\q\"\n",
		"\n      secret: [TOPSECRET\n",
		"\n      secret: {TOPSECRET}\n",
		"\n      secret: |TOPSECRET\n",
		"\n      secret: 'TOPSECRET' TOPSECRET\n",
		"\n      - secret: TOPSECRET\n",
		"\n      - TOPSECRET\n      secret: x\n",
		"\n\tsecret: TOPSECRET\n",
		"\n      http_only: !!bool TOPSECRET\n",
		"\n      max_age: !!int TOPSECRET\n",
		"\n      max_age: 0xTOPSECRET\n",
		"\n      !TOPSECRET secret: x\n",
		"\n      ? [TOPSECRET]\n      : x\n",
		"\n      <<: TOPSECRET\n",
		" !TOPSECRET {secret: x}\n",
		" !TOPSECRET\n",
		"\n  secret:TOPSECRET: 1\n",
		"\n    secret:TOPSECRET: 1\n",
	} {
		_, problems := parse([]text{{"x.yaml", splits + session}}, nil)
		if problems == nil {
			t.Errorf("taken: %s", session)
		}
		if strings.Contains(problems.Error(), "TOPSECRET") {
			t.Errorf("of %q is said:\n%v", session, problems)
		}
	}
}
