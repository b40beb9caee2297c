package file

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin/config"
)

// replace puts a file into a folder in one step, so that nobody sees half of it.
func replace(t *testing.T, dir, name, content string) {
	t.Helper()
	check(t, os.Rename(write(t, dir, name+".tmp", content), filepath.Join(dir, name)))
}

// notifiedOnly leaves reading the files now and then out.
func notifiedOnly(w *Watcher) { w.interval = time.Hour }

func TestOpenRefusesWhatIsWrong(t *testing.T) {
	for name, path := range map[string]string{
		"missing": filepath.Join(t.TempDir(), "x.yaml"),
		"wrong":   write(t, t.TempDir(), "x.yaml", "splits: 1\n"),
	} {
		_, err := Open(path, slog.New(slog.DiscardHandler), nil, func(map[string]*config.Config) { t.Error("used") })
		var problems Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].File != path {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Whoever waits for the log's line finds the new splits at work.
func TestSplitsAreInUseBeforeTheLogSaysSo(t *testing.T) {
	log, uses := make(lineHandler, 10), 0
	path := write(t, t.TempDir(), "x.yaml", weights("one", 1, 2))
	w, err := Open(path, slog.New(log), nil, func(map[string]*config.Config) {
		if uses++; len(log) > 0 {
			t.Errorf("use %d: the log has %d lines already", uses, len(log))
		}
	})
	check(t, err)
	<-log
	write(t, filepath.Dir(path), "x.yaml", weights("one", 3, 4))
	w.read(false)
	<-log
	if uses != 2 {
		t.Errorf("used %d times, want 2", uses)
	}
}

func TestProblems(t *testing.T) {
	path := write(t, t.TempDir(), "x.yaml", weights("one", 1, 2))
	w, err := Open(path, slog.New(slog.DiscardHandler), nil, func(map[string]*config.Config) {})
	check(t, err)
	for _, step := range []struct {
		text string
		want []string
	}{
		{weights("one", 1, 2), nil},
		{weights("one", -1, 2), []string{path + ":4:25: splits.one.backends[0].weight: -1 is not in 0..1000000"}},
		{weights("one", 1, 2), nil}, // as before
		{"splits: 1\n", []string{path + ":1:9: splits: expected a map, not 1; for example {shop: {backends: [{host: a.example.com}]}}"}},
		{weights("one", 1, 3), nil},
	} {
		write(t, filepath.Dir(path), "x.yaml", step.text)
		w.read(false)
		if diff := cmp.Diff(step.want, w.Problems()); diff != "" {
			t.Errorf("of %q (-want +got):\n%s", step.text, diff)
		}
	}
}

func TestChangesAreNoticed(t *testing.T) {
	tests := []struct {
		name   string
		folder bool // the folder is watched, not the file
		change func(t *testing.T, dir string)
	}{
		{"written in place", false, func(t *testing.T, dir string) {
			write(t, dir, "x.yaml", weights("one", 3, 4))
		}},
		{"written in several steps", false, func(t *testing.T, dir string) {
			text := weights("one", 3, 4)
			write(t, dir, "x.yaml", "")
			write(t, dir, "x.yaml", text[:10])
			write(t, dir, "x.yaml", text)
		}},
		{"renamed over it", false, func(t *testing.T, dir string) {
			write(t, dir, "x.yaml.tmp", weights("one", 3, 4))
			check(t, os.Rename(filepath.Join(dir, "x.yaml.tmp"), filepath.Join(dir, "x.yaml")))
		}},
		{"moved away first", false, func(t *testing.T, dir string) {
			check(t, os.Rename(filepath.Join(dir, "x.yaml"), filepath.Join(dir, "x.yaml~")))
			write(t, dir, "x.yaml", weights("one", 3, 4))
		}},
		{"deleted and made again", false, func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, "x.yaml")))
			write(t, dir, "x.yaml", weights("one", 3, 4))
		}},
		{"replaced by a link", false, func(t *testing.T, dir string) {
			write(t, dir, "y", weights("one", 3, 4))
			check(t, os.Symlink("y", filepath.Join(dir, "link")))
			check(t, os.Rename(filepath.Join(dir, "link"), filepath.Join(dir, "x.yaml")))
		}},
		{"in a folder", true, func(t *testing.T, dir string) {
			write(t, dir, "x.yaml", weights("one", 3, 4))
		}},
		{"by another file of a folder", true, func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, "x.yaml")))
			write(t, dir, "y.yml", weights("one", 3, 4))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := write(t, dir, "x.yaml", weights("one", 1, 2))
			if tt.folder {
				path = dir
			}
			w := watch(t, path, notifiedOnly)
			tt.change(t, dir)
			w.used("one.a=3 one.b=4")
		})
	}
}

