package split

import (
	"sync/atomic"
	"time"
)

// AskAgain is after how long the caller is to find out whether a backend that did not
// exist still does not.
const AskAgain = time.Second

// missing is which backends did not exist when they were last asked for. Only those
// splits decide by it that redistribute: the others ask for no backend but the one
// whose turn it is, and each time. It is safe for concurrent use.
type missing struct {
	backends atomic.Uint64 // a Set
	again    atomic.Int64  // when to find out anew, in ns since 1970
}

// add takes note of one that does not exist.
func (m *missing) add(i int, now time.Time) {
	if m.backends.Or(uint64(Set(0).With(i))) == 0 {
		m.again.Store(now.Add(AskAgain).UnixNano())
	}
}

// found takes note of one that exists again.
func (m *missing) found(i int) { m.backends.And(^uint64(Set(0).With(i))) }

// due returns the backends about which the caller is to find out anew: to one caller
// each time.
func (m *missing) due(now time.Time) Set {
	backends := Set(m.backends.Load())
	if backends == 0 {
		return 0
	}
	again := m.again.Load()
	if wait := time.Duration(again - now.UnixNano()); wait > 0 && wait <= AskAgain { // more: the clock was set back
		return 0
	}
	if !m.again.CompareAndSwap(again, now.Add(AskAgain).UnixNano()) {
		return 0
	}
	return backends
}

// from takes over what is known of backends in another split, of whose places was
// tells; the caller is to find out anew at once.
func (m *missing) from(other *missing, was []int) {
	before := Set(other.backends.Load())
	for i, j := range was {
		if j >= 0 && before.Has(j) {
			m.backends.Or(uint64(Set(0).With(i)))
		}
	}
}

// Missing returns the backends that did not exist when they were last asked for.
func (st *State) Missing() Set { return Set(st.missing.backends.Load()) }

// Doubt has the caller find out at once about the backends that are missing: something
// has changed.
func (st *State) Doubt() { st.missing.again.Store(0) }
