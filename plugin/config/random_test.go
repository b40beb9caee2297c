package config

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// words are strings for parameters, some right for some of them.
var words = []string{
	"a", "b.example", "v1", "10.0.0.1", "::1", "localhost:8080", "http://a", "/v2", "/v2?x", "preserve", "a:8080",
	"X-A", "x-a", "Host", "smooth", "random", "fail", "fallback", "https", "a b", "ä", "", "\t", "a:80", "-a",
	"GET", "POST", "~^a+$", "~", "~a(", "10.0.0.0/8", "::/0", "/a/%c3%a9", "/;x", "2026-01-31T18:00:00Z", "2026-01-31T18:00:00.5+01:00",
	"0123456789abcdef", "öööööööööööööööö", "{vault://env/secret}",
}

// oneOf is true once in n times, which is a power of two. (Numbers that rapid
// draws are small more often than not.)
func oneOf(t *rapid.T, n int) bool {
	for ; n > 1; n /= 2 {
		if rapid.Bool().Draw(t, "not once") {
			return false
		}
	}
	return true
}

// drawString draws a word for a field, most often one that is right for it.
func drawString(t *rapid.T, f *field) string {
	some := words
	switch {
	case f.oneOf != nil:
		return rapid.SampledFrom(f.oneOf).Draw(t, f.name)
	case len(f.match) > 0 && f.match[0] == backendName[0]: // few, so that they meet
		some = []string{"v1", "v2", "v3"}
	case !oneOf(t, 32):
		some = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return f.wrong(word) != "" })
	}
	return rapid.SampledFrom(some).Draw(t, f.name)
}

// drawValue draws a value for a field, most often one that fits.
func drawValue(t *rapid.T, f *field) any {
	if oneOf(t, 64) {
		return rapid.SampledFrom([]any{nil, true, 1.5, "x", []any{}, map[string]any{}, map[string]any{"x": 1}, []any{"x"}}).Draw(t, "value")
	}
	switch f.kind {
	case kindString:
		return drawString(t, f)
	case kindInteger:
		if f.numbers != nil && !oneOf(t, 32) {
			return rapid.SampledFrom(f.numbers).Draw(t, f.name)
		}
		if oneOf(t, 32) {
			return f.max + 1
		}
		return rapid.SampledFrom([]int{f.min, f.min + 1, min(80, f.max), f.max}).Draw(t, f.name)
	case kindNumber:
		if oneOf(t, 32) {
			return rapid.SampledFrom([]float64{f.high + 1, f.high / 4096}).Draw(t, f.name)
		}
		return rapid.SampledFrom([]float64{f.low, math.Round((f.low+f.high)/2*100) / 100, f.high}).Draw(t, f.name)
	case kindBoolean:
		return rapid.Bool().Draw(t, f.name)
	case kindArray:
		list := make([]any, rapid.IntRange(f.min, 3).Draw(t, "length"))
		for i := range list {
			list[i] = drawValue(t, f.elements)
		}
		return list
	case kindMap:
		table := map[string]any{}
		for range rapid.IntRange(f.min, 2).Draw(t, "length") {
			table[drawString(t, f.keys)] = drawValue(t, f.values)
		}
		return table
	}
	return drawRecord(t, f)
}

// drawRecord draws a record in which most often the fields go together.
func drawRecord(t *rapid.T, f *field) map[string]any {
	record := map[string]any{}
	for i := range f.fields {
		p := &f.fields[i]
		often := p.name == "backends" || p.name == "name"
		if p.required || oneOf(t, 4) || often && !oneOf(t, 4) {
			record[p.name] = drawValue(t, p)
		}
	}
	if oneOf(t, 16) {
		return record
	}
	for i := range f.checks {
		heed(t, f, &f.checks[i], record)
	}
	return record
}

// heed changes a record so that a check is content with it.
func heed(t *rapid.T, f *field, c *check, record map[string]any) {
	one := ""
	switch group := slices.Concat(c.onlyOneOf, c.atLeastOneOf); {
	case group != nil:
		one = rapid.SampledFrom(group).Draw(t, "one")
		for _, name := range group {
			if name != one && c.atLeastOneOf == nil {
				delete(record, name)
			}
		}
	case c.ifField == "":
		delete(record, slices.Concat(c.mutuallyExclusive, c.distinct)[1])
		return
	default:
		value := record[c.ifField]
		if value == nil {
			value = f.field(c.ifField).def
		}
		if value == nil || c.ifEquals != nil && value != c.ifEquals {
			return
		}
		if !c.requires() {
			delete(record, c.thenField)
			return
		}
		one = c.thenField
	}
	if record[one] == nil {
		record[one] = drawValue(t, f.field(one))
	}
}

