package split

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var (
	// ErrNoWeight: no backend has a weight above 0, so none takes traffic.
	ErrNoWeight = errors.New("no backend takes traffic")
	// ErrUnavailable: the backend whose turn it was does not exist, and neither does any
	// that could take its place.
	ErrUnavailable = errors.New("backend unavailable")
	// ErrUnhealthy: at least one of these exists, but is unhealthy, so that a later
	// request may succeed.
	ErrUnhealthy = errors.New("backend unhealthy")
)

// Decide chooses the backend for one request. The first of these that names one decides:
// the force header, the first rule that matches, the client's session, the hash of its
// key, the weights.
//
// st is what [NewState] or [State.For] returned for s. The errors are [ErrNoWeight],
// [ErrUnavailable] and [ErrUnhealthy], which name the backends, and those of f.More. Decide is safe for concurrent use. It does not allocate, unless it fails, the
// split has sessions, a query argument has to be decoded, or a ramp's share or the backends
// that can be used have just changed.
func Decide(s *Split, st *State, f *Facts) (Decision, error) {
	c := choice{s: s, st: st, f: f}
	return c.conclude(c.decide())
}

// Instead decides again, by the split's OnUnavailable, after the backend of d turned out
// not to exist. ([Decide] itself leaves out backends that are known to be unusable.) With
// [Fail] and [ToFallback] the turn that d took stays used up; with [Redistribute] it is
// undone, and the others are owed what they would be without the backend. Instead adds
// the backend to f.Down, so that the caller can call it again until it fails.
func Instead(s *Split, st *State, d Decision, f *Facts) (Decision, error) {
	f.Down = f.Down.With(d.Backend)
	if d.Reason == BySession { // the session is ignored now
		return Decide(s, st, f)
	}
	c := choice{s: s, st: st, f: f, pins: d.pins, others: d.others, undo: d.stage, undone: d.Backend}
	c.rule = c.matchingRule()
	c.weigh()
	gone := d.Backend
	if d.Reason == ByFallback {
		gone = d.replaced
	}
	return c.conclude(c.instead(gone))
}

// Choose decides as [Decide] does, and decides again until the backend exists. exists
// reports whether a backend does. Choose returns its errors, and calls it last with
// chosen for the backend that it returns. It may call it for others before, which are not
// chosen then: with [Redistribute], a backend that did not exist is not chosen again until
// exists has found it. It is called for that at most once each [AskAgain], or after
// [State.Doubt]. Of the decisions that it returns, [Decision.Copies] are counted.
func Choose(s *Split, st *State, f *Facts, exists func(backend int, chosen bool) (bool, error)) (Decision, error) {
	if s.OnUnavailable == Redistribute {
		for due := st.missing.due(f.Now); due != 0; due &= due - 1 {
			i := due.first()
			if found, err := exists(i, false); found && err == nil { // an error may be about this one alone
				st.missing.found(i)
			}
		}
	}
	d, err := Decide(s, st, f)
	for err == nil {
		found, err := exists(d.Backend, true)
		if err != nil {
			return Decision{}, err
		}
		if found {
			if st.Missing().Has(d.Backend) {
				st.missing.found(d.Backend)
			}
			d.Copies = st.copies(d.Backend)
			return d, nil
		}
		st.missing.add(d.Backend, f.Now)
		if d, err = Instead(s, st, d, f); err != nil {
			return Decision{}, err
		}
	}
	return d, err
}

// choice is one decision that is being made.
type choice struct {
	s     *Split
	st    *State
	f     *Facts
	steps *[]Step // to explain it; nil: it is not explained

	rule     int    // the first rule that matches, or -1
	turns    *turns // by the weights that count for this request
	weights  *stage // of turns, with all backends
	unusable Set    // backends that cannot be used
	absent   Set    // of these, those that do not exist
	kept     Set    // backends that health checks would put out, but for MaxEjected
	pins     bool   // a choice by hash or weight begins a session
	renews   bool   // the session goes on, with a new cookie
	expires  uint64 // likewise, as that of a cookie of that expiry; 0: from now
	replaced int    // the backend in whose place the fallback is

	others bool   // it takes turns of [turns].others
	stage  *stage // by which it took a turn; nil: it took none
	undo   *stage // by which an earlier choice for the same request took a turn, which is undone; nil: it took none
	undone int    // the backend of that turn
}

