package split

import (
	"sync/atomic"
	"time"
)

// stage is the weights by which choices are made for a while: those of a split or of
// a rule, at one share of a ramp, with all backends or without some of them. It never
// changes.
type stage struct {
	names    []string // of the backends, in the split's order
	weights  []int64  // without their common divisor; 0..MaxWeight, and below 2⁴⁰ under a ramp
	weighted Set      // the backends of positive weight

	full *stage // that of all backends; nil: it is this one
	down Set    // the backends whose weights are taken away from that

	share int       // of the ramp's backend
	since time.Time // zero: no ramp has had a part in it
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

// turns is whose turn it is by the weights of a split, or of one of its rules. It is
// safe for concurrent use.
type turns struct {
	full    atomic.Pointer[stage] // of all the backends
	partial atomic.Pointer[stage] // the latest one without some of them

	// own are the choices for those whom the weights alone decide about; where there
	// are sessions, for those who are pinned to what is chosen for them.
	own *ledger
	// others are the choices for all the rest: those whose shares would otherwise be
	// exact only together with these.
	others *ledger
}

// newTurns returns turns by which no choice was made yet.
func newTurns(first *stage) *turns {
	t := &turns{own: new(ledger), others: new(ledger)}
	t.full.Store(first)
	return t
}

// heir returns turns by other weights, which go on from t, as t does from them: each
// choice by either counts in both.
func (t *turns) heir(first *stage) *turns {
	next := &turns{own: t.own, others: t.others}
	next.full.Store(first)
	return next
}

// without returns the stage that is left of full without the backends in down, of
// which full has others.
func (t *turns) without(full *stage, down Set) *stage {
	if down &= full.weighted; down == 0 {
		return full
	}
	if g := t.partial.Load(); g != nil && g.full == full && g.down == down {
		return g
	}
	g := &stage{
		names: full.names, weights: reduced(full.weights, down), weighted: full.weighted &^ down,
		full: full, down: down, share: full.share, since: full.since,
	}
	t.partial.Store(g)
	return g
}

// prune forgets the backends that nobody has any more.
func (t *turns) prune(has func(name string) bool) {
	full := t.full.Load()
	t.own.prune(full, has)
	t.others.prune(full, has)
}

// reduced returns the weights, 0 for the backends in down, divided by their
// greatest common divisor.
func reduced(weights []int64, down Set) []int64 {
	out := make([]int64, len(weights))
	divisor := int64(0)
	for i, w := range weights {
		if w > 0 && !down.Has(i) {
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
