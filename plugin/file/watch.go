package file

import (
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/state"
)

// Watcher keeps the splits of a file or a folder up to date.
type Watcher struct {
	path    string
	log     *slog.Logger
	state   state.Store // nil: none
	use     func(map[string]*config.Config)
	options []config.Option
	reload  chan struct{}

	splits   map[string]*config.Config // in use
	texts    []text                    // read last, right or wrong
	doubted  []text                    // texts that lack splits in use, to be read again; nil: none
	problems atomic.Pointer[Problems]  // of texts; nil: none
	good     atomic.Pointer[time.Time] // when texts were last right; nil: they were not

	notifier notifier
	interval time.Duration // between two reads, notified or not
	doubt    time.Duration // how long files that lack splits have to stay the same before they are used
	settle   time.Duration // how long after a notification the files are read
}

// Open reads the splits of a file or a folder and passes them to use, which must not
// change them. Run passes it later ones. The error is a Problems.
//
// If something is wrong and saved has the splits that an earlier process used, use gets
// those, and the log says what is wrong. saved may be nil.
func Open(path string, log *slog.Logger, saved state.Store, use func(map[string]*config.Config), options ...config.Option) (*Watcher, error) {
	w := &Watcher{
		path: path, log: log, state: saved, use: use, options: options, reload: make(chan struct{}, 1),
		notifier: newNotifier(path, log),
		interval: 2 * time.Second, settle: 100 * time.Millisecond, doubt: 500 * time.Millisecond,
	}
	texts, problems := gather(path)
	var splits map[string]*config.Config
	if problems == nil {
		w.texts = texts
		splits, problems = parse(texts, options)
	}
	if problems == nil {
		w.put(splits, texts)
		w.good.Store(new(time.Now()))
		log.Info("splits read", "path", path, "splits", len(splits))
		return w, nil
	}
	// Only now: if a process crashes on the saved texts, others in the files help.
	if splits = w.saved(); splits == nil {
		return nil, problems
	}
	w.splits = splits
	use(splits)
	w.refuse(problems, true)
	return w, nil
}

// Reload has Run read the files again soon, even if they have not changed. It does not
// wait, and is safe for concurrent use.
func (w *Watcher) Reload() {
	select {
	case w.reload <- struct{}{}:
	default: // one is pending already
	}
}

// Problems returns what was wrong with the files when they were read last, a line for
// each problem; nil: nothing was. It is safe for concurrent use.
func (w *Watcher) Problems() []string {
	if problems := w.problems.Load(); problems != nil {
		return problems.lines()
	}
	return nil
}

// LastReload returns when the files were last read and right, also where nothing had
// changed that matters; zero: not since Open. It is safe for concurrent use.
func (w *Watcher) LastReload() time.Time {
	if at := w.good.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Run reads the files again when they change or Reload asks for it, until the
// context ends, and passes the splits to the function given to Open. If something is
// wrong, the splits stay as they are and the log says what is wrong. Call it once.
//
// The system's notifications make it quick. It also reads the files every few seconds,
// as some file systems do not notify and links may lead elsewhere. Sizes and times are
// not enough to find a change: a file may be replaced by one that has the same.
func (w *Watcher) Run(ctx context.Context) {
	events, lost := w.notifier.start()
	defer w.notifier.stop()
	ticks := time.NewTicker(w.interval)
	defer ticks.Stop()
	var settled, doubted <-chan time.Time
	read := func(asked bool) {
		if doubted = nil; w.read(asked) {
			doubted = time.After(w.doubt)
		}
	}
	read(false) // what changed since Open
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.reload:
			read(true)
		case e := <-events:
			if w.notifier.concerns(e) {
				settled = time.After(w.settle)
			}
		case err := <-lost:
			w.log.Warn("notifications of changes were lost", "path", w.path, "error", err)
		case <-settled:
			settled = nil
			read(false)
			w.notifier.follow()
		case <-doubted:
			read(false)
		case <-ticks.C:
			if doubted == nil {
				read(false)
			}
			w.notifier.follow()
		}
	}
}

