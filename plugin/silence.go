package plugin

import (
	"sync"
	"time"
)

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
