package plugin

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// fileSplits are the splits of the split files, by name.
//
// One that vanishes from the files stays in use for rows on a route, whose requests could
// only be refused: a file that was cut off, or edited by mistake, is no reason for that.
// Rows on a service, a consumer or everywhere let their requests pass untouched then.
type fileSplits struct {
	plugin  *Plugin
	mu      sync.Mutex // held to change what is current
	current atomic.Pointer[fileRevision]
}

// fileRevision is what all the split files together say at a time.
type fileRevision struct {
	loaded    bool // there are split files
	splits    map[string]*live
	gone      map[string]*live // that have vanished, and stay in use
	observed  bool             // the outcomes of some split's requests matter
	companion bool             // some take the companion
}

func (r *fileRevision) add(splits map[string]*live, name string, l *live) {
	splits[name] = l
	r.observed = r.observed || l.observed
	r.companion = r.companion || l.tally.companion != nil
}

// get returns the split of that name, or the one that has vanished; nil: there is none.
func (r *fileRevision) get(name string) *live {
	if l := r.splits[name]; l != nil {
		return l
	}
	return r.gone[name]
}

func (f *fileSplits) set(splits map[string]*config.Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := map[string]*live{}
	before := f.current.Load()
	maps.Copy(old, before.gone)
	maps.Copy(old, before.splits)
	next := &fileRevision{loaded: true, splits: make(map[string]*live, len(splits)), gone: map[string]*live{}}
	for name, c := range splits {
		s := c.Compile(name)
		var l *live
		if was := old[name]; was != nil {
			l = f.plugin.newLive(c, s, was.state.For(s), name, was)
			l.watches.startFrom(&was.watches, f.plugin.Probers, l)
			if l.used.Store(was.used.Load()); l.isUsed(time.Now()) {
				f.saveConfig(l, time.Unix(l.used.Load(), 0))
			}
		} else {
			l = f.plugin.newLive(c, s, split.NewState(s), name, nil)
			f.plugin.loadState(l)
			if split.Prune(l.state) { // what is saved is of an earlier revision
				f.plugin.saveState(l)
			}
			f.recallUse(l)
		}
		f.plugin.saveStep(l)
		l.logChange(old[name], time.Now(), f.plugin.Log)
		next.add(next.splits, name, l)
	}
	f.keep(next, old, !before.loaded)
	f.current.Store(next)
	for name, was := range old {
		if next.gone[name] == was {
			continue
		}
		was.watches.stop()
		if l := next.splits[name]; l == nil {
			f.plugin.deleteState(was)
		} else if split.Prune(l.state) {
			f.plugin.saveState(l)
		}
	}
}

// each calls do with each split, also of those that have vanished.
func (f *fileSplits) each(do func(*live)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.current.Load()
	for _, splits := range []map[string]*live{r.splits, r.gone} {
		for _, l := range splits {
			do(l)
		}
	}
}

// loadState has a split take over the state that another process has just saved.
func (f *fileSplits) loadState(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.current.Load().splits[name]; l != nil {
		f.plugin.loadState(l)
	}
}

// missPause is for how long after its last request a split that has vanished is missed.
const missPause = time.Hour

// goneError says that a split is in use that is in the split files no more.
type goneError struct{ name string }

func (e goneError) Error() string {
	return fmt.Sprintf("no split named %q in the split files any more: add it, or remove the rows on routes that use it", e.name)
}

// onRoute returns the split of that name in r for a row on a route, nil if there is none,
// and reports whether it has vanished.
func (f *fileSplits) onRoute(r *fileRevision, name string, now time.Time) (l *live, vanished bool) {
	if l = r.get(name); l == nil {
		return nil, false
	}
	if vanished = l == r.gone[name]; vanished {
		f.miss(l, now)
	}
	if used := l.used.Load(); now.Unix()-used >= int64(stampPause/time.Second) && l.used.CompareAndSwap(used, now.Unix()) {
		f.saveConfig(l, now)
	}
	return l, vanished
}

