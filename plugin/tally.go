package plugin

import (
	"slices"
	"sync/atomic"

	"kong-traffic-split/plugin/split"
)

// tally counts what has become of a split's requests in this process. The
// revisions of a split count on: what they have in common they share. Safe for
// concurrent use.
type tally struct {
	unavailable *atomic.Uint64  // requests that no backend could take
	silence     *silence        // whether outcomes come
	backends    []*backendTally // in the order of the split's
}

// backendTally counts the requests of one backend.
type backendTally struct {
	chosen     [len(split.Reasons)]atomic.Uint64 // in the order of the reasons
	ok, failed atomic.Uint64                     // as far as their outcome matters
}

// newTally returns the tally of s, which goes on from that of the revision before
// it. was is nil for the first.
func newTally(s *split.Split, was *live) tally {
	t := tally{unavailable: new(atomic.Uint64), silence: new(silence), backends: make([]*backendTally, len(s.Backends))}
	if was != nil {
		t.unavailable = was.tally.unavailable
		if was.observed {
			t.silence = was.tally.silence
		}
	}
	for i, b := range s.Backends {
		if at := was.index(b.Name); at >= 0 {
			t.backends[i] = was.tally.backends[at]
		} else {
			t.backends[i] = new(backendTally)
		}
	}
	if was != nil && slices.Equal(t.backends, was.tally.backends) {
		t.backends = was.tally.backends // of which there need not be two
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
