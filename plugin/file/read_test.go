package file

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin/config"
)

// write puts a file into a folder and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// weights is a split file with one split.
func weights(name string, a, b int) string {
	return fmt.Sprintf("splits:\n  %s:\n    backends:\n    - {host: a, weight: %d}\n    - {host: b, weight: %d}\n", name, a, b)
}

func TestRead(t *testing.T) {
	const file = `
# Two splits, with all that YAML offers for it.
defaults: {algorithm: random, log_decision: True}
splits:
  shop:
    backends:
    - &v1
      host: a
      weight: 90
      request_headers: &headers
        set:
          X-Text: |-
            in one
          "X-Number": "1"
          X-Date: 2026-01-31
          X-Yes: yes
        remove: [X-A,
                 'X-B']
    - host: b
      weight: 1e1
      name: !!str 123
      port: !!int "8080"
      request_headers: *headers
  on:
    backends: [*v1]
    algorithm: smooth
`
	headers := config.RequestHeaders{
		Set:    map[string]string{"X-Text": "in one", "X-Number": "1", "X-Date": "2026-01-31", "X-Yes": "yes"},
		Remove: []string{"X-A", "X-B"},
	}
	v1 := config.Backend{Name: "a:80", Host: "a", Port: 80, Weight: 90, RequestHeaders: headers}
	want := map[string]*config.Config{
		"shop": {
			Backends:  []config.Backend{v1, {Name: "123", Host: "b", Port: 8080, Weight: 10, RequestHeaders: headers}},
			Algorithm: "random", HashOn: "none", HashFallback: "none", OnUnavailable: "fail", LogDecision: true,
		},
		"on": {Backends: []config.Backend{v1}, Algorithm: "smooth", HashOn: "none", HashFallback: "none", OnUnavailable: "fail", LogDecision: true},
	}
	for name, content := range map[string]string{
		"as it is": file, "with a mark of its encoding": "\uFEFF" + file, "with the line ends of Windows": strings.ReplaceAll(file, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(write(t, t.TempDir(), "any.name", content))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestReadFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "b.yaml", weights("two", 1, 2))
	write(t, dir, "a.yml", "defaults: {algorithm: random}\n"+weights("one", 1, 1))
	write(t, dir, ".c.yaml", "hidden: and wrong")
	write(t, dir, "d.txt", "not: ours")
	if err := os.Mkdir(filepath.Join(dir, "e"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "e"), "f.yaml", weights("three", 1, 1))

	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "two"}, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got["one"].Algorithm != "random" || got["two"].Algorithm != "smooth" {
		t.Error("defaults hold for their own file, and for no other")
	}
}

// A ConfigMap is a folder of links through a link, which is replaced.
func TestReadConfigMap(t *testing.T) {
	dir := t.TempDir()
	configMap(t, dir, "..2026_1", map[string]string{"a.yaml": weights("one", 1, 1), "b.yaml": weights("two", 1, 1)})
	for _, path := range []string{dir, filepath.Join(dir, "a.yaml")} {
		if _, err := Read(path); err != nil {
			t.Error(err)
		}
	}
}

