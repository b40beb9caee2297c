package plugin

import (
	"sync"
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
	mu        sync.Mutex
	decisions int       // since the last outcome, as far as it takes them
	last      time.Time // when the last that it takes was made; zero: it was not yet
	said      bool
}

// decided counts a decision at now, and reports whether it is to be said, once, that no
// outcomes come.
func (s *silence) decided(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.decisions < silentDecisions {
		if s.decisions++; s.decisions == silentDecisions {
			s.last = now
		}
		return false
	}
	if s.said || now.Sub(s.last) < silentFor {
		return false
	}
	s.said = true
	return true
}

// told takes an outcome into account, and reports whether it had been said that none come.
func (s *silence) told() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.said
	s.decisions, s.last, s.said = 0, time.Time{}, false
	return was
}

// since is since when outcomes should have come at now; zero: nothing is wrong.
func (s *silence) since(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.IsZero() || now.Sub(s.last) < silentFor {
		return time.Time{}
	}
	return s.last
}
