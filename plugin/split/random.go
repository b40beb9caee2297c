package split

import "math/bits"

// draw returns the one of the backends, without those in down, on which uniform
// bits fall, each with its weight as probability; -1 where they have no weight.
//
// The bits are a fraction of 2⁶⁴, and the product with the weights' sum is a
// point among the weights laid end to end. The probabilities are off by the sum's
// part of 2⁶⁴: 2⁻³⁸ at most, and 2⁻²⁴ under a ramp.
func draw(weights []int64, down Set, uniform uint64) int {
	var sum uint64
	for i, w := range weights {
		if w > 0 && !down.Has(i) {
			sum += uint64(w)
		}
	}
	point, _ := bits.Mul64(uniform, sum)
	for i, w := range weights {
		if w <= 0 || down.Has(i) {
			continue
		}
		if point < uint64(w) {
			return i
		}
		point -= uint64(w)
	}
	return -1
}

// again makes other uniform bits of bits that chose a backend before: those lie
// where that backend's weight does, and would always fall on the same one of the
// others. The step is the one of SplitMix64 (G. Steele, D. Lea, C. Flood, Fast
// splittable pseudorandom number generators, OOPSLA 2014), whose state moves on
// with each set of unusable backends.
func again(uniform uint64, down Set) uint64 {
	z := uniform + uint64(down)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
