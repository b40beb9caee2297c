package file_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

const twoSplits = `splits:
  one: {backends: [{host: a, weight: 0}, {host: b, weight: 1}]}
  two: {backends: [{host: a, weight: 0}, {host: b, weight: 1}]}
`

// add adds one to the weight of a split's first backend.
func add(c *config.Config) ([]config.Edit, error) {
	return []config.Edit{weight(0, c.Backends[0].Weight+1)}, nil
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantText checks what a file has, and that nothing else is in its folder.
func wantText(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s has %q, %v; want %q", path, got, err, want)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".new") {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}

// However many write the same file at once, nothing is lost.
func TestWritersLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "splits.yaml")
	writeFile(t, path, twoSplits)
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	const times = 15
	var all sync.WaitGroup
	for _, split := range []string{"one", "two"} {
		for _, by := range []string{path, link} {
			all.Go(func() {
				for range times {
					if _, err := file.ChangeSplit(t.Context(), by, split, false, add); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	wantText(t, path, strings.ReplaceAll(twoSplits, "{host: a, weight: 0}", fmt.Sprintf("{host: a, weight: %d}", 2*times)))
}

// Who does not lock the file, as editors do not, is not overwritten either.
func TestChangedMeanwhile(t *testing.T) {
	for name, meanwhile := range map[string]func(path string) error{
		"in place": func(path string) error { return os.WriteFile(path, []byte("# mine\n"+twoSplits), 0o644) },
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+"x", []byte(twoSplits), 0o644), os.Rename(path+"x", path))
		},
		"taken away": os.Remove,
	} {
		path := filepath.Join(t.TempDir(), "splits.yaml")
		writeFile(t, path, twoSplits)
		_, err := file.ChangeSplit(t.Context(), path, "one", false, func(c *config.Config) ([]config.Edit, error) {
			if err := meanwhile(path); err != nil {
				t.Fatal(err)
			}
			return add(c)
		})
		if want := path + ": was changed by somebody else since it was read; nothing was written: do it again"; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		switch name {
		case "in place":
			wantText(t, path, "# mine\n"+twoSplits)
		case "replaced":
			wantText(t, path, twoSplits)
		}
	}
}

// Who waits for a lock in vain is told.
func TestLockIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "splits.yaml")
	writeFile(t, path, twoSplits)
	held, err := file.Lock(t.Context(), path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("it has been locked for a minute"))
		defer cancel()
		_, err = file.Lock(ctx, path, 1<<20)
		if want := path + ": somebody else is writing it: it has been locked for a minute"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	})
	held.Close()
	again, err := file.Lock(t.Context(), path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// What cannot be replaced stays as it is.
func TestNotReplaced(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(folder, path string) error
		want    string
	}{
		"read only":                  {func(_, path string) error { return os.Chmod(path, 0o444) }, "permission denied"},
		"a folder that is read only": {func(folder, _ string) error { return os.Chmod(folder, 0o555) }, "cannot be replaced: permission denied"},
		"hard links":                 {func(_, path string) error { return os.Link(path, path+".txt") }, "has 2 names, hard links; the others would keep the former content: give it one name"},
	} {
		if os.Getuid() == 0 && strings.Contains(name, "read only") {
			continue // root may write it
		}
		folder := t.TempDir()
		path := filepath.Join(folder, "splits.yaml")
		writeFile(t, path, twoSplits)
		if err := test.prepare(folder, path); err != nil {
			t.Fatal(err)
		}
		_, err := file.ChangeSplit(t.Context(), path, "one", false, add)
		if want := path + ": " + test.want; err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, want)
		}
		wantText(t, path, twoSplits)
		_ = os.Chmod(folder, 0o755)
	}
}
