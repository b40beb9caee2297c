package split

import (
	"encoding/json"
	"fmt"
	"time"
)

// memory is what of a state outlives it.
type memory struct {
	Ejected    map[string]time.Time `json:"ejected,omitempty"`     // until when, by name and destination
	At         time.Time            `json:"at,omitzero"`           // when that was so
	RolledBack map[string]rollback  `json:"rolled_back,omitempty"` // by the ramp
}

type rollback struct {
	Since time.Time `json:"since"`
	Share int       `json:"share"` // since then, in hundredths of a percent
}

// Memory returns what must survive the state at now: ejections, and that ramps were
// taken back; nil where there is nothing. It is that of all states that go on from one
// another.
func (st *State) Memory(now time.Time) []byte {
	h := st.health
	h.mu.Lock()
	defer h.mu.Unlock()
	m := memory{Ejected: map[string]time.Time{}, RolledBack: map[string]rollback{}}
	for name, c := range h.backends {
		if now.Before(c.until) {
			m.Ejected[name] = c.until
			m.At = now
		}
	}
	for ramp, c := range h.ramps {
		if c.rolledBack.Load() {
			m.RolledBack[ramp] = rollback{c.since, int(c.share.Load())}
		}
	}
	if len(m.Ejected)+len(m.RolledBack) == 0 {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // times of this century
	}
	return text
}

// Recall takes over what Memory has returned, in addition to what was observed since.
// What is of a backend or a ramp that is not there, or not yet, is kept until Prune.
// At now no ejection lasts longer than it did when it was saved, though the clock may have
// been set back since. After an error nothing has changed.
func (st *State) Recall(text []byte, now time.Time) error {
	var m memory
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("the memory of a split: %w", err)
	}
	h := st.health
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, until := range m.Ejected {
		rest := until.Sub(now)
		if !m.At.IsZero() {
			rest = min(rest, until.Sub(m.At))
		}
		until = now.Add(rest) // whatever becomes of the clock
		if c := entry(h.backends, name); c.until.Before(until) {
			c.until = until
			h.anyEjected.Store(true)
		}
	}
	for ramp, saved := range m.RolledBack {
		if c := entry(h.ramps, ramp); !c.rolledBack.Load() {
			c.since = saved.Since
			c.share.Store(int64(min(max(saved.Share, 0), whole)))
			c.rolledBack.Store(true)
		}
	}
	return nil
}