// configMap makes of a folder what Kubernetes makes of a ConfigMap's mount: the
// link ..data leads to the new revision, and the one before it is removed.
func configMap(t *testing.T, dir, revision string, files map[string]string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, revision), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		write(t, filepath.Join(dir, revision), name, content)
		link := filepath.Join(dir, name)
		if _, err := os.Lstat(link); err != nil {
			if err := os.Symlink(filepath.Join("..data", name), link); err != nil {
				t.Fatal(err)
			}
		}
	}
	before, _ := os.Readlink(filepath.Join(dir, "..data")) // none at first
	if err := os.Symlink(revision, filepath.Join(dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if before != "" {
		if err := os.RemoveAll(filepath.Join(dir, before)); err != nil {
			t.Fatal(err)
		}
	}
}

// refused reads what is wrong and returns what is said of it, without the name
// of the folder.
func refused(t *testing.T, dir, path string) string {
	t.Helper()
	splits, err := Read(path)
	if err == nil {
		t.Fatalf("it was taken: %v", splits)
	}
	return strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")
}

func TestSplitInTwoFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", weights("one", 1, 1))
	write(t, dir, "b.yaml", weights("one", 1, -1))
	write(t, dir, "c.yaml", weights(`"x y"`, 1, 1))
	write(t, dir, "d.yaml", weights(`"x y"`, 1, 1))
	want := `b.yaml:5:25: splits.one.backends[1].weight: -1 is not in 0..1000000
b.yaml:2:3: splits.one: is in a.yaml:2:3 already; keep one of them
c.yaml:2:3: splits["x y"]: "x y" must consist of letters, digits and . _ - ~, as a route's name does
d.yaml:2:3: splits["x y"]: "x y" must consist of letters, digits and . _ - ~, as a route's name does
d.yaml:2:3: splits["x y"]: is in c.yaml:2:3 already; keep one of them`
	if diff := cmp.Diff(want, refused(t, dir, dir)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"nothing", func(*testing.T, string) {}, `x.yaml: no such file or directory`},
		{"an empty folder", func(t *testing.T, path string) {
			check(t, os.Mkdir(path, 0o755))
		}, `x.yaml: the folder has no file *.yaml or *.yml`},
		{"a folder with a folder", func(t *testing.T, path string) {
			check(t, os.MkdirAll(filepath.Join(path, "y.yaml"), 0o755))
		}, `x.yaml/y.yaml: is a folder; a split file is needed`},
		{"a link to nowhere in a folder", func(t *testing.T, path string) {
			check(t, os.Mkdir(path, 0o755))
			check(t, os.Symlink("nowhere", filepath.Join(path, "y.yaml")))
		}, `x.yaml/y.yaml: no such file or directory`},
		{"a FIFO", func(t *testing.T, path string) {
			check(t, syscall.Mkfifo(path, 0o644))
		}, `x.yaml: is not a regular file but a FIFO`},
		{"a link to a device", func(t *testing.T, path string) {
			check(t, os.Symlink("/dev/zero", path))
		}, `x.yaml: is not a regular file but a device`},
		{"a socket", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			check(t, err)
			t.Cleanup(func() { l.Close() })
		}, `x.yaml: is not a regular file but a socket`},
		{"1 GiB", func(t *testing.T, path string) {
			check(t, os.WriteFile(path, nil, 0o644))
			check(t, os.Truncate(path, 1<<30)) // without its blocks
		}, `x.yaml: is 1073741824 bytes long; at most 8388608 are read`},
		{"many files", func(t *testing.T, path string) {
			check(t, os.Mkdir(path, 0o755))
			for i := range maxFiles + 1 {
				write(t, path, fmt.Sprintf("%d.yaml", i), "")
			}
		}, `x.yaml: the folder has 257 files *.yaml and *.yml; at most 256 are read`},
		{"a large folder", func(t *testing.T, path string) {
			check(t, os.Mkdir(path, 0o755))
			for i := range maxTotal/MaxFile + 1 {
				write(t, path, fmt.Sprintf("%d.yaml", i), strings.Repeat("\n", MaxFile))
			}
		}, `x.yaml: the files of the folder are longer than 8388608 bytes together, the most that is read`},
		{"a folder of other things", func(t *testing.T, path string) {
			check(t, os.Mkdir(path, 0o755))
			for i := range maxEntries + 1 {
				check(t, os.Symlink("x", filepath.Join(path, fmt.Sprint(i))))
			}
		}, `x.yaml: the folder has more than 1000 files; name one file, or a folder with split files only`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "split") // short, for the socket
			check(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			path := filepath.Join(dir, "x.yaml")
			tt.make(t, path)
			if diff := cmp.Diff(tt.want, refused(t, dir, path)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestManyProblemsAreCut(t *testing.T) {
	var b strings.Builder
	b.WriteString("splits:\n  a:\n")
	for i := range 150 {
		fmt.Fprintf(&b, "    key%d: 1\n", i)
	}
	dir := t.TempDir()
	text := refused(t, dir, write(t, dir, "x.yaml", b.String()))
	if strings.Count(text, "\n") != 100 || !strings.HasSuffix(text, "\nand 51 more problems") {
		t.Errorf("got %s", text)
	}
}

// The example of the documentation works.
func TestDocumentedExample(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "parameters.md"))
	check(t, err)
	_, after, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ := strings.Cut(after, "```")
	splits, err := Read(write(t, t.TempDir(), "x.yaml", example))
	check(t, err)
	if splits["shop"] == nil || splits["shop"].OnUnavailable != "redistribute" || splits["search"] == nil {
		t.Errorf("got %v", splits)
	}
}