// recallUse has l be as used as it was in an earlier process: should it vanish before a row
// asks for it in this one, it stays in use all the same.
func (f *fileSplits) recallUse(l *live) {
	if saved := f.plugin.savedConfig(savedSplits+l.entry, time.Now()); saved != nil {
		l.used.Store(saved.Used.Unix())
		f.saveConfig(l, saved.Used)
	}
}

// saveConfig saves the config of l, which was used then.
func (f *fileSplits) saveConfig(l *live, used time.Time) {
	f.plugin.saveConfig(savedSplits+l.entry, newSavedConfig(l.config, "", used))
}

// miss records that a row on a route uses l, which has vanished. Only that is an error: who
// ends a split removes the rows first.
func (f *fileSplits) miss(l *live, now time.Time) {
	last := l.missed.Load()
	if now.Unix() <= last || !l.missed.CompareAndSwap(last, now.Unix()) || now.Unix()-last <= int64(missPause/time.Second) {
		return
	}
	l.missedSince.Store(now.Unix())
	f.plugin.Log.Error("a split has vanished from the split files", "split", l.entry, "error", goneError{l.entry}, "in_use", l.inUse())
}

// isMissed reports whether a row on a route uses l, which has vanished, as far as is known.
func (l *live) isMissed(now time.Time) bool {
	return now.Unix()-l.missed.Load() <= int64(missPause/time.Second)
}

// isUsed reports whether a row on a route has used l within a day.
func (l *live) isUsed(now time.Time) bool {
	return now.Sub(time.Unix(l.used.Load(), 0)) <= configLife
}

// keep has next keep those splits of before that it lacks and rows on routes use, and
// those of an earlier process. It is called before next is in use.
func (f *fileSplits) keep(next *fileRevision, before map[string]*live, first bool) {
	now := time.Now()
	for name, was := range before {
		if next.splits[name] == nil && was.isUsed(now) {
			next.add(next.gone, name, was)
		}
	}
	if !first {
		return
	}
	for _, key := range f.plugin.State.Keys(savedSplits) {
		if name := strings.TrimPrefix(key, savedSplits); next.get(name) == nil {
			f.restore(next, name, now)
		}
	}
}

// restore adds a split that an earlier process has had to what has vanished.
func (f *fileSplits) restore(to *fileRevision, name string, now time.Time) {
	saved := f.plugin.savedConfig(savedSplits+name, now)
	if saved == nil || saved.TooLong {
		return
	}
	c, lacksSecret, err := config.Restore(saved.Config, nil, nil)
	if err != nil {
		f.plugin.Log.Error("the last good config of a split cannot be used", "split", name, "error", err)
		return
	}
	s := c.Compile(name)
	l := f.plugin.newLive(c, s, split.NewState(s), name, nil)
	l.used.Store(saved.Used.Unix())
	l.lacksSecret = lacksSecret
	f.plugin.loadState(l)
	to.add(to.gone, name, l)
}

// inUse says what of a split that has vanished is in use.
func (l *live) inUse() string {
	if l.lacksSecret {
		return "the last one, for rows on routes, but clients are not pinned: session.secret is not saved"
	}
	return "the last one, for rows on routes"
}

// configErrors are those of the splits that have vanished, and are missed.
func (f *fileSplits) configErrors() (all []ConfigError) {
	for name, l := range f.current.Load().gone {
		if l.isMissed(time.Now()) {
			all = append(all, ConfigError{Split: name, Error: goneError{name}.Error(), Since: time.Unix(l.missedSince.Load(), 0), InUse: l.inUse()})
		}
	}
	return all
}

// loadConfig restores a split that another process has just saved, unless it is known
// here.
func (f *fileSplits) loadConfig(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.current.Load()
	if !was.loaded || was.get(name) != nil {
		return
	}
	next := *was
	next.gone = maps.Clone(was.gone)
	f.restore(&next, name, time.Now())
	f.current.Store(&next)
}
