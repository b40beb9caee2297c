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
// loaded says whether there are split files at all.
func (f *fileSplits) onRoute(name string, now time.Time) (l *live, loaded bool) {
	if l, loaded = f.get(name); l == nil {
		l = f.gone(name)
	}
	if l == nil {
		return nil, loaded
	}
	if used := l.used.Load(); now.Unix()-used >= int64(stampPause/time.Second) && l.used.CompareAndSwap(used, now.Unix()) {
		f.plugin.saveConfig(savedSplits+name, newSavedConfig(l.config, "", now))
	}
	return l, loaded
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
	c, lacksSecret, err := config.Restore(saved.Config, nil)
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

// sayVanished has the log say once which splits have vanished.
func (f *fileSplits) sayVanished(before, next *fileRevision) {
	for name, l := range next.gone {
		if before == nil || before.gone[name] == nil {
			f.plugin.Log.Error("a split has vanished from the split files", "split", name, "error", goneError{name}, "in_use", l.inUse())
		}
	}
}

// inUse says what of a split that has vanished is in use.
func (l *live) inUse() string {
	if l.lacksSecret {
		return "the last one, for rows on routes, but clients are not pinned: session.secret is not saved"
	}
	return "the last one, for rows on routes"
}

// configErrors are those of the splits that have vanished.
func (f *fileSplits) configErrors() (all []ConfigError) {
	r := f.current.Load()
	if r == nil {
		return nil
	}
	for name, l := range r.gone {
		if l.isUsed(time.Now()) {
			all = append(all, ConfigError{Split: name, Error: goneError{name}.Error(), Since: r.since[name], InUse: l.inUse()})
		}
	}
	return all
}

// noted restores a split that another process has saved just now, where it is not known.
func (f *fileSplits) noted(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.current.Load()
	if was == nil || was.splits[name] != nil || was.gone[name] != nil {
		return
	}
	next := *was
	next.gone, next.since = maps.Clone(was.gone), maps.Clone(was.since)
	f.restore(&next, name, time.Now())
	next.stamp(was)
	f.current.Store(&next)
	f.sayVanished(was, &next)
}

// stamp notes since when splits have vanished.
func (r *fileRevision) stamp(before *fileRevision) {
	since := map[string]time.Time{}
	for name := range r.gone {
		if since[name] = time.Now(); before != nil && before.gone[name] != nil {
			since[name] = before.since[name]
		}
	}
	r.since = since
}
