package server

import (
	"sync"
	"time"
)

const (
	// reasonPause is how long a reason is not logged again.
	reasonPause = time.Minute
	// maxReasons is how many different reasons are logged within that time. It
	// bounds the memory, as a client may have a part in what a reason says.
	maxReasons = 500
)

// A limiter says which reasons are to be logged. Its zero value is ready, and
// safe for concurrent use.
type limiter struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// allow tells whether reason is to be logged at now: it was not for a minute,
// and not too many others were.
func (l *limiter) allow(reason string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.last[reason]; ok && now.Sub(last) < reasonPause {
		return false
	}
	if l.last == nil {
		l.last = map[string]time.Time{}
	}
	if len(l.last) >= maxReasons {
		for other, last := range l.last {
			if now.Sub(last) >= reasonPause {
				delete(l.last, other)
			}
		}
	}
	if len(l.last) >= maxReasons {
		return false
	}
	l.last[reason] = now
	return true
}
