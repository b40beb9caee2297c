package split

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxRests is how many sets of unusable backends a deal keeps a rest for. When
// there are more, the rest that was longest not dealt from begins again.
const maxRests = 16

// deal is whose turn it is, among all the backends, and among those that are left
// when some cannot be used. It is safe for concurrent use.
type deal struct {
	current atomic.Pointer[stage]
	turns   *rotation

	mu    sync.Mutex // held to go on to another stage, and for the rests
	rests []*rest    // the latest used first, maxRests at most
}

// stage is the weights of a while. It never changes.
type stage struct {
	weights  []int64 // without their common divisor, below 2⁴⁰
	weighted Set     // the backends of positive weight

	share int       // of the ramp's backend
	since time.Time // zero: no ramp has had a part in it
}

// rest deals the shares of the backends in down out to the others.
type rest struct {
	down  Set
	tally tally
}

func newStage(weights []int64) *stage {
	s := &stage{weights: reduced(weights, 0)}
	for i, w := range s.weights {
		if w > 0 {
			s.weighted = s.weighted.With(i)
		}
	}
	return s
}

// newDeal returns a deal that has made no choice yet.
func newDeal(weights []int64) *deal {
	first := newStage(weights)
	d := &deal{turns: newRotation(newTally(first.weights))}
	d.current.Store(first)
	return d
}

// heir returns the deal that goes on from d with other weights: every backend is
// owed what it is owed in d. was[i] is the place in d of backend i, or -1. The
// backends that are new are owed nothing; what those that are gone were owed falls
// to the others, by weight.
//
// It may be called while others choose from d: choices that were made before the
// call are accounted for, later ones count in d alone.
func (d *deal) heir(weights []int64, was []int) *deal {
	first := newStage(weights)
	next := &deal{turns: newRotation(heir(first.weights, d.turns.snapshot(), was))}
	next.current.Store(first)
	d.mu.Lock()
	defer d.mu.Unlock()
	next.rests = heirs(first.weights, d.rests, was)
	return next
}

// change goes on to another stage of the same backends, in d itself: no choice of
// those who are at it meanwhile is lost. The caller holds mu.
func (d *deal) change(to *stage) {
	if !slices.Equal(to.weights, d.current.Load().weights) {
		d.turns.change(to.weights)
		d.rests = heirs(to.weights, d.rests, inPlace(len(to.weights)))
	}
	d.current.Store(to)
}

// next makes a choice among all backends. At least one weight must be positive.
func (d *deal) next() int { return d.turns.next() }

// instead deals one choice of the backends in down to the others; -1 where none of
// them has a positive weight.
func (d *deal) instead(down Set) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	weights := d.current.Load()
	if weights.weighted&^down == 0 {
		return -1
	}
	at := slices.IndexFunc(d.rests, func(r *rest) bool { return r.down == down })
	if at < 0 {
		if len(d.rests) < maxRests {
			d.rests = append(d.rests, nil)
		}
		at = len(d.rests) - 1
		d.rests[at] = &rest{down, newTally(reduced(weights.weights, down))}
	}
	r := d.rests[at]
	copy(d.rests[1:], d.rests[:at])
	d.rests[0] = r
	return r.tally.next()
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

// inPlace says of n backends that each is where it was.
func inPlace(n int) []int {
	was := make([]int, n)
	for i := range was {
		was[i] = i
	}
	return was
}

// heir returns a tally of the weights that has inherited from old.
func heir(weights []int64, old tally, was []int) tally {
	t := newTally(weights)
	t.inherit(&old, was)
	return t
}

// heirs returns the rests that go on from old under other weights.
func heirs(weights []int64, old []*rest, was []int) (rests []*rest) {
	for _, r := range old {
		var down Set
		for i, j := range was {
			if j >= 0 && r.down.Has(j) {
				down = down.With(i)
			}
		}
		if down != 0 && !slices.ContainsFunc(rests, func(r *rest) bool { return r.down == down }) {
			rests = append(rests, &rest{down, heir(reduced(weights, down), r.tally, was)})
		}
	}
	return rests
}
