package plugin

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// tally counts the requests of a split in this process, by backend. The revisions of a
// split share the counters of the backends that they have in common. Safe for concurrent
// use.
type tally struct {
	unavailable *atomic.Uint64   // requests that no backend could take
	refused     *samples[uint64] // of unavailable
	silence     *silence         // whether Kong reports outcomes
	companion   *sighting        // of the companion; nil: the split takes none
	backends    []*backendTally  // in the order of the split's
}

// backendTally counts the requests of one backend.
type backendTally struct {
	chosen    [len(split.Reasons)]atomic.Uint64 // in the order of the reasons
	outcomes  [classes]atomic.Uint64            // as far as they matter
	latencies latencies                         // likewise
	ejections atomic.Uint64

	requests samples[uint64]  // of the sum of chosen
	results  samples[results] // of outcomes and latencies
}

// newTally returns the tally of s, which goes on from that of before, the revision before
// it; nil: s is the first.
func newTally(c *config.Config, s *split.Split, before *live) tally {
	t := tally{unavailable: new(atomic.Uint64), refused: new(samples[uint64]), silence: new(silence), backends: make([]*backendTally, len(s.Backends))}
	if before != nil {
		t.unavailable, t.refused = before.tally.unavailable, before.tally.refused
		if before.judged {
			t.silence = before.tally.silence
		}
	}
	if c.NeedsCompanion() {
		t.companion = new(sighting)
		if before != nil && before.tally.companion != nil {
			t.companion = before.tally.companion
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

// observed counts an outcome, with its latency unless that is -1.
func (t *tally) observed(backend int, what class, latency time.Duration) {
	b := t.backends[backend]
	b.outcomes[what].Add(1)
	if latency >= 0 {
		b.latencies.add(latency)
	}
}

// class is what has become of a request.
type class int

const (
	nothing class = iota // that says something about the backend
	_                    // to answered5xx: the status of the backend's answer
	_
	_
	_
	answered5xx
	grpcError // an answer whose status of gRPC stands for a 5xx
	noAnswer
	classes = iota
)

// classOf returns the class of the status of an answer.
func classOf(status int) class { return min(max(class(status/100), 1), answered5xx) }

// failed reports whether the backend has failed.
func (c class) failed() bool { return c >= answered5xx }

// String returns the name of a class, as metrics have it.
func (c class) String() string {
	switch c {
	case grpcError:
		return "grpc_error"
	case noAnswer:
		return "no_answer"
	}
	return fmt.Sprintf("%dxx", int(c))
}

// LatencyBounds are the upper bounds of latencies that are counted together.
var LatencyBounds = [...]time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// latencies counts requests by their latency. Safe for concurrent use.
type latencies struct {
	counts [len(LatencyBounds) + 1]atomic.Uint64 // of those up to each bound, and above the last
	sum    atomic.Int64                          // in nanoseconds
}

func (l *latencies) add(latency time.Duration) {
	i, _ := slices.BinarySearch(LatencyBounds[:], latency)
	l.counts[i].Add(1)
	l.sum.Add(int64(latency))
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
