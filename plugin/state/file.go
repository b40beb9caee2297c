package state

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ProblemKey is the key under which a [File] has the reason why it cannot be saved, empty
// where it can. It is there as soon as the file is open, and is not written to the file.
const ProblemKey = "state/problem"

const (
	// Between two writes there is writePause at least, and writeShare times as long as the
	// former one took.
	writePause = time.Second
	writeShare = 20
	// retryMax is how long it takes at most until a write that failed is tried again.
	retryMax = 30 * time.Second
	// renewPause is how often the file is written where nothing changes, so that values in
	// use do not grow old in it.
	renewPause = 24 * time.Hour
	// problemTime is how long a write may wait, for the disk or for another server that is
	// about to end, before that is a problem.
	problemTime = 10 * time.Second
	// closeTime is how long the last write may take.
	closeTime = 5 * time.Second
	// logPause is the time between two log lines about problems, at least.
	logPause = time.Minute
)

// Kept names values that go into a file.
type Kept struct {
	// Prefix is what their keys begin with.
	Prefix string
	// For is how long a value stays valid in the file after the process that had set it has
	// ended. 0: for ever.
	For time.Duration
}

// A File is a [Store] that has some of its values in a file, so that they outlive all
// processes. It writes the file in the background, at most once a second: no caller waits
// for the disk. What was set in the last second before a kill may be lost; the file is
// complete at any time.
//
// One process at a time writes a file. Another one that opens it reads it, and writes it
// as soon as the first has ended. Like every Store, a File is safe for concurrent use.
type File struct {
	path string
	kept []Kept
	log  *slog.Logger

	mu         sync.Mutex // guards what follows up to quietUntil; never held during a write
	values     Memory
	readValues map[string]time.Time // values that were read, and not set since: when they had been set
	logged     string               // the problem that was logged last; empty: there is none
	quietUntil time.Time            // no other problem is logged before

	lock    *os.File // nil: another process may write the file; used by run alone
	dirty   chan struct{}
	changes chan string
	retired chan struct{} // closed: nothing is written any more
	closing chan struct{} // closed: what is not written yet is written, and nothing after it
	done    chan struct{} // closed: run has ended
	once    sync.Once     // to close retired or closing
}

// OpenFile opens the file at path, which need not be there yet. It has only values whose
// keys begin with a prefix of kept; where it gets too long, those of the last in kept are
// left out first. OpenFile never fails: a file that cannot be used is put aside, and one
// that cannot be written is tried again and again; both are logged. The caller calls
// Close or Retire.
func OpenFile(path string, log *slog.Logger, kept ...Kept) *File {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // otherwise the link would be replaced
	}
	f := &File{
		path: path, kept: kept, log: log, readValues: map[string]time.Time{},
		dirty: make(chan struct{}, 1), changes: make(chan string, 1),
		retired: make(chan struct{}), closing: make(chan struct{}), done: make(chan struct{}),
	}
	_ = f.acquire()              // an error is the first write's, too, which reports it
	entries, _ := readFile(path) // likewise
	now := time.Now()
	for _, e := range entries {
		if k := f.keptBy(e.key); k != nil && (k.For == 0 || now.Sub(e.set) <= k.For) {
			f.values.Set(e.key, e.value)
			f.readValues[e.key] = e.set
		}
	}
	log.Info("the saved state is read", "path", path, "values", len(f.readValues))
	f.values.Set(ProblemKey, []byte{})
	f.writeSoon() // so that it is known from the beginning whether it can be written
	go f.run()
	return f
}

// Get implements [Store].
func (f *File) Get(key string) []byte { return f.values.Get(key) }

// Keys implements [Store].
func (f *File) Keys(prefix string) []string { return f.values.Keys(prefix) }

// Set implements [Store]. A value that is set again, even to the same, does not grow old.
func (f *File) Set(key string, value []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readValues, key)
	was := f.values.Get(key)
	f.values.Set(key, value)
	if f.keptBy(key) != nil && ((was == nil) != (value == nil) || !bytes.Equal(was, value)) {
		f.writeSoon()
	}
}

