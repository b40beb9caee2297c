package split

import "time"

// out returns the backends that health checks put out, and those that they would put out
// but for MaxEjected.
func (st *State) out(f *Facts) (out, kept Set) {
	out = f.Unhealthy | st.ejected(f.Now)
	if out == 0 || st.split.MaxEjected == nil {
		return out, 0
	}
	h := st.history
	h.mu.Lock()
	defer h.mu.Unlock()
	return st.limit(f, out)
}

// limit divides the backends that health checks would put out into those that are, and those
// that are kept, as otherwise more than MaxEjected of the weights would be out. The one that
// has been unhealthy for longest comes first, equal ones in order, and each is out if the
// weights of those before it leave room for its own. So it depends on the present alone: one
// that was kept is out as soon as there is room, and one that was out is kept if a ramp
// has its weight outgrow the limit. Weights are the split's own, with its ramp. It remembers
// who was kept last. The caller holds the history's lock.
func (st *State) limit(f *Facts, sick Set) (out, kept Set) {
	limit := st.split.MaxEjected
	if limit == nil {
		return sick, 0
	}
	weights := st.stageAt(f.Now).weights
	var all, sum int64
	for _, w := range weights {
		all += w
	}
	for left := sick; left != 0; {
		next := st.longest(f, left)
		left &^= Set(0).With(next)
		if w := weights[next]; w > 0 && (sum+w)*whole > int64(*limit)*all { // below 2⁵⁴
			kept = kept.With(next)
		} else {
			out, sum = out.With(next), sum+w
		}
	}
	if seen := st.Kept(); seen&^out|kept != seen {
		st.kept.Store(uint64(seen&^out | kept))
	}
	return out, kept
}

// Kept returns the backends that MaxEjected kept when they were last found unhealthy, be they
// healthy by now. It is part of what [State.Memory] returns.
func (st *State) Kept() Set { return Set(st.kept.Load()) }

// longest returns the backend of a set, which must not be empty, that has been unhealthy for
// longest.
func (st *State) longest(f *Facts, sick Set) int {
	first, since := -1, time.Time{}
	for ; sick != 0; sick &= sick - 1 {
		i := sick.first()
		if at := st.sickSince(i, f); first < 0 || at.Before(since) {
			first, since = i, at
		}
	}
	return first
}

// sickSince returns since when backend i is unhealthy or ejected, whichever is longer; zero:
// from the start. The caller holds the history's lock.
func (st *State) sickSince(i int, f *Facts) (since time.Time) {
	unhealthy := f.Unhealthy.Has(i)
	if unhealthy && f.Changed != nil {
		since = f.Changed(i)
	}
	if c := st.conditions[i]; c != nil && f.Now.Before(c.until) {
		ejected := c.until.Add(-st.split.Backends[i].Passive.Ejection)
		if !unhealthy || ejected.Before(since) {
			since = ejected
		}
	}
	return since
}
