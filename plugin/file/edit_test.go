package file_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

func weight(backend, n int) config.Edit {
	return config.Edit{Path: []any{"backends", backend, "weight"}, Value: config.Int(n)}
}

func set(n *config.Node, path ...any) config.Edit { return config.Edit{Path: path, Value: n} }

func object(pairs ...any) *config.Node {
	n := &config.Node{Kind: config.Map}
	for i := 0; i < len(pairs); i += 2 {
		n.Members = append(n.Members, config.Member{Key: pairs[i].(string), Value: pairs[i+1].(*config.Node)})
	}
	return n
}

func listOf(items ...*config.Node) *config.Node { return &config.Node{Kind: config.List, Items: items} }

// What is edited changes, and nothing else: neither comments nor order nor layout.
func TestEdit(t *testing.T) {
	ramp := object("backend", config.Text("canary"), "start", config.Text("2026-12-01T08:00:00Z"), "plan", listOf(
		object("share", config.Int(5), "for", config.Int(600)), object("share", config.Int(100))))
	for _, test := range []struct {
		name, before, after string
		edits               []config.Edit
	}{
		{
			"a weight in braces",
			"# mine\nsplits:\n  shop:   # the shop\n    backends:\n    - {name: stable,  service: true, weight: 90}   # old\n    - {name: canary, host: b, weight: 10}\n\n# end",
			"# mine\nsplits:\n  shop:   # the shop\n    backends:\n    - {name: stable,  service: true, weight: 80}   # old\n    - {name: canary, host: b, weight: 20}\n\n# end",
			[]config.Edit{weight(0, 80), weight(1, 20)},
		},
		{
			"a weight on a line",
			"splits:\r\n  shop:\r\n    backends:\r\n      - name: stable # x\r\n        weight: 1 # of 2\r\n        host: a",
			"splits:\r\n  shop:\r\n    backends:\r\n      - name: stable # x\r\n        weight: 70 # of 2\r\n        host: a",
			[]config.Edit{weight(0, 70)},
		},
		{
			"a weight that was not there",
			"splits:\n  shop:\n    backends:\n    - name: stable\n      host: a # here\n    # canary\n    - {host: b}\n    - {host: c,}\n",
			"splits:\n  shop:\n    backends:\n    - name: stable\n      host: a # here\n      weight: 1\n    # canary\n    - {host: b, weight: 2}\n    - {host: c, weight: 3,}\n",
			[]config.Edit{weight(0, 1), weight(1, 2), weight(2, 3)},
		},
		{
			"a weight that was not there, at the end of the file",
			"splits:\r\n  shop:\r\n    backends:\r\n    - name: 'it''s'\r\n      response_headers:\r\n        add: {a: \"}\\\"\",\r\n          b: c} # x",
			"splits:\r\n  shop:\r\n    backends:\r\n    - name: 'it''s'\r\n      response_headers:\r\n        add: {a: \"}\\\"\",\r\n          b: c} # x\r\n      weight: 5",
			[]config.Edit{weight(0, 5)},
		},
		{
			"JSON, and letters of several bytes before it",
			"\uFEFF{\"splits\": {\"shop\": {\"backends\": [{\"name\": \"größe\", \"host\": \"a\", \"weight\": 10, \"x\": \"ä\"}, {\"host\": \"b\"}]}}}",
			"\uFEFF{\"splits\": {\"shop\": {\"backends\": [{\"name\": \"größe\", \"host\": \"a\", \"weight\": 20, \"x\": \"ä\"}, {\"host\": \"b\", \"weight\": 30}]}}}",
			[]config.Edit{weight(0, 20), weight(1, 30)},
		},
		{
			"a ramp that was not there",
			"splits:\n  shop:\n    backends:\n    - {host: a}\n    # last\n\n  other: {}\n",
			"splits:\n  shop:\n    backends:\n    - {host: a}\n    ramp:\n      backend: canary\n      start: \"2026-12-01T08:00:00Z\"\n      plan:\n      - {share: 5, for: 600}\n      - {share: 100}\n    # last\n\n  other: {}\n",
			[]config.Edit{set(ramp, "ramp")},
		},
		{
			"a ramp that was not there, in braces",
			"splits: {shop: {backends: [{host: a}] # x\n }}",
			"splits: {shop: {backends: [{host: a}], ramp: {backend: canary, start: \"2026-12-01T08:00:00Z\", plan: [{share: 5, for: 600}, {share: 100}]} # x\n }}",
			[]config.Edit{set(ramp, "ramp")},
		},
		{
			"keys of a ramp",
			"splits:\n  shop:\n    ramp:\n      # when\n      start: 2026-12-01T08:00:00Z  # UTC\n      backend: 'canary'\n      hold: 5\n      guard: {max_error_ratio: 0.05} # lax\n\n    backends: []\n",
			"splits:\n  shop:\n    ramp:\n      # when\n      start: 2026-12-01T09:30:00Z  # UTC\n      backend: 'b'\n      guard: {max_error_ratio: 0.05} # lax\n      duration: 0.5\n\n    backends: []\n",
			[]config.Edit{
				set(config.Text("2026-12-01T09:30:00Z"), "ramp", "start"), set(config.Text("b"), "ramp", "backend"),
				set(nil, "ramp", "hold"), set(config.Float(0.5), "ramp", "duration"), set(nil, "ramp", "to"),
			},
		},
		{
			"a ramp that goes",
			"splits:\n  shop:\n    ramp: # slow\n      backend: canary\n      text: |\n        a\n\n        b\n\n    # these\n    backends: [] # none",
			"splits:\n  shop:\n\n    # these\n    backends: [] # none",
			[]config.Edit{set(nil, "ramp")},
		},
		{
			"a ramp that goes, the last one",
			"splits:\n  shop:\n    backends: []\n    ramp:\n      backend: canary",
			"splits:\n  shop:\n    backends: []\n",
			[]config.Edit{set(nil, "ramp")},
		},
		{
			"a ramp that goes, in braces",
			"splits: {shop: {ramp: {a: 1}, backends: [], x: 1}}",
			"splits: {shop: {backends: []}}",
			[]config.Edit{set(nil, "ramp"), set(nil, "x")},
		},
		{
			"a list",
			"splits:\n  shop:\n    ramp:\n      plan:\n        - share: 5\n          for: 60\n        - {share: 7} # x\n      z: >-\n       a\n      flow: [1,\n        2] # two\n",
			"splits:\n  shop:\n    ramp:\n      plan:\n        - {share: 1}\n        - {share: 2} # x\n      z: >-\n       a\n      flow: [3] # two\n      new: \"on\"\n",
			[]config.Edit{
				set(listOf(object("share", config.Int(1)), object("share", config.Int(2))), "ramp", "plan"),
				set(listOf(config.Int(3)), "ramp", "flow"), set(config.Text("on"), "ramp", "new"),
			},
		},
		{
			"a value that was not there",
			"splits:\n  shop:\n    ramp:\n      hold:\n      x: ~\n",
			"splits:\n  shop:\n    ramp:\n      hold: 3\n      x: 4\n",
			[]config.Edit{set(config.Int(3), "ramp", "hold"), set(config.Int(4), "ramp", "x")},
		},
		{
			"an anchor and a tag",
			"splits:\n  shop:\n    backends: &all\n    - &a {host: a, weight: !!int 10}\n",
			"splits:\n  shop:\n    backends: &all\n    - &a {host: a, weight: !!int 20}\n",
			[]config.Edit{weight(0, 20)},
		},
	} {
		got, problem := file.Edit(test.before, []any{"splits", "shop"}, test.edits...)
		if problem != nil {
			t.Errorf("%s: %d:%d: %v", test.name, problem.Line, problem.Column, problem)
		} else if diff := cmp.Diff(test.after, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", test.name, diff)
		}
	}
}

