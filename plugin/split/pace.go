package split

import "time"

// pace is how far a ramp has come that waits until each of its steps was judged. It never
// changes.
type pace struct {
	step   int
	behind time.Duration // by how much the step began later than by the clock
	passed bool          // it was judged, and exceeds no limit
}

// Waits reports whether no step of the ramp begins before the one before it was judged.
func (r *Ramp) Waits() bool {
	return r != nil && r.Guard != nil && r.Guard.Wait && (len(r.Plan) > 0 || r.Steps > 0)
}

// paceAt returns the pace of a ramp that waits. It begins where the clock has the ramp when
// this is called first.
func (c *course) paceAt(r *Ramp, now time.Time) *pace {
	p := c.pace.Load()
	if p == nil {
		c.pace.CompareAndSwap(nil, &pace{step: r.stepAt(now.Sub(r.Start))})
		if p = c.pace.Load(); p == nil { // there is a revision that does not wait
			return &pace{step: r.stepAt(now.Sub(r.Start))}
		}
	}
	return p
}

// at returns the step at now, and whether it waits: whether another one would have begun.
func (p *pace) at(r *Ramp, now time.Time) (step int, waits bool) {
	after := now.Sub(r.Start)
	if after > 0 { // before, it is beforeFirst in any case
		after -= p.behind
	}
	step, due, passed := p.step, r.stepAt(after), p.passed
	for step < due && (passed || !r.isJudged(step)) {
		step, passed = step+1, false
	}
	return step, step < due
}

// isJudged reports whether a step has to be judged before the next one begins: not if it
// gives the backend no requests.
func (r *Ramp) isJudged(step int) bool { return step != beforeFirst && r.ShareOf(step) > 0 }

// proceed counts an outcome for the step under way, of the ramp's backend or of another
// one. It returns incidents for the steps that have begun since the latest outcome. The
// caller holds the history's lock.
func (st *State) proceed(o Outcome, own bool, bucket int, now time.Time) []Incident {
	c, r := st.course, st.split.Ramp
	p, begun := st.advance(c.paceAt(r, now), nil, now)
	c.step.add(own, o.Failed, bucket)
	passed := r.Guard.judged(&c.step, r.ShareOf(p.step)) && r.Guard.exceeded(&c.step) == none && c.blocked.IsZero()
	if passed == p.passed {
		return begun
	}
	next := &pace{step: p.step, behind: p.behind, passed: passed}
	if _, waits := p.at(r, now); waits && passed { // the next step begins now
		end, _ := r.StepEnd(p.step)
		next.behind = now.Sub(r.Start) - end
	}
	c.pace.Store(next)
	_, begun = st.advance(next, begun, now)
	return begun
}

// advance goes on to the step at now, and adds an incident to begun if that is another
// one. The caller holds the history's lock.
func (st *State) advance(p *pace, begun []Incident, now time.Time) (*pace, []Incident) {
	c, r := st.course, st.split.Ramp
	step, _ := p.at(r, now)
	if step == p.step {
		return p, begun
	}
	begun = append(begun, Incident{
		Kind: StepBegun, Backend: st.split.Backends[r.Backend].Name, Behind: p.behind,
		From: r.ShareOf(p.step), To: r.ShareOf(step), Step: r.number(step), Steps: r.number(r.LastStep()),
	})
	p = &pace{step: step, behind: p.behind}
	c.pace.Store(p)
	c.step.clear()
	return p, begun
}

// number returns the number of a step as people count: a plan's first step is 1; without a
// plan, the share before the first change is 0. Before Start it is 0 as well.
func (r *Ramp) number(step int) int {
	if len(r.Plan) > 0 {
		return step + 1
	}
	return max(step, 0)
}

// clear forgets all requests.
func (e *evidence) clear() {
	e.own, e.others = count{}, count{}
	if e.latencies != nil {
		*e.latencies = histogram{}
	}
}

// add counts a request, of the ramp's backend or of another one.
func (e *evidence) add(own, failed bool, bucket int) {
	if !own {
		e.others.add(failed)
		return
	}
	e.own.add(failed)
	if e.latencies != nil && bucket != noLatency {
		e.latencies[bucket]++
	}
}
