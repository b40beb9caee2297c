package declarative

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScalarsOfYAML(t *testing.T) {
	for text, want := range map[string]any{
		"yes": true, "Off": false, "true": true, "FALSE": false, "y": "y",
		"~": nil, "null": nil, `""`: "", `"null"`: "null", "'1'": "1", "!!str 1": "1",
		"0": 0.0, "12": 12.0, "-3": -3.0, "+4": 4.0, "1_000": 1000.0, "0x1F": 31.0, "010": 8.0, "0b101": 5.0,
		"1.5": 1.5, "-.5": -.5, "1e3": 1000.0, "1.": 1.0, ".": ".", "09": "09", "1.2.3": "1.2.3",
		"3.0-rc": "3.0-rc", "2001-12-14": "2001-12-14", "/path": "/path",
	} {
		f, err := Parse([]byte("v: " + text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, f["v"]); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       File
	}{
		{"JSON", `{"a": [1, {"b": null}]}`, File{"a": []any{1.0, map[string]any{"b": nil}}}},
		{"YAML", "a: [1, {b: }]", File{"a": []any{1.0, map[string]any{"b": nil}}}},
		{"an alias", "a: &x {b: 1}\nc: *x", File{"a": map[string]any{"b": 1.0}, "c": map[string]any{"b": 1.0}}},
		{"a merge", "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", File{
			"a": map[string]any{"b": 1.0, "c": 2.0}, "d": map[string]any{"b": 1.0, "c": 3.0},
		}},
		{"merges", "a: {<<: [{b: 1}, {b: 2, c: 3}]}", File{"a": map[string]any{"b": 1.0, "c": 3.0}}},
		{"numbers as keys", "a: {2: y, true: z}", File{"a": map[string]any{"2": "y", "true": "z"}}},
		{"a key twice", "a: 1\na: 2", File{"a": 2.0}},
		{"the first of two documents", "a: 1\n---\nb: 2", File{"a": 1.0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTextsThatAreNoFile(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "failed parsing declarative configuration: expected an object"},
		{"a number", "3", "failed parsing declarative configuration: expected an object"},
		{"a list", "[1]", "failed parsing declarative configuration: expected an object"},
		{"a mistake", "a: [1", "failed parsing declarative configuration: line 1: did not find expected ',' or ']'"},
		{"a bomb of aliases", bomb, "failed parsing declarative configuration: line 1: more than 5700 values, or 100 levels, once aliases are resolved"},
		{"an alias of itself", "a: &a [*a]", "failed parsing declarative configuration: line 1: more than 100 values, or 100 levels, once aliases are resolved"},
		{"too many levels", "a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "failed parsing declarative configuration: line 1: more than 4030 values, or 100 levels, once aliases are resolved"},
		{"a merge of no map", "a: {<<: 3}", "failed parsing declarative configuration: line 1: << needs a map"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse([]byte(tt.text)); err == nil || err.Error() != tt.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFileAsYAML(t *testing.T) {
	f, err := Parse([]byte(`{_format_version: "3.0", a: [1000000, 1.5, yes, "yes", null, "1"], b: {}}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, again); diff != "" {
		t.Errorf("%s\n%s", text, diff)
	}
	if !strings.Contains(string(text), "- 1000000\n") {
		t.Errorf("an exponent in\n%s", text)
	}
}

func TestFind(t *testing.T) {
	f, err := Parse([]byte(`
services:
- name: s
  routes:
  - name: r
    plugins: [{name: p, config: {weight: 1}}]
consumers: [{username: c}]`))
	if err != nil {
		t.Fatal(err)
	}
	route, ok := f.Find("routes", "r")
	if !ok {
		t.Fatal("no route")
	}
	plugin, ok := route.Find("plugins", "p")
	if !ok {
		t.Fatal("no plugin")
	}
	plugin["config"].(map[string]any)["weight"] = 2.0
	text, err := f.YAML()
	if err != nil || !strings.Contains(string(text), "weight: 2\n") {
		t.Errorf("%v\n%s", err, text)
	}
	if _, ok := f.Find("consumers", "c"); !ok {
		t.Error("no consumer")
	}
	if _, ok := f.Find("routes", "none"); ok {
		t.Error("a route that is not there")
	}
}

// FuzzLoad has any text end in an error or a configuration.
func FuzzLoad(f *testing.F) {
	f.Add(`{_format_version: "3.0", services: [{name: s, url: "http://h", routes: [{paths: [/], plugins: [{name: key-auth}]}]}]}`)
	f.Add(`{_format_version: "1.1", upstreams: [{name: u, hash_on: ip, targets: [{target: "[::1]:80"}]}], plugins: [{name: file-log}]}`)
	f.Add(`{_format_version: "3.0", routes: {1: {service: {id: x}, headers: {a: [b]}, paths: ["~/("]}}, consumers: [[], {}, 3]}`)
	loader, err := NewLoader([]string{"bundled"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse([]byte(text))
		if err != nil {
			return
		}
		config, err := loader.Load(file)
		if err != nil {
			for _, flatten := range []bool{true, false} {
				if response := err.(*InvalidError).Response(flatten); response["message"] == "" {
					t.Error("no message")
				}
			}
			return
		}
		if _, err := config.File().YAML(); err != nil {
			t.Error(err)
		}
	})
}
