package split

import (
	"fmt"
	"math/bits"
	"strconv"
	"sync/atomic"
	"time"
)

// course is what is known of one ramp with a guard. What is not atomic is guarded by the
// history's lock.
type course struct {
	rolledBack atomic.Bool          // once true, it stays true
	share      atomic.Int64         // of the ramp's backend after the rollback, in hundredths of a percent
	pace       atomic.Pointer[pace] // of a ramp that waits; nil: it has not begun

	since       time.Time // of the rollback
	why         string    // likewise
	own, others window    // of the outcomes of the ramp's backend, and of all others if these matter
	blocked     time.Time // since when no other backend can take the share, so that it is not rolled back; zero: it need not be

	step evidence // of the step of pace
}

// prepare makes room for what a guard counts, so that counting need not allocate. The
// caller holds the history's lock.
func (c *course) prepare(r *Ramp) {
	if r.Guard.MaxLatency > 0 && c.own.latencies == nil {
		c.own.latencies = new(latencies)
		c.step.latencies = new(histogram)
	}
	if p := c.pace.Load(); !r.Waits() || p != nil && p.step > r.LastStep() { // recalled, of no such ramp
		c.pace.Store(nil) // if it waits again, it goes on from where the clock has it then
	}
}

// evidence is what a guard judges by.
type evidence struct {
	own, others count      // of the ramp's backend and of all others
	latencies   *histogram // of the ramp's backend; nil: they do not matter
}

func (c *course) evidence() evidence {
	e := evidence{own: c.own.total(), others: c.others.total()}
	if c.own.latencies != nil {
		e.latencies = &c.own.latencies.sum
	}
	return e
}

// limit is one of the limits of a guard.
type limit int

const (
	none limit = iota
	errorRatio
	errorExcess
	latency
)

// exceeded returns a limit that is exceeded; none if no limit is that can be judged.
func (g *Guard) exceeded(e *evidence) limit {
	enough := e.own.all >= g.MinRequests
	if g.MaxErrorRatio > 0 && enough && e.own.failed*whole > g.MaxErrorRatio*e.own.all {
		return errorRatio
	}
	if g.MaxErrorExcess > 0 && enough && e.others.all >= g.MinRequests && exceeds(e.own, e.others, g.MaxErrorExcess) {
		return errorExcess
	}
	if g.MaxLatency > 0 && e.latencies != nil {
		if took, n := e.latencies.quantile(g.Quantile); n >= g.MinRequests && took > g.MaxLatency {
			return latency
		}
	}
	return none
}

// exceeds reports whether a ratio is above another one by more than a number of hundredths
// of a percent, exactly.
func exceeds(own, others count, by int) bool {
	left := own.failed*whole - by*own.all // more than others.failed·whole / others.all · own.all
	if left <= 0 {
		return false
	}
	hi, lo := bits.Mul64(uint64(left), uint64(others.all))
	otherHi, otherLo := bits.Mul64(uint64(others.failed*whole), uint64(own.all))
	return hi > otherHi || hi == otherHi && lo > otherLo
}

// A Lack is what a guard has too little of to judge by all of its limits.
type Lack string

// The kinds of Lack.
const (
	LacksNothing   Lack = ""
	LacksRequests  Lack = "requests"                        // of the ramp's backend
	LacksOthers    Lack = "requests of other backends"      // to compare with
	LacksLatencies Lack = "requests whose latency is known" // of the ramp's backend
)

// lack returns what there is too little of to judge by every limit, and how much there
// is. A backend that has all of the requests is compared with nobody.
func (g *Guard) lack(e *evidence, share int) (of Lack, have int) {
	timed := 0
	if g.MaxLatency > 0 && e.latencies != nil {
		_, timed = e.latencies.quantile(g.Quantile)
	}
	switch {
	case e.own.all < g.MinRequests:
		return LacksRequests, e.own.all
	case g.MaxErrorExcess > 0 && share < whole && e.others.all < g.MinRequests:
		return LacksOthers, e.others.all
	case g.MaxLatency > 0 && timed < g.MinRequests:
		return LacksLatencies, timed
	}
	return LacksNothing, 0
}

// judged reports whether there is enough to judge by every limit.
func (g *Guard) judged(e *evidence, share int) bool {
	of, _ := g.lack(e, share)
	return of == LacksNothing
}

// why says in what way a limit is exceeded.
func (g *Guard) why(l limit, e *evidence) string {
	text := fmt.Sprintf("%d of %d requests failed", e.own.failed, e.own.all)
	switch l {
	case errorExcess:
		return text + fmt.Sprintf(", and %d of %d of the other backends'", e.others.failed, e.others.all)
	case latency:
		took, n := e.latencies.quantile(g.Quantile)
		slowest := strconv.FormatFloat(float64(whole-g.Quantile)/100, 'f', -1, 64)
		if took == NoAnswer {
			return fmt.Sprintf("the slowest %s %% of %d requests had no answer", slowest, n)
		}
		return fmt.Sprintf("the slowest %s %% of %d requests took %s or longer", slowest, n, took)
	}
	return text
}

// judge counts an outcome for the guard, of the ramp's backend or of another one, and
// rolls the ramp back if a limit is exceeded, its share is above what it is rolled back
// to, and another backend can take it. Otherwise the next step may begin. The caller holds
// the history's lock.
func (st *State) judge(o Outcome, now time.Time) (incidents []Incident) {
	c, r := st.course, st.split.Ramp
	g := r.Guard
	bucket := o.bucket()
	own := o.Backend == r.Backend
	c.own.slide(g.Window, now)
	c.others.slide(g.Window, now)
	if own {
		c.own.add(o.Failed, bucket)
	} else {
		c.others.add(o.Failed, noLatency)
	}
	share := st.RampShare(now)
	e := c.evidence()
	over := none
	if (r.Hold != nil || !now.Before(r.Start)) && share > g.RollbackTo {
		over = g.exceeded(&e)
	}
	if over == none {
		c.blocked = time.Time{}
	} else if st.hasAlternative(&o, now) {
		c.since, c.blocked, c.why = now, time.Time{}, g.why(over, &e)
		c.share.Store(int64(g.RollbackTo))
		c.rolledBack.Store(true)
		return append(incidents, st.incident(RolledBack, c.why, &e))
	} else if c.blocked.IsZero() {
		c.blocked = now
		incidents = append(incidents, st.incident(Blocked, g.why(over, &e), &e))
	}
	if r.Waits() && r.Hold == nil {
		incidents = append(incidents, st.proceed(o, own, bucket, now)...)
	}
	return incidents
}

func (st *State) incident(kind IncidentKind, why string, e *evidence) Incident {
	return Incident{Kind: kind, Backend: st.split.Backends[st.split.Ramp.Backend].Name, Why: why, Failed: e.own.failed, Requests: e.own.all}
}

// hasAlternative reports whether a backend other than the ramp's can take its share. The
// caller holds the history's lock.
func (st *State) hasAlternative(o *Outcome, now time.Time) bool {
	s := st.split
	ejected := st.ejectedAt(now)
	_, kept := st.limit(&Facts{Now: now, Unhealthy: o.Unhealthy, Changed: o.Changed}, o.Unhealthy|ejected)
	canTake := func(i int) bool {
		return i != s.Ramp.Backend && (!(o.Unusable | ejected).Has(i) || kept.Has(i))
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