// What cannot be edited without a change elsewhere is not.
func TestNotEdited(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"splits:\n  other: {}\n", `2:3: splits.shop.backends[0].weight: is not there: there is no key "shop"`},
		{"splits: {shop: {backends: []}}", `1:27: splits.shop.backends[0].weight: is not there: there is no item 0`},
		{"splits: {shop: 7}", `1:16: splits.shop.backends[0].weight: is not there: there is no key "backends"`},
		{"", `1:1: splits.shop.backends[0].weight: is empty`},
		{"a: [", "1:4: splits.shop.backends[0].weight: is not YAML: did not find expected node content"},
		{"a: &b [{host: a}]\nsplits: {shop: {backends: *b}}", `2:27: splits.shop.backends[0].weight: is shared by the alias *b; write it out here`},
		{"splits: {shop: {backends: [&b {host: a, weight: 1}, *b]}}", `1:28: splits.shop.backends[0].weight: is shared by aliases of &b; write it out where these are`},
		{"a: &a 5\nsplits: {shop: {backends: [{host: a, weight: *a}]}}", `2:46: splits.shop.backends[0].weight: is shared by the alias *a; write it out here`},
		{"a: &a {weight: 5}\nsplits: {shop: {backends: [{<<: *a, host: a}]}}", `2:28: splits.shop.backends[0].weight: is merged in from elsewhere; write it out here`},
		{"splits:\n  shop:\n    backends:\n    - ? host\n      : a\n    - b\n", "4:7: splits.shop.backends[0].weight: is written in a way of YAML's that cannot be edited in place; edit it by hand"},
	} {
		got, problem := file.Edit(test.text, []any{"splits", "shop"}, weight(0, 20))
		if problem == nil {
			t.Errorf("%q: became %q", test.text, got)
		} else if message := fmt.Sprintf("%d:%d: %v", problem.Line, problem.Column, problem); message != test.want {
			t.Errorf("%q:\n got %s\nwant %s", test.text, message, test.want)
		}
	}
}

