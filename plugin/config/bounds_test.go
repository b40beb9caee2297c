package config

import (
	"fmt"
	"regexp/syntax"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What Kong sends is bounded before it is read.
func TestLongConfigurations(t *testing.T) {
	for text, want := range map[string]string{
		`{"backends": [` + strings.Repeat(`{"host": "a"},`, 100_000) + `{}]}`: `the configuration that Kong sent is 1400018 bytes long; at most 1048576 are read: shorten its lists`,
		`{"backends": [` + strings.Repeat(`1,`, 100_000) + `1]}`:              `the configuration that Kong sent cannot be read: it has more than 100000 values`,
	} {
		if _, err := FromKong([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		for _, added := range []string{`{"__plugin_id": "p", ` + text[1:], text[:len(text)-1] + `, "__plugin_id": "p"}`} {
			n, err := ParseKong([]byte(added))
			if id := n.Get("__plugin_id"); err == nil || id == nil || id.Text != "p" || n.size() > maxValues {
				t.Errorf("of %.40s… is known: %+v, of %d values, %v", added, id, n.size(), err)
			}
		}
	}
}

// Of very many problems the first are reported, and the others counted. What would be
// said of them is not thought of: that takes a multiple of the time.
func TestVeryManyProblems(t *testing.T) {
	const n = 40_000
	repeated := func(member string) string {
		return `{"backends": [{"host": "a"}], ` + strings.Repeat(member+", ", n) + `"algorithm": "smooth"}`
	}
	for name, text := range map[string]string{
		"one unknown key":        repeated(`"algoritm": 1`),
		"a key that is repeated": repeated(`"algorithm": "smooth"`),
		"wrong values":           `{"backends": [{"host": "a"}], "rules": [{"backend": "a:80", "match": {"methods": [` + strings.Repeat(`"get",`, n) + `"GET"]}}]}`,
		"unknown backends":       `{"backends": [{"host": "a"}], "rules": [{"match": {"methods": ["GET"]}, "weights": {"a:80": 1` + strings.Repeat(`, "b:80": 1`, n) + `}}]}`,
	} {
		_, err := FromKong([]byte(text))
		problems, _ := err.(Problems)
		if len(problems) != maxProblems+1 {
			t.Errorf("%s: %d problems are reported", name, len(problems))
			continue
		}
		last := problems[maxProblems]
		if all := maxProblems + 1 + last.More; all < n-1 || all > n+maxProblems+1 || last.Message != fmt.Sprintf("… and %d more", last.More+1) {
			t.Errorf("%s: the last is %+v", name, last)
		}
		if want := fmt.Sprintf("; and %d more problems", maxProblems-20+1+last.More); !strings.HasSuffix(problems.Error(), want) {
			t.Errorf("%s: the log has %s, want %s", name, problems.Error()[len(problems.Error())-60:], want)
		}
	}
}

// A wrong default is one problem, however many splits take it.
func TestDefaultsAreReportedOnce(t *testing.T) {
	file := `{"defaults": {"algorithm": "none"}, "splits": {`
	for i := range 300 {
		file += fmt.Sprintf(`"s%d": {"backends": [{"host": "a", "port": 0}]}, `, i)
	}
	_, problems := decodeFile(t, file+`"last": {"backends": [{"host": "a"}]}}}`)
	if last := problems[len(problems)-1]; len(problems) != maxProblems+1 || last.More+1 != 202 {
		t.Errorf("%d problems, the last is %+v", len(problems), last)
	}
}

// Defaults count as often as they are taken.
func TestDefaultsAreBounded(t *testing.T) {
	file := `{"defaults": {"rules": [{"match": {"methods": [` + strings.Repeat(`"GET",`, 1000) + `"GET"]}, "backend": "a:80"}]}, "splits": {`
	for i := range 300 {
		file += fmt.Sprintf(`"s%d": {"backends": [{"host": "a"}]}, `, i)
	}
	_, problems := decodeFile(t, file+`"last": {"backends": [{"host": "a"}]}}}`)
	const want = `defaults: are 1006 values, written out in all 301 splits, which makes 302806; at most 200000 are allowed: shorten their lists, or put the splits into several files`
	if lines(problems) != want {
		t.Errorf("got %v", problems)
	}
}

// The regular expressions of a configuration are bounded, each and all together.
func TestRegularExpressionsAreBounded(t *testing.T) {
	values := func(n int, value string) string {
		return inConfig(inMatch(`{"headers": {"X-A": [` + strings.TrimSuffix(strings.Repeat(`"`+value+`",`, n), ",") + `]}}`))
	}
	const way = `in which a repetition counts as often as it may be there; at most 4000 are allowed: repeat less, or list exact values`
	for _, tt := range []struct{ config, want string }{
		{values(1, `~^x{1000}$`), ``},
		{values(4, `~^x{900}$`), ``},
		{values(5, `~^x{900}$`), `rules[0]: the regular expressions up to here are together too large: 4540 instructions, ` + way},
		{values(1, `~`+strings.Repeat(`x{1000}`, 4)), `rules[0].match.headers.X-A[0]: "~` + strings.Repeat(`x{1000}`, 4) + `" is too large a regular expression: 4010 instructions, ` + way},
		{values(256, `~^/(shop|cart)/`), `rules[0]: the regular expressions up to here are together too large: 4608 instructions, ` + way},
		{values(100, `~^/(shop|cart)/`), ``},
		{values(10_000, `exact`), ``},
	} {
		_, err := FromKong([]byte(tt.config))
		problems, _ := err.(Problems)
		if got := lines(problems); got != tt.want {
			t.Errorf("%.150s\ngot  %s\nwant %s", tt.config, got, tt.want)
		}
	}
}

// The estimate is never below what an expression is compiled to.
func TestTheSizeOfRegularExpressions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expr := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
			"a", "bc", "(", ")", "(?:", "(?i)", "[a-z]", `\pL`, ".", "|", "*", "+", "?", "{3}", "{2,}", "{0,7}", "{0}", "^", "$", `\b`, "*?",
		}), 1, 12).Draw(t, "parts"), "")
		tree, err := syntax.Parse(expr, syntax.Perl)
		if err != nil {
			t.Skip()
		}
		program, err := syntax.Compile(tree.Simplify())
		if err != nil {
			t.Skip()
		}
		if got, err := instructions("~" + expr); err != nil || got < len(program.Inst) {
			t.Errorf("%s: estimated %d, %v; compiled %d", expr, got, err, len(program.Inst))
		}
	})
}
