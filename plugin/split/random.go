package split

import "math/bits"

// draw chooses one of the backends that are not in unusable by uniform random bits,
// each with its weight as probability; -1 if they have no weight.
//
// The bits are a fraction of 2⁶⁴, and the product with the weights' sum is a
// point among the weights laid end to end. The probabilities are off by the sum's
// part of 2⁶⁴: 2⁻³⁸ at most, and 2⁻²⁴ under a ramp.
func draw(weights []int64, unusable Set, uniform uint64) int {
	var sum uint64
	for i, w := range weights {
		if w > 0 && !unusable.Has(i) {
			sum += uint64(w)
		}
	}
	point, _ := bits.Mul64(uniform, sum)
	for i, w := range weights {
		if w <= 0 || unusable.Has(i) {
			continue
		}
		if point < uint64(w) {
			return i
		}
		point -= uint64(w)
	}
	return -1
}

// remix returns other uniform bits than those that chose an unusable backend: these
// lie where that backend's weight does, and would always choose the same one of the
// others. The step is the one of SplitMix64 (G. Steele, D. Lea, C. Flood, Fast
// splittable pseudorandom number generators, OOPSLA 2014), whose state moves on
// with each set of unusable backends.
func remix(uniform uint64, unusable Set) uint64 {
	z := uniform + uint64(unusable)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