// FuzzEdit: of whatever text, an edit changes the one value, and of the bytes those of the
// value alone.
func FuzzEdit(f *testing.F) {
	for _, text := range []string{
		"splits:\n  shop:\n    backends:\n    - {host: a, weight: 1}\n",
		"splits:\n  shop:\n    backends:\n    - host: a\n      weight: \"1\" # x\n    ramp: {hold: 5}\n",
		"splits: {shop: {backends: [{weight: &a 1}], ramp: {x: *a}}}",
		"splits:\n  shop:\n    ramp:\n      hold: 'a\n\n  b'\n      x: |+\n\n       a\n\n    backends: [ ? {weight : 1 , } ]\r# x",
		"splits:\n  shop: &x\n    ramp: !t {? [a] : b, hold: a\n     b}\n    <<: *x\n    backends:\n    -\n     weight:\n     # y\n     \"x\": 1\n",
		"splits:\n  shop:\n    ramp:\n      ? hold\n      : |\n      00:",
		"splits:\n shop:\n  ramp:\n   ? hold\n",
		"\uFEFFsplits:\u0085  shop:\u0085    backends: [{weight: 1\u2028}]",
	} {
		f.Add(text, 7, false)
		f.Add(text, 7, true)
	}
	f.Fuzz(func(t *testing.T, text string, n int, remove bool) {
		e := weight(0, n)
		steps := []any{"splits", "shop"}
		if remove {
			e = set(nil, "ramp", "hold")
		}
		got, problem := file.Edit(text, steps, e)
		if problem != nil {
			return
		}
		check(t, text, got, append(steps, e.Path...), e.Value, n)
	})
}

// check compares what a text says before and after an edit, and its bytes: what was taken
// out is one piece, and what came in its place is one.
func check(t interface {
	Helper()
	Fatalf(string, ...any)
}, before, after string, path []any, value *config.Node, n int,
) {
	t.Helper()
	was, now := tree(before), tree(after)
	if was == nil { // a map as a key, which this reading does not take
		return
	}
	if !reflect.DeepEqual(put(was, path, value, n), now) {
		t.Fatalf("%q became %q", before, after)
	}
	start := 0
	for start < min(len(before), len(after)) && before[start] == after[start] {
		start++
	}
	end := 0
	for end < min(len(before), len(after))-start && before[len(before)-1-end] == after[len(after)-1-end] {
		end++
	}
	out, in := before[start:len(before)-end], after[start:len(after)-end]
	switch {
	case value == nil && in != "" && strings.TrimSpace(in) != "{}": // what is left of a map that had nothing else
		t.Fatalf("%q became %q: %q was put in", before, after, in)
	case value != nil && strings.ContainsAny(in, "\r\n") && strings.ContainsAny(out, "\r\n"):
		t.Fatalf("%q became %q: lines were written anew", before, after)
	}
}

// tree is what a YAML text says, by another reading of it than the editor's.
func tree(text string) any {
	defer func() { _ = recover() }()
	var v any
	if yaml.NewDecoder(strings.NewReader(text)).Decode(&v) != nil {
		return nil
	}
	return noNaN(v)
}

// noNaN replaces what is not equal to itself.
func noNaN(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) {
			return "NaN"
		}
	case []any:
		for i := range v {
			v[i] = noNaN(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = noNaN(v[k])
		}
	case map[any]any:
		for k := range v {
			v[k] = noNaN(v[k])
		}
	}
	return v
}

