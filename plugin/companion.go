package plugin

import (
	"sync"
	"time"
)

// CompanionVersion is the version of the companion that leaves what is read here.
const CompanionVersion = "1"

// hasCompanion reports whether requests of the row may be of a split that takes the companion.
func (i *Instance) hasCompanion() bool {
	s := i.serving.Load()
	if s.live != nil {
		return s.live.tally.companion != nil
	}
	return i.plugin.file.current.Load().companion
}

// logCompanion logs what a request has shown of the companion.
func (r *request) logCompanion(l *live, status Companion, version string) {
	switch status {
	case CompanionRuns:
		r.plugin.Log.Info("Kong runs the companion row, so that retries and changes of responses take effect", "split", l.split.Identity)
	case CompanionMissing:
		r.plugin.Log.Error("Kong has no companion row of post-function on this route, so that no request is tried on another backend, and no response header is set or removed: splitctl companion writes it", "split", l.split.Identity)
	case CompanionOther:
		r.plugin.Log.Error("the companion row of post-function on this route is that of another version of the plugin: splitctl companion writes this one's", "split", l.split.Identity, "version", version, "wanted", CompanionVersion)
	}
}

// A Companion is what is known of the row of post-function that a split takes.
type Companion string

// The values of Companion.
const (
	CompanionUnknown Companion = "unknown" // no request has shown it, as when the server was started without -outcomes
	CompanionRuns    Companion = "runs"
	CompanionMissing Companion = "missing"
	CompanionOther   Companion = "other" // that of another version of the plugin
)

func statusOf(version string) Companion {
	switch version {
	case "":
		return CompanionMissing
	case CompanionVersion:
		return CompanionRuns
	}
	return CompanionOther
}

// sighting is what requests have shown of the companion since Kong has its configuration.
// Several routes may use a split, and one of them lack it: that it is missing holds for a
// while after the last request that has shown so. Safe for concurrent use.
type sighting struct {
	mu      sync.Mutex
	last    Companion // that of the latest request; empty: there was none
	wrong   Companion // that of the latest one that was not right; empty: there was none
	wrongAt time.Time
	logged  Companion
}

// lackLasts is how long it is said that the companion is missing after the last request that
// has shown so.
const lackLasts = time.Minute

// seen records what a request has shown, and returns the status where it has changed.
func (s *sighting) seen(what Companion, now time.Time) (changed Companion, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last = what; what != CompanionRuns {
		s.wrong, s.wrongAt = what, now
	}
	status := s.statusAt(now)
	if status == s.logged {
		return status, false
	}
	s.logged = status
	return status, true
}

// forget begins anew, as Kong has another configuration.
func (s *sighting) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.wrong = "", ""
}

func (s *sighting) status(now time.Time) Companion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.statusAt(now)
}

// statusAt is the status. The caller holds mu.
func (s *sighting) statusAt(now time.Time) Companion {
	switch {
	case s.last == "":
		return CompanionUnknown
	case s.wrong != "" && now.Sub(s.wrongAt) < lackLasts:
		return s.wrong
	}
	return s.last
}
