package plugin

import (
	"slices"
	"sync/atomic"

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
		if before.observed {
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
