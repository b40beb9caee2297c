package split

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// State is what a split remembers from one choice to the next: whose turn it is, and
// which backends are ejected or missing. One State serves all users of a split. It is
// safe for concurrent use.
//
// Algorithm random has no turns, and leaves those of algorithm smooth as they are.
type State struct {
	split    *Split
	own      *turns     // by the split's own weights
	rules    []*turns   // by the weights of each rule; nil for a rule without weights
	retries  []*turns   // after the failures of each backend; nil: there are no retries
	stepping sync.Mutex // held to go on to another share of the ramp
	samplers []*sampler // of the split's mirrors
	missing  missing
	slow     Set           // the backends that have slow starts
	redirect Set           // the backends that redirect
	kept     atomic.Uint64 // a Set: the backends that MaxEjected kept when they were last found unhealthy

	history    *history
	conditions []*condition // of history, by backend; nil for one without passive health checks
	course     *course      // of history; nil: the ramp has no guard
	identities []uint32     // hashes of the backends' identities
	ramp       uint32       // a hash of the ramp
}

// NewState returns the state of a split that has made no choice yet.
func NewState(s *Split) *State { return newState(s, nil) }

// newState returns the state of a split that goes on from another one; nil: from none.
func newState(s *Split, from *State) *State {
	st := &State{split: s, rules: make([]*turns, len(s.Rules))}
	if from == nil {
		from = &State{history: newHistory()}
	}
	st.history = from.history
	st.conditions, st.course = st.history.track(s)
	st.identities, st.ramp = make([]uint32, len(s.Backends)), hash32(s.rampText())
	for i := range s.Backends {
		st.identities[i] = hash32(s.Backends[i].identity())
		if s.Backends[i].SlowStart > 0 {
			st.slow = st.slow.With(i)
		}
		if s.Backends[i].RedirectsTo != "" {
			st.redirect = st.redirect.With(i)
		}
	}
	names := make([]string, len(s.Backends))
	for i, b := range s.Backends {
		names[i] = b.Name
	}
	heir := func(old *turns, weights []int64) *turns {
		if old == nil {
			return newTurns(newStage(names, weights))
		}
		return old.heir(newStage(names, weights))
	}
	st.samplers = samplersOf(s, from)
	st.own = heir(from.own, weightsOf(s.Backends))
	for i, r := range s.Rules {
		switch {
		case r.Weights == nil:
		case i < len(from.rules):
			st.rules[i] = heir(from.rules[i], int64s(r.Weights))
		default:
			st.rules[i] = heir(nil, int64s(r.Weights))
		}
	}
	st.retries = retriesOf(s, names, from)
	return st
}

// Fits reports whether s can use st itself: whether both have the same backends in the
// same order, with the same proportions in the split and in each rule, the same passive
// health checks, slow starts, MaxEjected and retries, the same mirrors, and the same ramp.
func (st *State) Fits(s *Split) bool {
	return slices.EqualFunc(st.split.Backends, s.Backends, func(a, b Backend) bool {
		return sameName(a, b) && a.Destination == b.Destination && equal(a.Passive, b.Passive) && a.SlowStart == b.SlowStart && a.RedirectsTo == b.RedirectsTo
	}) &&
		equal(st.split.MaxEjected, s.MaxEjected) && equal(st.split.Retry, s.Retry) && slices.Equal(st.split.Mirrors, s.Mirrors) &&
		slices.Equal(reduced(weightsOf(st.split.Backends), 0), reduced(weightsOf(s.Backends), 0)) &&
		slices.EqualFunc(st.split.Rules, s.Rules, sameWeights) &&
		sameRamp(st.split, s)
}

// For returns the state for s, another revision of the split: st itself if it fits,
// otherwise a new one that shares with st what each backend, by name, is owed, and which
// are ejected. So weights that change often neither restart the rotation nor starve a
// small share, and while both states are in use, choices by either count in both. A ramp
// that was rolled back stays so while s has the same ramp, and when a later revision has
// it again before [Prune].
func (st *State) For(s *Split) *State {
	if st.Fits(s) {
		return st
	}
	next := newState(s, st)
	before := indexes(st.split.Backends, s.Backends)
	next.missing.inherit(&st.missing, before)
	if s.MaxEjected != nil { // else none is kept, and none would be found to be so no more
		next.kept.Store(uint64(st.Kept().at(before)))
	}
	return next
}

// pruneTurns forgets the backends that none of these states has. What they are owed falls
// to the others.
func pruneTurns(states []*State) {
	has := func(name string) bool {
		return slices.ContainsFunc(states, func(st *State) bool { return st.split.index(name) >= 0 })
	}
	for _, st := range slices.Backward(states) {
		for _, t := range slices.Concat([]*turns{st.own}, st.rules, st.retries) {
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

func int64s(weights []int) []int64 {
	out := make([]int64, len(weights))
	for i, w := range weights {
		out[i] = int64(w)
	}
	return out
}

// indexes returns the index in before of the name of each backend, or -1.
func indexes(before, backends []Backend) []int {
	found := make([]int, len(backends))
	for i, b := range backends {
		found[i] = slices.IndexFunc(before, func(old Backend) bool { return sameName(old, b) })
	}
	return found
}

func sameName(a, b Backend) bool { return a.Name == b.Name }

func sameWeights(a, b Rule) bool {
	return (a.Weights == nil) == (b.Weights == nil) && slices.Equal(reduced(int64s(a.Weights), 0), reduced(int64s(b.Weights), 0))
}

func hash32(text string) uint32 { return uint32(xxhash.Sum64String(text)) }

// equal compares what two pointers point to.
func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func (st *State) shares(now time.Time) []float64 {
	weights := weightsOf(st.split.Backends)
	if r := st.split.Ramp; r != nil {
		weights = r.weights(st.split.Backends, st.RampShare(now))
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
