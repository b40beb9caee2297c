package check

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what is found into testdata")

// TestChecks: testdata has a file for each check, with files that it finds something in
// (found/…), exactly as want has it, and files that it leaves alone (left/…), in which no
// check finds anything.
func TestChecks(t *testing.T) {
	for _, c := range Checks() {
		t.Run(c.ID, func(t *testing.T) {
			path := filepath.Join("testdata", c.ID+".txtar")
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var o Options
			o.NoOutcomes = c == noOutcomes
			var found, left []Source
			want := -1
			for i, f := range archive.Files {
				switch dir, name, _ := strings.Cut(f.Name, "/"); dir {
				case "found":
					found = append(found, Source{Name: name, Data: f.Data})
				case "left":
					left = append(left, Source{Name: name, Data: f.Data})
				case "want":
					want = i
				}
			}
			if found == nil || left == nil {
				t.Fatalf("%s lacks files in found/ or left/", path)
			}
			findings := Files(found, o)
			if !slices.ContainsFunc(findings, func(f Finding) bool { return f.ID == c.ID }) {
				t.Errorf("it finds nothing in found/")
			}
			var got bytes.Buffer
			if err := WriteText(&got, findings); err != nil {
				t.Fatal(err)
			}
			for _, f := range Files(left, o) {
				t.Errorf("in left/: %v (%s)", f, f.ID)
			}
			if *update {
				if want < 0 {
					archive.Files = append(archive.Files, txtar.File{Name: "want"})
					want = len(archive.Files) - 1
				}
				archive.Files[want].Data = got.Bytes()
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if want < 0 {
				t.Errorf("%s has no want", path)
			} else if diff := cmp.Diff(string(archive.Files[want].Data), got.String()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestDocs: docs/splitctl.md has a table of all checks.
func TestDocs(t *testing.T) {
	const begin, end = "<!-- checks: made by go test ./kong/check -update -->\n", "<!-- end of checks -->"
	path := filepath.Join("..", "..", "docs", "splitctl.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(page), begin)
	shown, after, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatal("it lacks the lines between which the table is")
	}
	var table strings.Builder
	table.WriteString("| check | severity | what it finds |\n|---|---|---|\n")
	for _, c := range Checks() {
		severity := string(c.Severity)
		if c.refusal {
			severity += ", cannot be ignored"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", c.ID, severity, c.Doc)
	}
	if *update {
		err = os.WriteFile(path, []byte(before+begin+table.String()+end+after), 0o644)
	} else if diff := cmp.Diff(table.String(), shown); diff != "" {
		t.Errorf("-want +shown\n%s", diff)
	}
	if err != nil {
		t.Fatal(err)
	}
}
