package split

import (
	"math"
	"math/bits"
	"slices"
)

// rotation is algorithm smooth, one choice at a time. It is Tijdeman's solution of
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
// after which no backend is owed anything and it begins again.
//
// What a backend is owed is kept in whole units of 1/unit of a choice, so nothing
// is ever rounded or drifts, and it always sums to zero. A unit of the sum of the
// weights would do; it is a multiple of that, at least 2³², so that when weights
// change (see [rotation.inherit]) what is owed is converted to within 2⁻³² of a
// choice.
//
// After a change of weights the theorem does not hold, and several backends can be
// owed 1 − 1/(2n−2) or more, or, while one of weight 0 is owed something, none as
// much as 1/(2n−2). In both cases the one that is owed the most is next. (To go on
// by the quotient alone favours small weights, and others fall ever further behind.)
//
// A rotation is not safe for concurrent use.
type rotation struct {
	lanes  []lane
	unit   int64 // of a choice; a multiple of period, 2³² ≤ unit < 2³³, or below 2⁴⁰ where wide
	period int64 // the sum of the weights: after so many choices all is as it was
	spread int64 // 2n−2
	ripe   int64 // a backend that is owed this much may be next: unit/(2n−2), rounded up
	due    int64 // a backend that is owed this much has to be next: unit − unit/(2n−2), rounded up
	wide   bool  // some weight is above MaxWeight, as under a ramp
}

// lane is one backend's place in a rotation. Its numbers are in units, but for the
// weight.
type lane struct {
	owed   int64
	step   int64 // what each choice adds to owed: unit·weight/period
	weight int64 // below 2⁴⁰; 0: never chosen
}

// newRotation returns a rotation of n backends in which none is owed anything. The first
// len(weights) have the weights, which are below 2⁴⁰ as is their sum; the others have
// none. It uses the memory of spare if that is large enough.
func newRotation(spare []lane, n int, weights []int64) rotation {
	t := rotation{lanes: slices.Grow(spare[:0], n)[:n]}
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
func (t *rotation) next() int {
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
// a weight: below 2⁶⁰, and 2⁸⁷ where the rotation is wide.
func (t *rotation) less(a, b, c, d int64) bool {
	if !t.wide {
		return a*b < c*d
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	high, low := bits.Mul64(uint64(c), uint64(d))
	return hi < high || hi == high && lo < low
}

// undo undoes a choice of backend i, and what the choice added to owed.
func (t *rotation) undo(i int) {
	for i := range t.lanes {
		t.lanes[i].owed -= t.lanes[i].step
	}
	t.lanes[i].owed += t.unit
}

// replay counts choices as if the rotation had made them.
func (t *rotation) replay(choices []uint8) {
	for _, i := range choices {
		t.lanes[i].owed -= t.unit
	}
	for i := range t.lanes {
		t.lanes[i].owed += int64(len(choices)) * t.lanes[i].step
	}
}

// owed appends what every backend is owed, in units.
func (t *rotation) owed(to []int64) []int64 {
	for i := range t.lanes {
		to = append(to, t.lanes[i].owed)
	}
	return to
}

// inherit takes over what backends were owed under other weights, in a rotation that
// has made no choice yet. indexes[i] is the index in old of backend i, or -1 if it is
// new and owed nothing.
//
// A backend whose weight is 0 now, as it cannot be used or another revision of the
// split has it, keeps what it is owed until it has a weight
// again: otherwise weights that go to 0 and back could starve it for good, each
// time just before its turn. What a backend that is gone was owed falls to those
// that are left, by weight, as if for all of them so many more, or fewer, choices
// had been made; so the sum stays zero.
//
// How far a backend then gets from the sum of its shares at each choice, among n
// backends, depends on who changes the weights (the tests search for the worst):
//
//   - One share that ramps while the others keep their proportion: less than 1.
//   - Weights that are edited, and backends that fail and recover, without a view to
//     what each backend is owed, even after every choice: less than 2.
//   - Weights that are aimed at what each backend is owed: n/2. No rule can
//     promise less than (n−1)/2: as long as two backends are owed amounts less
//     than 1 apart, weights for these two alone exist that drive the amounts apart
//     whichever is chosen. (J. Cembrano, J. Correa, S. Griesbach, V. Verdugo,
//     Online proportional apportionment, arXiv 2510.14752, 2025.) Nor, if all
//     weights have to be positive, less than 1/2 + 1/3 + … + 1/n, which is 2.38
//     for 16 backends: those that were not chosen yet share each choice.
func (t *rotation) inherit(old *rotation, indexes []int) {
	var sum int64
	for i, j := range indexes {
		if j >= 0 {
			t.lanes[i].owed = convert(old.lanes[j].owed, old.unit, t.unit)
			sum += t.lanes[i].owed
		}
	}
	t.spreadOut(-sum)
}

// spreadOut adds owed to the backends by weight, the undividable rest one unit
// each in order. It does nothing where all weights are zero: the next rotation that
// inherits from this one makes up for it.
func (t *rotation) spreadOut(owed int64) {
	if t.period == 0 {
		return
	}
	whole, part := owed/t.period, owed%t.period
	for i := range t.lanes {
		l := &t.lanes[i]
		share := whole*l.weight + convert(part, t.period, l.weight)
		l.owed += share
		owed -= share
	}
	for i := range t.lanes {
		if l := &t.lanes[i]; l.weight > 0 {
			one := min(max(owed, -1), 1)
			l.owed += one
			owed -= one
		}
	}
}

// forgive gives what backend i, of weight 0, is owed to the others.
func (t *rotation) forgive(i int) {
	owed := t.lanes[i].owed
	t.lanes[i].owed = 0
	t.spreadOut(owed)
}

// convert turns owed in units of one rotation into units of another, rounded towards
// zero. The product has more than 64 bits.
func convert(owed, from, to int64) int64 {
	if owed < 0 {
		return -convert(-owed, from, to)
	}
	hi, lo := bits.Mul64(uint64(owed), uint64(to))
	converted, _ := bits.Div64(hi, lo, uint64(from))
	return int64(converted)
}
