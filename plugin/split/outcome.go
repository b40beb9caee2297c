package split

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// history is what the outcomes of requests have led to: which backends are ejected, and
// which ramps are rolled back. All states that go on from one another share one, so that
// an ejection or a rollback holds in each of them. It is safe for concurrent use.
type history struct {
	anyEjected atomic.Bool // false: no backend is ejected, nor in a slow start since

	mu       sync.Mutex            // of all that is below
	backends map[string]*condition // by name and destination
	ramps    map[string]*course    // by what rampText says
}

// condition is what is known of one backend at one destination.
type condition struct {
	failures  int           // in a row
	until     time.Time     // until when it is, or was last ejected; zero: it never was
	slow      time.Duration // its slow start after that
	ejections atomic.Uint32 // so far
}

func newHistory() *history {
	return &history{backends: map[string]*condition{}, ramps: map[string]*course{}}
}

// track returns the conditions of the backends of s in their order, nil for those
// without passive health checks, and the course of its ramp, nil if it has no guard.
func (h *history) track(s *Split) ([]*condition, *course) {
	h.mu.Lock()
	defer h.mu.Unlock()
	conditions := make([]*condition, len(s.Backends))
	for i, b := range s.Backends {
		if b.Passive != nil {
			conditions[i] = entry(h.backends, b.identity())
			conditions[i].slow = b.SlowStart
		}
	}
	if s.Ramp == nil || s.Ramp.Guard == nil {
		return conditions, nil
	}
	c := entry(h.ramps, s.rampText())
	c.prepare(s.Ramp)
	return conditions, c
}

// entry returns what m has under key, which is new if there was nothing.
func entry[T any](m map[string]*T, key string) *T {
	if m[key] == nil {
		m[key] = new(T)
	}
	return m[key]
}

// identity is the key of a backend's condition.
func (b *Backend) identity() string { return b.Name + "\n" + b.Destination }

// A Subject is what the outcome of a request is evidence of: the backend at its
// destination since its last ejection, and the ramp. Zero: of nothing.
type Subject struct{ Backend, Ramp uint32 }

// Subject returns the subject of a request that is decided now for backend i.
func (st *State) Subject(i int) (subject Subject) {
	if c := st.conditions[i]; c != nil {
		subject.Backend = st.identities[i] + c.ejections.Load()
	}
	if st.course != nil && st.judgesBy(i) {
		subject.Ramp = st.ramp
	}
	return subject
}

// judgesBy reports whether the outcome of backend i matters to the guard of the ramp.
func (st *State) judgesBy(i int) bool {
	r := st.split.Ramp
	return i == r.Backend || r.Guard.MaxErrorExcess > 0
}

// An Incident is what an outcome has led to.
type Incident struct {
	Kind     IncidentKind
	Backend  string
	Until    time.Time // until when it is ejected
	Why      string    // in what way a limit of the guard is exceeded
	Failed   int       // requests that failed, in a row or in the guard's window
	Requests int       // requests in the guard's window
	Kept     bool      // it takes requests as long as MaxEjected has no room for it

	// Of a step that has begun: the shares before it and of it, in hundredths of a
	// percent, its number counted from 1, of how many, and by how much it is later than it
	// would be had no step waited.
	From, To, Step, Steps int
	Behind                time.Duration
}

// IncidentKind is what has happened.
type IncidentKind int

const (
	// Ejected: the backend is out for a while.
	Ejected IncidentKind = iota
	// RolledBack: the backend's ramp is rolled back.
	RolledBack
	// Blocked: the backend's ramp would be rolled back, but no other backend can take
	// the share.
	Blocked
	// StepBegun: a step of the backend's ramp has begun, after the guard has judged the one
	// before it.
	StepBegun
)

