package server

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	// maxReason is the most bytes of a reason that are logged. Nginx cuts a line of its
	// log at 2048.
	maxReason = 1500
	// maxName is the most bytes that are kept of what Kong calls something.
	maxName = 100
)

// logLine makes one line of UTF-8 of reason, which may hold what a client sent.
func logLine(reason string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, truncate(reason, maxReason))
}

// printable is what is logged of an error, or of what a panic says.
func printable(v any) string { return logLine(fmt.Sprint(v)) }

// shortName is a name that a peer has given something.
func shortName(name string) string { return truncate(name, maxName) }

// truncate returns text without what is too long of it. It does not keep the rest in memory.
func truncate(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}

const (
	// reasonPause is how long a reason is not logged again.
	reasonPause = time.Minute
	// maxReasons is how many different reasons are logged within that time; all others
	// count as one. It bounds the memory, as a client may have a part in what a reason
	// says, and in how many there are.
	maxReasons = 500
)

// A limiter says which reasons are to be logged. Its zero value is ready, and
// safe for concurrent use.
type limiter struct {
	mu     sync.Mutex
	logged map[string]*logged // by reason
}

// logged is when a reason was logged.
type logged struct {
	last       time.Time
	suppressed int // how often it was not since then
}

// allow reports whether reason is to be logged at now: it was not for a minute,
// and not too many others were. If so, suppressed is how often it was not logged
// since the last time that it was, if that is still known.
func (l *limiter) allow(reason string, now time.Time) (ok bool, suppressed int) {
	reason = truncate(reason, maxReason)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logged == nil {
		l.logged = map[string]*logged{}
	}
	if l.logged[reason] == nil && len(l.logged) >= maxReasons {
		for other, entry := range l.logged {
			if now.Sub(entry.last) >= reasonPause {
				delete(l.logged, other)
			}
		}
		if len(l.logged) >= maxReasons {
			reason = "" // all others
		}
	}
	entry := l.logged[reason]
	if entry != nil && now.Sub(entry.last) < reasonPause {
		entry.suppressed++
		return false, 0
	}
	if entry != nil {
		suppressed = entry.suppressed
	}
	l.logged[reason] = &logged{last: now}
	return true, suppressed
}
