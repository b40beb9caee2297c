package rollout

import (
	"math/big"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// A ramp's steps are numbered from 0, which begins at its start; -1 is what is before it.
// Those of a continuous one are of a hundredth of a percent. Without a plan, step 0 has
// the share of before.

// continuous reports whether a ramp has no steps of its own.
func continuous(r *split.Ramp) bool { return len(r.Plan) == 0 && r.Steps == 0 }

// steps returns the number of the last step.
func steps(r *split.Ramp) int {
	switch change := r.To - r.From; {
	case len(r.Plan) > 0:
		return len(r.Plan) - 1
	case r.Steps > 0:
		return r.Steps
	default:
		return max(change, -change, 1)
	}
}

// shareOf returns the share of a step, in hundredths of a percent.
func shareOf(r *split.Ramp, step int) int {
	switch {
	case step < 0:
		return r.From
	case len(r.Plan) > 0:
		return r.Plan[step].Share
	}
	return r.From + (r.To-r.From)*step/steps(r)
}

// shares returns the shares of all steps, for a message.
func shares(r *split.Ramp) (all []string) {
	const limit = 20
	for i := range min(steps(r)+1, limit) {
		all = append(all, percent(shareOf(r, i)))
	}
	if steps(r) >= limit {
		all = append(all, "…")
	}
	return all
}

// further reports whether a share is further on the ramp's way than another one.
func further(r *split.Ramp, share, than int) bool {
	if shareOf(r, steps(r)) < r.From {
		return share < than
	}
	return share > than
}

// begin returns when a step begins, after the start: as late as it can be said, so that
// it has begun then. Steps of a plan that wait begin the next one after pass.
func begin(r *split.Ramp, step int, pass time.Duration) (after time.Duration) {
	if len(r.Plan) == 0 {
		// The least number of nanoseconds that are so many parts of the duration.
		n := new(big.Int).Mul(big.NewInt(int64(r.Duration)), big.NewInt(int64(step)))
		all := big.NewInt(int64(steps(r)))
		n.Add(n, new(big.Int).Sub(all, big.NewInt(1)))
		return time.Duration(n.Div(n, all).Int64())
	}
	for _, s := range r.Plan[:step] {
		if s.For == 0 {
			s.For = pass
		}
		after += s.For
	}
	return after
}

// current returns the step that a ramp which is not held has reached at now by the clock.
func current(r *split.Ramp, now time.Time) int {
	passed := now.Sub(r.Start)
	if passed < 0 {
		return -1
	}
	if len(r.Plan) == 0 {
		low, high := 0, steps(r) // the last one that has begun is in between
		for low < high {
			if middle := (low + high + 1) / 2; begin(r, middle, 0) <= passed {
				low = middle
			} else {
				high = middle - 1
			}
		}
		return low
	}
	i := 0
	for ; i < len(r.Plan)-1 && r.Plan[i].For > 0 && passed >= r.Plan[i].For; i++ {
		passed -= r.Plan[i].For
	}
	return i
}

// reached returns the step of a share: the first that has it, or else the last that is
// not further; -1: what is before the first one.
func reached(r *split.Ramp, share int) int {
	before := -1
	for i := range steps(r) + 1 {
		switch have := shareOf(r, i); {
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
	at, start := current(r, now), r.Start
	if of.Ramp.Hold == nil && at >= 0 && step == at+1 && r.Plan[at].For == 0 {
		// The present step waits: its time is what there is to say, and the start stays.
		taken := now.Sub(start) - begin(r, at, passedOver)
		if taken = taken.Truncate(time.Millisecond); taken > 0 {
			c.set(config.Float(taken.Seconds()), "ramp", "plan", at, "for")
			return
		}
	}
	for i, s := range r.Plan[:step] {
		if s.For == 0 {
			c.set(config.Float(passedOver.Seconds()), "ramp", "plan", i, "for")
		}
	}
	c.set(config.Text(moment(now.Add(-begin(r, step, passedOver)))), "ramp", "start")
}
