package split

import "slices"

// State is what a split remembers from one choice to the next: whose turn it is,
// and how its backends do. One State serves all users of a split. It is safe for
// concurrent use.
//
// Algorithm random remembers no turns, and leaves as they were those that a State
// remembers for smooth.
type State struct {
	split *Split
	own   *deal   // of the split's own weights
	rules []*deal // by rule; nil where a rule has no weights

	health     *health
	conditions []*condition // of health, by backend; nil for one that is not watched
	course     *course      // of health; nil: the ramp has no guard
}

// NewState returns the state of a split that has made no choice yet.
func NewState(s *Split) *State {
	st := newState(s, newHealth())
	for i, r := range s.Rules {
		if r.Weights != nil {
			st.rules[i] = newDeal(wide(r.Weights))
		}
	}
	st.own = newDeal(weightsOf(s.Backends))
	return st
}

func newState(s *Split, h *health) *State {
	st := &State{split: s, rules: make([]*deal, len(s.Rules)), health: h}
	st.conditions, st.course = h.of(s)
	return st
}

// Fits says whether s can go on with st itself: whether it has the same backends,
// in the same order, with the same proportions everywhere, and watches them in the
// same way.
func (st *State) Fits(s *Split) bool {
	return slices.EqualFunc(st.split.Backends, s.Backends, func(a, b Backend) bool {
		return sameName(a, b) && equal(a.Passive, b.Passive)
	}) &&
		slices.Equal(reduced(weightsOf(st.split.Backends), 0), reduced(weightsOf(s.Backends), 0)) &&
		slices.EqualFunc(st.split.Rules, s.Rules, sameWeights) &&
		sameRamp(st.split, s)
}

// For returns the state with which s goes on from here: st itself where it fits,
// otherwise a new one in which every backend, by name, is owed what it is owed in
// st, and is as healthy. So weights that change often neither restart the rotation
// nor starve a small share. A ramp that the guard has taken back stays so for as
// long as it is the same ramp, and where it comes back before Prune.
//
// For may be called while others choose from st: choices that were made before
// the call are accounted for, later ones count in st alone. Both states stay good
// to use, and go on to share what they observe.
func (st *State) For(s *Split) *State {
	if st.Fits(s) {
		return st
	}
	next := newState(s, st.health)
	was := places(st.split.Backends, s.Backends)
	next.own = st.own.heir(weightsOf(s.Backends), was)
	for i, r := range s.Rules {
		switch {
		case r.Weights == nil:
		case i < len(st.rules) && st.rules[i] != nil:
			next.rules[i] = st.rules[i].heir(wide(r.Weights), was)
		default:
			next.rules[i] = newDeal(wide(r.Weights))
		}
	}
	return next
}

func weightsOf(backends []Backend) []int64 {
	weights := make([]int64, len(backends))
	for i, b := range backends {
		weights[i] = int64(b.Weight)
	}
	return weights
}

func wide(weights []int) []int64 {
	out := make([]int64, len(weights))
	for i, w := range weights {
		out[i] = int64(w)
	}
	return out
}

// places says for each of the backends where its name was before, or -1.
func places(before, backends []Backend) []int {
	was := make([]int, len(backends))
	for i, b := range backends {
		was[i] = slices.IndexFunc(before, func(old Backend) bool { return sameName(old, b) })
	}
	return was
}

func sameName(a, b Backend) bool { return a.Name == b.Name }

func sameWeights(a, b Rule) bool {
	return (a.Weights == nil) == (b.Weights == nil) && slices.Equal(reduced(wide(a.Weights), 0), reduced(wide(b.Weights), 0))
}

// equal compares what two pointers point to.
func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
