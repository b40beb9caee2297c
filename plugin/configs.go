package plugin

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// overlap is how long Kong's workers may take to load a configuration one after
	// another, until all of them have it.
	overlap = 10 * time.Second
	// logPause is how long Kong's log is not told again what is wrong.
	logPause = time.Minute
)

// configs are those of all plugin rows, by the row's id. Safe for concurrent use.
type configs struct {
	plugin *Plugin
	mu     sync.Mutex
	byID   map[string]*rowConfigs
	kept   map[string]*savedConfig // of rows without instances, with what is not saved of them
	starts uint64
}

// rowConfigs says which of a row's configurations is the present one, whether it is
// wrong, and which was the last good one.
//
// Kong starts an instance for each configuration that a worker has loaded, but for the
// late end of an old request it starts an old one once more: so a start says nothing, and
// the log phase neither. Its numbers (__seq__) say little: each worker counts by itself,
// and anew when Kong restarts. What counts is the first request of an instance: it is the
// present one from then on, unless the present one was started later. A worker that has
// not reloaded yet has had that request, and is not heard again.
//
// Except where it has its first request just then: it makes the old configuration the
// present one, until its own first request after its reload. If that does not come, the
// right one is the present one again as soon as the old one has had no request for overlap.
type rowConfigs struct {
	plugin    *Plugin
	id        string
	instances int // of configs' lock

	name atomic.Pointer[string] // what people call the row; nil or empty: not known

	present atomic.Pointer[Instance] // may be closed; nil: there was no request yet
	// doubtful has had a request since the present one: it is of a worker that has another
	// configuration.
	doubtful atomic.Pointer[Instance]
	good     atomic.Pointer[savedConfig]

	mu     sync.Mutex   // held to change any of these
	before *savedConfig // the last good one before good, another one; nil: not known
	logged string       // what the log says is wrong
	since  time.Time

	logging  sync.Mutex
	loggedAt map[string]time.Time // when Kong's log was last told a reason
}

// mayLog reports whether Kong's log is to be told a reason now: it is not more than once
// in a logPause.
func (r *rowConfigs) mayLog(reason string, now time.Time) bool {
	r.logging.Lock()
	defer r.logging.Unlock()
	if at, ok := r.loggedAt[reason]; ok && now.Sub(at) < logPause {
		return false
	}
	maps.DeleteFunc(r.loggedAt, func(_ string, at time.Time) bool { return now.Sub(at) >= logPause })
	if r.loggedAt == nil {
		r.loggedAt = map[string]time.Time{}
	}
	r.loggedAt[reason] = now
	return true
}

// add returns the configurations of a row, for one more instance, and which start of an
// instance that is.
func (cs *configs) add(id string) (*rowConfigs, uint64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	r := cs.byID[id]
	if r == nil {
		r = &rowConfigs{plugin: cs.plugin, id: id}
		if id != "" { // rows without an id have nothing in common
			saved, kept := cs.plugin.savedConfig(savedRows+id, time.Now()), cs.kept[id]
			if saved != nil && kept != nil && saved.TooLong == kept.TooLong && (saved.TooLong || bytes.Equal(saved.Config, kept.Config)) {
				saved = kept // no other process has saved another one
			}
			r.good.Store(saved)
			delete(cs.kept, id)
		}
		cs.byID[id] = r
	}
	r.instances++
	cs.starts++
	return r, cs.starts
}

// drop forgets an instance, and a row with its last one.
func (cs *configs) drop(r *rowConfigs) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if r.instances--; r.instances == 0 && cs.byID[r.id] == r {
		delete(cs.byID, r.id)
		if good := r.good.Load(); good != nil && (good.TooLong || good.session().Secret != "") {
			cs.kept[r.id] = good
		}
	}
}

// load has a row that has had no good config take over the one that another process
// has just saved.
func (cs *configs) load(id string) {
	cs.mu.Lock()
	r := cs.byID[id]
	cs.mu.Unlock()
	if r == nil || id == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.good.Load() == nil {
		r.good.Store(cs.plugin.savedConfig(savedRows+id, time.Now()))
	}
}