// A ConfigMap's files change by one rename of a link that none of them is.
func TestConfigMapIsReplaced(t *testing.T) {
	for _, name := range []string{"", "a.yaml"} {
		t.Run("watching ."+name, func(t *testing.T) {
			dir := t.TempDir()
			configMap(t, dir, "..2026_1", map[string]string{"a.yaml": weights("one", 1, 1)})
			w := watch(t, filepath.Join(dir, name), notifiedOnly)
			for i := range 3 {
				revision := fmt.Sprintf("..2026_%d", i+2)
				configMap(t, dir, revision, map[string]string{"a.yaml": weights("one", i, 7)})
				check(t, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..2026_%d", i+1))))
				w.used(fmt.Sprintf("one.a=%d one.b=7", i))
			}
		})
	}
}

// A link may lead to a folder of which the system does not tell here.
func TestLinkedFileIsLookedAt(t *testing.T) {
	dir, far := t.TempDir(), t.TempDir()
	write(t, far, "y", weights("one", 1, 1))
	check(t, os.Symlink(filepath.Join(far, "y"), filepath.Join(dir, "middle")))
	check(t, os.Symlink("middle", filepath.Join(dir, "x.yaml")))
	w := watch(t, filepath.Join(dir, "x.yaml"), notifiedOnly)
	write(t, far, "y", weights("one", 2, 1))
	w.used("one.a=2 one.b=1")
}

func TestWithoutNotifications(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "x.yaml", weights("one", 1, 1))
	w := watch(t, path, func(w *Watcher) {
		w.interval = 5 * time.Millisecond
		w.notifier.open = func() (*fsnotify.Watcher, error) { return nil, errors.New("too many open files") }
	})
	line := w.logged("WARN")
	if want := "WARN the system does not notify of changes; split files are read every few seconds instead path=" + path + " error=too many open files"; line != want {
		t.Errorf("got %s\nwant %s", line, want)
	}
	replace(t, dir, "x.yaml", weights("one", 20, 1))
	w.used("one.a=20 one.b=1")
	check(t, os.Remove(path))
	w.logged("ERROR the split file is wrong")
	write(t, dir, "x.yaml", weights("one", 3, 1))
	w.used("one.a=3 one.b=1")
}

// A file that takes another one's place may have its length and its time.
func TestAReplacementThatLooksTheSame(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "x.yaml", weights("one", 1, 1))
	then := time.Now().Add(-time.Hour)
	check(t, os.Chtimes(path, then, then))
	w := watch(t, path, func(w *Watcher) {
		w.interval = 5 * time.Millisecond
		w.notifier.open = func() (*fsnotify.Watcher, error) { return nil, errors.New("too many open files") }
	})
	w.logged("WARN")
	next := write(t, dir, "x.yaml.tmp", weights("one", 2, 1))
	check(t, os.Chtimes(next, then, then))
	check(t, os.Rename(next, path))
	w.used("one.a=2 one.b=1")
}

// The folder that is watched may go and come back, and with it what the system
// told about it.
func TestFolderComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "splits")
	check(t, os.Mkdir(dir, 0o755))
	write(t, dir, "x.yaml", weights("one", 1, 1))
	w := watch(t, dir, func(w *Watcher) { w.interval = 50 * time.Millisecond })
	check(t, os.RemoveAll(dir))
	w.logged("ERROR " + dir)
	check(t, os.Mkdir(dir, 0o755))
	write(t, dir, "x.yaml", weights("one", 2, 1))
	w.used("one.a=2 one.b=1")
}

func TestWhatIsWrongLeavesTheOldSplits(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "x.yaml", weights("one", 1, 1))
	w := watch(t, path, notifiedOnly)

	replace(t, dir, "x.yaml", weights("one", -1, -2))
	got := []string{w.logged("ERROR"), w.logged("ERROR"), w.logged("ERROR")}
	want := []string{
		"ERROR the split file is wrong; the splits from before stay in use path=" + path,
		"ERROR " + path + ":4:25: splits.one.backends[0].weight: -1 is not in 0..1000000",
		"ERROR " + path + ":5:25: splits.one.backends[1].weight: -2 is not in 0..1000000",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	// It goes, which is as wrong.
	check(t, os.Remove(path))
	w.logged("ERROR the split file is wrong")
	w.logged("ERROR " + path + ": no such file or directory")

	// It comes back as it was: nothing to do.
	replace(t, dir, "x.yaml", weights("one", 1, 1))
	w.logged("INFO splits read; nothing changed path=" + path + " splits=1")
	w.unused()

	replace(t, dir, "x.yaml", weights("one", 2, 1))
	w.used("one.a=2 one.b=1")
}