// read reads the files and puts their splits to use. It does nothing if the files have
// not changed, unless it was asked to read them. It reports whether the files have to be
// read once more before they are used: files that lack splits in use may be half written.
func (w *Watcher) read(asked bool) (again bool) {
	texts, problems := gather(w.path)
	if problems != nil {
		w.texts, w.doubted = nil, nil
		w.refuse(problems, asked)
		return false
	}
	if slices.Equal(texts, w.texts) && !asked {
		w.doubted = nil
		return false
	}
	splits, problems := parse(texts, w.options)
	if problems != nil {
		w.texts, w.doubted = texts, nil
		w.refuse(problems, asked)
		return false
	}
	if w.lacks(splits) && !slices.Equal(texts, w.doubted) {
		w.doubted = texts
		return true
	}
	w.texts, w.doubted = texts, nil
	w.problems.Store(nil)
	w.good.Store(new(time.Now()))
	changes := compare(w.splits, splits)
	if len(changes) == 0 {
		w.log.Info("splits read; nothing changed", "path", w.path, "splits", len(splits))
		return false
	}
	w.put(splits, texts) // before the log says so
	w.log.Info("splits read", append([]any{"path", w.path, "splits", len(splits)}, changes...)...)
	return false
}

// lacks reports whether splits lack one that is in use.
func (w *Watcher) lacks(splits map[string]*config.Config) bool {
	for name := range w.splits {
		if splits[name] == nil {
			return true
		}
	}
	return false
}

// refuse logs what is wrong, unless it has logged the same before and was not asked.
func (w *Watcher) refuse(problems Problems, asked bool) {
	if was := w.problems.Swap(&problems); was != nil && was.Error() == problems.Error() && !asked {
		return
	}
	w.log.Error("the split file is wrong; the splits from before stay in use", "path", w.path)
	for _, line := range problems.lines() {
		w.log.Error(line)
	}
}

// compare names the splits that were added, changed and removed, as attributes
// for the log.
func compare(before, after map[string]*config.Config) []any {
	var added, changed, removed []string
	for name, c := range after {
		switch old := before[name]; {
		case old == nil:
			added = append(added, name)
		case !reflect.DeepEqual(old, c):
			changed = append(changed, name)
		}
	}
	for name := range before {
		if after[name] == nil {
			removed = append(removed, name)
		}
	}
	var attributes []any
	for _, kind := range []struct {
		name   string
		splits []string
	}{{"added", added}, {"changed", changed}, {"removed", removed}} {
		if len(kind.splits) > 0 {
			slices.Sort(kind.splits)
			attributes = append(attributes, kind.name, kind.splits)
		}
	}
	return attributes
}

// StateKey returns the key of the saved state of a [Watcher] of path: the texts of the
// splits in use.
func StateKey(path string) string { return "file/" + path }

// put puts splits to use and saves their texts afterwards, so that texts on which the
// process crashes are not saved.
func (w *Watcher) put(splits map[string]*config.Config, texts []text) {
	w.splits = splits
	w.use(splits)
	if w.state == nil {
		return
	}
	saved, _ := json.Marshal(texts) // strings can be
	w.state.Set(StateKey(w.path), saved)
}

// saved returns the splits that an earlier process had in use; nil where none are
// saved, or this process cannot read them.
func (w *Watcher) saved() map[string]*config.Config {
	if w.state == nil {
		return nil
	}
	saved := w.state.Get(StateKey(w.path))
	if saved == nil {
		return nil
	}
	var texts []text
	err := json.Unmarshal(saved, &texts)
	if err == nil {
		splits, problems := parse(texts, w.options)
		if problems == nil {
			return splits
		}
		err = problems
	}
	w.log.Error("saved state of the split file cannot be read", "path", w.path, "error", err)
	return nil
}