func (c *choice) decide() (backend int, reason Reason, err error) {
	forced := c.forced()
	c.rule = c.matchingRule()
	c.weigh()
	switch {
	case forced >= 0:
		c.others = true
		return c.take(forced, ByForce)
	case c.rule >= 0 && c.s.Rules[c.rule].Weights == nil:
		c.others = true
		return c.take(c.s.Rules[c.rule].Backend, ByRule)
	}
	if c.s.Session != nil {
		i := c.resume()
		if i >= 0 && !c.renews {
			return i, BySession, nil
		}
		if err := c.learn(); err != nil {
			return -1, "", err
		}
		c.others = c.f.preflight()
		c.pins = !c.others
		if i >= 0 {
			return i, BySession, nil
		}
	}
	if c.weights.weighted == 0 {
		return -1, "", noWeight(c.s)
	}
	if len(c.s.HashOn) > 0 { // key returns a large value
		if key, ok, err := c.key(); err != nil {
			return -1, "", err
		} else if ok {
			return c.take(c.byKey(&key, 0), ByHash)
		}
	}
	if c.s.Algorithm == Random {
		return c.take(draw(c.slowly(c.weights).weights, 0, c.f.Random), ByWeight)
	}
	if unusable := c.weights.weighted & c.unusable; c.s.OnUnavailable == Redistribute && unusable != 0 && unusable != c.weights.weighted {
		return c.redistribute(unusable)
	}
	return c.take(c.next(c.slowly(c.weights)), ByWeight)
}

// conclude returns the decision for what was chosen, with a cookie if the client's
// session begins or changes.
func (c *choice) conclude(backend int, reason Reason, err error) (Decision, error) {
	if err != nil {
		c.addFailure(err)
		return Decision{}, err
	}
	d := Decision{Backend: backend, Reason: reason, Revision: c.s.Revision, pins: c.pins, replaced: c.replaced, others: c.others, stage: c.stage, Subject: c.st.Subject(backend), Kept: c.kept, weights: c.weights, unusable: c.unusable}
	if c.s.Ramp != nil {
		d.RolledBack = c.st.rolledBack()
	}
	if c.pins && (reason == ByHash || reason == ByWeight || c.renews) && !c.rampRolledBack(backend) {
		d.SetCookie = c.s.setCookie(backend, c.f, c.expires)
	}
	c.addChoice(backend, reason)
	return d, nil
}

// forced returns the backend that the force header names, or -1.
func (c *choice) forced() int {
	if c.s.ForceHeader == "" {
		return -1
	}
	name, ok := lookup(c.f.Headers, c.s.ForceHeader)
	if !ok {
		c.add("force_header", "the request has no header %s", c.s.ForceHeader)
		return -1
	}
	i := c.s.index(name)
	if i < 0 {
		c.add("force_header", "%s: %q is the name of no backend", c.s.ForceHeader, name)
	}
	return i
}

// matchingRule returns the first rule that matches, or -1.
func (c *choice) matchingRule() int {
	for i := range c.s.Rules {
		if c.s.Rules[i].holds(c.f) {
			return i
		}
		if c.explains() {
			c.add(fmt.Sprintf("rules[%d]", i), "does not hold")
		}
	}
	return -1
}

