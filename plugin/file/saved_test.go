package file

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/state"
)

// kept is what outlives the processes of a test.
type kept map[string][]byte

func (k kept) Get(key string) []byte        { return k[key] }
func (k kept) Set(key string, value []byte) { k[key] = value }
func (k kept) Keys(string) []string         { return slices.Sorted(maps.Keys(k)) }

// process is what one process makes of the files at a path.
type process struct {
	*Watcher
	log  lineHandler
	used string // the weights in use
}

func begin(path string, saved state.Store, options ...config.Option) (*process, error) {
	p := &process{log: make(lineHandler, 100)}
	var err error
	p.Watcher, err = Open(path, slog.New(p.log), saved, func(splits map[string]*config.Config) { p.used = weightsOf(splits) }, options...)
	return p, err
}

func TestTheNextProcessUsesSavedState(t *testing.T) {
	for name, tt := range map[string]struct {
		folder bool
		spoil  func(t *testing.T, dir string)
		want   string // what is wrong then; DIR is the folder
	}{
		"wrong": {false, func(t *testing.T, dir string) {
			write(t, dir, "x.yaml", weights("one", -1, 1))
		}, "DIR/x.yaml:4:25: splits.one.backends[0].weight: -1 is not in 0..1000000"},
		"missing": {false, func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, "x.yaml")))
		}, "DIR/x.yaml: no such file or directory"},
		"one of a folder wrong": {true, func(t *testing.T, dir string) {
			write(t, dir, "y.yaml", "splits: 1\n")
		}, "DIR/y.yaml:1:9: splits: expected a map, not 1; for example {shop: {backends: [{host: a.example.com}]}}"},
		"a folder without files": {true, func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, "x.yaml")))
		}, "DIR: the folder has no file *.yaml or *.yml"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, saved := t.TempDir(), kept{}
			path := write(t, dir, "x.yaml", weights("one", 1, 1))
			if tt.folder {
				path = dir
			}
			first, err := begin(path, saved)
			check(t, err)
			write(t, dir, "x.yaml", weights("one", 20, 1))
			first.read(false)
			tt.spoil(t, dir)
			first.read(false)

			for range 2 { // the next process saves it too
				next, err := begin(path, saved)
				check(t, err)
				next.read(false) // says nothing anew
				want := []string{
					"ERROR the split file is wrong; the splits from before stay in use path=" + path,
					"ERROR " + strings.ReplaceAll(tt.want, "DIR", dir),
				}
				if diff := cmp.Diff(want, next.log.rest()); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				if want := "one.a=20 one.b=1"; next.used != want {
					t.Errorf("it uses %s, want %s", next.used, want)
				}
			}

			last, err := begin(path, saved)
			check(t, err)
			last.log.rest()
			check(t, os.RemoveAll(filepath.Join(dir, "y.yaml")))
			write(t, dir, "x.yaml", weights("one", 300, 1))
			last.read(false)
			if want := "one.a=300 one.b=1"; last.used != want {
				t.Errorf("mended, it uses %s, want %s", last.used, want)
			}
			want := []string{"INFO splits read path=" + path + " splits=1 changed=[one]"}
			if diff := cmp.Diff(want, last.log.rest()); diff != "" {
				t.Errorf("mended: -want +got:\n%s", diff)
			}
		})
	}
}

// What is in the files comes first: a text that processes crash on can be replaced.
func TestGoodFilesAreUsedInsteadOfSavedState(t *testing.T) {
	path := write(t, t.TempDir(), "x.yaml", weights("one", 1, 1))
	p, err := begin(path, kept{StateKey(path): []byte("nonsense")})
	check(t, err)
	want := []string{"INFO splits read path=" + path + " splits=1"}
	if diff := cmp.Diff(want, p.log.rest()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// So the next process does not crash on them.
func TestTextsAreSavedAfterTheyAreInUse(t *testing.T) {
	path := write(t, t.TempDir(), "x.yaml", weights("one", 1, 1))
	saved, uses := kept{}, 0
	w, err := Open(path, slog.New(slog.DiscardHandler), saved, func(map[string]*config.Config) {
		if uses++; len(saved) > 0 {
			t.Errorf("use %d: saved before", uses)
		}
	})
	check(t, err)
	if len(saved) == 0 {
		t.Fatal("nothing is saved")
	}
	clear(saved)
	write(t, filepath.Dir(path), "x.yaml", weights("one", 2, 1))
	w.read(false)
	if uses != 2 || len(saved) == 0 {
		t.Errorf("after %d uses %d values are saved", uses, len(saved))
	}
}

func TestUselessSavedState(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.yaml")
	guarded := weights("one", 1, 1) + "    ramp: {backend: 'a:80', start: 2026-01-31T18:00:00Z, duration: 60, guard: {max_error_ratio: 0.5}}\n"
	write(t, dir, "x.yaml", guarded)
	with := kept{}
	_, err := begin(path, with)
	check(t, err)
	check(t, os.Remove(path))

	const unread = "ERROR saved state of the split file cannot be read path="
	for name, tt := range map[string]struct {
		saved   state.Store
		options []config.Option
		want    []string // beginnings of the log's lines
	}{
		"none":              {nil, nil, nil},
		"nothing":           {kept{}, nil, nil},
		"of other files":    {kept{StateKey(path + "l"): with[StateKey(path)]}, nil, nil},
		"nonsense":          {kept{StateKey(path): []byte("nonsense")}, nil, []string{unread + path + " error=invalid character"}},
		"refused by now":    {with, []config.Option{config.WithoutOutcomes}, []string{unread + path + " error=" + path + ":6:"}},
		"of an earlier one": {kept{StateKey(path): []byte(`[{"path": "p", "content": "splits: 1"}]`)}, nil, []string{unread + path + " error=p:1:9: splits: "}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := begin(path, tt.saved, tt.options...)
			if err == nil || err.Error() != path+": no such file or directory" {
				t.Errorf("the error is %v", err)
			}
			got := p.log.rest()
			if len(got) != len(tt.want) {
				t.Fatalf("the log says %q", got)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("the log says %s, want %s", got[i], want)
				}
			}
			if p.used != "" {
				t.Errorf("it uses %s", p.used)
			}
		})
	}
}