// String returns a sentence for the log.
func (e Incident) String() string {
	switch e.Kind {
	case RolledBack:
		return fmt.Sprintf("the ramp of %q is rolled back, and stays so until it is changed: %s", e.Backend, e.Why)
	case Blocked:
		return fmt.Sprintf("the ramp of %q is rolled back only once another backend can take its share, and none can: %s", e.Backend, e.Why)
	case StepBegun:
		text := fmt.Sprintf("step %d of %d of the ramp of %q has begun, from %s %% to %s %%", e.Step, e.Steps, e.Backend, Percent(e.From), Percent(e.To))
		if e.Behind > 0 {
			text += fmt.Sprintf(", %s later than without waiting", e.Behind.Round(time.Millisecond))
		}
		return text
	}
	until := e.Until.UTC().Format(time.RFC3339)
	if e.Kept {
		return fmt.Sprintf("%q is ejected until %s, but takes requests as long as too much of the weights would be out (max_ejected): %d requests in a row failed", e.Backend, until, e.Failed)
	}
	return fmt.Sprintf("%q is ejected until %s: %d requests in a row failed", e.Backend, until, e.Failed)
}

// An Outcome is what has become of a request.
type Outcome struct {
	Backend  int     // that got the request
	Subject  Subject // of the decision
	Failed   bool
	Latency  time.Duration // until the backend began to answer; below 0: it is not known, or there was no answer
	Unusable Set           // backends that cannot take requests now, as far as the caller knows

	// Of the backends that are probed, as in [Facts]; they matter only with MaxEjected.
	Unhealthy Set
	Changed   func(backend int) time.Time
}

// Observe counts an outcome at now, and returns what it has led to. It ignores the
// outcome of a request for another destination or ramp, or from before an ejection. It
// allocates only if it returns something.
func (st *State) Observe(o Outcome, now time.Time) (incidents []Incident) {
	h, s := st.history, st.split
	h.mu.Lock()
	defer h.mu.Unlock()
	present := st.Subject(o.Backend)
	if c := st.conditions[o.Backend]; c != nil && o.Subject.Backend == present.Backend {
		p := s.Backends[o.Backend].Passive
		switch {
		case !o.Failed:
			c.failures = 0
		case now.Before(c.until): // it got the request because no other backend was left
		default:
			if c.failures++; c.failures >= p.Failures {
				c.failures, c.until = 0, now.Add(p.Ejection)
				c.ejections.Add(1)
				h.anyEjected.Store(true)
				_, kept := st.limit(&Facts{Now: now, Unhealthy: o.Unhealthy, Changed: o.Changed}, o.Unhealthy|st.ejectedAt(now))
				incidents = append(incidents, Incident{Backend: s.Backends[o.Backend].Name, Until: c.until, Failed: p.Failures, Kept: kept.Has(o.Backend)})
			}
		}
	}
	if c := st.course; c != nil && st.judgesBy(o.Backend) && o.Subject.Ramp == present.Ramp && !c.rolledBack.Load() {
		incidents = append(incidents, st.judge(o, now)...)
	}
	return incidents
}

// ejected returns the backends that are ejected at now.
func (st *State) ejected(now time.Time) (out Set) {
	h := st.history
	if !h.anyEjected.Load() {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if out = st.ejectedAt(now); out == 0 {
		some := false
		for _, c := range h.backends { // another state may have others
			some = some || now.Before(c.until.Add(c.slow))
		}
		h.anyEjected.Store(some)
	}
	return out
}

// ejectedAt returns the same. The caller holds the history's lock.
func (st *State) ejectedAt(now time.Time) (out Set) {
	for i, c := range st.conditions {
		if c != nil && now.Before(c.until) {
			out = out.With(i)
		}
	}
	return out
}

// Prune forgets the backends and the ramps that none of these states has. They have to
// be all states in use of those that go on from one another. It reports whether what
// [State.Memory] returns may have changed.
func Prune(states ...*State) (changed bool) {
	pruneTurns(states)
	h := states[0].history
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.backends, func(_ string, c *condition) bool {
		gone := !slices.ContainsFunc(states, func(st *State) bool { return slices.Contains(st.conditions, c) })
		changed = changed || gone && !c.until.IsZero()
		return gone
	})
	maps.DeleteFunc(h.ramps, func(_ string, c *course) bool {
		gone := !slices.ContainsFunc(states, func(st *State) bool { return st.course == c })
		changed = changed || gone && (c.rolledBack.Load() || c.pace.Load() != nil)
		return gone
	})
	return changed
}

