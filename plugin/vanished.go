package plugin

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// A split that vanishes from the split files stays in use for rows on a route, whose
// requests could only be refused: a file that was cut off, or edited by mistake, is no
// reason for that. Rows on a service, a consumer or everywhere let their requests pass
// untouched then.

// missPause is for how long after its last request a split that has vanished is missed.
const missPause = time.Hour

// goneError says that a split is in use that is in the split files no more.
type goneError struct{ name string }

func (e goneError) Error() string {
	return fmt.Sprintf("no split named %q in the split files any more: add it, or remove the rows on routes that use it", e.name)
}

// gone returns the split of that name that has vanished, nil if there is none.
func (f *fileSplits) gone(name string) *live {
	if r := f.current.Load(); r != nil {
		return r.gone[name]
	}
	return nil
}

// onRoute returns the split of that name for a row on a route, nil if there is none.
// vanished says that it is in the split files no more, loaded whether there are any.
func (f *fileSplits) onRoute(name string, now time.Time) (l *live, vanished, loaded bool) {
	if l, loaded = f.get(name); l == nil {
		if l = f.gone(name); l == nil {
			return nil, false, loaded
		}
		vanished = true
		f.miss(l, now)
	}
	if used := l.used.Load(); now.Unix()-used >= int64(stampPause/time.Second) && l.used.CompareAndSwap(used, now.Unix()) {
		f.saveConfig(l, now)
	}
	return l, vanished, loaded
}

// saveConfig saves the config of l, which was used then.
func (f *fileSplits) saveConfig(l *live, used time.Time) {
	s, err := newSavedConfig(l.config, "", used)
	if err != nil {
		f.plugin.Log.Error("a configuration cannot be saved", "key", savedSplits+l.entry, "error", err)
		return
	}
	f.plugin.saveConfig(savedSplits+l.entry, s)
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
			next.vanished(name, was)
		}
	}
	if !first {
		return
	}
	for _, key := range f.plugin.State.Keys(savedSplits) {
		name, ok := strings.CutPrefix(key, savedSplits)
		if ok && next.splits[name] == nil && next.gone[name] == nil {
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
	l := newLive(c, s, split.NewState(s), name, nil)
	l.used.Store(saved.Used.Unix())
	l.lacksSecret = lacksSecret
	f.plugin.recall(l)
	to.vanished(name, l)
}

func (r *fileRevision) vanished(name string, l *live) {
	if r.gone == nil {
		r.gone = map[string]*live{}
	}
	r.gone[name] = l
	r.observed = r.observed || l.observed
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
	r := f.current.Load()
	if r == nil {
		return nil
	}
	for name, l := range r.gone {
		if l.isMissed(time.Now()) {
			all = append(all, ConfigError{Split: name, Error: goneError{name}.Error(), Since: time.Unix(l.missedSince.Load(), 0), InUse: l.inUse()})
		}
	}
	return all
}

// recallConfig restores a split that another process has just saved, unless it is known
// here.
func (f *fileSplits) recallConfig(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.current.Load()
	if was == nil || was.splits[name] != nil || was.gone[name] != nil {
		return
	}
	next := *was
	next.gone = maps.Clone(was.gone)
	f.restore(&next, name, time.Now())
	f.current.Store(&next)
}
