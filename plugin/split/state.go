package split

import (
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// State is what a split remembers from one choice to the next: whose turn it is,
// and how its backends do. One State serves all users of a split. It is safe for
// concurrent use.
//
// Algorithm random remembers no turns, and leaves as they were those that a State
// remembers for smooth.
type State struct {
	split    *Split
	own      *turns     // by the split's own weights
	rules    []*turns   // by rule; nil where a rule has no weights
	stepping sync.Mutex // held to go on to another share of the ramp
	missing  missing

	health     *health
	conditions []*condition // of health, by backend; nil for one that is not watched
	course     *course      // of health; nil: the ramp has no guard
	places     []uint32     // hashes of the backends' places, of those that are watched
	ramp       uint32       // a hash of the ramp
}

// NewState returns the state of a split that has made no choice yet.
func NewState(s *Split) *State { return newState(s, nil) }

// newState returns the state of a split that goes on from another one; nil: from none.
func newState(s *Split, from *State) *State {
	st := &State{split: s, rules: make([]*turns, len(s.Rules))}
	if from == nil {
		from = &State{health: newHealth()}
	}
	st.health = from.health
	st.conditions, st.course = st.health.of(s)
	st.places, st.ramp = make([]uint32, len(s.Backends)), hash32(s.rampText())
	for i := range s.Backends {
		st.places[i] = hash32(s.Backends[i].place())
	}
	names := make([]string, len(s.Backends))
	for i, b := range s.Backends {
		names[i] = b.Name
	}
	heir := func(was *turns, weights []int64) *turns {
		if was == nil {
			return newTurns(newStage(names, weights))
		}
		return was.heir(newStage(names, weights))
	}
	st.own = heir(from.own, weightsOf(s.Backends))
	for i, r := range s.Rules {
		switch {
		case r.Weights == nil:
		case i < len(from.rules):
			st.rules[i] = heir(from.rules[i], wide(r.Weights))
		default:
			st.rules[i] = heir(nil, wide(r.Weights))
		}
	}
	return st
}

// Fits says whether s can go on with st itself: whether it has the same backends,
// in the same order, with the same proportions everywhere, and watches them in the
// same way.
func (st *State) Fits(s *Split) bool {
	return slices.EqualFunc(st.split.Backends, s.Backends, func(a, b Backend) bool {
		return sameName(a, b) && a.Destination == b.Destination && equal(a.Passive, b.Passive)
	}) &&
		slices.Equal(reduced(weightsOf(st.split.Backends), 0), reduced(weightsOf(s.Backends), 0)) &&
		slices.EqualFunc(st.split.Rules, s.Rules, sameWeights) &&
		sameRamp(st.split, s)
}

// For returns the state with which s goes on from here: st itself where it fits,
// otherwise a new one that has the same ledgers of what every backend, by name, is
// owed, and of how healthy it is. So weights that change often neither restart the
// rotation nor starve a small share, and choices count in both states for as long as
// both are used. A ramp that the guard has taken back stays so for as long as it is
// the same ramp, and where it comes back before Prune.
func (st *State) For(s *Split) *State {
	if st.Fits(s) {
		return st
	}
	next := newState(s, st)
	next.missing.from(&st.missing, places(st.split.Backends, s.Backends))
	return next
}

// pruneTurns has what backends are owed that none of these states has fall to the
// others.
func pruneTurns(states []*State) {
	has := func(name string) bool {
		return slices.ContainsFunc(states, func(st *State) bool { return st.split.index(name) >= 0 })
	}
	for _, st := range slices.Backward(states) {
		st.own.prune(has)
		for _, t := range st.rules {
			if t != nil {
				t.prune(has)
			}
		}
	}
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

func hash32(text string) uint32 { return uint32(xxhash.Sum64String(text)) }

// equal compares what two pointers point to.
func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
