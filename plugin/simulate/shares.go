package simulate

import "kong-traffic-split/plugin/split"

// hundred is 100 % in the unit of a ramp's share.
const hundred = 10000

// shares counts what each backend is owed by the weights and the ramp, and how far the
// choices are off it. It counts in parts of a request, so small that each share is a whole
// number and nothing is rounded: at most 10⁴ · 64·10⁶ parts to a request, so that 10⁷
// requests have less than 2⁶³.
type shares struct {
	split *split.Split
	whole int64 // parts of a request

	share   int     // of the ramp's backend, to which parts belong; -1: none yet
	parts   []int64 // of each request, by backend
	owed    []int64 // by backend, the parts that it should have got, less those that it got
	largest int64   // parts that a backend was owed, or ahead, at any time
}

func newShares(s *split.Split) *shares {
	n := len(s.Backends)
	sh := &shares{split: s, share: -1, parts: make([]int64, n), owed: make([]int64, n)}
	for i, b := range s.Backends {
		if s.Ramp == nil || s.Ramp.Backend != i {
			sh.parts[i] = int64(b.Weight)
			sh.whole += sh.parts[i]
		}
	}
	if s.Ramp != nil {
		sh.whole = max(sh.whole, 1) * hundred
	}
	sh.whole = max(sh.whole, 1)
	return sh
}

// advance sets the parts to those at a share of the ramp's backend, in hundredths of a
// percent.
func (sh *shares) advance(share int) {
	r := sh.split.Ramp
	if share == sh.share {
		return
	}
	sh.share = share
	rest := sh.whole / hundred
	left := rest // of the others; nothing where none of them has a weight
	for i, b := range sh.split.Backends {
		if i != r.Backend {
			sh.parts[i] = int64(b.Weight) * int64(hundred-share)
			left -= int64(b.Weight)
		}
	}
	sh.parts[r.Backend] = int64(share) * rest
	if left > 0 {
		sh.parts[r.Backend] = sh.whole
	}
}

// request adds the shares of one more request to what the backends are owed.
func (sh *shares) request() {
	for i, parts := range sh.parts {
		sh.owed[i] += parts
	}
}

// chosen counts the backend that got the request; -1: none.
func (sh *shares) chosen(backend int) {
	if backend >= 0 {
		sh.owed[backend] -= sh.whole
	}
	for _, owed := range sh.owed {
		sh.largest = max(sh.largest, owed, -owed)
	}
}

// deviation returns the most requests that any backend was off its share at any time.
func (sh *shares) deviation() float64 { return float64(sh.largest) / float64(sh.whole) }

// expected returns how many requests a backend that got n should have got.
func (sh *shares) expected(backend, n int) float64 {
	return float64(n) + float64(sh.owed[backend])/float64(sh.whole)
}
