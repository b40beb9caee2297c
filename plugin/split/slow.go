package split

import (
	"math/big"
	"time"
)

// A backend that was unhealthy has its share back over its SlowStart: it grows evenly from
// 0 to its own. What it does not take yet goes to the other backends that can be used, by
// their weights; those whose share grows too take no part in that. While all of them grow,
// the ones that are furthest take the others' place, and these have of their share what they
// have grown compared with those: no share is lost, and none waits for nobody. A backend
// that cannot be used keeps its share of requests that fail or fall back, no more and no
// less.
//
// For example, with shares of 50, 30 and 20 %, the first of which is at 40 % of its own
// since it recovered: it has 20 %, and the others share 80 % as 30 to 20, which makes 48
// and 32 %.

// growth is how far each backend is on its way to its share, in hundredths of a percent.
type growth [MaxBackends]uint16

// growing returns how far the backends in pool have grown, compared with the furthest one of
// them; ok is false if all have their whole share.
func (st *State) growing(f *Facts, pool Set) (parts growth, ok bool) {
	if st.slow&pool == 0 {
		return parts, false
	}
	furthest := 0
	st.locked(func() {
		for i := range st.split.Backends {
			if !pool.Has(i) {
				continue
			}
			part := whole
			if st.slow.Has(i) {
				part = st.grown(i, f)
			}
			parts[i] = uint16(part)
			ok = ok || part < whole
			furthest = max(furthest, part)
		}
	})
	if !ok || furthest == whole {
		return parts, ok
	}
	ok = false
	for i := range st.split.Backends {
		part := whole
		if furthest > 0 {
			part = int(parts[i]) * whole / furthest
		}
		parts[i] = uint16(part)
		ok = ok || pool.Has(i) && part < whole
	}
	return parts, ok
}

// locked calls read, with the history's lock if any ejection matters to a slow start.
func (st *State) locked(read func()) {
	if h := st.history; h.anyEjected.Load() {
		h.mu.Lock()
		defer h.mu.Unlock()
	}
	read()
}

// grown returns how far backend i, which can be used, is by itself.
func (st *State) grown(i int, f *Facts) int {
	since, slow := st.recovered(i, f), st.split.Backends[i].SlowStart
	passed := f.Now.Sub(since)
	switch {
	case since.IsZero() || passed >= slow || passed <= -slow: // the clock was set back
		return whole
	case passed <= 0:
		return 0
	}
	return int(convert(int64(passed), int64(slow), whole))
}

// recovered returns since when backend i can be used again; zero: it could all the time, or
// it takes requests all the same, as its health is ignored. The caller is in locked.
func (st *State) recovered(i int, f *Facts) (since time.Time) {
	c := st.conditions[i]
	if !st.history.anyEjected.Load() {
		c = nil
	}
	if f.Unhealthy.Has(i) || c != nil && f.Now.Before(c.until) || st.Kept().Has(i) {
		return since
	}
	if f.Changed != nil {
		since = f.Changed(i)
	}
	if c != nil && c.until.After(since) {
		since = c.until
	}
	return since
}

// growing returns the stage by which the backends take turns while some of those in pool have
// a part of their share only: g itself if none has.
func (t *turns) growing(g *stage, pool Set, parts *growth, now time.Time) *stage {
	// A request from before the latest stage is chosen for by that: by turns with those after
	// it, each would need a stage.
	if last := t.grown.Load(); last != nil && last.full == g && last.pool == pool && (*last.parts == *parts || now.Before(last.since)) {
		return last
	}
	next := newStage(g.names, grow(g.weights, pool, parts))
	next.full, next.pool, next.since = g, pool, now
	next.parts = new(*parts)
	t.grown.Store(next)
	return next
}

