package httproute

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what comes out into testdata")

// TestConvert compares what comes of the manifests in testdata. The first lines of an
// archive say what it shows, and options.
func TestConvert(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var options Options
			var in Source
			for _, line := range strings.Split(string(archive.Comment), "\n") {
				if words, ok := strings.CutPrefix(line, "options: "); ok {
					options = optionsOf(t, words)
				}
			}
			want := map[string]string{}
			for _, f := range archive.Files {
				if f.Name == "in.yaml" {
					in = Source{f.Name, f.Data}
				} else {
					want[f.Name] = string(f.Data)
				}
			}
			out, problems := Convert([]Source{in}, options)
			got := map[string]string{}
			for _, p := range problems {
				got["problems"] += p.String() + "\n"
			}
			if out != nil {
				got["out.yaml"] = string(out.Kong)
				if out.Splits != nil {
					got["splits.yaml"] = string(out.Splits)
				}
			}
			again, _ := Convert([]Source{in}, options)
			if out != nil && (!bytes.Equal(again.Kong, out.Kong) || !bytes.Equal(again.Splits, out.Splits)) {
				t.Error("a second time another output comes out")
			}
			if *update {
				writeArchive(t, path, archive, got)
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func optionsOf(t *testing.T, words string) (o Options) {
	t.Helper()
	for _, word := range strings.Fields(words) {
		switch word {
		case "partial":
			o.Partial = true
		case "strict":
			o.Strict = true
		case "traditional":
			o.Flavor = Traditional
		case "expressions":
			o.Flavor = Expressions
		case "native", "splits", "kic":
			o.To = Target(word)
		default:
			t.Fatalf("unknown option %q", word)
		}
	}
	return o
}

func writeArchive(t *testing.T, path string, a *txtar.Archive, got map[string]string) {
	t.Helper()
	a.Files = a.Files[:1]
	for _, name := range sortedKeys(got) {
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(got[name])})
	}
	if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
