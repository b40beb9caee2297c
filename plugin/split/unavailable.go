package split

import (
	"fmt"
	"strconv"
)

// instead chooses in the place of backend i, which cannot be used.
func (c *choice) instead(i int) (int, Reason, error) {
	switch c.s.OnUnavailable {
	case Redistribute:
		return c.redistribute(Set(0).With(i))
	case ToFallback:
		to, last := c.s.Fallback, c.lastResort()
		switch {
		case (to == i || c.unusable.Has(to)) && last >= 0:
			return c.fallBack(i, last)
		case to == i:
			return -1, "", c.unavailable(i, "and it is the fallback itself")
		case c.unusable.Has(to):
			return -1, "", c.unavailable(i, "nor can its fallback "+strconv.Quote(c.s.Backends[to].Name))
		default:
			return c.fallBack(i, to)
		}
	default:
		return -1, "", c.unavailable(i, `and on_unavailable is "fail"`)
	}
}

// fallBack chooses backend to in the place of backend i.
func (c *choice) fallBack(i, to int) (int, Reason, error) {
	c.addUnusable(i)
	c.replaced = i
	return to, ByFallback, nil
}

// lastResort returns the backend whose ramp was rolled back, if it can be used: it takes
// requests while no other can. Otherwise it returns -1.
func (c *choice) lastResort() int {
	if c.s.Ramp == nil || !c.st.rolledBack() || c.unusable.Has(c.s.Ramp.Backend) || c.weighsByRule() {
		return -1
	}
	return c.s.Ramp.Backend
}

// redistribute chooses among the backends that are left, by key or by weight. Without
// unusable, one of those would have been chosen.
func (c *choice) redistribute(unusable Set) (int, Reason, error) {
	if c.weights.weighted&^c.unusable == 0 {
		i := unusable.first()
		if last := c.lastResort(); last >= 0 {
			return c.fallBack(i, last)
		}
		others := c.weights.weighted &^ Set(0).With(i)
		if others == 0 {
			return -1, "", c.unavailable(i, "and no other has a weight above 0")
		}
		return -1, "", c.unavailable(i, "nor can "+names(c.s, others))
	}
	for ; unusable != 0; unusable &= unusable - 1 {
		c.addUnusable(unusable.first())
	}
	if len(c.s.HashOn) > 0 {
		if key, ok, err := c.key(); err != nil {
			return -1, "", err
		} else if ok {
			return c.byKey(&key, c.unusable), ByHash, nil
		}
	}
	if c.s.Algorithm == Random {
		return draw(c.slowly(c.weights).weights, c.unusable, remix(c.f.Random, c.unusable)), ByWeight, nil
	}
	return c.next(c.slowly(c.turns.without(c.weights, c.unusable))), ByWeight, nil
}

// unavailable returns the error for a request of backend i that no other takes: an
// ErrUnhealthy if i or its fallback exists.
func (c *choice) unavailable(i int, why string) error {
	kind := ErrUnavailable
	if !c.absent.Has(i) || c.s.OnUnavailable == ToFallback && !c.absent.Has(c.s.Fallback) {
		kind = ErrUnhealthy
	}
	return fmt.Errorf("%w: %q cannot be used, %s", kind, c.s.Backends[i].Name, why)
}
