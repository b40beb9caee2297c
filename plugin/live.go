package plugin

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// live is one revision of a split, ready to serve requests. But for its watches and
// its tally it never changes; its state is shared with every revision that has the
// same weights and ramp, and what befalls backends and ramps with all of them.
type live struct {
	split             *split.Split
	state             *split.State
	seq               int64                                      // of a row's config: higher with each that a worker of Kong's loads; 0: not known
	stateKey          string                                     // the key of its saved state
	backends          []backend                                  // in the order of split.Backends
	wanted            wants                                      // what any of them depends on
	wantedByAll       wants                                      // likewise, what every one with a share does
	probed            bool                                       // some of them are
	facts, more       []fact                                     // that a decision depends on, and what only one that no session makes does
	reads, laterReads []call                                     // of these
	allHeaders        bool                                       // all headers that the client has sent are among these
	needsHTTP         string                                     // parameters that a TCP or TLS connection cannot have
	service           int                                        // the index of the backend that is the route's own Service; -1: none is
	observed          bool                                       // what becomes of its requests matters
	entry             string                                     // its name in the split files; empty: it is a row's own
	marks             []atomic.Pointer[keyedCall[split.Subject]] // for the log phase then, in the order of the backends
	logs              bool                                       // decisions are added to what log plugins write
	watches           watches
	tally             tally

	config      *config.Config
	used        atomic.Int64 // of one in the split files: when a row on a route last used it, in Unix seconds, to the hour
	missed      atomic.Int64 // of one that has vanished from there: when a row on a route last used it since, in Unix seconds
	missedSince atomic.Int64 // when that began
	lacksSecret bool         // it is one of an earlier process, whose secrets are not saved
}

// newLive makes a revision live. name is the split's in the split files; empty: it
// is a row's own. was is the revision before it; nil: it is the first.
func newLive(c *config.Config, s *split.Split, st *split.State, name string, was *live) *live {
	l := &live{
		split: s, state: st, entry: name, stateKey: stateKey(s, name), backends: make([]backend, len(c.Backends)), tally: newTally(s, was),
		wantedByAll: ^wants(0), service: -1, needsHTTP: c.NeedsHTTP(),
		observed: s.Ramp != nil && s.Ramp.Guard != nil, logs: c.LogDecision, config: c,
	}
	l.facts, l.more = factsOf(s.Needs())
	l.reads, l.laterReads = readsOf(l.facts), readsOf(l.more)
	l.allHeaders = slices.ContainsFunc(l.reads, func(c call) bool { return c.Method == "kong.request.get_headers" })
	for i := range c.Backends {
		l.backends[i].prepare(c, i)
		w := wantsOf(&c.Backends[i])
		l.wanted |= w
		if c.Backends[i].Weight > 0 {
			l.wantedByAll &= w
		}
		if c.Backends[i].Service {
			l.service = i
		}
		l.probed = l.probed || isProbed(&c.Backends[i])
		l.observed = l.observed || s.Backends[i].Passive != nil
	}
	l.wantedByAll &= l.wanted // where none has a share
	if l.observed {
		l.marks = make([]atomic.Pointer[keyedCall[split.Subject]], len(l.backends))
	}
	return l
}

// The keys of the saved state of splits.
const (
	rowStates  = "split/row/"  // and the row's id
	fileStates = "split/file/" // and the split's name
)

// stateKey returns the key of the saved state of s.
func stateKey(s *split.Split, name string) string {
	if name == "" {
		return rowStates + s.Identity
	}
	return fileStates + name
}

// index returns the place of the backend of that name; -1: there is none.
func (l *live) index(backend string) int {
	if l == nil {
		return -1
	}
	return slices.IndexFunc(l.split.Backends, func(b split.Backend) bool { return b.Name == backend })
}

// rows are the splits that stand in plugin rows, by the id of the row, which is
// the same in all of Kong's workers and after a reload.
type rows struct {
	plugin *Plugin
	mu     sync.Mutex
	byID   map[string]*row
}

// row is what one plugin row has in use. Kong's workers reload one after
// another, so for a moment instances of the old and of the new config serve
// side by side, each with the state that fits its weights; all of these count what
// backends are owed together.
type row struct {
	states []*counted
	lives  []*live // of all instances, the one that was started last is last
}

// newestLive returns the row's newest revision; nil: there is none.
func (of *row) newestLive() *live {
	if len(of.lives) == 0 {
		return nil
	}
	return of.lives[len(of.lives)-1]
}

type counted struct {
	state     *split.State
	instances int
}