func TestTheSameIsSaidOnce(t *testing.T) {
	log := make(lineHandler, 100)
	path := write(t, t.TempDir(), "x.yaml", weights("one", 1, 1))
	w, err := Open(path, slog.New(log), nil, func(map[string]*config.Config) {})
	check(t, err)
	check(t, os.Remove(path))
	log.rest()
	for range 3 {
		w.read(false)
	}
	want := []string{
		"ERROR the split file is wrong; the splits from before stay in use path=" + path,
		"ERROR " + path + ": no such file or directory",
	}
	if diff := cmp.Diff(want, log.rest()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReloadReadsAndAnswers(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "x.yaml", weights("one", 1, 1))
	w := watch(t, path, func(w *Watcher) {
		w.interval = time.Hour
		w.notifier.open = func() (*fsnotify.Watcher, error) { return nil, errors.New("none") }
	})
	w.Reload()
	w.logged("INFO splits read; nothing changed")

	replace(t, dir, "x.yaml", weights("one", 2, 1))
	w.Reload()
	w.used("one.a=2 one.b=1")

	for range 2 { // who asks gets an answer, each time
		replace(t, dir, "x.yaml", "splits: 1\n")
		w.Reload()
		w.logged("ERROR " + path + ":1:9: splits: expected a map, not 1; for example {shop: {backends: [{host: a.example.com}]}}")
	}
	w.unused()
}

func TestLogSaysWhatChanged(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", weights("same", 1, 1))
	write(t, dir, "b.yaml", weights("other", 1, 1))
	write(t, dir, "c.yaml", weights("gone", 1, 1))
	w := watch(t, dir, func(*Watcher) { // between Open and Run, which must not be lost
		write(t, dir, "b.yaml", weights("other", 1, 2))
		check(t, os.Rename(filepath.Join(dir, "c.yaml"), filepath.Join(dir, "c.txt")))
		write(t, dir, "d.yaml", weights("new", 1, 2))
		write(t, dir, "e.yaml", weights("brand-new", 1, 2))
	})
	line := w.logged("INFO")
	if want := "INFO splits read path=" + dir + " splits=4 added=[brand-new new] changed=[other] removed=[gone]"; line != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
}

// Each set of splits is one whole revision of a ConfigMap, however often it is
// replaced meanwhile.
func TestReadsOneRevision(t *testing.T) {
	dir := t.TempDir()
	files := func(i int) map[string]string {
		return map[string]string{"a.yaml": weights("one", i, 1), "b.yaml": weights("two", i, 1), "c.yaml": weights("three", i, 1)}
	}
	configMap(t, dir, "..0", files(0))
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				configMap(t, dir, fmt.Sprintf("..%d", i), files(i))
			}
		}
	}()
	for range 200 {
		splits, err := Read(dir)
		if err != nil {
			if !strings.HasSuffix(err.Error(), "keeps changing while it is read; nothing of it is used until it rests") {
				t.Error(err)
			}
			continue
		}
		one, two, three := splits["one"].Backends[0].Weight, splits["two"].Backends[0].Weight, splits["three"].Backends[0].Weight
		if one != two || two != three {
			t.Errorf("got revisions %d, %d and %d at once", one, two, three)
		}
	}
	close(stop)
	<-done
}

// A file that is half written may be right as it is: what it lacks is not dropped before
// it has rested.
func TestAHalfWrittenFile(t *testing.T) {
	w := &Watcher{path: filepath.Join(t.TempDir(), "splits.yaml"), log: slog.New(slog.DiscardHandler)}
	var used []string
	w.use = func(splits map[string]*config.Config) {
		used = append(used, strings.Join(slices.Sorted(maps.Keys(splits)), " "))
	}
	const half, whole = "splits:\n  a: {backends: [{host: a}]}\n", "splits:\n  a: {backends: [{host: a}]}\n  b: {backends: [{host: b}]}\n"
	for _, step := range []struct {
		content string
		again   bool
		used    string
	}{
		{whole, false, "a b"},
		{half, true, "a b"},
		{whole, false, "a b"},
		{half, true, "a b"},
		{half + "  c: {backends: [{host: c}]}\n", true, "a b"},
		{half, true, "a b"},
		{half, false, "a"},
		{"splits:\n  c: {backends: [{host: c}]}\n", true, "a"},
		{"splits:\n  c: {backends: [{host: c}]}\n", false, "c"},
	} {
		if err := os.WriteFile(w.path, []byte(step.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if again := w.read(false); again != step.again || used[len(used)-1] != step.used {
			t.Errorf("%q: again %v, in use %q; want %v, %q", step.content, again, used[len(used)-1], step.again, step.used)
		}
	}
}
