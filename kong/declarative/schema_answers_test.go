package declarative

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAnswersOfKong posts the configs that were posted to Kong 3.9.3 with the
// same dumps, and expects its answers.
func TestAnswersOfKong(t *testing.T) {
	for dump, answers := range map[string]string{
		"schema.json": "schema-answers.jsonl", // a plugin's whole config
		"flags.json":  "flags-answers.jsonl",  // booleans, and checks across three fields
	} {
		loader, plugin := recordedLoader(t, dump)
		text, err := os.ReadFile("testdata/" + answers)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			var recorded struct {
				Config   string
				Accepted bool
				Errors   []problem
			}
			if err := json.Unmarshal(lines.Bytes(), &recorded); err != nil {
				t.Fatal(err)
			}
			t.Run(recorded.Config, func(t *testing.T) {
				got := problemsOf(t, loader, "plugins: [{name: "+plugin+", config: "+recorded.Config+"}]")
				if diff := cmp.Diff(recorded.Errors, got); diff != "" {
					t.Errorf("Kong's answer (-) and ours (+):\n%s", diff)
				}
				if recorded.Accepted != (got == nil) {
					t.Errorf("Kong accepted it: %v", recorded.Accepted)
				}
			})
		}
	}
}

// recordedLoader knows the plugin of a dump that Kong 3.9.3 was given.
func recordedLoader(t *testing.T, dumped string) (loader *Loader, plugin string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + dumped)
	if err != nil {
		t.Fatal(err)
	}
	var dump struct {
		Plugins []struct {
			Name   string
			Schema json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &dump); err != nil {
		t.Fatal(err)
	}
	p := dump.Plugins[0]
	loader, err = NewLoader([]string{"bundled", p.Name}, map[string]json.RawMessage{p.Name: p.Schema})
	if err != nil {
		t.Fatal(err)
	}
	return loader, p.Name
}

// problemsOf loads a file of the format 3.0 and returns all flattened errors.
func problemsOf(t *testing.T, loader *Loader, yaml string) []problem {
	t.Helper()
	file, err := Parse([]byte("_format_version: \"3.0\"\n" + yaml))
	if err != nil {
		t.Fatal(err)
	}
	_, err = loader.Load(file)
	if err == nil {
		return nil
	}
	invalid, ok := err.(*InvalidError)
	if !ok {
		t.Fatalf("%T: %v", err, err)
	}
	answer, err := json.Marshal(invalid.Response(true))
	if err != nil {
		t.Fatal(err)
	}
	var flattened struct {
		Errors []struct{ Errors []problem } `json:"flattened_errors"`
	}
	if err := json.Unmarshal(answer, &flattened); err != nil {
		t.Fatal(err)
	}
	var all []problem
	for _, entity := range flattened.Errors {
		all = append(all, entity.Errors...)
	}
	return all
}
