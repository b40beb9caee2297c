package split

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// health is what becomes of a split's requests: which backends are ejected, and
// which ramps a guard has taken back. All states that go on from one another share
// one, so that what has befallen a backend or a ramp holds wherever they are. It is
// safe for concurrent use.
type health struct {
	anyEjected atomic.Bool // false: nobody is

	mu       sync.Mutex            // of all that is below
	backends map[string]*condition // by name and destination
	ramps    map[string]*course    // by what rampText says
}

// condition is how one backend does at one destination.
type condition struct {
	failures  int           // in a row
	until     time.Time     // it is ejected; zero: it is not
	ejections atomic.Uint32 // so far
}

func newHealth() *health {
	return &health{backends: map[string]*condition{}, ramps: map[string]*course{}}
}

// of returns the conditions of the backends of s, in their order, nil for those that
// are not watched; and the course of its ramp, nil where that has no guard.
func (h *health) of(s *Split) ([]*condition, *course) {
	h.mu.Lock()
	defer h.mu.Unlock()
	conditions := make([]*condition, len(s.Backends))
	for i, b := range s.Backends {
		if b.Passive != nil {
			conditions[i] = entry(h.backends, b.place())
		}
	}
	if s.Ramp == nil || s.Ramp.Guard == nil {
		return conditions, nil
	}
	return conditions, entry(h.ramps, s.rampText())
}

// entry returns what m has under key, which is something new where there was nothing.
func entry[T any](m map[string]*T, key string) *T {
	if m[key] == nil {
		m[key] = new(T)
	}
	return m[key]
}

// place is what a backend's condition is known by.
func (b *Backend) place() string { return b.Name + "\n" + b.Destination }

// A Subject is what the outcome of a request says something about: how the backend
// does at that destination, since its last ejection, and its ramp. Zero: nothing.
type Subject struct{ Backend, Ramp uint32 }

// Subject returns what a request of backend i that is decided now will say something
// about.
func (st *State) Subject(i int) (subject Subject) {
	if c := st.conditions[i]; c != nil {
		subject.Backend = st.places[i] + c.ejections.Load()
	}
	if st.course != nil && st.split.Ramp.Backend == i {
		subject.Ramp = st.ramp
	}
	return subject
}

// An Event is something that an outcome has led to.
type Event struct {
	Kind    EventKind
	Backend string
	Until   time.Time // it is ejected
	Failed  int       // requests, in a row or of the window's
	Of      int       // requests of the window
}

// EventKind says what has happened.
type EventKind int

const (
	// Ejected: the backend is out for a while.
	Ejected EventKind = iota
	// RolledBack: the backend's ramp is.
	RolledBack
	// Blocked: the backend's ramp would be rolled back, and nobody could take the share.
	Blocked
)

// String says what has happened.
func (e Event) String() string {
	switch e.Kind {
	case RolledBack:
		return fmt.Sprintf("the ramp of %q is taken back, and stays so until it is changed: %d of %d requests failed",
			e.Backend, e.Failed, e.Of)
	case Blocked:
		return fmt.Sprintf("the ramp of %q is taken back only once another backend can take its share, and none can: %d of %d requests failed",
			e.Backend, e.Failed, e.Of)
	}
	return fmt.Sprintf("%q is ejected until %s: %d requests in a row failed",
		e.Backend, e.Until.UTC().Format(time.RFC3339), e.Failed)
}

// An Outcome is what has become of a request.
type Outcome struct {
	Backend  int     // that got it
	Subject  Subject // of its decision
	Failed   bool
	Unusable Set // backends that could take no request now, as far as the caller knows
}

// Observe takes note of an outcome at now, and returns what that has led to. An
// outcome that says nothing about the present, as its request was for another
// destination or ramp, or from before an ejection, counts for nothing. It allocates
// only where it returns something.
func (st *State) Observe(o Outcome, now time.Time) (events []Event) {
	h, s := st.health, st.split
	h.mu.Lock()
	defer h.mu.Unlock()
	present := st.Subject(o.Backend)
	if c := st.conditions[o.Backend]; c != nil && o.Subject.Backend == present.Backend {
		p := s.Backends[o.Backend].Passive
		switch {
		case !o.Failed:
			c.failures = 0
		case now.Before(c.until): // it got the request all the same, as nobody else was left
		default:
			if c.failures++; c.failures >= p.Failures {
				c.failures, c.until = 0, now.Add(p.Ejection)
				c.ejections.Add(1)
				h.anyEjected.Store(true)
				events = append(events, Event{Backend: s.Backends[o.Backend].Name, Until: c.until, Failed: p.Failures})
			}
		}
	}
	if c := st.course; c != nil && s.Ramp.Backend == o.Backend && o.Subject.Ramp == present.Ramp && !c.rolledBack.Load() {
		if e := st.judge(o.Failed, o.Unusable, now); e != nil {
			events = append(events, *e)
		}
	}
	return events
}

// ejected are the backends that are out at now.
func (st *State) ejected(now time.Time) (out Set) {
	h := st.health
	if !h.anyEjected.Load() {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, c := range st.conditions {
		if c != nil && now.Before(c.until) {
			out = out.With(i)
		}
	}
	if out == 0 {
		some := false
		for _, c := range h.backends { // another state may have others
			some = some || now.Before(c.until)
		}
		h.anyEjected.Store(some)
	}
	return out
}

// Prune forgets the backends and the ramps that none of these states has, which are
// all that are left of those that go on from one another. It tells whether Memory may
// be another one now.
func Prune(states ...*State) (changed bool) {
	pruneTurns(states)
	h := states[0].health
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.backends, func(_ string, c *condition) bool {
		gone := !slices.ContainsFunc(states, func(st *State) bool { return slices.Contains(st.conditions, c) })
		changed = changed || gone && !c.until.IsZero()
		return gone
	})
	maps.DeleteFunc(h.ramps, func(_ string, c *course) bool {
		gone := !slices.ContainsFunc(states, func(st *State) bool { return st.course == c })
		changed = changed || gone && c.rolledBack.Load()
		return gone
	})
	return changed
}
