package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func decodeFile(t *testing.T, text string) (map[string]*Config, Problems) {
	t.Helper()
	n, err := parseJSON([]byte(text), maxValues)
	if err != nil {
		t.Fatal(err)
	}
	return DecodeFile(n)
}

func TestDefaultsOfASplitFile(t *testing.T) {
	got, problems := decodeFile(t, `{
		"splits": {
			"shop": {"backends": [{"host": "a", "name": "v1"}]},
			"search": {"backends": [{"upstream": "b"}], "algorithm": "smooth", "on_unavailable": "fail"}
		},
		"defaults": {"algorithm": "random", "on_unavailable": "fallback", "fallback": "v1", "response_header": "X-B", "log_decision": true}
	}`)
	if problems != nil {
		t.Fatal(problems)
	}
	want := map[string]*Config{
		"shop": {
			Backends:  []Backend{{Name: "v1", Host: "a", Port: 80, Weight: 1}},
			Algorithm: "random", OnUnavailable: "fallback", Fallback: "v1", ResponseHeader: "X-B", LogDecision: true,
		},
		"search": {
			Backends:  []Backend{{Name: "b", Upstream: "b", Weight: 1}},
			Algorithm: "smooth", OnUnavailable: "fail", Fallback: "v1", ResponseHeader: "X-B", LogDecision: true,
		},
	}
	for name, c := range want {
		want[name] = unhashed(*c)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestProblemsOfASplitFile(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"not a map", `[]`, `expected a map, not an array; for example {splits: {shop: {backends: [{host: a.example.com}]}}}`},
		{"no splits", `{}`, `splits: is required: the splits, each under its name: that of the Kong route, or what the plugin's ` + "`split`" + ` says`},
		{"a misspelt key", `{"splitz": {}}`, "unknown key \"splitz\"; did you mean \"splits\"?\nsplits: is required: the splits, each under its name: that of the Kong route, or what the plugin's `split` says"},
		{"a list of splits", `{"splits": [{"name": "a"}]}`, `splits: expected a map, not an array; for example {shop: {backends: [{host: a.example.com}]}}`},
		{"an empty entry", `{"splits": {"a": {}}}`, `splits.a.backends: is required: the destinations among which the requests are shared out, in order`},
		{"no entry", `{"splits": {"a": null}}`, `splits.a: expected a map, not nothing`},
		{"a name that no route has", `{"splits": {"a b": {"backends": [{"host": "a"}]}}}`, `splits["a b"]: "a b" must consist of letters, digits and . _ - ~, as a route's name does`},
		{"a name with dots", `{"splits": {"a.b": {"backends": [{"host": "a", "weight": -3}]}}}`, `splits["a.b"].backends[0].weight: -3 is not in 0..1000000`},
		{"a plugin's config in an entry", `{"splits": {"a": {"config": {"backends": [{"host": "a"}]}}}}`, "splits.a: unknown key \"config\"; the keys of a plugin's config stand here without it\nsplits.a.backends: is required: the destinations among which the requests are shared out, in order"},
		{"split in an entry", `{"splits": {"a": {"backends": [{"host": "a"}], "split": "b"}}}`, `splits.a: unknown key "split"; the name of a split is its key under splits`},
		{"backends in the defaults", `{"splits": {}, "defaults": {"backends": []}}`, `defaults: unknown key "backends"; each split has its own`},
		{
			"a mistake in the defaults is reported once",
			`{"defaults": {"algorithm": "none"}, "splits": {"a": {"backends": [{"host": "a"}]}, "b": {"backends": [{"host": "a"}]}}}`,
			`defaults.algorithm: "none" is not one of smooth, random`,
		},
		{
			"a default that does not suit a split",
			`{"defaults": {"on_unavailable": "fallback", "fallback": "v1"}, "splits": {"a": {"backends": [{"host": "a"}]}, "b": {"backends": [{"host": "a", "name": "v1"}]}}}`,
			`splits.a.fallback: "v1" is not the name of a backend; the backends are a:80`,
		},
		{
			"a default that needs more",
			`{"defaults": {"on_unavailable": "fallback"}, "splits": {"a": {"backends": [{"host": "a"}]}}}`,
			`splits.a.fallback: is required where on_unavailable is "fallback": the name of a backend`,
		},
		{"defaults that are no map", `{"defaults": 1, "splits": {"a": {"backends": [{"host": "a"}]}}}`, `defaults: expected a map, not 1; for example {on_unavailable: redistribute}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			splits, problems := decodeFile(t, tt.file)
			if diff := cmp.Diff(tt.want, lines(problems)); diff != "" || splits != nil {
				t.Errorf("-want +got, splits %v:\n%s", splits, diff)
			}
		})
	}
}

// A fault of the source, such as a value that is not UTF-8, is reported where
// it stands, and problems have its order and its places.
func TestProblemsHavePlaces(t *testing.T) {
	n := &Node{Kind: Map, Line: 1, Column: 1, Members: []Member{
		{Key: "algorithm", Line: 3, Column: 1, Value: &Node{Kind: Fault, Text: "has no value", Line: 3, Column: 12}},
		{Key: "log_decision", Line: 2, Column: 1, Value: &Node{Kind: Number, Text: "1", Line: 2, Column: 15}},
		{Key: "log_decision", Line: 5, Column: 1, Value: &Node{Kind: Bool, Line: 5, Column: 15}},
		{Key: "colour", Line: 4, Column: 1, Value: &Node{Kind: Null, Line: 4, Column: 9}},
	}}
	file := &Node{Kind: Map, Line: 1, Column: 1, Members: []Member{
		{Key: "defaults", Line: 1, Column: 1, Value: n},
		{Key: "splits", Line: 6, Column: 1, Value: &Node{Kind: Map, Line: 6, Column: 9}},
	}}
	_, got := DecodeFile(file)
	want := Problems{
		{Path: "defaults.log_decision", Message: "expected true or false, not 1; write true", Line: 2, Column: 15},
		{Path: "defaults.algorithm", Message: "has no value", Line: 3, Column: 12},
		{Path: "defaults", Message: `unknown key "colour"; the keys here are algorithm, hash_on, hash_on_header, hash_on_cookie, hash_on_query_arg, hash_on_uri_capture, hash_fallback, hash_fallback_header, hash_fallback_cookie, hash_fallback_query_arg, hash_fallback_uri_capture, session, rules, force_header, ramp, on_unavailable, fallback, max_ejected, retry, mirror, response_header, log_decision`, Line: 4, Column: 1},
		{Path: "defaults.log_decision", Message: "is there twice, first in line 2; keep one", Line: 5, Column: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
