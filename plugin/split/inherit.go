package split

import "math/bits"

// inherit takes over what backends were owed under other weights, in a tally that
// has made no choice yet. was[i] is the place in old of backend i, or -1 where it
// is new and owed nothing.
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
func (t *tally) inherit(old *tally, was []int) {
	var sum int64
	for i, j := range was {
		if j >= 0 {
			t.lanes[i].owed = convert(old.lanes[j].owed, old.unit, t.unit)
			sum += t.lanes[i].owed
		}
	}
	t.spreadOut(-sum)
}

// spreadOut adds owed to the backends by weight, the undividable rest one unit
// each in order. It does nothing where all weights are zero: the next tally that
// inherits from this one makes up for it.
func (t *tally) spreadOut(owed int64) {
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

// forgive has what backend i, of weight 0, is owed fall to the others.
func (t *tally) forgive(i int) {
	owed := t.lanes[i].owed
	t.lanes[i].owed = 0
	t.spreadOut(owed)
}

// convert turns owed in units of one tally into units of another, rounded towards
// zero. The product has more than 64 bits.
func convert(owed, from, to int64) int64 {
	if owed < 0 {
		return -convert(-owed, from, to)
	}
	hi, lo := bits.Mul64(uint64(owed), uint64(to))
	converted, _ := bits.Div64(hi, lo, uint64(from))
	return int64(converted)
}
