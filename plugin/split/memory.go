package split

import (
	"encoding/json"
	"fmt"
	"time"
)

// memory is what of a state another process has to know.
type memory struct {
	Ejected    map[string]time.Time `json:"ejected,omitempty"` // until when, by name
	RolledBack *rollback            `json:"rolled_back,omitempty"`
}

type rollback struct {
	Ramp  string    `json:"ramp"` // which
	Since time.Time `json:"since"`
}

// Memory returns what must survive the process: ejections, and that a ramp was taken
// back.
func (st *State) Memory() []byte {
	h := &st.health
	h.mu.Lock()
	defer h.mu.Unlock()
	m := memory{Ejected: map[string]time.Time{}}
	for i, c := range h.backends {
		if !c.until.IsZero() {
			m.Ejected[st.split.Backends[i].Name] = c.until
		}
	}
	if h.rolledBack.Load() {
		m.RolledBack = &rollback{st.split.rampText(), h.since}
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // times of this century
	}
	return text
}

// Recall takes over what Memory has returned in another process. What is of a
// backend or a ramp that is not there any more is left out. After an error nothing
// has changed.
func (st *State) Recall(text []byte) error {
	var m memory
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("the memory of a split: %w", err)
	}
	h := &st.health
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, until := range m.Ejected {
		if i := st.split.index(name); i >= 0 && st.split.Backends[i].Passive != nil {
			h.backends[i].until = until
			h.anyEjected.Store(true)
		}
	}
	if r := m.RolledBack; r != nil && st.split.Ramp != nil && r.Ramp == st.split.rampText() {
		h.since = r.Since
		h.rolledBack.Store(true)
	}
	return nil
}