// memory is the saved state.
type memory struct {
	Ejected    map[string]time.Time `json:"ejected,omitempty"`     // until when they are or, if they are in a slow start, were, by [Backend.identity]
	At         time.Time            `json:"at,omitzero"`           // when Ejected was saved
	RolledBack map[string]rollback  `json:"rolled_back,omitempty"` // by [Split.rampText]
	Steps      map[string]savedPace `json:"steps,omitempty"`       // of ramps that wait, likewise
	Kept       []string             `json:"kept,omitempty"`        // backends that never were out, though they were unhealthy last, by [Backend.identity]
}

type rollback struct {
	Since time.Time `json:"since"`
	Share int       `json:"share"` // since the rollback, in hundredths of a percent
	Why   string    `json:"why,omitempty"`
}

type savedPace struct {
	Step   int           `json:"step"`
	Behind time.Duration `json:"behind"` // in nanoseconds
}

// maxBehind is how long a ramp has waited at most: what is saved of more is damaged. A
// ramp's own time, of at most 64 steps of a year, can be added.
const maxBehind = 100 * 365 * 24 * time.Hour

// Memory returns what the caller has to save of the state at now, for [State.Recall]:
// ejections, rollbacks, the steps of ramps that wait, and who was kept; nil: nothing. But for
// the last it is the same for all states that go on from one another.
func (st *State) Memory(now time.Time) []byte {
	h := st.history
	h.mu.Lock()
	defer h.mu.Unlock()
	m := memory{Ejected: map[string]time.Time{}, RolledBack: map[string]rollback{}, Steps: map[string]savedPace{}}
	for name, c := range h.backends {
		if now.Before(c.until.Add(c.slow)) {
			m.Ejected[name] = c.until
			m.At = now
		}
	}
	for ramp, c := range h.ramps {
		if c.rolledBack.Load() {
			m.RolledBack[ramp] = rollback{c.since, int(c.share.Load()), c.why}
		}
		if p := c.pace.Load(); p != nil {
			m.Steps[ramp] = savedPace{p.step, p.behind}
		}
	}
	if r := st.split.Ramp; r.Waits() {
		p := st.course.paceAt(r, now)
		step, _ := p.at(r, now) // which may have had no outcome yet
		m.Steps[st.split.rampText()] = savedPace{step, p.behind}
	}
	for i, b := range st.split.Backends {
		if b.SlowStart > 0 && st.Kept().Has(i) {
			m.Kept = append(m.Kept, b.identity())
		}
	}
	if len(m.Ejected)+len(m.RolledBack)+len(m.Steps)+len(m.Kept) == 0 {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // times of this century
	}
	return text
}

// Recall adds what Memory has returned to the state. What is about backends or ramps
// that the split does not have, or not yet, is kept until [Prune]. No ejection lasts
// longer from now than it did when it was saved, even if the clock was set back since.
// After an error the state is as before.
func (st *State) Recall(text []byte, now time.Time) error {
	var m memory
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("the memory of a split: %w", err)
	}
	h := st.history
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, until := range m.Ejected {
		rest := until.Sub(now)
		if !m.At.IsZero() {
			rest = min(rest, until.Sub(m.At))
		}
		until = now.Add(rest) // on the monotonic clock
		if c := entry(h.backends, name); c.until.Before(until) {
			c.until = until
			h.anyEjected.Store(true)
		}
	}
	for i, b := range st.split.Backends {
		if st.split.MaxEjected != nil && slices.Contains(m.Kept, b.identity()) {
			st.kept.Or(uint64(Set(0).With(i)))
		}
	}
	for ramp, saved := range m.RolledBack {
		if c := entry(h.ramps, ramp); !c.rolledBack.Load() {
			c.since, c.why = saved.Since, saved.Why
			c.share.Store(int64(min(max(saved.Share, 0), whole)))
			c.rolledBack.Store(true)
		}
	}
	for ramp, saved := range m.Steps {
		c := entry(h.ramps, ramp)
		if c != st.course || st.split.Ramp.Waits() && saved.Step <= st.split.Ramp.LastStep() {
			c.pace.Store(&pace{step: max(saved.Step, beforeFirst), behind: min(max(saved.Behind, 0), maxBehind)})
			c.step.clear()
		}
	}
	return nil
}
