package plugin

import (
	"sync/atomic"
	"time"
)

const (
	// silentDecisions are so many decisions, all older than silentFor, that it is no
	// chance when Kong has told the outcome of none of them. Connections that stay open
	// for long have none yet.
	silentDecisions = 50
	silentFor       = time.Minute
)

// silence sees whether Kong tells any outcomes where they matter: it does not where it
// has the dump of a server that was started without -outcomes. Its zero value is ready,
// and safe for concurrent use.
type silence struct {
	decisions atomic.Int64 // since the last outcome
	last      atomic.Int64 // when the last that it takes was made, in ns since 1970; 0: it was not yet
	said      atomic.Bool
}

// decided counts a decision at now, and reports whether it is to be said, once, that no
// outcomes come.
func (s *silence) decided(now time.Time) bool {
	if s.decisions.Add(1) == silentDecisions {
		s.last.Store(now.UnixNano())
	}
	return !s.since(now).IsZero() && !s.said.Swap(true)
}

// told takes note of an outcome.
func (s *silence) told() {
	if s.decisions.Load() > 0 {
		s.decisions.Store(0)
		s.last.Store(0)
		s.said.Store(false)
	}
}

// since is since when outcomes should have come at now; zero: nothing is wrong.
func (s *silence) since(now time.Time) time.Time {
	last := s.last.Load()
	if last == 0 || now.UnixNano()-last < int64(silentFor) {
		return time.Time{}
	}
	return time.Unix(0, last)
}
