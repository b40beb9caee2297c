package plugin

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"kong-traffic-split/plugin/mirror"
)

// copyTally counts the copies for a shadow in this process, over all revisions of its split.
// Safe for concurrent use.
type copyTally struct {
	answers         [classes]atomic.Uint64 // noAnswer: there was none
	drops           map[mirror.Drop]*atomic.Uint64
	same, differing atomic.Uint64

	mu      sync.Mutex
	wrong   string                    // why a copy last failed or was dropped
	wrongAt time.Time                 // when
	logged  map[mirror.Drop]*repeated // the empty reason is that of copies without an answer
	failing bool                      // it was logged that there are such
}

// repeated is a line of the log that is written once a minute at most.
type repeated struct {
	at    time.Time
	since uint64 // so many since then
}

func newCopyTally() *copyTally {
	t := &copyTally{drops: map[mirror.Drop]*atomic.Uint64{}, logged: map[mirror.Drop]*repeated{"": {}}}
	for _, drop := range uncopied {
		t.drops[drop], t.logged[drop] = new(atomic.Uint64), new(repeated)
	}
	return t
}

// dropped counts a request that was not copied, for a reason that may have more to it.
func (t *copyTally) dropped(drop mirror.Drop, more error, now time.Time, log *slog.Logger) {
	t.drops[drop].Add(1)
	if drop == isCopy { // as is meant to be
		return
	}
	write := log.Warn
	if isOfRequest[drop] {
		write = log.Info
	}
	reason := string(drop)
	if more != nil {
		reason += ": " + more.Error()
	}
	if n := t.count(drop, reason, now); n > 0 {
		write("requests are not copied", "reason", reason, "requests", n)
	}
}

// count records what has gone wrong, and returns how often it has since it was last logged;
// 0: it is not to be logged now.
func (t *copyTally) count(kind mirror.Drop, reason string, now time.Time) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !isOfRequest[kind] {
		t.wrong, t.wrongAt = reason, now
	}
	r := t.logged[kind]
	r.since++
	if now.Sub(r.at) < logPause {
		return 0
	}
	n := r.since
	r.at, r.since = now, 0
	t.failing = t.failing || kind == ""
	return n
}

// ended counts what has become of a copy; compared may be nil.
func (t *copyTally) ended(r mirror.Result, compared *comparison, now time.Time, log *slog.Logger) {
	if r.Drop != "" {
		t.dropped(r.Drop, nil, now, log)
		return
	}
	got := noAnswer
	if r.Err == nil {
		got = classOf(r.Status)
	}
	t.answers[got].Add(1)
	if compared != nil {
		compared.copied(t, got)
	}
	if r.Err != nil {
		if n := t.count("", r.Err.Error(), now); n > 0 {
			log.Warn("copies get no answer from a shadow", "copies", n, "error", r.Err)
		}
		return
	}
	if t.recovers() {
		log.Info("copies get answers from a shadow again")
	}
}

// recovers reports whether it was logged that there are no answers, once.
func (t *copyTally) recovers() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.failing
	t.failing = false
	return was
}

// compare counts whether a copy was answered with the class of the real answer.
func (t *copyTally) compare(real, got class) {
	if real == got {
		t.same.Add(1)
	} else {
		t.differing.Add(1)
	}
}

// MirrorStatus is the state of a shadow.
type MirrorStatus struct {
	Shadow  string  `json:"shadow"`
	Percent float64 `json:"percent"` // of the requests to its sources, as configured
	// Sources are the backends whose requests are copied; none: all but the shadow.
	Sources []string `json:"sources,omitempty"`
	// Copies are those that were sent, by the status of the answer, 1xx to 5xx, or no_answer.
	// Other classes without copies are left out.
	Copies map[string]uint64 `json:"copies"`
	// Uncopied are the requests that were to be copied and were not, by the reason.
	Uncopied map[mirror.Drop]uint64 `json:"uncopied"`
	// Compared is nil if no outcomes are told.
	Compared *Compared `json:"compared,omitempty"`
	// Wrong is why a copy was last not answered, or a request not copied for a reason that is
	// not its own, and when; empty: none.
	Wrong   string    `json:"wrong,omitempty"`
	WrongAt time.Time `json:"wrong_at,omitzero"`
}

// Compared are the copies whose answer was compared with the real one: how many had a status
// of the same class, and how many did not.
type Compared struct {
	Same      uint64 `json:"same"`
	Differing uint64 `json:"differing"`
}

func (s *shadow) status(observed bool) MirrorStatus {
	t := s.tally
	part, whole := s.Part()
	m := MirrorStatus{Shadow: s.name, Sources: s.Sources, Percent: 100 * float64(part) / float64(whole), Copies: map[string]uint64{}, Uncopied: map[mirror.Drop]uint64{}}
	for c := nothing + 1; c < classes; c++ {
		if n := t.answers[c].Load(); n > 0 || c == noAnswer {
			m.Copies[c.String()] = n
		}
	}
	for _, drop := range uncopied {
		m.Uncopied[drop] = t.drops[drop].Load()
	}
	if observed {
		m.Compared = &Compared{t.same.Load(), t.differing.Load()}
	}
	t.mu.Lock()
	m.Wrong, m.WrongAt = t.wrong, t.wrongAt
	t.mu.Unlock()
	return m
}
