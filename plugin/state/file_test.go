package state

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logs is what was logged, without times.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) count(text string) int { return strings.Count(l.String(), text) }

const month = 30 * 24 * time.Hour

var kept = []Kept{{Prefix: "split/", For: month}, {Prefix: "mark"}}

func open(path string) (*File, *logs) {
	l := new(logs)
	return OpenFile(path, slog.New(slog.NewTextHandler(l, nil)), kept...), l
}

// pass lets time pass, of the bubble's clock, and what is due then be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFileOutlivesAProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		f, log := open(path)
		f.Set("split/row/p1", []byte("rolled back"))
		f.Set("split/row/p2", []byte("gone"))
		f.Set("split/\xff\n\"", []byte("\x00\n\xfe"))
		f.Set("mark", []byte{})
		f.Set("instance/1", []byte("of this process"))
		f.Set("split/row/p2", nil)
		f.Close()
		if log.count("level=ERROR") > 0 {
			t.Errorf("the log has %s", log)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("its mode is %v, %v", info.Mode(), err)
		}
		next, _ := open(path)
		defer next.Close()
		got := map[string]string{}
		for _, key := range next.Keys("") {
			got[key] = string(next.Get(key))
		}
		want := map[string]string{"split/row/p1": "rolled back", "split/\xff\n\"": "\x00\n\xfe", "mark": "", ProblemKey: ""}
		if fmt.Sprint(got) != fmt.Sprint(want) || next.Get("mark") == nil {
			t.Errorf("got %q, want %q", got, want)
		}
		if text := content(t, path); strings.Contains(text, "instance") || strings.Contains(text, "gone") {
			t.Errorf("the file has %s", text)
		}
	})
}

// It is written soon after a change, but not with each, and not without one.
func TestFileIsWrittenRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		f, _ := open(path)
		defer f.Close()
		writes, last := 0, ""
		look := func() {
			if info, err := os.Stat(path); err == nil {
				if inode := fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino, content(t, path)); inode != last {
					last = inode
					writes++
				}
			}
		}
		for i := range 100 {
			f.Set("mark", []byte{byte(i)})
			pass(100 * time.Millisecond)
			look()
		}
		if writes < 9 || writes > 11 {
			t.Errorf("%d writes in 10 s", writes)
		}
		pass(time.Second)
		look()
		writes = 0
		f.Set("mark", []byte{99})
		f.Set("instance/1", []byte("x"))
		for range 10 {
			pass(time.Second)
			look()
		}
		if writes > 0 {
			t.Errorf("%d writes without a change", writes)
		}
	})
}

// What is set is there at once, whatever becomes of the file. That it is not saved is
// said once, and so is that it is again.
func TestFileThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "none")
		path := filepath.Join(folder, "state")
		f, log := open(path)
		f.Set("mark", []byte("1"))
		pass(time.Hour)
		want := "open " + path + ".lock: no such file or directory"
		if got := string(f.Get(ProblemKey)); got != want || string(f.Get("mark")) != "1" {
			t.Errorf("got %q, want %q", got, want)
		}
		if key := <-f.Changes(); key != ProblemKey {
			t.Errorf("changed is %s", key)
		}
		if n := log.count("level=ERROR"); n != 1 || log.count(want) != 1 {
			t.Errorf("%d errors: %s", n, log)
		}
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		pass(retryMax)
		if got := string(f.Get(ProblemKey)); got != "" || log.count("the state is saved again") != 1 || <-f.Changes() != ProblemKey {
			t.Errorf("got %q, and the log %s", got, log)
		}
		// Another one soon after is not said at once, but in the end.
		if err := os.Mkdir(path+".tmp", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path+".tmp/full", 0o700); err != nil {
			t.Fatal(err)
		}
		f.Set("mark", []byte("2"))
		pass(2 * time.Minute)
		if log.count("level=ERROR") != 2 || log.count("directory not empty") != 1 {
			t.Errorf("the log has %s", log)
		}
		if err := os.RemoveAll(path + ".tmp"); err != nil {
			t.Fatal(err)
		}
		f.Close() // tries once more
		if text := content(t, path); !strings.Contains(text, `"mark" "2"`) {
			t.Errorf("the file has %s", text)
		}
	})
}

// A file that cannot be used is put aside, each of them, and the server goes on.
func TestFileIsPutAside(t *testing.T) {
	good := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "state")
		f, _ := open(path)
		f.Set("mark", []byte("here"))
		f.Close()
		return content(t, path)
	}
	for name, test := range map[string]struct {
		spoil        func(text string) string
		suffix, says string
	}{
		"empty":        {func(string) string { return "" }, ".damaged", "it is no whole file of saved state"},
		"cut off":      {func(text string) string { return text[:len(text)/2] }, ".damaged", "it is no whole file of saved state"},
		"without end":  {func(text string) string { return text[:len(text)-1] }, ".damaged", "its checksum is wrong"},
		"changed":      {func(text string) string { return strings.Replace(text, "here", "gone", 1) }, ".damaged", "its checksum is wrong"},
		"another":      {func(string) string { return "splits:\n  web: {}\n" }, ".damaged", "it is no whole file of saved state"},
		"newer":        {func(string) string { return "traffic-split state 2\n{}" }, ".newer", "it has version 2 of the format, and this program knows 1: it is of a newer one"},
		"version zero": {func(text string) string { return strings.Replace(text, "state 1", "state 0", 1) }, ".damaged", "it is no whole file of saved state"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad := test.spoil(good(t))
				path := filepath.Join(t.TempDir(), "state")
				for _, aside := range []string{path + test.suffix, path + test.suffix + "-20000101T000000.000Z"} {
					if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
						t.Fatal(err)
					}
					f, log := open(path)
					if f.Get("mark") != nil {
						t.Error("something of it is used")
					}
					f.Set("mark", []byte("new"))
					f.Close()
					if text := content(t, aside); text != bad {
						t.Errorf("aside is %q, want %q", text, bad)
					}
					if log.count("level=ERROR") != 1 || log.count(test.says) != 1 || log.count("put_aside="+aside) != 1 {
						t.Errorf("the log has %s", log)
					}
					if text := content(t, path); !strings.Contains(text, `"mark" "new"`) {
						t.Errorf("the file has %s", text)
					}
				}
				if got := PutAside(path); len(got) != 1 || got[0] != path+test.suffix {
					t.Errorf("aside are %q", got)
				}
			})
		})
	}
}

