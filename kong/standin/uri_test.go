package standin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseArgs(t *testing.T) {
	for query, want := range map[string]map[string]any{
		"":               {},
		"a=1&b=2":        {"a": "1", "b": "2"},
		"a=1&a=2&a=3":    {"a": []any{"1", "2", "3"}},
		"flag":           {"flag": true},
		"flag&flag=1":    {"flag": []any{true, "1"}},
		"empty=":         {"empty": ""},
		"=no+key&&b":     {"b": true},
		"a=1=2":          {"a": "1=2"},
		"a+b=c+d%20e":    {"a b": "c d e"},
		"a=%":            {"a": "%"},
		"a=%4":           {"a": "%4"},
		"a=%zz%41":       {"a": "%zzA"},
		"a=%ff\xfe":      {"a": "\xff\xfe"},
		"%66lag=1&x=%3D": {"flag": "1", "x": "="},
	} {
		if diff := cmp.Diff(want, parseArgs(query, maxArgs)); diff != "" {
			t.Errorf("%q:\n%s", query, diff)
		}
	}
	if got := parseArgs("a&b&c", 2); len(got) != 2 {
		t.Errorf("more than 2: %v", got)
	}
}
