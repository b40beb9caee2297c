package split_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"kong-traffic-split/plugin/split"
)

// How far a backend gets from the sum of its shares where the weights change is a
// matter of search: nothing is proven. The searches climb from random weights to
// worse ones, from fixed seeds.

// A course says what the weights are at choice k, given what each backend is owed.
type course func(k int, owed []float64) []int

// worst plays a course with n backends, and returns the furthest that a choice
// left one from the sum of its shares.
func worst(t *testing.T, n, choices int, weights course) float64 {
	owed := make([]float64, n)
	var s *split.Split
	var st *split.State
	furthest := 0.0
	for k := range choices {
		s = smooth(weights(k, owed)...)
		if st == nil {
			st = split.NewState(s)
		} else {
			st = st.For(s)
		}
		total := 0
		for _, b := range s.Backends {
			total += b.Weight
		}
		for i, b := range s.Backends {
			owed[i] += float64(b.Weight) / float64(total)
		}
		owed[choose(t, s, st)]--
		for _, o := range owed {
			furthest = max(furthest, math.Abs(o))
		}
	}
	return furthest
}

// climb looks for the parameters, each 0..1, of the worst course.
func climb(t *testing.T, n, parameters, choices, steps int, of func(p []float64) course) float64 {
	r := seeded(uint64(n))
	p := make([]float64, parameters)
	for i := range p {
		p[i] = r.Float64()
	}
	highest := worst(t, n, choices, of(p))
	for range steps {
		q := slices.Clone(p)
		for range 1 + r.IntN(3) {
			i := r.IntN(len(q))
			if r.IntN(2) == 0 {
				q[i] = r.Float64()
			} else {
				q[i] = min(max(q[i]+r.NormFloat64()/20, 0), 1)
			}
		}
		if w := worst(t, n, choices, of(q)); w >= highest {
			highest, p = w, q
		}
	}
	return highest
}

// weightOf spreads 0..1 evenly over the magnitudes 1..MaxWeight.
func weightOf(x float64) int { return int(math.Pow(split.MaxWeight, x)) }

// One backend's share goes from one value to another and back, over some choices,
// while the others keep their proportion.
func TestRampStaysWithinOneChoice(t *testing.T) {
	for _, n := range []int{2, 3, 4, 8, 16} {
		highest := climb(t, n, n+2, 400, 60, func(p []float64) course {
			others := 0
			weights := make([]int, n)
			for i := 1; i < n; i++ {
				weights[i] = weightOf(p[i] * 0.6)
				others += weights[i]
			}
			from, to, length := p[0], p[n], 2+200*p[n+1]
			return func(k int, _ []float64) []int {
				share := from + (to-from)*math.Abs(math.Mod(float64(k)/length+1, 2)-1)
				weights[0] = min(int(share/(1-min(share, 0.99))*float64(others)), split.MaxWeight)
				return weights
			}
		})
		t.Logf("%d backends: %.3f", n, highest)
		if highest >= 1 {
			t.Errorf("%d backends: off by %.3f", n, highest)
		}
	}
}

// Any weights, other ones at each choice.
func TestEditsStayWithinTwoChoices(t *testing.T) {
	for _, zeros := range []float64{0, 0.4} {
		for _, n := range []int{2, 3, 4, 8, 16} {
			const choices = 40
			highest := climb(t, n, choices*n, choices, 600, func(p []float64) course {
				return func(k int, _ []float64) []int {
					weights := make([]int, n)
					for i, x := range p[k*n : k*n+n] {
						if x >= zeros {
							weights[i] = weightOf((x - zeros) / (1 - zeros))
						}
					}
					weights[k%n] = max(weights[k%n], 1)
					return weights
				}
			})
			t.Logf("%d backends, %.0f %% of weights 0: %.3f", n, zeros*100, highest)
			if highest >= 2 {
				t.Errorf("%d backends, %.0f %% of weights 0: off by %.3f", n, zeros*100, highest)
			}
		}
	}
}

// Whoever sees what each backend is owed can aim the weights at it: all to 0 but
// two that are owed about the same. That leads every rule to (n−1)/2; this one
// stays below n/2 under the worst of several aims too.
func TestAimedWeightsStayWithinHalfTheBackends(t *testing.T) {
	for _, n := range []int{2, 3, 4, 5, 8, 12} {
		aimed := worst(t, n, 3000, apart)
		t.Logf("%d backends: two at a time %.3f", n, aimed)
		if half := float64(n-1) / 2; aimed < half-0.05 || aimed > half+0.5 {
			t.Errorf("%d backends, two at a time: off by %.3f", n, aimed)
		}
		searched := worst(t, n, 500, worstNext(t, seeded(uint64(n))))
		t.Logf("%d backends: the worst of many %.3f", n, searched)
		if searched > float64(n)/2 {
			t.Errorf("%d backends, the worst of many: off by %.3f", n, searched)
		}
	}
}

// The weights of all that were chosen go down to 1: the last of n backends is
// owed 1/2 + … + 1/n, whatever the rule.
func TestAimedPositiveWeights(t *testing.T) {
	for n, want := range map[int]float64{4: 1.083, 10: 1.929, 16: 2.381} {
		weights := slices.Repeat([]int{split.MaxWeight}, n)
		before := make([]float64, n)
		got := worst(t, n, n-1, func(_ int, owed []float64) []int {
			for i := range owed {
				if owed[i] < before[i] {
					weights[i] = 1
				}
			}
			copy(before, owed)
			return weights
		})
		if math.Abs(got-want) > 0.001 {
			t.Errorf("%d backends: off by %.3f, want %.3f", n, got, want)
		}
	}
}

// apart gives weights to the two backends that are owed amounts closest to each
// other, such that the amounts move apart whichever is chosen.
func apart(_ int, owed []float64) []int {
	order := make([]int, len(owed))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(owed[a], owed[b]) })
	low, high, gap := 0, 0, math.Inf(1)
	for at := 1; at < len(order); at++ {
		if g := owed[order[at]] - owed[order[at-1]]; g < gap {
			low, high, gap = order[at-1], order[at], g
		}
	}
	weights := make([]int, len(owed))
	weights[low] = int(min((1+gap)/2, 0.999) * split.MaxWeight)
	weights[high] = split.MaxWeight - weights[low]
	return weights
}

// worstNext tries random weights at each choice, and takes those that move what
// the backends are owed furthest from zero under a rule that gives each choice to
// the one that is owed the most.
func worstNext(t *testing.T, r *rand.Rand) course {
	return func(k int, owed []float64) []int {
		var found []int
		furthest := -1.0
		for range 60 {
			weights := make([]int, len(owed))
			for i := range weights {
				if r.IntN(2) == 0 {
					weights[i] = weightOf(r.Float64())
				}
			}
			weights[r.IntN(len(weights))] = 1 + r.IntN(split.MaxWeight)
			if f := after(owed, weights); f > furthest {
				found, furthest = weights, f
			}
		}
		return found
	}
}

func after(owed []float64, weights []int) float64 {
	next := slices.Clone(owed)
	most := -1
	for i, w := range weights {
		next[i] += float64(w) / float64(sum(weights))
		if w > 0 && (most < 0 || next[i] > next[most]) {
			most = i
		}
	}
	next[most]--
	f := 0.0
	for _, o := range next {
		f += o * o * o * o
	}
	return f
}
