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

func TestEncodeArgs(t *testing.T) {
	got, err := encodeArgs(map[string]any{
		"b": "2 &", "a": []any{"1", true, 3.5}, "flag": true, "z": "\xff~", "n": 1e6,
	})
	if want := "a=1&a&a=3.5&b=2%20%26&flag&n=1000000&z=%FF~"; got != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, wrong := range []any{map[string]any{}, []any{[]any{}}} {
		if _, err := encodeArgs(map[string]any{"a": wrong}); err == nil {
			t.Errorf("%v: no error", wrong)
		}
	}
}