// grow returns the weights that give the backends in pool these parts of their shares, and
// what that leaves to those of them that have all of theirs. With their sum F, and P that of
// the pool, both in the weights w, and parts p of 1, that is
//
//	w·p for those that grow,
//	w·(P − Σ w·p of those that grow)/F for the others of the pool,
//	w for all others.
//
// The weights are exact but where their sum would be 2³⁹ or more, and then to within 2⁻³⁸ of
// it.
func grow(weights []int64, pool Set, parts *growth) []int64 {
	var full, left, sum big.Int
	for i, w := range weights {
		switch {
		case !pool.Has(i):
		case parts[i] == whole:
			full.Add(&full, big.NewInt(w))
			left.Add(&left, big.NewInt(w*whole)) // below 2⁵⁴
		default:
			left.Add(&left, big.NewInt(w*int64(whole-int(parts[i]))))
		}
	}
	exact := make([]big.Int, len(weights))
	var divisor big.Int
	for i, w := range weights {
		factor := new(big.Int).Mul(&full, big.NewInt(whole))
		switch {
		case !pool.Has(i):
		case parts[i] == whole:
			factor = &left
		default:
			factor.Mul(&full, big.NewInt(int64(parts[i])))
		}
		exact[i].Mul(factor, big.NewInt(w))
		sum.Add(&sum, &exact[i])
		divisor.GCD(nil, nil, &divisor, &exact[i])
	}
	if divisor.Sign() == 0 {
		return weights
	}
	excess := uint(max(sum.Div(&sum, &divisor).BitLen()-39, 0))
	out := make([]int64, len(weights))
	for i := range exact {
		if exact[i].Sign() > 0 {
			out[i] = max(exact[i].Rsh(exact[i].Div(&exact[i], &divisor), excess).Int64(), 1)
		}
	}
	return out
}

// slowly returns the stage to take a turn of in the place of g: one in which backends in a
// slow start have a part of their share only, if there are any.
func (c *choice) slowly(g *stage) *stage {
	pool := g.weighted &^ c.unusable
	if c.st.slow&pool == 0 {
		return g
	}
	parts, ok := c.st.growing(c.f, pool)
	if !ok {
		return g
	}
	return c.turns.growing(g, pool, &parts, c.f.Now)
}

// byKey returns the backend of a key, of those of positive weight that are not in unusable.
// A backend in a slow start has a part of its keys only, by another hash of them: so each
// key comes back to it once, and none moves between the others. Until then it belongs to
// one of those that have their whole share.
func (c *choice) byKey(k *key, unusable Set) int {
	weights := c.weights.weights
	i := rendezvous(c.s.Backends, weights, unusable, k)
	if i < 0 || !c.st.slow.Has(i) || c.unusable.Has(i) {
		return i
	}
	pool := c.weights.weighted &^ c.unusable
	parts, ok := c.st.growing(c.f, pool)
	if !ok || k.point(c.s.Backends[i].Name) < float64(parts[i])/whole {
		return i
	}
	var others Set
	for j := range c.s.Backends {
		if !pool.Has(j) || parts[j] < whole {
			others = others.With(j)
		}
	}
	return rendezvous(c.s.Backends, weights, others, k)
}

// A SlowStart is how far a backend has come in one.
type SlowStart struct {
	Since, Until time.Time
	Part         int // of its share, in hundredths of a percent
}

// Health is what health checks make of the shares.
type Health struct {
	// Shares of new clients as in [Status], with slow starts.
	Shares []float64
	// SlowStarts of the backends that are in one, in the order of the split's; nil for others.
	SlowStarts []*SlowStart
	Kept       Set // backends that health checks would put out, but for MaxEjected
}

// Health returns what health checks make of the shares.
func (st *State) Health(f *Facts) Health {
	h := Health{Shares: st.shares(f.Now), SlowStarts: make([]*SlowStart, len(st.split.Backends))}
	out, kept := st.out(f)
	h.Kept = kept
	stage := st.stageAt(f.Now)
	pool := stage.weighted &^ (out | f.Down)
	parts, ok := st.growing(f, pool)
	if !ok {
		return h
	}
	weights := grow(stage.weights, pool, &parts)
	var sum int64
	for _, w := range weights {
		sum += w
	}
	st.locked(func() {
		for i, w := range weights {
			h.Shares[i] = float64(w) / float64(sum)
			if pool.Has(i) && parts[i] < whole {
				since := st.recovered(i, f)
				h.SlowStarts[i] = &SlowStart{since, since.Add(st.split.Backends[i].SlowStart), int(parts[i])}
			}
		}
	})
	return h
}
