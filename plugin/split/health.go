package split

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
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

	mu       sync.Mutex // of all that is below
	backends map[string]*condition
	ramps    map[string]*course // by what rampText says
}

// condition is how one backend does.
type condition struct {
	failures int       // in a row
	until    time.Time // it is ejected; zero: it is not
}

// course is how one guarded ramp goes.
type course struct {
	rolledBack atomic.Bool // never false again
	window     window      // of the ramp's backend
	since      time.Time   // of the rollback
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
			conditions[i] = entry(h.backends, b.Name)
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

// An Event is something that an outcome has led to.
type Event struct {
	Backend string
	Until   time.Time // the backend is ejected so long
	Back    bool      // instead: the ramp of the backend is taken back
	Failed  int       // requests, in a row or of the window's
	Of      int       // requests of the window
}

// String says what has happened.
func (e Event) String() string {
	if e.Back {
		return fmt.Sprintf("the ramp of %q is taken back, and stays so until it is changed: %d of %d requests failed",
			e.Backend, e.Failed, e.Of)
	}
	return fmt.Sprintf("%q is ejected until %s: %d requests in a row failed",
		e.Backend, e.Until.UTC().Format(time.RFC3339), e.Failed)
}

// Observe takes note of what has become of a request that a backend got, at now,
// and returns what that has led to. It allocates only then.
func (st *State) Observe(backend int, failed bool, now time.Time) (events []Event) {
	h, s := st.health, st.split
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := st.conditions[backend]; c != nil {
		p := s.Backends[backend].Passive
		switch {
		case !failed:
			c.failures = 0
		case now.Before(c.until): // a request that was under way
		default:
			if c.failures++; c.failures >= p.Failures {
				c.failures, c.until = 0, now.Add(p.Ejection)
				h.anyEjected.Store(true)
				events = append(events, Event{Backend: s.Backends[backend].Name, Until: c.until, Failed: p.Failures})
			}
		}
	}
	if c, r := st.course, s.Ramp; c != nil && r.Backend == backend && !c.rolledBack.Load() {
		all, bad := c.window.add(r.Guard.Window, failed, now)
		if all >= r.Guard.MinRequests && bad*whole > r.Guard.MaxErrorRatio*all && r.ShareAt(now) != r.From {
			c.since = now
			c.rolledBack.Store(true)
			events = append(events, Event{Backend: s.Backends[backend].Name, Back: true, Failed: bad, Of: all})
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

// rolledBack tells whether a guard has taken the ramp back.
func (st *State) rolledBack() bool { return st.course != nil && st.course.rolledBack.Load() }

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

// sameRamp tells whether two splits have the same ramp, or none.
func sameRamp(a, b *Split) bool { return a.rampText() == b.rampText() }

// rampText names a ramp's content; empty where there is none.
func (s *Split) rampText() string {
	r := s.Ramp
	if r == nil {
		return ""
	}
	text := fmt.Sprintf("%s %d %d %d %d %d", strconv.Quote(s.Backends[r.Backend].Name), r.From, r.To,
		r.Start.UnixNano(), r.Duration, r.Steps)
	if g := r.Guard; g != nil {
		text += fmt.Sprintf(" guard %d %d %d", g.MaxErrorRatio, g.MinRequests, g.Window)
	}
	return text
}

// parts is how many parts a window has: what is older than the window by up to one
// of them still counts.
const parts = 10

// window counts requests of the last while.
type window struct {
	part   [parts]count
	latest int64 // the number of the part that was counted in last, since 1970
}

type count struct{ all, failed int }

// add counts a request, and returns how many there were in the window, and how many
// of them failed.
func (w *window) add(length time.Duration, failed bool, now time.Time) (all, bad int) {
	number := now.UnixNano() / max(int64(length)/parts, 1)
	if number < w.latest-parts { // the clock was set back, and all that is there would stay for long
		*w = window{latest: number}
	}
	for w.latest < number {
		// No more than all of them, however long nothing came.
		w.latest = max(w.latest+1, number-parts+1)
		w.part[w.latest%parts] = count{}
	}
	c := &w.part[w.latest%parts]
	c.all++
	if failed {
		c.failed++
	}
	for _, c := range w.part {
		all, bad = all+c.all, bad+c.failed
	}
	return all, bad
}
