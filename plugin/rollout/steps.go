package rollout

import (
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// continuous reports whether a ramp has no steps of its own.
func continuous(r *split.Ramp) bool { return len(r.Plan) == 0 && r.Steps == 0 }

// shares returns the shares of all steps, for a message.
func shares(r *split.Ramp) (all []string) {
	const limit = 20
	for i := range min(r.LastStep()+1, limit) {
		all = append(all, Percent(r.ShareOf(i)))
	}
	if r.LastStep() >= limit {
		all = append(all, "…")
	}
	return all
}

// further reports whether a share is further on the ramp's way than another one.
func further(r *split.Ramp, share, than int) bool {
	if r.ShareOf(r.LastStep()) < r.From {
		return share < than
	}
	return share > than
}

// begin returns when a step begins, after the start. Steps of a plan that wait for the
// operator begin the next one after pass.
func begin(r *split.Ramp, step int, pass time.Duration) (after time.Duration) {
	if len(r.Plan) == 0 {
		after, _ = r.StepEnd(step - 1)
		return after
	}
	for _, s := range r.Plan[:step] {
		if s.For == 0 {
			s.For = pass
		}
		after += s.For
	}
	return after
}

// reached returns the step of a share: the first that has it, or else the last that is
// not further; -1: what is before the first one.
func reached(r *split.Ramp, share int) int {
	before := -1
	for i := range r.LastStep() + 1 {
		switch have := r.ShareOf(i); {
		case have == share:
			return i
		case !further(r, have, share):
			before = i
		}
	}
	return before
}

// passedOver is for how long a step that waits for the operator is said to have been,
// where it was gone over.
const passedOver = time.Second

// moveTo has a step begin at now: the start moves. Steps before it that wait for the
// operator get a time, as no step would follow them otherwise: the present one the time
// that it has taken.
func (c *Change) moveTo(of *config.Config, r *split.Ramp, step int, now time.Time) {
	if len(r.Plan) == 0 {
		c.set(config.Text(moment(now.Add(-begin(r, step, 0)))), "ramp", "start")
		return
	}
	at, start := r.StepAt(now), r.Start
	if of.Ramp.Hold == nil && at >= 0 && step == at+1 && r.Plan[at].For == 0 {
		// The present step waits: its time is what there is to say, and the start stays.
		taken := now.Sub(start) - begin(r, at, passedOver)
		if taken = taken.Truncate(time.Millisecond); taken > 0 {
			c.set(config.Float(config.InSeconds(taken)), "ramp", "plan", at, "for")
			return
		}
	}
	for i, s := range r.Plan[:step] {
		if s.For == 0 {
			c.set(config.Float(config.InSeconds(passedOver)), "ramp", "plan", i, "for")
		}
	}
	c.set(config.Text(moment(now.Add(-begin(r, step, passedOver)))), "ramp", "start")
}
