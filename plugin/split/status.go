package split

import (
	"fmt"
	"strconv"
	"time"
)

// Status is what a state has to show to an operator.
type Status struct {
	// Shares of new clients for which no rule decides, in the order of the split's
	// backends. They add up to 1; if no backend has a weight, all are 0.
	Shares  []float64
	Ejected map[string]time.Time // until when, by name
	// Drift is by how many choices the backend that is furthest from the sum of its shares
	// is behind or ahead of that, of choices by the split's own weights. It is below 1 while
	// the weights stay the same, and below 2 however they are edited without a view to it
	// (see [rotation.inherit]). It is 0 with algorithm random.
	Drift float64
	Ramp  *RampStatus // nil: there is none
}

// RampStatus is how far a ramp has come. Shares are in hundredths of a percent.
type RampStatus struct {
	Share int // at the moment
	// Step is the step under way, of Steps, as people count: a plan's first one is 1; of
	// equal steps, 0 is the share before the first change. Before Start it is 0. Steps is 0
	// for a continuous ramp.
	Step, Steps int
	Held        bool      // whatever the clock says
	Ends        time.Time // when the step ends by the clock and what it has waited, or a continuous ramp; zero: it does not end
	Behind      time.Duration
	// Waits is what the next step waits for beyond Ends, or after it if it is not over yet:
	// "7 of 20 requests", or a limit that is exceeded. Empty: only for its time.
	Waits string

	RolledBack time.Time // since when it is; zero: it is not
	Why        string    // it was rolled back
	Blocked    time.Time // since when no other backend can take the share, so that it is not rolled back; zero: it need not be

	Guard *GuardStatus // nil: there is none
}

// GuardStatus is what a guard has counted in its window.
type GuardStatus struct {
	Requests, Failed int           // of the ramp's backend
	Others, Failing  int           // requests of all other backends, and those of them that failed; 0 without MaxErrorExcess
	Latency          time.Duration // of its quantile; [NoAnswer] where that has none; 0 without MaxLatency
	Timed            int           // requests of which it is
	Lacks            Lack          // to judge by all limits
	Have             int           // of what it lacks, where MinRequests are needed
}

// Status returns the shares, ejections and the state of the ramp at now.
func (st *State) Status(now time.Time) Status {
	s := Status{Shares: st.shares(now), Ejected: map[string]time.Time{}, Drift: st.own.drift()}
	st.history.mu.Lock()
	defer st.history.mu.Unlock()
	for i, c := range st.conditions {
		if c != nil && now.Before(c.until) {
			s.Ejected[st.split.Backends[i].Name] = c.until
		}
	}
	if st.split.Ramp != nil {
		s.Ramp = st.rampStatus(now)
	}
	return s
}

// rampStatus returns the state of the ramp. The caller holds the history's lock.
func (st *State) rampStatus(now time.Time) *RampStatus {
	r, c := st.split.Ramp, st.course
	s := &RampStatus{Share: st.RampShare(now), Held: r.Hold != nil}
	step := r.stepAt(now.Sub(r.Start))
	p := &pace{step: step}
	if r.Waits() {
		p = c.paceAt(r, now)
		step, _ = p.at(r, now)
		s.Behind = p.behind
	}
	if len(r.Plan) > 0 || r.Steps > 0 {
		s.Step, s.Steps = r.number(step), r.number(r.LastStep())
	}
	rolledBack := st.rolledBack()
	switch end, ends := r.StepEnd(step); {
	case r.Hold != nil || rolledBack:
	case s.Steps == 0 && now.Before(r.Start.Add(r.Duration)):
		s.Ends = r.Start.Add(r.Duration)
	case s.Steps > 0 && ends:
		s.Ends = r.Start.Add(end + s.Behind)
		if r.Waits() && r.isJudged(step) {
			s.Waits = st.waitsFor(p, step)
		}
	}
	if c == nil {
		return s
	}
	if rolledBack {
		s.RolledBack, s.Why = c.since, c.why
	} else {
		s.Blocked = c.blocked
	}
	s.Guard = st.guardStatus(s.Share, now)
	return s
}

// waitsFor says what a step that is judged waits for. The caller holds the history's lock.
func (st *State) waitsFor(p *pace, step int) string {
	c, r := st.course, st.split.Ramp
	e := &c.step
	if step != p.step { // it has begun, and had no outcome yet
		e = &evidence{}
	} else if p.passed {
		return ""
	}
	if lack, have := r.Guard.lack(e, r.ShareOf(step)); lack != LacksNothing {
		return fmt.Sprintf("%d of %d %s", have, r.Guard.MinRequests, lack)
	}
	if over := r.Guard.exceeded(e); over != none {
		return "fewer failures or a shorter latency: " + r.Guard.why(over, e)
	}
	return "another backend that can take the share"
}

// guardStatus returns what the guard has counted. The caller holds the history's lock.
func (st *State) guardStatus(share int, now time.Time) *GuardStatus {
	c, g := st.course, st.split.Ramp.Guard
	own, others := c.own.at(now), c.others.at(now)
	e := evidence{own: own.total(), others: others.total()}
	s := &GuardStatus{Requests: e.own.all, Failed: e.own.failed, Others: e.others.all, Failing: e.others.failed}
	if own.latencies != nil {
		e.latencies = &own.latencies.sum
	}
	if g.MaxLatency > 0 && e.latencies != nil {
		s.Latency, s.Timed = e.latencies.quantile(g.Quantile)
	}
	s.Lacks, s.Have = g.lack(&e, share)
	return s
}

// Percent writes a share, in hundredths of a percent, in percent.
func Percent(share int) string { return strconv.FormatFloat(float64(share)/100, 'f', -1, 64) }
