package main

import (
	"slices"
	"sync"
	"weak"

	"kong-traffic-split/plugin/split"
)

// live are the states of the process: one for all workers that have the same
// weights of the same plugin row.
var live = rows{byKey: map[string]*row{}}

// rows are states by the key of the plugin row. They are never dropped, as nobody
// tells the plugin that Kong has deleted a row: what stays of it is its newest
// state. Safe for concurrent use.
type rows struct {
	mu    sync.Mutex
	byKey map[string]*row
}

// row is what one plugin row has in use. Kong's workers reload one after another,
// so for a moment instances of the old and of the new config serve side by side,
// each with the state that fits its weights.
type row struct {
	newest *split.State
	older  []weak.Pointer[split.State] // as long as instances have them
}

// state returns the state for one more instance of the row: one that has the
// weights of s, or else a new one that carries on from the newest.
func (r *rows) state(key string, s *split.Split) *split.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.byKey[key]
	if of == nil || key == "" { // a row without a key shares with no other
		of = &row{newest: split.NewState(s)}
		r.byKey[key] = of
		return of.newest
	}
	of.older = slices.DeleteFunc(of.older, func(w weak.Pointer[split.State]) bool { return w.Value() == nil })
	if !of.newest.Fits(s) {
		for _, w := range of.older {
			if st := w.Value(); st != nil && st.Fits(s) {
				return st
			}
		}
		of.older = append(of.older, weak.Make(of.newest))
		of.newest = of.newest.For(s)
	}
	return of.newest
}
