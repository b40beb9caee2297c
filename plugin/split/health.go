package split

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// health is what becomes of a split's requests: which backends are ejected, and
// whether the guard has taken the ramp back. It is safe for concurrent use.
type health struct {
	anyEjected atomic.Bool // false: nobody is
	rolledBack atomic.Bool // never false again

	mu       sync.Mutex
	backends []condition // in the order of the split's
	window   window      // of the ramp's backend
	since    time.Time   // of the rollback
}

// condition is how one backend does.
type condition struct {
	failures int       // in a row
	until    time.Time // it is ejected; zero: it is not
}

func (h *health) init(s *Split) { h.backends = make([]condition, len(s.Backends)) }

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
	h, s := &st.health, st.split
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := s.Backends[backend].Passive; p != nil {
		c := &h.backends[backend]
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
	if r := s.Ramp; r != nil && r.Guard != nil && r.Backend == backend && !h.rolledBack.Load() {
		all, bad := h.window.add(r.Guard.Window, failed, now)
		if all >= r.Guard.MinRequests && bad*whole > r.Guard.MaxErrorRatio*all && r.ShareAt(now) != r.From {
			h.since = now
			h.rolledBack.Store(true)
			events = append(events, Event{Backend: s.Backends[backend].Name, Back: true, Failed: bad, Of: all})
		}
	}
	return events
}

// ejected are the backends that are out at now.
func (h *health) ejected(now time.Time) (out Set) {
	if !h.anyEjected.Load() {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.backends {
		if now.Before(h.backends[i].until) {
			out = out.With(i)
		}
	}
	h.anyEjected.Store(out != 0)
	return out
}

// inherit takes over how the backends did in another state. was[i] is the place
// there of backend i, or -1.
func (h *health) inherit(from *health, before, s *Split, was []int) {
	from.mu.Lock()
	defer from.mu.Unlock()
	for i, j := range was {
		if j >= 0 && s.Backends[i].Passive != nil {
			h.backends[i] = from.backends[j]
		}
	}
	h.anyEjected.Store(from.anyEjected.Load())
	if sameRamp(before, s) && s.Ramp != nil {
		h.window, h.since = from.window, from.since
		h.rolledBack.Store(from.rolledBack.Load())
	}
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
