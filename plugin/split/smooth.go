package split

import (
	"math"
	"math/bits"
	"slices"
)

// tally is algorithm smooth, one choice at a time. It is Tijdeman's solution of
// the chairman assignment problem (R. Tijdeman, The chairman assignment problem,
// Discrete Mathematics 32, 1980), which keeps every backend fewer than one choice
// away from its share after any number of choices. The usual smooth weighted
// round-robin does not: with 16 backends it can be 1.6 choices off.
//
// With weights w, their sum W and n backends of positive weight, at choice k,
// this one included, backend i is owed
//
//	σᵢ = k·wᵢ/W − (choices of i so far)
//
// Among the backends whose turn may come (σᵢ ≥ 1/(2n−2)) the choice falls on the
// one that would be the first to be owed more than 1 − 1/(2n−2) if it were left
// out: the smallest (1 − 1/(2n−2) − σᵢ)·W/wᵢ. Equal ones go in order. No backend
// is then ever owed, or ahead by, more than 1 − 1/(2n−2).
//
// For example, with weights 3 : 2 : 1 (n = 3: a turn may come from 0.25 on and is
// due at 0.75), in brackets how many choices a backend could still be left out:
//
//	choice   a              b              c              goes to
//	1        0.50 (0.50)    0.33 (1.25)    0.17           a
//	2        0.00           0.67 (0.25)    0.33 (2.50)    b
//	3        0.50 (0.50)    0.00           0.50 (1.50)    a
//	4        0.00           0.33 (1.25)    0.67 (0.50)    c
//	5        0.50 (0.50)    0.67 (0.25)   −0.17           b
//	6        1.00 (−0.50)   0.00           0.00           a
//
// after which nobody is owed anything and it begins again.
//
// What a backend is owed is kept in whole units of 1/unit of a choice, so nothing
// is ever rounded or drifts, and it always sums to zero. A unit of the sum of the
// weights would do; it is a multiple of that, at least 2³², so that when weights
// change (see [tally.inherit]) what is owed is converted to within 2⁻³² of a
// choice.
//
// After a change of weights the theorem does not hold, and several backends can be
// owed 1 − 1/(2n−2) or more, or, while one of weight 0 is owed something, none as
// much as 1/(2n−2). In both cases the one that is owed the most is next. (To go on
// by the quotient alone favours small weights, and others fall ever further behind.)
//
// A tally is not safe for concurrent use.
type tally struct {
	lanes  []lane
	unit   int64 // of a choice; a multiple of period, 2³² ≤ unit < 2³³, or below 2⁴⁰ where wide
	period int64 // the sum of the weights: after so many choices all is as it was
	spread int64 // 2n−2
	ripe   int64 // owed from here on, a turn may come: unit/(2n−2), rounded up
	due    int64 // owed from here on, it has to: unit − unit/(2n−2), rounded up
	wide   bool  // some weight is above MaxWeight, as under a ramp
}

// lane is one backend's place in a tally. Its numbers are in units, but for the
// weight.
type lane struct {
	owed   int64
	step   int64 // what each choice adds: unit·weight/period
	weight int64 // below 2⁴⁰; 0: never chosen
}

// newTally returns a tally of n backends in which nobody is owed anything. The first
// ones have the weights, which are below 2⁴⁰ as is their sum; the others have none. It
// takes over the lanes in room, if they are enough.
func newTally(room []lane, n int, weights []int64) tally {
	t := tally{lanes: slices.Grow(room[:0], n)[:n]}
	clear(t.lanes)
	weighted := int64(0)
	for _, w := range weights {
		t.period += w
		t.wide = t.wide || w > MaxWeight
		if w > 0 {
			weighted++
		}
	}
	const least = 1 << 32
	sum := max(t.period, 1)
	multiple := (least + sum - 1) / sum
	t.unit = multiple * sum
	for i, w := range weights {
		t.lanes[i] = lane{step: multiple * w, weight: w}
	}
	if weighted > 1 { // a backend alone is next whatever the limits are
		t.spread = 2*weighted - 2
		t.ripe = (t.unit + t.spread - 1) / t.spread
		t.due = t.unit - t.unit/t.spread
	}
	return t
}

// next makes a choice. At least one weight must be positive.
func (t *tally) next() int {
	lanes := t.lanes
	most, mostOwed := -1, int64(math.MinInt64)
	first, lacking, weight := -1, int64(0), int64(0)
	limit := (t.spread - 1) * t.unit
	for i := range lanes {
		l := &lanes[i]
		if l.weight == 0 {
			continue
		}
		owed := l.owed + l.step
		l.owed = owed
		if owed > mostOwed {
			most, mostOwed = i, owed
		}
		if owed < t.ripe || owed >= t.due {
			continue
		}
		// Times spread, so that it is whole: 0 < lacks < spread·unit < 2⁴⁰, and 2⁴⁷
		// where it is wide.
		lacks := limit - t.spread*owed
		if first < 0 || t.less(lacks, weight, lacking, l.weight) {
			first, lacking, weight = i, lacks, l.weight
		}
	}
	if first < 0 || mostOwed >= t.due { // none is ripe, or some are due
		first = most
	}
	lanes[first].owed -= t.unit
	return first
}

// less reports whether a·b is below c·d, each of which is what a backend lacks times
// a weight: below 2⁶⁰, and 2⁸⁷ where the tally is wide.
func (t *tally) less(a, b, c, d int64) bool {
	if !t.wide {
		return a*b < c*d
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	high, low := bits.Mul64(uint64(c), uint64(d))
	return hi < high || hi == high && lo < low
}

// undo takes the choice of backend i back: nobody was owed anything for it.
func (t *tally) undo(i int) {
	for i := range t.lanes {
		t.lanes[i].owed -= t.lanes[i].step
	}
	t.lanes[i].owed += t.unit
}

// replay notes choices as if the tally had made them.
func (t *tally) replay(choices []uint8) {
	for _, i := range choices {
		t.lanes[i].owed -= t.unit
	}
	for i := range t.lanes {
		t.lanes[i].owed += int64(len(choices)) * t.lanes[i].step
	}
}

// owed appends what every backend is owed, in units.
func (t *tally) owed(to []int64) []int64 {
	for i := range t.lanes {
		to = append(to, t.lanes[i].owed)
	}
	return to
}
