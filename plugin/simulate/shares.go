package simulate

import (
	"time"

	"kong-traffic-split/plugin/split"
)

// hundred is a ramp's share of 100 %, as split has it.
const hundred = 10000

// shares keeps account of what the weights and the ramp give every backend, and of
// how far the choices are off it. It counts in parts of a request of which all
// shares are whole numbers, so that nothing is rounded: a request has 10⁴ · 64·10⁶
// at most, and 10⁷ requests have less than 2⁶³.
type shares struct {
	split *split.Split
	whole int64 // the parts of a request

	share int     // of the ramp's backend, for which parts are; -1: none yet
	parts []int64 // of a request, by backend
	owed  []int64 // parts that a backend should have had, without those of its choices
	most  int64   // that a backend was owed, or ahead
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

// at sets the parts for the time now, and returns the share of the ramp's backend
// then, in hundredths of a percent.
func (sh *shares) at(now time.Time, rolledBack bool) int {
	r := sh.split.Ramp
	if r == nil {
		return 0
	}
	share := r.ShareAt(now)
	if rolledBack {
		share = r.Guard.RollbackTo
	}
	if share == sh.share {
		return share
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
	return share
}

// request has every backend owed its share of one more request.
func (sh *shares) request() {
	for i, parts := range sh.parts {
		sh.owed[i] += parts
	}
}

// chosen takes note of who got the request; -1: nobody.
func (sh *shares) chosen(backend int) {
	if backend >= 0 {
		sh.owed[backend] -= sh.whole
	}
	for _, owed := range sh.owed {
		sh.most = max(sh.most, owed, -owed)
	}
}

// deviation is, in requests, the most that any backend was off its share after any
// of them.
func (sh *shares) deviation() float64 { return float64(sh.most) / float64(sh.whole) }

// expected is how many requests a backend that got n should have got so far.
func (sh *shares) expected(backend, n int) float64 {
	return float64(n) + float64(sh.owed[backend])/float64(sh.whole)
}
