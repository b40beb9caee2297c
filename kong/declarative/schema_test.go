package declarative

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checked is what is wrong with a config, given the fields and entity checks of
// its schema.
func checked(t *testing.T, schema, config string) string {
	t.Helper()
	loader, err := NewLoader([]string{"p"}, map[string]json.RawMessage{
		"p": json.RawMessage(`{"name":"p","fields":[{"config":{"type":"record",` + schema + `}}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := decodeYAML([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	errs, _ := loader.Check("plugins", map[string]any{"name": "p", "config": v})
	if errs == nil {
		return ""
	}
	var all []string
	for _, p := range errs.flat("") {
		all = append(all, strings.TrimPrefix(strings.TrimPrefix(p.Field, "config.")+": "+p.Message, ": "))
	}
	return strings.Join(all, "; ")
}

func TestValidators(t *testing.T) {
	for _, tt := range []struct{ field, value, want string }{
		{`"type":"string"`, `x`, ""},
		{`"type":"string"`, `""`, "a: length must be at least 1"},
		{`"type":"string","len_min":0`, `""`, ""},
		{`"type":"string"`, `3`, "a: expected a string"},
		{`"type":"string"`, `null`, ""},
		{`"type":"string","required":true`, `null`, "a: required field missing"},
		{`"type":"string","required":true,"default":"d"`, `null`, "a: required field missing"},
		{`"type":"string","len_eq":2`, `abc`, "a: length must be 2"},
		{`"type":"string","len_max":2`, `abc`, "a: length must be at most 2"},
		{`"type":"string","match":"^%d+$"`, `a`, "a: invalid value: a"},
		{`"type":"string","match":"^%d+$","err":"a number"`, `a`, "a: a number"},
		{`"type":"string","not_match":"%s"`, `a b`, "a: invalid value: a b"},
		{`"type":"string","match_all":[{"pattern":"a","err":"no a"},{"pattern":"b","err":"no b"}]`, `a`, "a: no b"},
		{`"type":"string","match_none":[{"pattern":"a","err":"an a"}]`, `a`, "a: an a"},
		{`"type":"string","match_any":{"patterns":["^a","^b"],"err":"neither"}`, `c`, "a: neither"},
		{`"type":"string","starts_with":"/"`, `a`, "a: should start with: /"},
		{`"type":"string","one_of":["a","b"]`, `c`, "a: expected one of: a, b"},
		{`"type":"string","not_one_of":["a","b"]`, `a`, "a: must not be one of: a, b"},
		{`"type":"string","uuid":true`, `x`, "a: expected a valid UUID"},
		{`"type":"string","is_regex":true`, `(`, "a: not a valid regex: ("},
		{`"type":"string","eq":"x"`, `y`, "a: value must be x"},
		{`"type":"string","eq":"x"`, `null`, "a: value must be x"},
		{`"type":"string","eq":null`, `y`, "a: value must be null"},
		{`"type":"string","ne":"x"`, `x`, "a: value must not be x"},
		{`"type":"string","ne":null`, `null`, "a: value must not be null"},
		{`"type":"string","referenceable":true,"len_min":100`, `"{vault://env/x}"`, ""},
		{`"type":"string","len_min":100`, `"{vault://env/x}"`, "a: length must be at least 100"},
		{`"type":"integer"`, `1.5`, "a: expected an integer"},
		{`"type":"integer"`, `1.0`, ""},
		{`"type":"integer"`, `"1"`, "a: expected an integer"},
		{`"type":"integer","one_of":[1,20]`, `2`, "a: expected one of: 1, 20"},
		{`"type":"number"`, `1.5`, ""},
		{`"type":"number"`, `yes`, "a: expected a number"},
		{`"type":"number","gt":0`, `0`, "a: value must be greater than 0"},
		{`"type":"number","between":[0.5,2.5]`, `3`, "a: value should be between 0 and 2"},
		{`"type":"number","timestamp":true`, `0`, "a: expected a valid timestamp"},
		{`"type":"boolean"`, `1`, "a: expected a boolean"},
		{`"type":"array","elements":{"type":"integer"}`, `[1, x, null, y]`, "a.4: expected an integer; a.3: required field missing; a.2: expected an integer"},
		{`"type":"array","elements":{"type":"integer"}`, `{}`, ""},
		{`"type":"array","elements":{"type":"integer"}`, `{x: 1}`, "a: expected an array"},
		{`"type":"array","elements":{"type":"integer"}`, `1`, "a: expected an array"},
		{`"type":"array","elements":{"type":"string"},"len_min":1`, `[]`, "a: length must be at least 1"},
		{`"type":"array","elements":{"type":"string"},"contains":"x"`, `[y]`, "a: expected to contain: x"},
		{`"type":"set","elements":{"type":"string"},"len_max":1`, `[x, x]`, ""},
		{`"type":"set","elements":{"type":"string"},"len_max":1`, `[x, y]`, "a: length must be at most 1"},
		{`"type":"set","elements":{"type":"string"}`, `x`, "a: expected a set"},
		{`"type":"set","elements":{"type":"string"},"mutually_exclusive_subsets":[["x","y"],["z"]]`, `[x, z]`, "a: these sets are mutually exclusive: ('x', 'y'), ('z')"},
		{`"type":"map","keys":{"type":"string"},"values":{"type":"integer"}`, `{x: y}`, "a: expected an integer"},
		{`"type":"map","keys":{"type":"string","match":"^%l+$"},"values":{"type":"integer"}`, `{X: 1}`, "a: invalid value: X"},
		{`"type":"map","keys":{"type":"string"},"values":{"type":"integer"}`, `[1]`, "a: expected a string"},
		{`"type":"map","keys":{"type":"string"},"values":{"type":"integer"}`, `[]`, ""},
		{`"type":"map","keys":{"type":"string"},"values":{"type":"integer"},"len_max":1`, `{x: 1, y: 2}`, "a: length must be at most 1"},
		{`"type":"map","keys":{"type":"string"},"values":{"type":"integer"}`, `x`, "a: expected a map"},
		{`"type":"record","fields":[{"b":{"type":"string"}}]`, `{b: 1, c: 2}`, "a.c: unknown field; a.b: expected a string"},
		{`"type":"record","fields":[{"b":{"type":"string"}}]`, `x`, "a: expected a record"},
		{`"type":"record","fields":[{"b":{"type":"string"}}]`, `null`, "a: required field missing"},
		{`"type":"record","required":false,"fields":[{"b":{"type":"string"}}]`, `null`, ""},
	} {
		t.Run(tt.field+" "+tt.value, func(t *testing.T) {
			if got := checked(t, `"fields":[{"a":{`+tt.field+`}}]`, "{a: "+tt.value+"}"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEntityChecks(t *testing.T) {
	const fields = `"fields":[{"a":{"type":"string"}},{"b":{"type":"string"}},{"c":{"type":"integer"}},
		{"n":{"type":"record","fields":[{"x":{"type":"string"}}]}},
		{"ref":{"type":"string","referenceable":true}}],"entity_checks":[`
	for _, tt := range []struct{ check, config, want string }{
		{`{"at_least_one_of":["a","b"]}`, "{}", "at least one of these fields must be non-empty: 'a', 'b'"},
		{`{"at_least_one_of":["a","n.x"]}`, "{n: {x: y}}", ""},
		{`{"only_one_of":["a","b"]}`, "{a: x, b: y}", "exactly one of these fields must be non-empty: 'a', 'b'"},
		{`{"only_one_of":["a","b"]}`, "{a: x}", ""},
		{`{"mutually_exclusive":["a","b"]}`, "{a: x, b: y}", "only one or none of these fields must be set: 'a', 'b'"},
		{`{"mutually_exclusive":["a","b"]}`, "{}", ""},
		{`{"mutually_exclusive":["a","b"]}`, "{a: 1, b: y}", "a: expected a string"}, // it does not run, then
		{`{"mutually_required":["a","b"]}`, "{a: x}", "all or none of these fields must be set: 'a', 'b'"},
		{`{"mutually_required":["a","b"]}`, "{}", ""},
		{`{"distinct":["a","b"]}`, "{a: x, b: x}", "values of these fields must be distinct: 'a', 'b'"},
		{`{"mutually_exclusive_sets":{"set1":["a"],"set2":["b","c"]}}`, "{a: x, c: 1}", "these sets are mutually exclusive: ('a'), ('c')"},
		{`{"conditional":{"if_field":"a","if_match":{"eq":"x"},"then_field":"b","then_match":{"required":true}}}`, "{a: x}", "b: required field missing; failed conditional validation given value of field 'a'"},
		{`{"conditional":{"if_field":"a","if_match":{"eq":"x"},"then_field":"b","then_match":{"required":true}}}`, "{a: y}", ""},
		{`{"conditional":{"if_field":"a","if_match":{"ne":null},"then_field":"c","then_match":{"gt":5}}}`, "{a: y, c: 5}", "c: value must be greater than 5; failed conditional validation given value of field 'a'"},
		{`{"conditional":{"if_field":"a","if_match":{"match":"^x"},"then_field":"b","then_match":{"eq":null},"then_err":"%s and b"}}`, "{a: x1, b: y}", "b: value must be null; a and b"},
		{`{"conditional":{"if_field":"a","if_match":{"eq":"x"},"then_field":"n.x","then_match":{"required":true}}}`, "{a: x}", "n.x: required field missing; failed conditional validation given value of field 'a'"},
		{`{"conditional":{"if_field":"ref","if_match":{"eq":"x"},"then_field":"b","then_match":{"required":true}}}`, `{ref: "{vault://env/x}"}`, ""},
		{`{"conditional_at_least_one_of":{"if_field":"a","if_match":{"eq":"x"},"then_at_least_one_of":["b","c"],"else_match":{"eq":"y"},"else_then_at_least_one_of":["c"],"else_then_err":"must set %s"}}`, "{a: x}", "at least one of these fields must be non-empty: 'b', 'c'"},
		{`{"conditional_at_least_one_of":{"if_field":"a","if_match":{"eq":"x"},"then_at_least_one_of":["b","c"],"else_match":{"eq":"y"},"else_then_at_least_one_of":["c"],"else_then_err":"must set %s"}}`, "{a: y, b: z}", "must set 'c'"},
		{`{"only_one_of":["a","b"]},{"at_least_one_of":["c"]}`, "{}", "exactly one of these fields must be non-empty: 'a', 'b'; at least one of these fields must be non-empty: 'c'"},
	} {
		t.Run(tt.check+" "+tt.config, func(t *testing.T) {
			if got := checked(t, fields+tt.check+"]", tt.config); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestDefaults covers what appears in a config that says nothing.
func TestDefaults(t *testing.T) {
	const schema = `{"name":"p","fields":[{"config":{"type":"record","fields":[
		{"text":{"type":"string","default":"d"}},
		{"list":{"type":"array","elements":{"type":"string"},"default":[]}},
		{"none":{"type":"string"}},
		{"made":{"type":"record","fields":[{"x":{"type":"integer","default":1}},{"deep":{"type":"record","fields":[{"y":{"type":"boolean","default":true}}]}}]}},
		{"asked":{"type":"record","required":false,"fields":[{"x":{"type":"integer","default":1}}]}},
		{"rows":{"type":"array","elements":{"type":"record","fields":[{"x":{"type":"integer","default":1}},
			{"in_list":{"type":"record","fields":[{"y":{"type":"integer","default":2}}]}}]}}}
	]}}]}`
	loader, err := NewLoader([]string{"p"}, map[string]json.RawMessage{"p": json.RawMessage(schema)})
	if err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]map[string]any{
		"": {
			"text": "d", "list": []any{}, "made": map[string]any{"x": 1.0, "deep": map[string]any{"y": true}},
		},
		"config: {text: null, list: null, asked: {}, rows: [{}, {x: 3, in_list: {}}]}": {
			"made":  map[string]any{"x": 1.0, "deep": map[string]any{"y": true}},
			"asked": map[string]any{"x": 1.0},
			"rows": []any{
				map[string]any{"x": 1.0}, map[string]any{"x": 3.0, "in_list": map[string]any{"y": 2.0}},
			},
		},
	} {
		file, err := Parse([]byte("{_format_version: \"3.0\", plugins: [{name: p, " + config + "}]}"))
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := loader.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, loaded.Plugins[0].Config); diff != "" {
			t.Errorf("%s:\n%s", config, diff)
		}
	}
}

// TestSchemasThatAreRefused would fail `kong start`.
func TestSchemasThatAreRefused(t *testing.T) {
	const prefix = "error loading plugin schemas: on plugin 'p': "
	for schema, want := range map[string]string{
		`{}`:                        prefix + "error in schema definition: no 'fields' table",
		`{"fields":[3]}`:            prefix + "fields.1: expected a table with the name of one field",
		`{"fields":[{"config":3}]}`: prefix + "fields.config: expected a record",
		`{"fields":[{"colour":{"type":"string"}}]}`:                                                                                                                          prefix + "error in definition of 'p': colour: cannot create a new field",
		`{"fields":[{"config":{"type":"string"}}]}`:                                                                                                                          prefix + "it has no record 'config'",
		`{"fields":[{"config":{"type":"record"}}]}`:                                                                                                                          prefix + "fields.config: error in schema definition: no 'fields' table",
		`{"fields":[{"config":{"type":"record","fields":[{"a":{"type":"text"}}]}}]}`:                                                                                         prefix + "fields.config: fields.a: type: invalid type: text",
		`{"fields":[{"config":{"type":"record","fields":[{"a":{"type":"array"}}]}}]}`:                                                                                        prefix + "fields.config: fields.a: elements: expected a record",
		`{"fields":[{"config":{"type":"record","fields":[{"a":{"type":"string","required":"yes"}}]}}]}`:                                                                      prefix + "fields.config: fields.a: required: expected a boolean",
		`{"fields":[{"config":{"type":"record","fields":[{"a":{"type":"integer","between":[1]}}]}}]}`:                                                                        prefix + "fields.config: fields.a: between: expected an array of two numbers",
		`{"fields":[{"config":{"type":"record","fields":[{"a":{"type":"string","custom_validator":"host"}}]}}]}`:                                                             prefix + "fields.config: fields.a: custom_validator: expected a function",
		`{"fields":[{"config":{"type":"record","fields":[{"a":{"type":"string"}}],"entity_checks":[{"nope":["a"]}]}}]}`:                                                      prefix + "fields.config: entity_checks.1: nope: unknown field",
		`{"fields":[{"config":{"type":"record","fields":[{"a":{"type":"string"}}],"entity_checks":[{"distinct":["b"]}]}}]}`:                                                  prefix + `fields.config: entity_checks.1: distinct: there is no field "b"`,
		`{"fields":[{"config":{"type":"record","fields":[{"a":{"type":"string"}}],"entity_checks":[{"distinct":[]}]}}]}`:                                                     prefix + "fields.config: entity_checks.1: distinct: expected an array of names of fields",
		`{"fields":[{"config":{"type":"record","fields":[{"a":{"type":"record","fields":[]}}],"entity_checks":[{"conditional":{"if_field":"a","if_match":{"ne":null}}}]}}]}`: prefix + `fields.config: entity_checks.1: conditional: if_match: "a" is a record, about which Kong has no conditions`,
		`{"fields":[{"config":{"type":"record","fields":[{"a":{"type":"string"}}],"entity_checks":[{"conditional":{"if_field":"b","if_match":{}}}]}}]}`:                      prefix + `fields.config: entity_checks.1: conditional: if_match: there is no field "b"`,
	} {
		_, err := NewLoader([]string{"p"}, map[string]json.RawMessage{"p": json.RawMessage(schema)})
		if err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", schema, err, want)
		}
	}
}

func TestSchemaViolation(t *testing.T) {
	got := SchemaViolation(Errors{
		entityKey: []string{"both"}, "name": "none",
		"config": Errors{"a": "wrong", "b": Errors{1: "bad"}, entityKey: []string{"one", "two"}},
	})["message"]
	want := "5 schema violations (both; config.@entity: {\n  \"one\",\n  \"two\"\n}; config.a: wrong; config.b: {\n  \"bad\"\n}; name: none)"
	if got != want {
		t.Errorf("got %q", got)
	}
}

func TestNormalizePath(t *testing.T) {
	for path, want := range map[string]string{
		"": "", "/": "/", "/a/b": "/a/b", "/a//b": "/a/b", "/a/./b": "/a/b", "/a/../b": "/b", "/..": "/", "/.": "/",
		"/a/..": "/", "/%61": "/a", "/%2f": "/%2F", "/%2e%2e/a": "/a", "/a%20b": "/a b", "/%zz": "/%zz", "/%4": "/%4",
		"/%ff": "/\xff", "./a": "a", "../a": "a", "..": "", "/a/b/../..": "/", "/%3f%23": "/%3F%23", "/a.b": "/a.b",
	} {
		if got := NormalizePath(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

func TestHosts(t *testing.T) {
	for text, want := range map[string]string{
		"a": "", "a.b-c_d.": "", "1.2.3.4": "", "::1": "", "[::1]": "", "a:1": "must not have a port",
		"[::1]:80": "must not have a port", "1.2.3.4:80": "must not have a port", "a:99999": "must not have a port",
		"": "invalid value: ", "a b": "invalid value: a b", "1.2.3": "invalid value: 1.2.3", "1.2.3.256": "invalid value: 1.2.3.256",
		"a..b": "invalid value: a..b", "a-.b": "invalid value: a-.b", ":::": "invalid value: :::",
		"010.000.00.1": "", "1.2.3.0004": "invalid value: 1.2.3.0004", "::ffff:1.2.3.4": "invalid value: ::ffff:1.2.3.4", "fe80::1%eth0": "invalid value: fe80::1%eth0",
	} {
		if got := customChecks["host"](text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"*.a": "", "a.*": "", "*": "", "a": "", "a.*.b": "wildcard must be leftmost or rightmost character",
		"*a*": "only one wildcard must be specified", "1.2.3.4": "must not be an IP", "a:1": "must not have a port",
	} {
		if got := customChecks["wildcard_host"](text); got != want {
			t.Errorf("wildcard %q: got %q, want %q", text, got, want)
		}
	}
}
