package split

import "time"

// whole is a share of 100 %, in hundredths of a percent.
const whole = 10000

// ShareAt is the backend's share at now, in hundredths of a percent: a function of
// the ramp and the time alone, so that all nodes agree. It is From until Start, and
// To from Start plus Duration on. Between the two it changes in so many equal steps
// at equal distances, the first one at Start plus a step's time and the last one at
// the end; without Steps, by a hundredth of a percent each.
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

// weights are those that give the backend its share of all, and leave the others
// their proportions in the rest. Where none of the others has any, the backend
// takes everything: nobody could take the rest. They are below 2⁴⁰, which is more
// than 10⁴ · 63 · 10⁶.
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

// stageAt returns the split's own weights at now. While a ramp is under way, they
// change each time that the share has.
func (st *State) stageAt(now time.Time) *stage {
	s := st.split
	current := st.own.full.Load()
	if s.Ramp == nil || current.is(st.shareAt(now), now) {
		return current
	}
	st.stepping.Lock()
	defer st.stepping.Unlock()
	share := st.shareAt(now)
	if current = st.own.full.Load(); current.is(share, now) {
		return current
	}
	next := newStage(current.names, s.Ramp.weights(s.Backends, share))
	next.share, next.since = share, now
	st.own.full.Store(next)
	return next
}

// is reports whether a request of the time now is for this stage: it has the share,
// or the request is late, and the stage before it is gone.
func (g *stage) is(share int, now time.Time) bool {
	return !g.since.IsZero() && (g.share == share || now.Before(g.since))
}

// shareAt is the share of the ramp's backend, which a guard may have rolled back.
func (st *State) shareAt(now time.Time) int {
	if st.rolledBack() {
		return int(st.course.share.Load())
	}
	return st.split.Ramp.ShareAt(now)
}
