package plugin

import (
	"slices"
	"sync"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// rows are the splits that stand in plugin rows, by the id of the row, which is
// the same in all of Kong's workers and after a reload.
type rows struct {
	plugin *Plugin
	mu     sync.Mutex
	byID   map[string]*row
}

// row is what one plugin row has in use, of all its instances; the one that was started
// last is last. Kong's workers reload one after another, so for a moment instances of the
// old and of the new config serve side by side, each with the state that fits its weights;
// all of these count what backends are owed together.
type row struct{ lives []*live }

// newest returns the row's newest revision; nil: there is none.
func (w *row) newest() *live {
	if len(w.lives) == 0 {
		return nil
	}
	return w.lives[len(w.lives)-1]
}

// stateFor returns the state in use that has the weights of s, or else a new one that goes
// on from the newest.
func (w *row) stateFor(s *split.Split) *split.State {
	for _, l := range w.lives {
		if l.state.Fits(s) {
			return l.state
		}
	}
	if newest := w.newest(); newest != nil {
		return newest.state.For(s)
	}
	return split.NewState(s)
}

// add returns the live split of one more instance of the row, and what to call
// when that instance is closed.
func (r *rows) add(place placement, c *config.Config) (*live, func()) {
	id := place.PluginID
	s := c.Compile(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.byID[id]
	if w == nil || id == "" { // a row without an id shares with no other
		w = &row{}
		r.byID[id] = w
	}
	newest := w.newest()
	l := r.plugin.newLive(c, s, w.stateFor(s), "", newest)
	l.seq = place.Seq
	if newest == nil {
		r.plugin.loadState(l)
	}
	r.plugin.saveStep(l)
	// Kong closes the old instance before the new one has its first request.
	for _, was := range w.lives {
		l.watches.startFrom(&was.watches, r.plugin.Probers, l)
	}
	w.lives = append(w.lives, l)
	return l, func() {
		r.drop(id, w, l)
		l.watches.stop()
	}
}

// drop forgets the live split of an instance, and a row with its last one.
func (r *rows) drop(id string, w *row, l *live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.lives = slices.DeleteFunc(w.lives, func(other *live) bool { return other == l })
	switch {
	case slices.ContainsFunc(w.lives, func(other *live) bool { return other.state == l.state }):
	case len(w.lives) == 0:
		if r.byID[id] == w {
			delete(r.byID, id)
			r.plugin.saveState(l) // Kong may start it again: it does not say which rows are gone
		}
	case l.seq == 0 || slices.ContainsFunc(w.lives, func(other *live) bool { return other.seq > l.seq }):
		var states []*split.State
		for _, other := range w.lives {
			states = append(states, other.state)
		}
		if split.Prune(states...) {
			r.plugin.saveState(w.newest())
		}
	default:
		// What is left is of before: for the late end of a request Kong has started its
		// config once more, and will start this one again.
	}
}

// each calls do with the newest revision of each row.
func (r *rows) each(do func(*live)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.byID {
		if l := w.newest(); l != nil {
			do(l)
		}
	}
}

// loadState has a row take over the state that another process has just saved.
func (r *rows) loadState(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.byID[id]; w != nil {
		r.plugin.loadState(w.newest())
	}
}
