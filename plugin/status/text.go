package status

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"kong-traffic-split/plugin"
)

// printable returns a text with a space in place of what a terminal would not show but do.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

// wrong returns what is wrong with the server or with what it serves, a sentence each.
func (r *Report) wrong() []string {
	all := []string{}
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if r.SplitFiles != nil {
		for _, problem := range r.SplitFiles.Problems {
			add("the split files are wrong, and the last good ones are in use: %s", problem)
		}
	}
	for _, e := range r.ConfigErrors {
		add("the config of %s is wrong since %s: %s; in use is %s", e.Split, moment(e.Since), e.Error, e.InUse)
	}
	if r.State != nil {
		if r.State.Problem != "" {
			add("what must outlive a restart cannot be saved in %s: %s", r.State.Path, r.State.Problem)
		}
		for _, path := range r.State.PutAside {
			add("saved state could not be used and was put aside as %s", path)
		}
	}
	if p := r.Processes; p != nil && isRecent(p.Last, r.Now) {
		add("a serving process has died at %s, and another one goes on; so far %d have died and %d hung, and the server's log says why", moment(p.Last), p.Died, p.Hung)
	}
	if l := r.Log; l != nil && isRecent(l.Last, r.Now) {
		add("the log was not read in time at %s, and %d lines of it are missing so far", moment(l.Last), l.Dropped)
	}
	for i := range r.Splits {
		all = append(all, wrongWith(&r.Splits[i], r.Now)...)
	}
	return all
}

// notices returns what is wrong with a split at now that no part of it shows, likewise.
func notices(s *plugin.SplitStatus, now time.Time) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if !s.OutcomesMissing.IsZero() {
		add("%s: Kong tells no outcomes since %s, so that guards, passive health checks and comparisons with shadows do not work", s.Split, moment(s.OutcomesMissing))
	}
	switch s.Companion {
	case plugin.CompanionMissing:
		add("%s: Kong has no companion row, so that no request is tried on another backend, and no response header is set or removed: splitctl companion writes it", s.Split)
	case plugin.CompanionOther:
		add("%s: Kong's companion row is that of another version of the plugin: splitctl companion writes this one's", s.Split)
	}
	for _, m := range s.Mirrors {
		if isRecent(m.WrongAt, now) {
			add("%s: copies for %s fail or are dropped, at %s for the last time: %s", s.Split, m.Shadow, moment(m.WrongAt), m.Wrong)
		}
	}
	return all
}

// wrongWith returns all that is wrong with a split at now, likewise.
func wrongWith(s *plugin.SplitStatus, now time.Time) []string {
	all := notices(s, now)
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if s.Drift != nil && *s.Drift >= 2 {
		add("%s: choices by weight are off from the shares by %.2f requests, which no config can cause: report it", s.Split, *s.Drift)
	}
	for _, b := range s.Backends {
		if b.Up != nil && !*b.Up {
			add("%s: %s is %s", s.Split, b.Name, condition(&b))
		}
	}
	if ramp := s.Ramp; ramp != nil && !ramp.RolledBack.IsZero() {
		add("%s: the ramp of %s was rolled back at %s: %s", s.Split, ramp.Backend, moment(ramp.RolledBack), ramp.Why)
	} else if ramp != nil && !ramp.RollbackBlocked.IsZero() {
		add("%s: the ramp of %s is not rolled back since %s, as no other backend can take its share", s.Split, ramp.Backend, moment(ramp.RollbackBlocked))
	}
	return all
}

// recentTime is for how long it is wrong what has happened once.
const recentTime = 10 * time.Minute

// isRecent reports whether something that has happened once is still to be told.
func isRecent(t, now time.Time) bool { return !t.IsZero() && now.Sub(t) < recentTime }

// condition says how a backend is that is not healthy.
func condition(b *plugin.BackendStatus) string {
	text := "unhealthy"
	switch {
	case b.Up == nil:
		return "not known yet"
	case b.Missing:
		text = "missing: Kong has no Upstream of its name"
	case !b.EjectedUntil.IsZero():
		text = "ejected until " + moment(b.EjectedUntil)
	case b.Probe != nil && b.Probe.LastError != "":
		text = "unhealthy: " + b.Probe.LastError
	}
	if b.Kept {
		text += ", and " + takes(b)
	}
	return text
}

func percent(part float64) string { return strconv.FormatFloat(part*100, 'f', 2, 64) + " %" }

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
