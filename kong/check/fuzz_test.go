package check

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzFiles: whatever two files have, there are findings that say what and where, or none.
func FuzzFiles(f *testing.F) {
	archives, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || archives == nil {
		f.Fatal("no archives", err)
	}
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for i, file := range archive.Files[1:] {
			f.Add(string(archive.Files[i].Data), string(file.Data))
		}
	}
	for _, text := range []string{
		"_format_version: ${{ range 999999999999 }}${{ end }}",
		"_format_version: \"3.0\"\n_format_version: 3\nplugins: [{name: traffic-split, config: &a {backends: *a}}]",
		"_format_version: \"3.0\"\nplugins: {name: traffic-split}\nservices: [~, 7, {routes: [[]]}]\nupstreams: [{name: 1, targets: [{}]}]",
		"splits: {~: ~, 1: {backends: 2}}\ndefaults: []", "---\n---\n- a\n---", "services: \xff", "{\"plugins\": [{\"name\": \"traffic-split\"}]}\t",
	} {
		f.Add(text, "splits: {a: {backends: [{host: a, weight: 0}]}}")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		findings := Files([]Source{{Name: "one", Data: []byte(one)}, {Name: "two", Data: []byte(two)}}, Options{NoOutcomes: len(one)%2 == 0})
		for _, found := range findings {
			if byID(found.ID) == nil || found.Message == "" || found.File != "one" && found.File != "two" || found.Line < 0 || (found.Line == 0) != (found.Column == 0) {
				t.Errorf("%+v", found)
			}
		}
		for _, write := range []func(io.Writer, []Finding) error{WriteText, WriteJSON, WriteGitHub} {
			if err := write(io.Discard, findings); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestOwnFiles: the files that this project runs Kong with have nothing in them.
func TestOwnFiles(t *testing.T) {
	text, err := os.ReadFile("../kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Files([]Source{{Name: "kong.yml", Data: text}}, Options{}) {
		t.Error(f)
	}
}