// requested records a request or connection of i, whose time is set.
func (r *rowConfigs) requested(i *Instance, now time.Time) {
	if r.present.Load() == i {
		if d := r.doubtful.Load(); d != nil && now.Sub(d.lastRequest()) > overlap {
			r.mu.Lock()
			r.doubtful.Store(nil)
			r.logProblem(now)
			r.mu.Unlock()
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !i.arrived
	i.arrived = true
	if was := r.present.Load(); was != nil && was != i && !(first && i.started > was.started) && now.Sub(was.lastRequest()) <= overlap {
		r.doubtful.Store(i)
	} else {
		r.present.Store(i)
		r.doubtful.Store(nil)
		i.logChange(was, now)
	}
	r.logProblem(now)
}

// wrong returns the instance whose config is in use, or would be, and cannot be used;
// nil: there is none.
func (r *rowConfigs) wrong() (*Instance, error) {
	p := r.present.Load()
	if p == nil {
		return nil, nil
	}
	if err := p.problem(); err != nil {
		return p, err
	}
	if d := r.doubtful.Load(); d != nil && d.lastRequest().After(p.lastRequest()) {
		if err := d.problem(); err != nil {
			return d, err
		}
	}
	return nil, nil
}

// logProblem logs that the row's config is wrong, or right again: once. The caller
// holds mu.
func (r *rowConfigs) logProblem(now time.Time) {
	i, err := r.wrong()
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == r.logged {
		return
	}
	r.logged, r.since = text, now
	if err == nil {
		r.plugin.Log.Info("the config of a plugin row is right again", "split", r.id)
		return
	}
	s := i.configError(err)
	r.plugin.Log.Error("the config of a plugin row is wrong", "split", r.id, "route_id", s.Route, "service_id", s.Service,
		"consumer_id", s.Consumer, "in_use", s.InUse, "error", text)
}

// fails records what is wrong with the config of i that only a request shows. If it is the
// last good one, as its other requests went well, the one before that is so again; where
// none was at this place it stays, since what it can do is better than nothing.
func (r *rowConfigs) fails(i *Instance, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	good, before := r.good.Load(), r.before
	if good != nil && good == i.saved.Load() && !i.isGood() && before != nil && before.Placement == good.Placement && !before.expired(now) {
		r.setGood(before)
		r.before = nil
	}
	r.logProblem(now)
}

// succeeded records that i, whose config is right as far as is known, has decided a request:
// from then on it is the last good one.
func (r *rowConfigs) succeeded(i *Instance, now time.Time) {
	if good := r.good.Load(); good == i.saved.Load() && good != nil && !good.stale(now) || r.present.Load() != i || r.id == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.good.Load()
	// One that is known to be wrong does not become the last good one, but stays so.
	if r.present.Load() != i || !i.isGood() && (was == nil || was != i.saved.Load()) {
		return
	}
	good := newSavedConfig(i.config, i.placement.key(), now)
	isSame := was != nil && was.same(good)
	if isSame && !was.stale(now) {
		i.saved.Store(was)
		return
	}
	if was != nil && !isSame {
		r.before = was
	}
	i.saved.Store(good)
	r.setGood(good)
}

// setGood makes s the last good config. The caller holds mu.
func (r *rowConfigs) setGood(s *savedConfig) {
	r.good.Store(s)
	r.plugin.saveConfig(savedRows+r.id, s)
}

// goodAt returns the last good config of the row at a placement, nil where there is
// none; it is in use now.
func (r *rowConfigs) goodAt(placement string, now time.Time) *savedConfig {
	good := r.good.Load()
	if good == nil || good.Placement != placement || good.expired(now) {
		return nil
	}
	if !good.stale(now) {
		return good
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.good.Load() == good {
		used := *good
		used.Used = now.UTC().Truncate(time.Second)
		r.setGood(&used)
	}
	return r.good.Load()
}

// ConfigError says which config is wrong, why, and what is in use instead.
type ConfigError struct {
	// Split is the name of its split, as in [SplitStatus].
	Split    string    `json:"split"`
	ID       string    `json:"id,omitempty"`
	Route    string    `json:"route_id,omitempty"`
	Service  string    `json:"service_id,omitempty"`
	Consumer string    `json:"consumer_id,omitempty"`
	Error    string    `json:"error"`
	Since    time.Time `json:"since"`
	InUse    string    `json:"in_use"`
}

// ConfigErrors returns which configs are wrong, in the order of their splits' names.
func (p *Plugin) ConfigErrors() []ConfigError {
	all := append([]ConfigError{}, p.file.configErrors()...)
	names := p.names()
	p.configs.mu.Lock()
	rows := make([]*rowConfigs, 0, len(p.configs.byID))
	for _, r := range p.configs.byID {
		rows = append(rows, r)
	}
	p.configs.mu.Unlock()
	for _, r := range rows {
		r.mu.Lock()
		if i, err := r.wrong(); err != nil {
			s := i.configError(err)
			s.Since = r.since
			s.Split = cmp.Or(names[s.ID], s.ID)
			all = append(all, s)
		}
		r.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b ConfigError) int { return cmp.Compare(a.Split, b.Split) })
	return all
}

func (i *Instance) configError(err error) ConfigError {
	return ConfigError{
		ID: i.placement.PluginID, Route: i.placement.RouteID, Service: i.placement.ServiceID, Consumer: i.placement.ConsumerID,
		Error: err.Error(), InUse: i.inUse(),
	}
}
