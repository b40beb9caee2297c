package httproute

import (
	"path/filepath"
	"testing"

	"golang.org/x/tools/txtar"

	"kong-traffic-split/kong/declarative"
)

// Whatever the manifests are, there is an output that Kong's reader can read, or a problem.
func FuzzConvert(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	f.Add([]byte("a: &a [*a]\n---\n- 1\n"))
	f.Add([]byte("{\"kind\":\"List\",\"apiVersion\":\"v1\",\t\"items\":[{}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, to := range []Target{Kong, Splits, Native, KIC} {
			for _, partial := range []bool{false, true} {
				out, problems := Convert([]Source{{"x", data}}, Options{To: to, Partial: partial})
				if (out == nil) != Failed(problems) {
					t.Fatalf("output %v beside %v", out != nil, problems)
				}
				if out == nil || to == KIC {
					continue
				}
				for _, text := range [][]byte{out.Kong, out.Splits} {
					if _, err := declarative.Parse(text); len(text) > 0 && err != nil {
						t.Fatalf("%v\n%s", err, text)
					}
				}
			}
		}
	})
}
