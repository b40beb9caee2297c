package split

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// whole is a share of 100 %, in hundredths of a percent.
const whole = 10000

// ShareAt returns the backend's share at now, in hundredths of a percent. It depends on
// the ramp and the time alone, so that all nodes agree. It is From until Start. Then it is
// that of the plan's steps, one after another. Without a plan it is To from Start plus
// Duration on; between the two it changes in Steps equal steps at equal intervals, the
// last one at the end; if Steps is 0, in steps of a hundredth of a percent. Hold takes the
// place of all that.
func (r *Ramp) ShareAt(now time.Time) int {
	if r.Hold != nil {
		return *r.Hold
	}
	return r.ShareOf(r.stepAt(now.Sub(r.Start)))
}

// Length returns how long after Start the ramp has its last share, or the one at which its
// plan stops, by the clock.
func (r *Ramp) Length() time.Duration {
	last := r.LastStep()
	for i, step := range r.Plan {
		if step.For == 0 {
			last = min(last, i)
		}
	}
	length, _ := r.StepEnd(last - 1)
	return length
}

// beforeFirst is the step before a ramp's first one.
const beforeFirst = -1

// LastStep returns the number of a ramp's last step: step 0 begins at Start. Without a plan,
// that has the share of before; steps of a continuous ramp are of a hundredth of a percent.
func (r *Ramp) LastStep() int {
	switch {
	case len(r.Plan) > 0:
		return len(r.Plan) - 1
	case r.Steps > 0:
		return r.Steps
	}
	change := r.To - r.From
	return max(change, -change, 1)
}

// stepAt returns the step at a time after Start: from 0 to steps, or beforeFirst.
func (r *Ramp) stepAt(passed time.Duration) int {
	switch {
	case passed < 0:
		return beforeFirst
	case len(r.Plan) == 0 && passed >= r.Duration:
		return r.LastStep()
	case len(r.Plan) == 0:
		return int(convert(int64(passed), int64(r.Duration), int64(r.LastStep()))) // below steps
	}
	i := 0
	for ; i < len(r.Plan)-1 && r.Plan[i].For > 0 && passed >= r.Plan[i].For; i++ {
		passed -= r.Plan[i].For
	}
	return i
}

// StepAt returns the step that the ramp has reached at now by the clock; -1: it has not
// begun.
func (r *Ramp) StepAt(now time.Time) int { return r.stepAt(now.Sub(r.Start)) }

// ShareOf returns the share of a step, in hundredths of a percent; that of step -1 is the
// one before the ramp begins.
func (r *Ramp) ShareOf(step int) int {
	switch {
	case step == beforeFirst:
		return r.From
	case len(r.Plan) > 0:
		return r.Plan[step].Share
	}
	return r.From + (r.To-r.From)*step/r.LastStep()
}

// StepEnd returns when a step ends, after Start. ok is false if it does not by the clock.
func (r *Ramp) StepEnd(step int) (after time.Duration, ok bool) {
	switch {
	case step == beforeFirst:
		return 0, true
	case step >= r.LastStep():
		return 0, false
	case len(r.Plan) == 0:
		after = time.Duration(convert(int64(r.Duration), int64(r.LastStep()), int64(step)+1))
		if r.stepAt(after) == step { // it was rounded down
			after++
		}
		return after, true
	}
	for _, s := range r.Plan[:step+1] {
		if s.For == 0 {
			return 0, false
		}
		after += s.For
	}
	return after, true
}

// A Point is a ramp's share, in hundredths of a percent, from a time after Start on.
type Point struct {
	After time.Duration
	Share int
}

// Course returns the shares of the ramp by the clock from Start on: those of its steps, of
// more than 100 only some of them; or where a continuous ramp begins and ends, between
// which its share changes evenly.
func (r *Ramp) Course() []Point {
	last := r.LastStep()
	if len(r.Plan) == 0 && r.Steps == 0 {
		return []Point{{0, r.From}, {r.Duration, r.To}}
	}
	points := []Point{{0, r.ShareOf(0)}}
	for step, stride := 0, (last+99)/100; step < last; {
		step = min(step+max(stride, 1), last)
		after, ends := r.StepEnd(step - 1)
		if !ends {
			break
		}
		points = append(points, Point{after, r.ShareOf(step)})
	}
	return points
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
	if s.Ramp == nil || current.serves(st.RampShare(now), now) {
		return current
	}
	st.stepping.Lock()
	defer st.stepping.Unlock()
	share := st.RampShare(now)
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

// RampShare returns the share of the ramp's backend at now, in hundredths of a percent, as
// the guard has it: after a rollback, and while a step waits. There has to be a ramp.
func (st *State) RampShare(now time.Time) int {
	r := st.split.Ramp
	switch {
	case st.rolledBack() && r.Hold != nil:
		return min(int(st.course.share.Load()), *r.Hold)
	case st.rolledBack():
		return int(st.course.share.Load())
	case r.Hold == nil && r.Waits():
		step, _ := st.course.paceAt(r, now).at(r, now)
		return r.ShareOf(step)
	}
	return r.ShareAt(now)
}

// SameRamp reports whether the splits of two states have the same ramp with the same guard
// and are held at the same share, or neither has one.
func (st *State) SameRamp(other *State) bool { return sameRamp(st.split, other.split) }

// sameRamp reports whether two splits have the same ramp with the same guard and are held
// at the same share, or neither has one.
func sameRamp(a, b *Split) bool {
	return a.rampText() == b.rampText() && (a.Ramp == nil || equal(a.Ramp.Guard, b.Ramp.Guard) && equal(a.Ramp.Hold, b.Ramp.Hold))
}

// rampText identifies a ramp; empty: there is none. Its guard and where it is held are not
// part of that, so that a rollback stays when these are edited.
func (s *Split) rampText() string {
	r := s.Ramp
	if r == nil {
		return ""
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s %d %d %d %d %d", strconv.Quote(s.Backends[r.Backend].Name), r.From, r.To,
		r.Start.UnixNano(), r.Duration, r.Steps)
	for _, step := range r.Plan {
		fmt.Fprintf(&text, " %d:%d", step.Share, step.For)
	}
	return text.String()
}
