package config

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden file anew")

func TestKongSchemaIsGolden(t *testing.T) {
	golden := filepath.Join("testdata", "kong-schema.json")
	if *update {
		if err := os.WriteFile(golden, KongSchema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(KongSchema())); diff != "" {
		t.Errorf("the schema changed; if that is right, go test -update (-want +got):\n%s", diff)
	}
}

func TestGeneratedFilesAreFresh(t *testing.T) {
	for name, want := range map[string]string{
		"parameters.md":             Reference(),
		"traffic-split.schema.json": string(JSONSchema()),
	} {
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("docs/%s is stale; go generate ./... (-want +got):\n%s", name, diff)
		}
	}
}

// Kong takes descriptions of 10 to 500 bytes, and formats then_err.
func TestKongTakesTheWords(t *testing.T) {
	everyField(&splitFile, "", func(path string, f *field) {
		if len(f.doc) < 10 || len(f.doc) > 500 {
			t.Errorf("%s: the description has %d bytes; Kong takes 10 to 500", path, len(f.doc))
		}
		for _, c := range f.checks {
			if strings.Contains(c.message, "%") {
				t.Errorf("%s: Kong formats %q", path, c.message)
			}
		}
	})
}

// Every parameter has a field of its type in the Go structs.
func TestParametersHaveGoFields(t *testing.T) {
	types := map[kind]reflect.Kind{
		kindString: reflect.String, kindInteger: reflect.Int, kindNumber: reflect.Float64, kindBoolean: reflect.Bool,
		kindArray: reflect.Slice, kindMap: reflect.Map, kindRecord: reflect.Struct,
	}
	var check func(path string, f *field, of reflect.Type)
	check = func(path string, f *field, of reflect.Type) {
		if (f.kind == kindRecord || f.kind == kindNumber || f.kind == kindInteger) && of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() != types[f.kind] {
			t.Errorf("%s: a %s is in a Go %s", path, f.kind, of)
			return
		}
		for i := range f.fields {
			p := &f.fields[i]
			member, ok := of.FieldByName(goName(p.name))
			if !ok {
				t.Errorf("%s: %s has no field %s", path, of, goName(p.name))
				continue
			}
			check(Join(path, p.name), p, member.Type)
		}
		if f.kind == kindRecord {
			members := slices.DeleteFunc(reflect.VisibleFields(of), func(m reflect.StructField) bool { return m.Anonymous })
			if len(members) != len(f.fields) {
				t.Errorf("%s: %s has %d fields for %d parameters", path, of, len(members), len(f.fields))
			}
		}
		if f.elements != nil {
			check(path+"[]", f.elements, of.Elem())
		}
		if f.values != nil {
			check(path+".*", f.values, of.Elem())
		}
	}
	check("", &row, reflect.TypeFor[Config]())
}

func everyField(f *field, path string, visit func(string, *field)) {
	visit(path, f)
	for i := range f.fields {
		everyField(&f.fields[i], Join(path, f.fields[i].name), visit)
	}
	for name, inner := range map[string]*field{"elements": f.elements, "keys": f.keys, "values": f.values} {
		if inner != nil {
			everyField(inner, path+" "+name, visit)
		}
	}
}

// Posting {} must not make a record that nobody asked for: it would switch on
// sessions everywhere.
func TestAnEmptyConfigStaysEmpty(t *testing.T) {
	var schema kongSchema
	if err := json.Unmarshal(KongSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	got := schema.fillIn(map[string]any{"config": map[string]any{}})
	want := map[string]any{
		"protocols": []any{"http", "https", "grpc", "grpcs"},
		"config":    map[string]any{"algorithm": "smooth", "hash_on": "none", "hash_fallback": "none", "on_unavailable": "fail", "log_decision": false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	got = schema.fillIn(map[string]any{"config": map[string]any{"backends": []any{map[string]any{"host": "a"}}}})
	want["config"].(map[string]any)["backends"] = []any{map[string]any{"host": "a", "weight": 1.0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	// Nor those in records that somebody asked for.
	got = schema.fillIn(map[string]any{"config": map[string]any{
		"backends": []any{map[string]any{"host": "a", "health": map[string]any{}}}, "ramp": map[string]any{}, "rules": []any{map[string]any{}},
	}})["config"].(map[string]any)
	want = map[string]any{
		"backends": []any{map[string]any{"host": "a", "weight": 1.0, "health": map[string]any{}}},
		"ramp":     map[string]any{"from": 0.0},
		"rules":    []any{map[string]any{"match": map[string]any{}}},
	}
	for key := range want {
		if diff := cmp.Diff(want[key], got[key]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", key, diff)
		}
	}
}

// The model would see a record that lacks its required: false.
func TestTheModelMakesRecordsLikeKong(t *testing.T) {
	schema := kongSchema{Type: "record", Fields: []map[string]*kongSchema{
		{"silent": {Type: "record", Fields: []map[string]*kongSchema{{"x": {Type: "integer", Default: 1.0}}}}},
		{"optional": {Type: "record", Required: new(false), Fields: []map[string]*kongSchema{{"x": {Type: "integer", Default: 1.0}}}}},
	}}
	want := map[string]any{"silent": map[string]any{"x": 1.0}}
	if diff := cmp.Diff(want, schema.fillIn(map[string]any{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// kongSchema models how Kong fills in what a config does not say: it takes the
// defaults of fields, and makes records that are required, as all are, except
// in arrays, that do not say otherwise.
type kongSchema struct {
	Type     string
	Required *bool
	Default  any
	Elements *kongSchema
	Fields   []map[string]*kongSchema
}

func (s *kongSchema) fillIn(record map[string]any) map[string]any {
	for _, entry := range s.Fields {
		for name, f := range entry {
			value, there := record[name]
			switch {
			case !there && f.Default != nil:
				record[name] = f.Default
			case !there && f.Type == "record" && (f.Required == nil || *f.Required):
				record[name] = f.fillIn(map[string]any{})
			case there && f.Type == "record":
				record[name] = f.fillIn(value.(map[string]any))
			case there && f.Type == "array" && f.Elements.Type == "record":
				for _, element := range value.([]any) {
					f.Elements.fillIn(element.(map[string]any))
				}
			}
		}
	}
	return record
}