func drawJSON(t *rapid.T, f *field) []byte {
	text, err := json.Marshal(drawValue(t, f))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// often checks a property ten times as often as others: most of what is drawn is
// wrong in the end.
func often(t *testing.T, property func(*rapid.T)) {
	for range 10 {
		rapid.Check(t, property)
	}
}

// Whatever Kong sends, there is a configuration that can be relied on, or there
// are problems; and Kong's schema takes what the plugin takes.
func TestRandomConfigs(t *testing.T) {
	answer := kongAnswers(t)
	accepted := 0
	often(t, func(rt *rapid.T) {
		text := drawJSON(rt, &row)
		c, err := FromKong(text)
		if (c == nil) == (err == nil) {
			rt.Fatalf("%s: got %v and %v", text, c, err)
		}
		if err == nil {
			accepted++
			checkInvariants(t, c)
			checkSaved(rt, c, text)
			var value any
			if err := json.Unmarshal(text, &value); err != nil {
				rt.Fatal(err)
			}
			if wrong := answer(value); wrong != "" {
				rt.Fatalf("%s is right, but Kong says %s", text, wrong)
			}
		}
	})
	if accepted == 0 {
		t.Error("no configuration was right; the test shows nothing")
	}
}

func splitFileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("split-file.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("split-file.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// An editor never marks what is right.
func TestJSONSchemaTakesWhatIsRight(t *testing.T) {
	schema := splitFileSchema(t)
	if value, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"splits": {"a": {"backends": [{"redirect": {"scheme": "https"}, "health": {}}]}}}`)); err != nil {
		t.Fatal(err)
	} else if err := schema.Validate(value); err != nil {
		t.Fatalf("an empty record is none, but the schema says %v", err)
	}
	accepted := 0
	often(t, func(rt *rapid.T) {
		text := drawJSON(rt, &splitFile)
		if bytes.Contains(text, []byte("null")) {
			return // as good as absent in JSON, and refused in YAML
		}
		n, err := parseJSON(text, maxValues)
		if err != nil {
			rt.Fatal(err)
		}
		if _, problems := DecodeFile(n); problems != nil {
			return
		}
		accepted++
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			rt.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			rt.Errorf("%s is right, but the schema says %v", text, err)
		}
	})
	if accepted == 0 {
		t.Error("no file was right; the test shows nothing")
	}
}

// inEntry is a split file with these parameters in its only split.
func inEntry(parameters string) string { return `{"splits": {"a": ` + withTwo(parameters) + `}}` }

// An editor marks what the schema can express.
func TestJSONSchemaMarksMistakes(t *testing.T) {
	schema := splitFileSchema(t)
	for _, text := range []string{
		`[]`,
		`{}`,
		`{"splits": {"a": {}}}`,
		`{"splits": {"a b": {"backends": [{"host": "a"}]}}}`,
		`{"splits": {}, "spilts": {}}`,
		`{"splits": {}, "defaults": {"algorithm": "none"}}`,
		`{"splits": {}, "defaults": {"backends": [{"host": "a"}]}}`,
		`{"splits": {"a": {"backends": []}}}`,
		`{"splits": {"a": {"backends": [{"host": "a"}], "split": "b"}}}`,
		`{"splits": {"a": {"backends": [{}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a", "upstream": "b"}]}}}`,
		`{"splits": {"a": {"backends": [{"upstream": "b", "port": 1}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a", "wieght": 1}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a", "weight": -1}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a", "weight": 1.5}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a", "weight": "1"}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a:80"}]}}}`,
		`{"splits": {"a": {"backends": [{"host": ""}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a", "path": "x"}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a", "path": "/x", "replace_prefix": "/y"}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a", "replace_path": "/x", "replace_prefix": "/y"}]}}}`,
		`{"splits": {"a": {"backends": [{"redirect": {"scheme": "https"}, "timeouts": {"read": 1}}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a", "request_headers": {"set": {"hosT": "a"}}}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a", "request_headers": {"set": {"X-A": "a\nb"}}}]}}}`,
		`{"splits": {"a": {"backends": [{"host": "a"}], "log_decision": "yes"}}}`,
		inEntry(`"hash_on": "heder"`),
		inEntry(`"hash_on": "ip", "hash_fallback": "ip"`),
		inEntry(`"hash_on": "none", "hash_fallback": "ip"`),
		inEntry(`"session": {}`),
		inEntry(`"session": {"secret": "short"}`),
		inEntry(inSession(`"same_site": "None", "secure": "never"`)),
		inEntry(`"rules": [{"backend": "v1"}]`),
		inEntry(`"rules": [{"match": {"methods": ["GET"]}, "backend": "v1", "weights": {"v1": 1}}]`),
		inEntry(`"rules": [{"match": {"methods": ["GET"]}, "weights": {}}]`),
		inEntry(inMatch(`{}`)),
		inEntry(inMatch(`{"headers": {"X-A": []}}`)),
		inEntry(inRamp(`"duration": 0`)),
		inEntry(inRamp(`"duration": 60, "to": 100.5`)),
		inEntry(inRamp(`"duration": 60, "guard": {}`)),
		inEntry(`"backends": [{"upstream": "a", "health": {}}]`),
		inEntry(inHealth(`{"active": {"path": "x"}}`)),
		inEntry(`"mirror": [{}]`),
		inEntry(`"mirror": [{"backend": "v1", "port": 80}]`),
		inEntry(`"mirror": [{"host": "a", "request_headers": {"remove": ["X-Shadow"]}}]`),
	} {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(value) == nil {
			t.Errorf("%s is taken", text)
		}
		n, err := parseJSON([]byte(text), maxValues)
		if err != nil {
			t.Fatal(err)
		}
		if _, problems := DecodeFile(n); problems == nil {
			t.Errorf("%s is right after all", text)
		}
	}
}

// A revision names the content: however it was written, and no other.
func TestRevision(t *testing.T) {
	revision := func(text string) string {
		t.Helper()
		c, err := FromKong([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c.Compile("id").Revision
	}
	same := []string{
		`{"backends":[{"host":"a","weight":1},{"host":"b","request_headers":{"set":{"x":"1","y":"2"}}}]}`,
		`{"algorithm":"smooth","backends":[{"weight":1e0,"host":"a","name":"a:80","port":80},{"request_headers":{"remove":[],"set":{"y":"2","x":"1"}},"host":"b"}],"fallback":null,"__seq__":3}`,
	}
	if first, second := revision(same[0]), revision(same[1]); first != second || len(first) != 12 {
		t.Errorf("got %q and %q for the same content", first, second)
	}
	seen := map[string]string{}
	for _, text := range []string{
		same[0],
		`{"backends":[{"host":"a"},{"host":"b"}]}`,
		`{"backends":[{"host":"b"},{"host":"a"}]}`,
		`{"backends":[{"host":"a","weight":2},{"host":"b"}]}`,
		`{"backends":[{"host":"a","path":"/x"},{"host":"b"}]}`,
		`{"backends":[{"host":"a","request_headers":{"set":{"x":"1"}}},{"host":"b"}]}`,
		`{"backends":[{"host":"a","request_headers":{"add":{"x":"1"}}},{"host":"b"}]}`,
		`{"backends":[{"host":"a"},{"host":"b"}],"algorithm":"random"}`,
		`{"backends":[{"host":"a"},{"host":"b"}],"log_decision":true}`,
		withTwo(`"hash_on": "ip"`),
		withTwo(`"hash_on": "path"`),
		withTwo(inSession(`"generation": 0`)),
		withTwo(inSession(`"generation": 1`)),
		withTwo(inSession(`"previous_secret": "fedcba9876543210"`)),
		withTwo(inMatch(`{"methods": ["GET"]}`)),
		withTwo(inMatch(`{"methods": ["PUT"]}`)),
		withTwo(`"force_header": "X-A"`),
		withTwo(inRamp(`"duration": 60`)),
		withTwo(inRamp(`"duration": 60, "to": 50`)),
		withTwo(inRamp(`"duration": 60, "guard": {"max_error_ratio": 0.1}`)),
		withTwo(inHealth(`{"active": {}}`)),
		withTwo(inHealth(`{"active": {"path": ""}}`)),
		withTwo(inHealth(`{"passive": {}}`)),
		withTwo(`"mirror": [{"host": "c"}]`),
		withTwo(`"mirror": [{"host": "c", "percent": 50}]`),
	} {
		r := revision(text)
		if other, taken := seen[r]; taken {
			t.Errorf("%s and %s have the same revision %s", text, other, r)
		}
		seen[r] = text
	}
}

func TestSuggest(t *testing.T) {
	known := names(backend.fields)
	tests := []struct{ name, want string }{
		{"wieght", `; did you mean "weight"?`},
		{"Weight", `; did you mean "weight"?`},
		{"prot", `; did you mean "port"?`},
		{"hostheader", `; did you mean "host_header"?`},
		{"protocl", `; did you mean "protocol"?`},
		{"request_header", `; did you mean "request_headers"?`},
		{"colour", ``},
		{"", ``},
		{string(make([]byte, 1000)), ``},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, suggest(tt.name, known)); diff != "" {
			t.Errorf("%q: -want +got:\n%s", tt.name, diff)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		d := distance(a, b)
		if d != distance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Fatalf("%q and %q are %d apart", a, b, d)
		}
	})
}
