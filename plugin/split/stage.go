package split

import (
	"sync/atomic"
	"time"
)

// stage is the weights for a while: those of a split or of a rule, at one share of a
// ramp, with all backends or without some of them. It never changes.
type stage struct {
	names    []string // of the backends, in the split's order
	weights  []int64  // without their common divisor; 0..MaxWeight, and below 2⁴⁰ under a ramp
	weighted Set      // the backends of positive weight

	full     *stage // the stage with all backends; nil: it is this one
	unusable Set    // backends that full has and this one has not

	share int       // of the ramp's backend
	since time.Time // when the share began; zero: there is no ramp. Of a stage of slow starts, when that was made

	pool  Set     // of a stage of slow starts, the backends that they are about
	parts *growth // likewise, how far these are; nil: it is none
}

func newStage(names []string, weights []int64) *stage {
	g := &stage{names: names, weights: reduced(weights, 0)}
	for i, w := range g.weights {
		if w > 0 {
			g.weighted = g.weighted.With(i)
		}
	}
	return g
}

// turns are the choices by the weights of a split, or of one of its rules. It is safe
// for concurrent use.
type turns struct {
	full    atomic.Pointer[stage] // with all backends
	partial atomic.Pointer[stage] // the latest stage without some of them
	grown   atomic.Pointer[stage] // the latest stage of slow starts

	// own are the choices that the weights alone decide; of a split with sessions,
	// only those that begin one. Their shares are exact.
	own *ledger
	// others are all other choices, such as those in the place of a backend that a rule
	// names: in one ledger with own, only the sums of both would be exact.
	others *ledger
}

// newTurns returns turns without any choice yet.
func newTurns(first *stage) *turns {
	t := &turns{own: new(ledger), others: new(ledger)}
	t.full.Store(first)
	return t
}

// heir returns turns by other weights that share the ledgers of t: each choice by either
// counts in both.
func (t *turns) heir(first *stage) *turns {
	next := &turns{own: t.own, others: t.others}
	next.full.Store(first)
	return next
}

// without returns the stage of the backends of full that are not in unusable. At least
// one of them has a weight.
func (t *turns) without(full *stage, unusable Set) *stage {
	if unusable &= full.weighted; unusable == 0 {
		return full
	}
	if g := t.partial.Load(); g != nil && g.full == full && g.unusable == unusable {
		return g
	}
	g := &stage{
		names: full.names, weights: reduced(full.weights, unusable), weighted: full.weighted &^ unusable,
		full: full, unusable: unusable, share: full.share, since: full.since,
	}
	t.partial.Store(g)
	return g
}

// drift returns by how many choices the backend that is furthest from the sum of its shares
// is off, of the choices that the weights alone decide.
func (t *turns) drift() float64 { return t.own.drift(t.full.Load().names) }

// prune forgets the backends that no state has any more.
func (t *turns) prune(has func(name string) bool) {
	full := t.full.Load()
	t.own.prune(full, has)
	t.others.prune(full, has)
}

// reduced returns the weights, 0 for the backends in unusable, divided by their greatest
// common divisor.
func reduced(weights []int64, unusable Set) []int64 {
	out := make([]int64, len(weights))
	divisor := int64(0)
	for i, w := range weights {
		if w > 0 && !unusable.Has(i) {
			out[i] = w
			divisor = gcd(divisor, w)
		}
	}
	for i := range out {
		out[i] /= max(divisor, 1)
	}
	return out
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
