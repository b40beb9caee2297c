package split

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// whole is a share of 100 %, in hundredths of a percent.
const whole = 10000

// ShareAt returns the backend's share at now, in hundredths of a percent. It depends on
// the ramp and the time alone, so that all nodes agree. It is From until Start, and To
// from Start plus Duration on. Between the two it changes in Steps equal steps at equal
// intervals, the last one at the end; if Steps is 0, in steps of a hundredth of a percent.
func (r *Ramp) ShareAt(now time.Time) int {
	passed := now.Sub(r.Start)
	switch {
	case passed < 0:
		return r.From
	case passed >= r.Duration:
		return r.To
	}
	change := r.To - r.From
	steps := r.Steps
	if steps == 0 {
		steps = max(change, -change, 1)
	}
	done := convert(int64(passed), int64(r.Duration), int64(steps)) // below steps
	return r.From + change*int(done)/steps
}

// weights returns weights that give the ramp's backend its share, and leave the others
// their proportions in the rest. If none of the others has a weight, the backend takes
// everything. They are below 2⁴⁰, which is more than 10⁴ · 63 · 10⁶.
func (r *Ramp) weights(backends []Backend, share int) []int64 {
	weights := weightsOf(backends)
	weights[r.Backend] = 0
	var rest int64
	for i, w := range weights {
		rest += w
		weights[i] = w * int64(whole-share)
	}
	weights[r.Backend] = int64(share) * rest
	if rest == 0 {
		weights[r.Backend] = 1
	}
	return weights
}

// stageAt returns the stage of the split's own weights at now. While a ramp is under
// way, there is a new one each time that the share has changed.
func (st *State) stageAt(now time.Time) *stage {
	s := st.split
	current := st.own.full.Load()
	if s.Ramp == nil || current.serves(st.shareAt(now), now) {
		return current
	}
	st.stepping.Lock()
	defer st.stepping.Unlock()
	share := st.shareAt(now)
	if current = st.own.full.Load(); current.serves(share, now) {
		return current
	}
	next := newStage(current.names, s.Ramp.weights(s.Backends, share))
	next.share, next.since = share, now
	st.own.full.Store(next)
	return next
}

// serves reports whether a request at now is chosen for by this stage: it has that
// share, or the request is from before it, and the stage of its time is gone.
func (g *stage) serves(share int, now time.Time) bool {
	return !g.since.IsZero() && (g.share == share || now.Before(g.since))
}

// shareAt returns the share of the ramp's backend at now, after a rollback too.
func (st *State) shareAt(now time.Time) int {
	if st.rolledBack() {
		return int(st.course.share.Load())
	}
	return st.split.Ramp.ShareAt(now)
}

// course is what is known of one ramp with a guard. Its window and times are guarded by
// the history's lock.
type course struct {
	rolledBack atomic.Bool  // once true, it stays true
	share      atomic.Int64 // of the ramp's backend after the rollback, in hundredths of a percent
	since      time.Time    // of the rollback
	window     window       // of the outcomes of the ramp's backend
	blocked    time.Time    // since when no other backend can take the share, so that it is not rolled back; zero: it need not be
}

// judge counts an outcome of the ramp's backend for the guard, and rolls the ramp back
// if too many requests have failed, its share is above what it is rolled back to, and
// another backend can take it. The incident is nil if nothing has happened. The caller
// holds the history's lock.
func (st *State) judge(failed bool, unusable Set, now time.Time) *Incident {
	c, r := st.course, st.split.Ramp
	all, failures := c.window.add(r.Guard.Window, failed, now)
	share := r.ShareAt(now)
	if now.Before(r.Start) || share <= r.Guard.RollbackTo || all < r.Guard.MinRequests || failures*whole <= r.Guard.MaxErrorRatio*all {
		c.blocked = time.Time{}
		return nil
	}
	e := &Incident{Backend: st.split.Backends[r.Backend].Name, Failed: failures, Requests: all}
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

// hasAlternative reports whether a backend other than the ramp's can take its share. The
// caller holds the history's lock.
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

// sameRamp reports whether two splits have the same ramp and guard, or neither has one.
func sameRamp(a, b *Split) bool {
	return a.rampText() == b.rampText() && (a.Ramp == nil || equal(a.Ramp.Guard, b.Ramp.Guard))
}

// rampText identifies a ramp; empty: there is none. Its guard is not part of that, so
// that a rollback stays when the guard is edited.
func (s *Split) rampText() string {
	r := s.Ramp
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%s %d %d %d %d %d", strconv.Quote(s.Backends[r.Backend].Name), r.From, r.To,
		r.Start.UnixNano(), r.Duration, r.Steps)
}

// parts is into how many parts a window's time is divided. Requests that are older than
// the window by less than one part still count.
const parts = 10

// window counts the requests of the last while, of its length or up to one part more.
type window struct {
	length time.Duration
	part   [parts + 1]count
	latest int64 // the number, since 1970, of the part that was counted in last
}

type count struct{ all, failed int }

// add counts a request, and returns how many requests are in the window and how many of
// them failed.
func (w *window) add(length time.Duration, failed bool, now time.Time) (all, failures int) {
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

// sum returns how many requests are in the window and how many of them failed.
func (w *window) sum() (all, failures int) {
	for _, c := range w.part {
		all, failures = all+c.all, failures+c.failed
	}
	return all, failures
}

// at returns how many requests are in the window at now and how many of them failed.
func (w *window) at(now time.Time) (all, failures int) {
	passed := *w
	passed.move(now.UnixNano() / w.unit())
	return passed.sum()
}

// unit is a part's time, in ns.
func (w *window) unit() int64 { return max(int64(w.length)/parts, 1) }

// move makes the part of that number the latest one.
func (w *window) move(number int64) {
	if number < w.latest-parts { // the clock was set back: what is there would count for too long
		*w = window{length: w.length, latest: number}
	}
	for w.latest < number {
		// After a long pause every part is cleared once, not more often.
		w.latest = max(w.latest+1, number-parts)
		w.part[w.latest%int64(len(w.part))] = count{}
	}
}

// resize changes the length. Requests that are in the new window stay, to within one
// part of the old length.
func (w *window) resize(length time.Duration) {
	old := *w
	*w = window{length: length}
	if old.length == 0 {
		return
	}
	// By the end of an old part, so that none of its requests is forgotten early.
	place := func(number int64) int64 { return ((number+1)*old.unit() - 1) / w.unit() }
	w.latest = place(old.latest)
	for number := max(old.latest-parts, 0); number <= old.latest; number++ {
		c := old.part[number%int64(len(old.part))]
		if at := place(number); at >= w.latest-parts {
			to := &w.part[at%int64(len(w.part))]
			to.all, to.failed = to.all+c.all, to.failed+c.failed
		}
	}
}
