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

// ProblemKey is the key of why a [File] cannot be saved, empty where it can. It is
// there as soon as the file is open, and goes into no file.
const ProblemKey = "state/problem"

const (
	// writePause is the time between two writes, at least, and writeShare the part of all
	// time that they take at most: one in so many.
	writePause = time.Second
	writeShare = 20
	// retryMax is how long it takes at most until a write that failed is tried again.
	retryMax = 30 * time.Second
	// renewal is how often the file is written where nothing changes, so that what is in
	// use does not grow old in it.
	renewal = 24 * time.Hour
	// patience is how long a write may wait, for the disk or for another server that is
	// about to end, until that is a problem.
	patience = 10 * time.Second
	// closeTime is how long the last write may take.
	closeTime = 5 * time.Second
	// logPause is the time between two lines of the log about problems.
	logPause = time.Minute
)

// Kept says which values go into a file.
type Kept struct {
	// Prefix is how their keys begin.
	Prefix string
	// For is how long a value is read from the file after a process that had set it has
	// ended. 0: for ever.
	For time.Duration
}

// A File is a store of which some values are in a file, so that they outlive the
// process, and all that come after it. It writes the file in the background, at most
// once a second: nobody waits for the disk. What was set in the last second before a
// kill may be lost; the file is whole at any time.
//
// One process at a time writes a file. Another one that opens it reads it, and
// writes as soon as that one has ended.
type File struct {
	path string
	kept []Kept
	log  *slog.Logger

	mu     sync.Mutex // held for moments
	values Memory
	read   map[string]time.Time // when values that were read, and not set since, had been set
	said   string               // the problem that the log has told of; empty: there is none
	unsaid time.Time            // until then it tells of no other one

	lock    *os.File // nil: another process may write the file; run's own
	dirty   chan struct{}
	changes chan string
	retired chan struct{} // closed: nothing is written any more
	closing chan struct{} // closed: only what is not written yet
	done    chan struct{}
	once    sync.Once // to close either of them
}

// OpenFile opens the file at path, which need not be there yet; what begins with none
// of kept's prefixes is not in it, and where it gets too long the last of kept are
// left out first. It never fails: a file that cannot be used is put aside, and one
// that cannot be written is tried again and again; both are logged. Who has opened it
// closes it.
func OpenFile(path string, log *slog.Logger, kept ...Kept) *File {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // or the link would be replaced
	}
	f := &File{
		path: path, kept: kept, log: log, read: map[string]time.Time{},
		dirty: make(chan struct{}, 1), changes: make(chan string, 1),
		retired: make(chan struct{}), closing: make(chan struct{}), done: make(chan struct{}),
	}
	_ = f.own()                  // what hinders it hinders the first write, which says so
	entries, _ := readFile(path) // likewise
	now := time.Now()
	for _, e := range entries {
		if k := f.keeps(e.key); k != nil && (k.For == 0 || now.Sub(e.set) <= k.For) {
			f.values.Set(e.key, e.value)
			f.read[e.key] = e.set
		}
	}
	log.Info("saved state is read", "path", path, "values", len(f.read))
	f.values.Set(ProblemKey, []byte{})
	f.change() // at once, so that it is known from the beginning whether it can be written
	go f.run()
	return f
}

// Get implements [Store].
func (f *File) Get(key string) []byte { return f.values.Get(key) }

// Keys implements [Store].
func (f *File) Keys(prefix string) []string { return f.values.Keys(prefix) }

// Set implements [Store]. To set a value that is there already keeps it from growing
// old.
func (f *File) Set(key string, value []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.read, key)
	was := f.values.Get(key)
	f.values.Set(key, value)
	if f.keeps(key) != nil && ((was == nil) != (value == nil) || !bytes.Equal(was, value)) {
		f.change()
	}
}

// Changes are the keys whose values the file itself has changed: [ProblemKey].
func (f *File) Changes() <-chan string { return f.changes }

// Close saves what is not saved yet and lets go of the file. It waits some seconds at
// most.
func (f *File) Close() {
	f.once.Do(func() { close(f.closing) })
	select {
	case <-f.done:
	case <-time.After(closeTime):
		f.log.Error("the state is not saved", "path", f.path, "error", fmt.Sprintf("it takes longer than %v", closeTime))
	}
}

// Retire lets go of the file soon, without saving: another process has taken over all
// that there is. It does not wait.
func (f *File) Retire() { f.once.Do(func() { close(f.retired) }) }

func (f *File) keeps(key string) *Kept {
	for i := range f.kept {
		if strings.HasPrefix(key, f.kept[i].Prefix) {
			return &f.kept[i]
		}
	}
	return nil
}

// change has the file written soon.
func (f *File) change() {
	select {
	case f.dirty <- struct{}{}:
	default: // it is due already
	}
}

// run writes the file as often as it has to be.
func (f *File) run() {
	defer close(f.done)
	defer f.disown()
	renew := time.NewTicker(renewal)
	defer renew.Stop()
	var waiting time.Time // since when another process has the file
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
			f.change()
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

// save writes the file, and says what is wrong with that. It reports whether it could.
func (f *File) save(waiting *time.Time) bool {
	late := time.AfterFunc(patience, func() {
		f.problem(fmt.Sprintf("%s: the disk does not answer within %v", f.path, patience))
	})
	dropped, err := f.write()
	late.Stop()
	var taken *takenError
	switch now := time.Now(); {
	case errors.As(err, &taken):
		if waiting.IsZero() {
			*waiting = now
		}
		if now.Sub(*waiting) >= patience {
			f.problem(err.Error())
		}
		return false
	case err != nil:
		*waiting = time.Time{}
		f.problem(err.Error())
		return false
	}
	*waiting = time.Time{}
	f.problem(dropped)
	return true
}

// problem makes it known that the file cannot be saved, or can: text is empty then.
func (f *File) problem(text string) {
	f.mu.Lock()
	was := string(f.values.Get(ProblemKey))
	f.values.Set(ProblemKey, []byte(text))
	switch now := time.Now(); {
	case text == f.said:
	case text == "":
		f.log.Info("the state is saved again", "path", f.path)
		f.said = ""
	case !now.Before(f.unsaid):
		f.log.Error("the state is not saved, and would not outlive a restart", "path", f.path, "error", text)
		f.said, f.unsaid = text, now.Add(logPause)
	}
	f.mu.Unlock()
	if text != was {
		select {
		case f.changes <- ProblemKey:
		default: // whoever takes the one that waits gets the newest value
		}
	}
}

// snapshot is what goes into the file now.
func (f *File) snapshot() []entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	var entries []entry
	for i := range f.kept {
		k := &f.kept[i]
		for _, key := range f.values.Keys(k.Prefix) {
			set, old := f.read[key]
			if !old {
				set = now
			}
			if f.keeps(key) == k && (k.For == 0 || now.Sub(set) <= k.For) {
				entries = append(entries, entry{key, f.values.Get(key), set})
			}
		}
	}
	return entries
}