// weigh finds the weights that count, and the backends that cannot be used. With
// redistribute, if no backend would be left, it ignores that backends are unhealthy, as
// the checks may be wrong about all of them; and if that is not enough, that they did not
// exist a moment ago.
func (c *choice) weigh() {
	if c.weighsByRule() {
		c.turns = c.st.rules[c.rule]
		c.weights = c.turns.full.Load()
	} else {
		c.turns = c.st.own
		c.weights = c.st.stageAt(c.f.Now)
	}
	c.absent = c.f.Down
	if c.s.OnUnavailable == Redistribute {
		c.absent |= c.st.Missing()
	}
	c.unusable, c.kept = c.st.out(c.f)
	c.unusable |= c.absent
	if c.unusable == 0 || c.s.OnUnavailable != Redistribute {
		return
	}
	if c.weights.weighted&^c.unusable == 0 && c.lastResort() < 0 {
		c.unusable = c.absent
	}
	if c.weights.weighted&^c.unusable == 0 && c.lastResort() < 0 {
		c.absent = c.f.Down
		c.unusable = c.absent
	}
}

// weighsByRule reports whether the weights of a rule take the place of the split's.
func (c *choice) weighsByRule() bool { return c.rule >= 0 && c.s.Rules[c.rule].Weights != nil }

// resume returns the backend of the client's session, or -1 if it has none or its
// session cannot go on.
func (c *choice) resume() int {
	p := c.s.pinned(c.f)
	i := p.backend
	switch {
	case i < 0:
		c.add("session", "the request has no valid cookie %s", c.s.Session.Cookie)
	case c.unusable.Has(i):
		c.add("session", "the cookie names %q, which cannot be used", c.s.Backends[i].Name)
	case c.weighsByRule() && !c.weights.weighted.Has(i):
		if c.explains() {
			c.add("session", "the cookie names %q, which has no weight in rules[%s]", c.s.Backends[i].Name, strconv.Itoa(c.rule))
		}
	case c.rampRolledBack(i):
		c.add("session", "the cookie names %q, whose ramp was rolled back", c.s.Backends[i].Name)
	default:
		c.renews = c.s.Session.Renew && p.aged && c.weights.weighted.Has(i)
		if !c.renews && !p.current {
			c.renews, c.expires = true, p.expiry
		}
		return i
	}
	return -1
}

// rampRolledBack reports whether the guard has rolled back the ramp of backend i. No
// session goes on there then, and none begins.
func (c *choice) rampRolledBack(i int) bool {
	return c.s.Ramp != nil && c.s.Ramp.Backend == i && c.st.rolledBack()
}

// key returns the key to hash, if the request has one.
func (c *choice) key() (k key, found bool, err error) {
	if err := c.learn(); err != nil {
		return key{}, false, err
	}
	for i := range c.s.HashOn {
		if key, ok := keyOf(&c.s.HashOn[i], c.f); ok {
			return key, true, nil
		}
		c.addMissingKey(i)
	}
	return key{}, false, nil
}

// learn gets the facts that only some decisions need.
func (c *choice) learn() error {
	more := c.f.More
	if more == nil {
		return nil
	}
	c.f.More = nil
	return more(c.f)
}

// take chooses backend i, or another one where it cannot be used.
func (c *choice) take(i int, reason Reason) (int, Reason, error) {
	if c.unusable.Has(i) {
		return c.instead(i)
	}
	return i, reason, nil
}

// next takes the next turn of a stage.
func (c *choice) next(g *stage) int {
	l := c.turns.own
	if c.others {
		l = c.turns.others
	}
	c.stage = g
	if c.undo != nil {
		return l.instead(c.undo, c.undone, g)
	}
	return l.next(g)
}

func noWeight(s *Split) error {
	return fmt.Errorf("%w: one of %s has to have a weight above 0", ErrNoWeight, names(s, ^Set(0)))
}

// names lists the backends in the set.
func names(s *Split, set Set) string {
	var quoted []string
	for i, b := range s.Backends {
		if set.Has(i) {
			quoted = append(quoted, strconv.Quote(b.Name))
		}
	}
	return strings.Join(quoted, ", ")
}
