package file

import (
	"context"
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

	splits map[string]*config.Config // in use
	texts  []text                    // read last, right or wrong
	fewer  []text                    // that lack splits in use, and are to be read once more; nil: there are none
	wrong  atomic.Pointer[Problems]  // with them; nil: nothing is

	notifier notifier
	every    time.Duration // how often the files are read, notified or not
	doubt    time.Duration // how long files that lack splits have to rest before they are believed
	rest     time.Duration // how long they have to rest after a notification before they are read
}

// Open reads the splits of a file or a folder and passes them to use; the error
// is a Problems. Later ones come from Run. Nobody may change what use gets.
//
// Where something is wrong and saved has what an earlier process has used, that is
// used again, and the log says what is wrong; saved may be nil.
func Open(path string, log *slog.Logger, saved state.Store, use func(map[string]*config.Config), options ...config.Option) (*Watcher, error) {
	w := &Watcher{
		path: path, log: log, state: saved, use: use, options: options, reload: make(chan struct{}, 1),
		notifier: newNotifier(path, log),
		every:    2 * time.Second, rest: 100 * time.Millisecond, doubt: 500 * time.Millisecond,
	}
	texts, problems := gather(path)
	var splits map[string]*config.Config
	if problems == nil {
		w.texts = texts
		splits, problems = parse(texts, options)
	}
	if problems == nil {
		w.put(splits, texts)
		log.Info("splits read", "path", path, "splits", len(splits))
		return w, nil
	}
	// Only now: should a text be one that a process dies of, another one in the files
	// helps against it.
	if splits = w.noted(); splits == nil {
		return nil, problems
	}
	w.splits = splits
	use(splits)
	w.refuse(problems, true)
	return w, nil
}

// Reload has the files read again soon, as a signal may ask for. It does not
// wait and may be called by anybody.
func (w *Watcher) Reload() {
	select {
	case w.reload <- struct{}{}:
	default: // one is due already
	}
}

// Problems tells, in lines, what was wrong with the files when they were read last;
// nil where nothing was. It may be called by anybody.
func (w *Watcher) Problems() []string {
	if wrong := w.wrong.Load(); wrong != nil {
		return wrong.lines()
	}
	return nil
}

// Run reads the files again when they change or Reload asks for it, until the
// context ends, and passes the splits to the function given to Open. Where
// something is wrong, the splits stay as they are and the log says what. It is
// called once.
//
// The system's notifications make it quick. Reading the files now and then makes it
// sure: some file systems do not notify, and links lead elsewhere. No size and no
// time of a file tells that for certain: a file that was replaced may have both.
func (w *Watcher) Run(ctx context.Context) {
	events, lost := w.notifier.start()
	defer w.notifier.stop()
	again := time.NewTicker(w.every)
	defer again.Stop()
	var rested, believed <-chan time.Time
	read := func(asked bool) {
		if believed = nil; w.read(asked) {
			believed = time.After(w.doubt)
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
				rested = time.After(w.rest)
			}
		case err := <-lost:
			w.log.Warn("notifications of changes were lost", "path", w.path, "error", err)
		case <-rested:
			rested = nil
			read(false)
			w.notifier.follow()
		case <-believed:
			read(false)
		case <-again.C:
			if believed == nil {
				read(false)
			}
			w.notifier.follow()
		}
	}
}

// read reads the files and puts their splits to use. Unless it was asked for,
// it does nothing where they say what they said before. It reports whether they are to
// be read again before they are believed: where they lack splits that are in use, they
// may be right as they are and yet half written.
func (w *Watcher) read(asked bool) (again bool) {
	texts, problems := gather(w.path)
	if problems != nil {
		w.texts, w.fewer = nil, nil
		w.refuse(problems, asked)
		return false
	}
	if slices.Equal(texts, w.texts) && !asked {
		w.fewer = nil
		return false
	}
	splits, problems := parse(texts, w.options)
	if problems != nil {
		w.texts, w.fewer = texts, nil
		w.refuse(problems, asked)
		return false
	}
	if w.lacks(splits) && !slices.Equal(texts, w.fewer) {
		w.fewer = texts
		return true
	}
	w.texts, w.fewer = texts, nil
	w.wrong.Store(nil)
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

// refuse says once what is wrong, and again where it was asked for.
func (w *Watcher) refuse(problems Problems, asked bool) {
	if was := w.wrong.Swap(&problems); was != nil && was.Error() == problems.Error() && !asked {
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