// add returns the live split of one more instance of the row, and what to call
// when that instance is closed.
func (r *rows) add(place placement, c *config.Config) (*live, func()) {
	id := place.PluginID
	s := c.Compile(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.byID[id]
	if of == nil || id == "" { // a row without an id shares with no other
		of = &row{}
		r.byID[id] = of
	}
	newest := of.newestLive()
	in := of.use(s)
	l := newLive(c, s, in.state, "", newest)
	l.seq = place.Seq
	if newest == nil {
		r.plugin.recall(l)
	}
	// Kong closes the old instance before the new one has its first request.
	for _, was := range of.lives {
		l.watches.startFrom(&was.watches, r.plugin.Probers, l)
	}
	of.lives = append(of.lives, l)
	return l, func() {
		r.drop(id, of, in, l)
		l.watches.stop()
	}
}

// use counts one more instance of s, with the state that has its weights or
// else a new one that goes on from the newest.
func (of *row) use(s *split.Split) *counted {
	for _, in := range of.states {
		if in.state.Fits(s) {
			in.instances++
			return in
		}
	}
	in := &counted{instances: 1}
	if newest := of.newestLive(); newest != nil {
		in.state = newest.state.For(s)
	} else {
		in.state = split.NewState(s)
	}
	of.states = append(of.states, in)
	return in
}

// drop forgets the live split of an instance, a state with its last instance, and a
// row with its last state.
func (r *rows) drop(id string, of *row, in *counted, l *live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of.lives = slices.DeleteFunc(of.lives, func(other *live) bool { return other == l })
	if in.instances--; in.instances > 0 {
		return
	}
	of.states = slices.DeleteFunc(of.states, func(other *counted) bool { return other == in })
	switch {
	case len(of.states) == 0:
		if r.byID[id] == of {
			delete(r.byID, id)
			r.plugin.remember(l) // Kong may start it again: it does not say which rows are gone
		}
	case l.seq == 0 || slices.ContainsFunc(of.lives, func(other *live) bool { return other.seq > l.seq }):
		var states []*split.State
		for _, other := range of.states {
			states = append(states, other.state)
		}
		if split.Prune(states...) {
			r.plugin.remember(of.newestLive())
		}
	default:
		// What is left is of before: for the late end of a request Kong has started its
		// config once more, and will start this one again.
	}
}

// refresh saves anew what is saved of the rows.
func (r *rows) refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range r.byID {
		r.plugin.remember(of.newestLive())
	}
}

// recall has a row take over the state that another process has just saved.
func (r *rows) recall(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of := r.byID[id]; of != nil {
		r.plugin.recall(of.newestLive())
	}
}

// fileSplits are the splits of the split files, by name.
type fileSplits struct {
	plugin  *Plugin
	mu      sync.Mutex // held by set
	current atomic.Pointer[fileRevision]
}

// fileRevision is what all the split files together say at a time.
type fileRevision struct {
	splits   map[string]*live
	gone     map[string]*live // that are in the files no more, and stay in use for rows on routes
	observed bool             // the outcome of some split's requests matters
}

func (f *fileSplits) set(splits map[string]*config.Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := map[string]*live{}
	before := f.current.Load()
	if before != nil {
		maps.Copy(old, before.gone)
		maps.Copy(old, before.splits)
	}
	next := &fileRevision{splits: make(map[string]*live, len(splits))}
	for name, c := range splits {
		s := c.Compile(name)
		var l *live
		if was := old[name]; was != nil {
			l = newLive(c, s, was.state.For(s), name, was)
			l.watches.startFrom(&was.watches, f.plugin.Probers, l)
			if l.used.Store(was.used.Load()); l.isUsed(time.Now()) {
				f.saveConfig(l, time.Unix(l.used.Load(), 0))
			}
		} else {
			l = newLive(c, s, split.NewState(s), name, nil)
			f.plugin.recall(l)
			if split.Prune(l.state) { // what is saved is of an earlier revision
				f.plugin.remember(l)
			}
		}
		next.splits[name] = l
		next.observed = next.observed || l.observed
	}
	f.keep(next, old, before == nil)
	f.current.Store(next)
	for name, was := range old {
		if next.gone[name] == was {
			continue
		}
		was.watches.stop()
		if l := next.splits[name]; l == nil {
			f.plugin.forget(was)
		} else if split.Prune(l.state) {
			f.plugin.remember(l)
		}
	}
}

// recall has a split take over the state that another process has just saved.
func (f *fileSplits) recall(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l, _ := f.get(name); l != nil {
		f.plugin.recall(l)
	}
}

// refresh saves anew what is saved of the splits.
func (f *fileSplits) refresh() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.current.Load(); r != nil {
		for _, l := range r.splits {
			f.plugin.remember(l)
		}
		for _, l := range r.gone {
			f.plugin.remember(l)
		}
	}
}

// observed tells whether the outcome of any split's requests matters.
func (f *fileSplits) observed() bool {
	r := f.current.Load()
	return r != nil && r.observed
}

// get returns the split of that name, nil if there is none. loaded says whether
// there are split files at all.
func (f *fileSplits) get(name string) (l *live, loaded bool) {
	r := f.current.Load()
	if r == nil {
		return nil, false
	}
	return r.splits[name], true
}
