package plugin

import (
	"fmt"
	"log/slog"
	"time"

	"kong-traffic-split/plugin/split"
)

// logChange logs what is different in l, which is in use from now on, from was, which was
// until now; nil: that is not known.
func (l *live) logChange(was *live, now time.Time, log *slog.Logger) {
	if was == nil || was.split.Revision == l.split.Revision {
		return
	}
	log = log.With("split", l.split.Identity)
	changed := false
	tell := func(message string, attributes ...any) {
		changed = true
		log.Info(message, attributes...)
	}
	for _, b := range l.split.Backends {
		if i := was.index(b.Name); i < 0 {
			tell("a backend was added", "backend", b.Name, "weight", b.Weight)
		} else if before := was.split.Backends[i].Weight; before != b.Weight {
			tell("a weight has changed", "backend", b.Name, "weight", fmt.Sprintf("%d->%d", before, b.Weight))
		}
	}
	for _, b := range was.split.Backends {
		if l.index(b.Name) < 0 {
			tell("a backend was removed", "backend", b.Name, "weight", b.Weight)
		}
	}
	ramp, before := l.rampName(), was.rampName()
	switch {
	case ramp == "" && before == "":
	case ramp == "":
		tell("a ramp has ended", "backend", before)
	case ramp != before:
		tell("a ramp has begun", "backend", ramp, "share", split.Percent(l.state.RampShare(now)))
	case !l.state.SameRamp(was.state):
		share := split.Percent(l.state.RampShare(now))
		if former := split.Percent(was.state.RampShare(now)); former != share {
			share = former + "->" + share
		}
		tell("a ramp has changed", "backend", ramp, "share", share, "held", l.split.Ramp.Hold != nil)
	}
	if !changed {
		log.Info("a config has changed", "revision", was.split.Revision+"->"+l.split.Revision)
	}
}

// rampName is the name of the ramp's backend; empty: there is no ramp.
func (l *live) rampName() string {
	if l.split.Ramp == nil {
		return ""
	}
	return l.split.Backends[l.split.Ramp.Backend].Name
}
