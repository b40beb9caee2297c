package split

import "time"

// Status is what an operator sees of a state.
type Status struct {
	// Shares are those by which new clients without a rule of their own are shared
	// out, in the order of the split's backends. They add up to 1; where no backend
	// has any weight, all are 0.
	Shares     []float64
	Ejected    map[string]time.Time // until when, by name
	RolledBack time.Time            // the ramp; zero: it was not
	Blocked    time.Time            // since when it would be rolled back if somebody could take the share; zero: it would not
	// What is in the window of the ramp's guard: requests, and those that failed.
	Requests, Failed int
}

// Status tells how the backends do at now.
func (st *State) Status(now time.Time) Status {
	s := Status{Shares: st.shares(now), Ejected: map[string]time.Time{}}
	st.health.mu.Lock()
	defer st.health.mu.Unlock()
	for i, c := range st.conditions {
		if c != nil && now.Before(c.until) {
			s.Ejected[st.split.Backends[i].Name] = c.until
		}
	}
	if st.course != nil {
		s.Requests, s.Failed = st.course.window.at(now)
	}
	if st.rolledBack() {
		s.RolledBack = st.course.since
	} else if st.course != nil {
		s.Blocked = st.course.blocked
	}
	return s
}

func (st *State) shares(now time.Time) []float64 {
	weights := weightsOf(st.split.Backends)
	if r := st.split.Ramp; r != nil {
		weights = r.weights(st.split.Backends, st.shareAt(now))
	}
	var sum int64
	for _, w := range weights {
		sum += w
	}
	shares := make([]float64, len(weights))
	for i, w := range weights {
		shares[i] = float64(w) / float64(max(sum, 1))
	}
	return shares
}
