package split

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// course is how one guarded ramp goes. Its window and times are under the health's
// lock.
type course struct {
	rolledBack atomic.Bool  // never false again
	share      atomic.Int64 // of the ramp's backend then, in hundredths of a percent
	since      time.Time    // of the rollback
	window     window       // of the ramp's backend
	blocked    time.Time    // since when it would be rolled back if somebody could take the share; zero: it would not
}

// judge takes note of an outcome of the ramp's backend, which has a guard, and rolls
// the ramp back where too many requests have failed, somebody else can take the share,
// and there is anything to take. The event is nil where nothing has happened. The
// caller holds the health's lock.
func (st *State) judge(failed bool, unusable Set, now time.Time) *Event {
	c, r := st.course, st.split.Ramp
	all, bad := c.window.add(r.Guard.Window, failed, now)
	share := r.ShareAt(now)
	if now.Before(r.Start) || share <= r.Guard.RollbackTo || all < r.Guard.MinRequests || bad*whole <= r.Guard.MaxErrorRatio*all {
		c.blocked = time.Time{}
		return nil
	}
	e := &Event{Backend: st.split.Backends[r.Backend].Name, Failed: bad, Of: all}
	switch {
	case st.hasAlternative(unusable, now):
		c.since, c.blocked = now, time.Time{}
		c.share.Store(int64(r.Guard.RollbackTo))
		c.rolledBack.Store(true)
		e.Kind = RolledBack
	case c.blocked.IsZero():
		c.blocked = now
		e.Kind = Blocked
	default:
		return nil
	}
	return e
}

// hasAlternative reports whether somebody else than the ramp's backend can take its
// share. The caller holds the health's lock.
func (st *State) hasAlternative(unusable Set, now time.Time) bool {
	s := st.split
	canTake := func(i int) bool {
		c := st.conditions[i]
		return i != s.Ramp.Backend && !unusable.Has(i) && (c == nil || !now.Before(c.until))
	}
	weighted := false
	for i, b := range s.Backends {
		if i == s.Ramp.Backend || b.Weight == 0 {
			continue
		}
		if weighted = true; canTake(i) {
			return true
		}
	}
	return weighted && s.OnUnavailable == ToFallback && canTake(s.Fallback)
}

// rolledBack reports whether a guard has rolled the ramp back.
func (st *State) rolledBack() bool { return st.course != nil && st.course.rolledBack.Load() }

// sameRamp reports whether two splits have the same ramp with the same guard, or none.
func sameRamp(a, b *Split) bool {
	return a.rampText() == b.rampText() && (a.Ramp == nil || equal(a.Ramp.Guard, b.Ramp.Guard))
}

// rampText names a ramp by its course; empty where there is none. What its guard says
// is not in it: a rollback stays when that is edited.
func (s *Split) rampText() string {
	r := s.Ramp
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%s %d %d %d %d %d", strconv.Quote(s.Backends[r.Backend].Name), r.From, r.To,
		r.Start.UnixNano(), r.Duration, r.Steps)
}

// parts is how many parts a window's time has: what is older than the window by less
// than one of them still counts.
const parts = 10

// window counts requests of the last while, and never less than that.
type window struct {
	length time.Duration
	part   [parts + 1]count
	latest int64 // the number of the part that was counted in last, since 1970
}

type count struct{ all, failed int }

// add counts a request, and returns how many there were in the window, and how many
// of them failed.
func (w *window) add(length time.Duration, failed bool, now time.Time) (all, bad int) {
	if length != w.length {
		w.resize(length)
	}
	w.move(now.UnixNano() / w.unit())
	c := &w.part[w.latest%int64(len(w.part))]
	c.all++
	if failed {
		c.failed++
	}
	return w.sum()
}

// sum returns how many requests there are, and how many of them failed.
func (w *window) sum() (all, bad int) {
	for _, c := range w.part {
		all, bad = all+c.all, bad+c.failed
	}
	return all, bad
}

// at returns what is in the window at now.
func (w *window) at(now time.Time) (all, bad int) {
	passed := *w
	passed.move(now.UnixNano() / w.unit())
	return passed.sum()
}

// unit is a part's time, in ns.
func (w *window) unit() int64 { return max(int64(w.length)/parts, 1) }

// move goes on to the part of that number.
func (w *window) move(number int64) {
	if number < w.latest-parts { // the clock was set back, and all that is there would stay for long
		*w = window{length: w.length, latest: number}
	}
	for w.latest < number {
		// No more than all of them, however long nothing came.
		w.latest = max(w.latest+1, number-parts)
		w.part[w.latest%int64(len(w.part))] = count{}
	}
}

// resize goes on with another length, and what of the last while is in that, to within
// a part of the length before.
func (w *window) resize(length time.Duration) {
	was := *w
	*w = window{length: length}
	if was.length == 0 {
		return
	}
	// By the end of a part, so that nothing of it is forgotten early.
	place := func(number int64) int64 { return ((number+1)*was.unit() - 1) / w.unit() }
	w.latest = place(was.latest)
	for number := max(was.latest-parts, 0); number <= was.latest; number++ {
		c := was.part[number%int64(len(was.part))]
		if at := place(number); at >= w.latest-parts {
			to := &w.part[at%int64(len(w.part))]
			to.all, to.failed = to.all+c.all, to.failed+c.failed
		}
	}
}