// Changes receives the keys whose values the file itself has changed: [ProblemKey].
func (f *File) Changes() <-chan string { return f.changes }

// Close saves what is not saved yet and releases the file. It waits for closeTime at most,
// some seconds.
func (f *File) Close() {
	f.once.Do(func() { close(f.closing) })
	select {
	case <-f.done:
	case <-time.After(closeTime):
		f.log.Error("the state is not saved", "path", f.path, "error", fmt.Sprintf("it takes longer than %v", closeTime))
	}
}

// Retire releases the file soon, without saving: another process has taken over all
// values. It does not wait.
func (f *File) Retire() { f.once.Do(func() { close(f.retired) }) }

// keptBy returns the first of kept that has key; nil: the key is not in the file.
func (f *File) keptBy(key string) *Kept {
	for i := range f.kept {
		if strings.HasPrefix(key, f.kept[i].Prefix) {
			return &f.kept[i]
		}
	}
	return nil
}

// writeSoon has the file written soon.
func (f *File) writeSoon() {
	select {
	case f.dirty <- struct{}{}:
	default: // it is due already
	}
}

// run writes the file as often as it has to be.
func (f *File) run() {
	defer close(f.done)
	defer f.release()
	renew := time.NewTicker(renewPause)
	defer renew.Stop()
	var waiting time.Time // since when run waits for another process to release the file
	retry := writePause
	for {
		select {
		case <-f.dirty:
		case <-renew.C:
		case <-f.retired:
			return
		case <-f.closing:
			select {
			case <-f.dirty:
				f.save(&waiting)
			default:
			}
			return
		}
		began := time.Now()
		pause := writePause
		if f.save(&waiting) {
			pause, retry = max(pause, writeShare*time.Since(began)), writePause
		} else {
			f.writeSoon()
			if waiting.IsZero() {
				pause, retry = retry, min(2*retry, retryMax)
			}
		}
		select {
		case <-time.After(pause):
		case <-f.retired:
		case <-f.closing:
		}
	}
}

// save writes the file, and reports whether it could. It makes problems known.
func (f *File) save(waiting *time.Time) bool {
	late := time.AfterFunc(problemTime, func() {
		f.setProblem(fmt.Sprintf("%s: the disk does not answer within %v", f.path, problemTime))
	})
	dropped, err := f.write()
	late.Stop()
	var taken *takenError
	switch now := time.Now(); {
	case errors.As(err, &taken):
		if waiting.IsZero() {
			*waiting = now
		}
		if now.Sub(*waiting) >= problemTime {
			f.setProblem(err.Error())
		}
		return false
	case err != nil:
		*waiting = time.Time{}
		f.setProblem(err.Error())
		return false
	}
	*waiting = time.Time{}
	f.setProblem(dropped)
	return true
}

// setProblem makes it known why the file cannot be saved; text is empty where it can.
func (f *File) setProblem(text string) {
	f.mu.Lock()
	was := string(f.values.Get(ProblemKey))
	f.values.Set(ProblemKey, []byte(text))
	switch now := time.Now(); {
	case text == f.logged:
	case text == "":
		f.log.Info("the state is saved again", "path", f.path)
		f.logged = ""
	case !now.Before(f.quietUntil):
		f.log.Error("the state is not saved, and would not outlive a restart", "path", f.path, "error", text)
		f.logged, f.quietUntil = text, now.Add(logPause)
	}
	f.mu.Unlock()
	if text != was {
		select {
		case f.changes <- ProblemKey:
		default: // the receiver of the key that waits gets the newest value
		}
	}
}

// snapshot returns what goes into the file now.
func (f *File) snapshot() []entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	var entries []entry
	for i := range f.kept {
		k := &f.kept[i]
		for _, key := range f.values.Keys(k.Prefix) {
			set, unchanged := f.readValues[key]
			if !unchanged {
				set = now
			}
			if f.keptBy(key) == k && (k.For == 0 || now.Sub(set) <= k.For) {
				entries = append(entries, entry{key, f.values.Get(key), set})
			}
		}
	}
	return entries
}
