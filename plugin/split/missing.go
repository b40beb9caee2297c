package split

import (
	"sync/atomic"
	"time"
)

// AskAgain is how long after a backend was found not to exist [Choose] asks about it
// again.
const AskAgain = time.Second

// missing is the set of backends that did not exist when somebody last asked. It matters
// only to splits that redistribute: others ask about the chosen backend each time. It is
// safe for concurrent use.
type missing struct {
	backends atomic.Uint64 // a Set
	askAt    atomic.Int64  // when to ask again, in ns since 1970
}

// add records that backend i does not exist.
func (m *missing) add(i int, now time.Time) {
	if m.backends.Or(uint64(Set(0).With(i))) == 0 {
		m.askAt.Store(now.Add(AskAgain).UnixNano())
	}
}

// found records that backend i exists again.
func (m *missing) found(i int) { m.backends.And(^uint64(Set(0).With(i))) }

// due returns the backends about which the caller has to ask again. Of several callers
// at once one gets them.
func (m *missing) due(now time.Time) Set {
	backends := Set(m.backends.Load())
	if backends == 0 {
		return 0
	}
	askAt := m.askAt.Load()
	if wait := time.Duration(askAt - now.UnixNano()); wait > 0 && wait <= AskAgain { // more: the clock was set back
		return 0
	}
	if !m.askAt.CompareAndSwap(askAt, now.Add(AskAgain).UnixNano()) {
		return 0
	}
	return backends
}

// inherit takes over the missing backends of another split, in which backend i has the
// index indexes[i], or -1. They are due at once.
func (m *missing) inherit(other *missing, indexes []int) {
	m.backends.Or(uint64(Set(other.backends.Load()).at(indexes)))
}

// Missing returns the backends that did not exist when they were last asked for.
func (st *State) Missing() Set { return Set(st.missing.backends.Load()) }

// Doubt has the next [Choose] ask again about the missing backends, as something has
// changed.
func (st *State) Doubt() { st.missing.askAt.Store(0) }
