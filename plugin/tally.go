package plugin

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kong-traffic-split/plugin/split"
)

// tally counts the requests of a split in this process, by backend. The revisions of a
// split share the counters of the backends that they have in common. Safe for concurrent
// use.
type tally struct {
	unavailable *atomic.Uint64  // requests that no backend could take
	silence     *silence        // whether Kong reports outcomes
	backends    []*backendTally // in the order of the split's
}

// backendTally counts the requests of one backend.
type backendTally struct {
	chosen     [len(split.Reasons)]atomic.Uint64 // in the order of the reasons
	ok, failed atomic.Uint64                     // as far as their outcome matters
}

// newTally returns the tally of s, which goes on from that of before, the revision before
// it; nil: s is the first.
func newTally(s *split.Split, before *live) tally {
	t := tally{unavailable: new(atomic.Uint64), silence: new(silence), backends: make([]*backendTally, len(s.Backends))}
	if before != nil {
		t.unavailable = before.tally.unavailable
		if before.watch.failures {
			t.silence = before.tally.silence
		}
	}
	for i, b := range s.Backends {
		if j := before.index(b.Name); j >= 0 {
			t.backends[i] = before.tally.backends[j]
		} else {
			t.backends[i] = new(backendTally)
		}
	}
	if before != nil && slices.Equal(t.backends, before.tally.backends) {
		t.backends = before.tally.backends // to save memory
	}
	return t
}

// chose counts a decision.
func (t *tally) chose(d split.Decision) {
	t.backends[d.Backend].chosen[slices.Index(split.Reasons[:], d.Reason)].Add(1)
}

// observed counts an outcome.
func (t *tally) observed(backend int, failed bool) {
	if failed {
		t.backends[backend].failed.Add(1)
	} else {
		t.backends[backend].ok.Add(1)
	}
}

const (
	// silentDecisions is how many decisions have to be older than silentFor, without the
	// outcome of any, until outcomes are missing. (The outcome of a connection that stays
	// open for long comes late.)
	silentDecisions = 50
	silentFor       = time.Minute
)

// silence detects that Kong reports no outcomes though they matter, as when it has the
// dump of a server that was started without -outcomes. Its zero value is ready to use. It
// is safe for concurrent use.
type silence struct {
	mu        sync.Mutex
	decisions int       // since the last outcome, up to silentDecisions
	last      time.Time // when there were silentDecisions; zero: there are fewer
	logged    bool      // that outcomes are missing
}

// decided counts a decision at now, and reports whether the caller has to log that
// outcomes are missing, which is so once.
func (s *silence) decided(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.decisions < silentDecisions {
		if s.decisions++; s.decisions == silentDecisions {
			s.last = now
		}
		return false
	}
	if s.logged || now.Sub(s.last) < silentFor {
		return false
	}
	s.logged = true
	return true
}

// reported records that Kong has reported an outcome. It returns whether it was logged that
// outcomes are missing.
func (s *silence) reported() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	logged := s.logged
	s.decisions, s.last, s.logged = 0, time.Time{}, false
	return logged
}

// since returns since when outcomes are missing at now; zero: they are not.
func (s *silence) since(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.IsZero() || now.Sub(s.last) < silentFor {
		return time.Time{}
	}
	return s.last
}