func put(v any, path []any, value *config.Node, n int) any {
	if len(path) == 0 {
		return n
	}
	switch step := path[0].(type) {
	case int:
		v.([]any)[step] = put(v.([]any)[step], path[1:], value, n)
	case string:
		switch m := v.(type) {
		case map[string]any:
			if value == nil && len(path) == 1 {
				delete(m, step)
			} else {
				m[step] = put(m[step], path[1:], value, n)
			}
		case map[any]any:
			if value == nil && len(path) == 1 {
				delete(m, step)
			} else {
				m[step] = put(m[step], path[1:], value, n)
			}
		}
	}
	return v
}

// Whatever the layout of a split file, weights and ramps can be edited in it, and all
// bytes but theirs stay.
func TestEditsOfLayouts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		newline := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "newline")
		step := rapid.IntRange(1, 4).Draw(t, "indent")
		comment := func(name string) string {
			return rapid.SampledFrom([]string{"", "", " # it's {a", " #", "   "}).Draw(t, name)
		}
		blank := func(name string) string {
			return rapid.SampledFrom([]string{"", "", newline, "# weight: 3" + newline}).Draw(t, name)
		}
		in := func(n int) string { return strings.Repeat(" ", n*step) }
		backends := rapid.IntRange(1, 3).Draw(t, "backends")
		edited := rapid.IntRange(0, backends-1).Draw(t, "edited")
		var b strings.Builder
		fmt.Fprintf(&b, "%ssplits:%s%s%s%sshop:%s%s%sbackends:%s%s", blank("1"), comment("2"), newline, blank("3"), in(1), comment("4"), newline, in(2), comment("5"), newline)
		for i := range backends {
			had := rapid.Bool().Draw(t, "had")
			const marker = "<weight>"
			w := ""
			switch {
			case i != edited && had:
				w = "4"
			case i == edited && had:
				w = marker
			}
			keys := []string{"name: ä" + fmt.Sprint(i), `host: "a"`}
			if w != "" {
				keys = append(keys, "weight: "+w)
			}
			keys = rapid.Permutation(keys).Draw(t, "keys")
			dash := in(2) + "-" + strings.Repeat(" ", rapid.IntRange(1, 3).Draw(t, "dash"))
			if rapid.Bool().Draw(t, "flow") {
				b.WriteString(dash + "{" + strings.Join(keys, rapid.SampledFrom([]string{",", ", ", "," + newline + in(9)}).Draw(t, "comma")) + rapid.SampledFrom([]string{"", " ", ",", newline + in(5)}).Draw(t, "close") + "}")
			} else {
				b.WriteString(dash + strings.Join(keys, comment("c")+newline+strings.Repeat(" ", len(dash))))
			}
			b.WriteString(comment("d") + newline + blank("e"))
		}
		fmt.Fprintf(&b, "%shash_on: ip%s%s%s", in(2), comment("6"), rapid.SampledFrom([]string{"", newline}).Draw(t, "eof"), "")
		layout := strings.ReplaceAll(b.String(), ",}", "}")
		layout = strings.ReplaceAll(layout, "weight: <weight>,", "weight: <weight> ,")
		before := strings.ReplaceAll(layout, "<weight>", "1000")
		got, problem := file.Edit(before, []any{"splits", "shop"}, weight(edited, 25))
		if problem != nil {
			t.Fatalf("%s\n%v", before, problem)
		}
		if strings.Contains(layout, "<weight>") {
			if want := strings.ReplaceAll(layout, "<weight>", "25"); got != want {
				t.Fatal(cmp.Diff(want, got))
			}
		}
		check(t, before, got, []any{"splits", "shop", "backends", edited, "weight"}, config.Int(25), 25)
		// What was not there goes again without a trace.
		with, problem := file.Edit(before, []any{"splits", "shop"}, set(object("backend", config.Text("x"), "hold", config.Int(5)), "ramp"))
		if problem != nil {
			t.Fatalf("%s\n%v", before, problem)
		}
		without, problem := file.Edit(with, []any{"splits", "shop"}, set(nil, "ramp"))
		if problem != nil {
			t.Fatalf("%s\n%v", with, problem)
		}
		if strings.TrimRight(without, "\r\n") != strings.TrimRight(before, "\r\n") {
			t.Fatal(cmp.Diff(before, without))
		}
	})
}