// What is no file is neither read, which could wait for ever, nor replaced.
func TestFileThatIsNone(t *testing.T) {
	for name, make := range map[string]func(string) error{
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"a FIFO":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "state")
				if err := make(path); err != nil {
					t.Fatal(err)
				}
				before, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				f, log := open(path)
				pass(time.Minute)
				f.Close()
				if got := string(f.Get(ProblemKey)); !strings.Contains(got, path+" is no regular file") || log.count("level=ERROR") != 1 {
					t.Errorf("got %q, and the log %s", got, log)
				}
				if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
					t.Errorf("there is %v now, %v", after, err)
				}
			})
		})
	}
}

// Of two servers one has the file. The other one waits for it, and says so when that
// takes longer than the end of a server does.
func TestFileOfTwoServers(t *testing.T) {
	for name, end := range map[string]func(*File){"ends": (*File).Close, "is succeeded": (*File).Retire} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "state")
				first, _ := open(path)
				first.Set("mark", []byte("of the first"))
				pass(time.Second)
				second, log := open(path)
				if got := string(second.Get("mark")); got != "of the first" {
					t.Errorf("it reads %q", got)
				}
				second.Set("mark", []byte("of the second"))
				pass(problemTime - time.Second)
				if log.count("level=ERROR") > 0 || !strings.Contains(content(t, path), "of the first") {
					t.Errorf("the log has %s", log)
				}
				pass(2 * time.Second)
				want := regexp.MustCompile(fmt.Sprintf("is in use by another server, with the process id %d: each server needs", os.Getpid()))
				if got := second.Get(ProblemKey); log.count("level=ERROR") != 1 || !want.Match(got) {
					t.Errorf("the problem is %q, and the log has %s", got, log)
				}
				first.Set("mark", []byte("late"))
				end(first)
				pass(2 * time.Second)
				if text := content(t, path); !strings.Contains(text, "of the second") || len(second.Get(ProblemKey)) > 0 {
					t.Errorf("the file has %s; %q", text, second.Get(ProblemKey))
				}
				first.Set("mark", []byte("later"))
				pass(time.Minute)
				if text := content(t, path); !strings.Contains(text, "of the second") {
					t.Errorf("the file has %s", text)
				}
				second.Close()
				first.Close()
			})
		})
	}
}

// A value grows old when no process sets it any more, however long one runs that has
// set it.
func TestValuesGrowOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		killed := func(f *File) { f.Retire(); <-f.done }
		has := func(when, key string, want bool) {
			t.Helper()
			if got := strings.Contains(content(t, path), key); got != want {
				t.Errorf("%s: the file has %s: %t", when, key, got)
			}
		}
		f, _ := open(path)
		f.Set("split/used", []byte("x"))
		f.Set("split/left", []byte("x"))
		f.Set("mark", []byte("x"))
		pass(3 * month)
		killed(f)
		f, _ = open(path)
		f.Set("split/used", []byte("x")) // the same
		pass(month / 2)
		has("half a month later", "split/left", true)
		killed(f)
		f, _ = open(path)
		f.Set("split/used", []byte("x"))
		pass(month)
		has("a month and a half later", "split/left", false)
		has("a month and a half later", "split/used", true)
		killed(f)
		time.Sleep(2 * month)
		f, _ = open(path)
		defer f.Close()
		if f.Get("split/used") != nil || f.Get("mark") == nil {
			t.Errorf("two months without a server later there are %q", f.Keys(""))
		}
	})
}

// A link to a file stays one.
func TestFileBehindALink(t *testing.T) {
	folder := t.TempDir()
	path, link := filepath.Join(folder, "state"), filepath.Join(folder, "link")
	f, _ := open(path)
	f.Close()
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	f, _ = open(link)
	f.Set("mark", []byte("here"))
	f.Close()
	if target, err := os.Readlink(link); err != nil || target != path || !strings.Contains(content(t, path), "here") {
		t.Errorf("it leads to %s, %v", target, err)
	}
}

// A disk that gets full in the middle of a write costs what is new, not what is there.
func TestFileOnAFullDisk(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		f, log := open(path)
		f.Set("mark", []byte("before"))
		pass(2 * time.Second)
		good := content(t, path)
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		full := limit
		full.Cur = 30
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
			t.Fatal(err)
		}
		f.Set("mark", []byte("after"))
		pass(time.Minute)
		problem, entries := string(f.Get(ProblemKey)), content(t, path)
		_, leftover := os.Stat(path + ".tmp")
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(problem, "file too large") || entries != good || leftover == nil {
			t.Errorf("the problem is %q, the file has %s, beside it is one: %t", problem, entries, leftover == nil)
		}
		f.Close()
		if !strings.Contains(content(t, path), "after") || log.count("level=ERROR") != 1 {
			t.Errorf("then it has %s, and the log %s", content(t, path), log)
		}
	})
}
