package split

// Retry has requests that fail on one backend tried on others.
type Retry struct {
	Max     int // how many others at most, one after another; at least 1
	Backend int // the index of the only other one; -1: all, by their weights
}

// Another returns a backend for a request that has failed on backend failed, after it was
// decided as d for f: one that can be used, does not redirect, and is not in tried, which has
// all that were tried. It is -1 where there is none. It is for splits with [Split.Retry] alone.
//
// Which one it is goes by the weights by which the request was decided. The choices after each
// backend's failures are a rotation of their own: so the others share what fails there by
// their weights, exactly where all of it is tried again. It is safe for concurrent use.
func Another(s *Split, st *State, f *Facts, d *Decision, failed int, tried Set) int {
	c := choice{
		s: s, st: st, f: f, turns: st.retries[failed], weights: d.weights, unusable: d.unusable | tried | st.redirect,
		others: tried != Set(0).With(failed), // what fails here first has exact shares
	}
	if to := s.Retry.Backend; to >= 0 {
		if c.unusable.Has(to) {
			return -1
		}
		return to
	}
	if c.weights.weighted&^c.unusable == 0 {
		return -1
	}
	if s.Algorithm == Random {
		return draw(c.slowly(c.weights).weights, c.unusable, remix(f.Random, c.unusable))
	}
	return c.next(c.slowly(c.turns.without(c.weights, c.unusable)))
}

// retriesOf returns the rotations of the backends, by their names, that are tried after each
// one's failures. They go on from those of another split's state.
func retriesOf(s *Split, names []string, from *State) []*turns {
	if s.Retry == nil {
		return nil
	}
	first := newStage(names, weightsOf(s.Backends))
	all := make([]*turns, len(s.Backends))
	for i := range all {
		all[i] = newTurns(first)
		if from.retries == nil {
			continue
		}
		if j := from.split.index(s.Backends[i].Name); j >= 0 {
			all[i] = from.retries[j].heir(first)
		}
	}
	return all
}
