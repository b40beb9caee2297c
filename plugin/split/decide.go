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
	// ErrUnavailable: the backend whose turn it was does not exist, nor does whoever
	// could take its place.
	ErrUnavailable = errors.New("backend unavailable")
	// ErrUnhealthy: one of them exists, but is unhealthy, which will pass.
	ErrUnhealthy = errors.New("backend unhealthy")
)

// Decide chooses the backend for one request: the one that the client has named in
// the force header; that of the first rule that holds; that of its session; that of
// its key; the one whose turn it is by weight.
//
// The state is one that [NewState] or [State.For] returned for s. The errors are
// [ErrNoWeight], [ErrUnavailable] and [ErrUnhealthy], which name the backends, and those
// of f.More. Decide is safe for concurrent use. It does not allocate, unless it fails, the
// split has sessions, a query argument has to be decoded, or a ramp's share or the backends
// that can be used have just changed.
func Decide(s *Split, st *State, f *Facts) (Decision, error) {
	c := choice{s: s, st: st, f: f}
	return c.conclude(c.decide())
}

// Instead decides again where d's backend turned out not to exist, as on_unavailable
// says; [Decide] does so by itself for backends that are known not to be usable. With
// [Fail] and [ToFallback] a turn that was taken stays used up; with [Redistribute] it
// is taken back, and the others are owed what they would be without the backend.
// Instead adds the backend to f.Down, so that the caller can go on until it fails.
func Instead(s *Split, st *State, d Decision, f *Facts) (Decision, error) {
	f.Down = f.Down.With(d.Backend)
	if d.Reason == BySession { // which is as good as none then
		return Decide(s, st, f)
	}
	c := choice{s: s, st: st, f: f, pins: d.pins, others: d.others, undo: d.stage, undone: d.Backend}
	c.rule = c.holding()
	c.weigh()
	had := d.Backend
	if d.Reason == ByFallback {
		had = d.had
	}
	return c.conclude(c.instead(had))
}

// Choose decides, and goes on to decide until a backend is there. The caller says so:
// exists reports whether a backend does, and is asked last for the one that is
// returned. Before, it may be asked about others, which are not chosen then, but may be
// there again. Its errors end the choice. With [Redistribute], one that did not exist is
// not chosen again before exists was asked anew, which is at most once each
// [AskAgain], or after [State.Doubt].
func Choose(s *Split, st *State, f *Facts, exists func(backend int, chosen bool) (bool, error)) (Decision, error) {
	if s.OnUnavailable == Redistribute {
		for due := st.missing.due(f.Now); due != 0; due &= due - 1 {
			i := due.first()
			if found, err := exists(i, false); found && err == nil { // whatever is wrong may be so with this one alone
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
			return d, nil
		}
		st.missing.add(d.Backend, f.Now)
		if d, err = Instead(s, st, d, f); err != nil {
			return Decision{}, err
		}
	}
	return d, err
}

// choice is one decision on its way.
type choice struct {
	s     *Split
	st    *State
	f     *Facts
	steps *[]Step // nil: nobody wants to know

	rule    int    // the first that holds, or -1
	turns   *turns // by the weights that count for this request
	weights *stage // of them, of all backends
	down    Set    // backends that cannot be used
	absent  Set    // those of them that do not exist
	pins    bool   // what is chosen by hash or weight is worth a session
	renews  bool   // the session's cookie has to be signed with the new secret
	had     int    // the backend whose place the fallback takes

	others bool   // the turns are of those whom something else than the weights decides about
	stage  *stage // by which a turn was taken; nil: none was
	undo   *stage // by which a turn was taken that another one is taken instead of; nil: none was
	undone int    // the backend whose turn it was
}

func (c *choice) decide() (backend int, reason Reason, err error) {
	forced := c.forced()
	c.rule = c.holding()
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
	if len(c.s.HashOn) > 0 { // a key is too large to ask for nothing
		if key, ok, err := c.key(); err != nil {
			return -1, "", err
		} else if ok {
			return c.take(rendezvous(c.s.Backends, c.weights.weights, 0, &key), ByHash)
		}
	}
	if c.s.Algorithm == Random {
		return c.take(draw(c.weights.weights, 0, c.f.Random), ByWeight)
	}
	if unusable := c.weights.weighted & c.down; c.s.OnUnavailable == Redistribute && unusable != 0 && unusable != c.weights.weighted {
		return c.redistribute(unusable)
	}
	return c.take(c.next(c.weights), ByWeight)
}

// conclude makes the decision of what was chosen, with a cookie where the client's
// session begins or changes.
func (c *choice) conclude(backend int, reason Reason, err error) (Decision, error) {
	if err != nil {
		c.noteFailed(err)
		return Decision{}, err
	}
	d := Decision{Backend: backend, Reason: reason, Revision: c.s.Revision, pins: c.pins, had: c.had, others: c.others, stage: c.stage, Subject: c.st.Subject(backend)}
	if c.s.Ramp != nil {
		d.RolledBack = c.st.rolledBack()
	}
	if c.pins && (reason == ByHash || reason == ByWeight || c.renews) && !c.tookBack(backend) {
		d.SetCookie = c.s.setCookie(backend, c.f)
	}
	c.noteTaken(backend, reason)
	return d, nil
}

// forced returns the backend that the client has named, or -1.
func (c *choice) forced() int {
	if c.s.ForceHeader == "" {
		return -1
	}
	name, ok := lookup(c.f.Headers, c.s.ForceHeader)
	if !ok {
		c.note("force_header", "the request has no header %s", c.s.ForceHeader)
		return -1
	}
	i := c.s.index(name)
	if i < 0 {
		c.note("force_header", "%s: %q is the name of no backend", c.s.ForceHeader, name)
	}
	return i
}

// holding returns the first rule that holds, or -1.
func (c *choice) holding() int {
	for i := range c.s.Rules {
		if c.s.Rules[i].Match.holds(c.f) {
			return i
		}
		if c.explains() {
			c.note(fmt.Sprintf("rules[%d]", i), "does not hold")
		}
	}
	return -1
}

// weigh finds the weights that count, and which backends cannot be used. With
// redistribute, where otherwise nobody would be left, health counts for nothing, as
// all of them may be wrongly taken for unhealthy, and then what did not exist a moment
// ago either.
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
	c.down = c.absent | c.f.Unhealthy | c.st.ejected(c.f.Now)
	if c.down == 0 || c.s.OnUnavailable != Redistribute {
		return
	}
	if c.weights.weighted&^c.down == 0 && c.lastResort() < 0 {
		c.down = c.absent
	}
	if c.weights.weighted&^c.down == 0 && c.lastResort() < 0 {
		c.absent = c.f.Down
		c.down = c.absent
	}
}

// weighsByRule reports whether the weights of a rule take the place of the split's.
func (c *choice) weighsByRule() bool { return c.rule >= 0 && c.s.Rules[c.rule].Weights != nil }

// resume returns the backend of the client's session, if it has one that counts, or
// -1.
func (c *choice) resume() int {
	i, current := c.s.pinned(c.f)
	switch {
	case i < 0:
		c.note("session", "the request has no valid cookie %s", c.s.Session.Cookie)
	case c.down.Has(i):
		c.note("session", "the cookie names %q, which cannot be used", c.s.Backends[i].Name)
	case c.weighsByRule() && !c.weights.weighted.Has(i):
		if c.explains() {
			c.note("session", "the cookie names %q, which has no weight in rules[%s]", c.s.Backends[i].Name, strconv.Itoa(c.rule))
		}
	case c.tookBack(i):
		c.note("session", "the cookie names %q, whose ramp was taken back", c.s.Backends[i].Name)
	default:
		c.renews = !current
		return i
	}
	return -1
}

// tookBack reports whether the guard has rolled back the ramp of backend i: no session
// is good there, and none begins, as it would be void at once.
func (c *choice) tookBack(i int) bool {
	return c.s.Ramp != nil && c.s.Ramp.Backend == i && c.st.rolledBack()
}

// key returns the key of the request, if the split goes by one and it is there.
func (c *choice) key() (k key, found bool, err error) {
	if err := c.learn(); err != nil {
		return key{}, false, err
	}
	for i := range c.s.HashOn {
		if key, ok := keyOf(&c.s.HashOn[i], c.f); ok {
			return key, true, nil
		}
		c.noteKey(i)
	}
	return key{}, false, nil
}

// learn completes the facts.
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
	if c.down.Has(i) {
		return c.instead(i)
	}
	return i, reason, nil
}

// instead chooses where backend i has the request and cannot be used.
func (c *choice) instead(i int) (int, Reason, error) {
	switch c.s.OnUnavailable {
	case Redistribute:
		return c.redistribute(Set(0).With(i))
	case ToFallback:
		to, last := c.s.Fallback, c.lastResort()
		switch {
		case (to == i || c.down.Has(to)) && last >= 0:
			return c.fallBack(i, last)
		case to == i:
			return -1, "", c.unavailable(i, "and it is the fallback itself")
		case c.down.Has(to):
			return -1, "", c.unavailable(i, "nor can its fallback "+strconv.Quote(c.s.Backends[to].Name))
		default:
			return c.fallBack(i, to)
		}
	default:
		return -1, "", c.unavailable(i, `and on_unavailable is "fail"`)
	}
}

// fallBack gives the request that backend i has to another one.
func (c *choice) fallBack(i, to int) (int, Reason, error) {
	c.noteDown(i)
	c.had = i
	return to, ByFallback, nil
}

// lastResort returns the backend whose ramp was rolled back, which takes requests while
// no other can; -1: there is none, or it cannot either.
func (c *choice) lastResort() int {
	if c.s.Ramp == nil || !c.st.rolledBack() || c.down.Has(c.s.Ramp.Backend) || c.weighsByRule() {
		return -1
	}
	return c.s.Ramp.Backend
}

// redistribute gives the request to one of those that are left, by key or by weight.
// unusable are the backends that would have it otherwise, or could.
func (c *choice) redistribute(unusable Set) (int, Reason, error) {
	if c.weights.weighted&^c.down == 0 {
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
		c.noteDown(unusable.first())
	}
	if len(c.s.HashOn) > 0 {
		if key, ok, err := c.key(); err != nil {
			return -1, "", err
		} else if ok {
			return rendezvous(c.s.Backends, c.weights.weights, c.down, &key), ByHash, nil
		}
	}
	if c.s.Algorithm == Random {
		return draw(c.weights.weights, c.down, again(c.f.Random, c.down)), ByWeight, nil
	}
	return c.next(c.turns.without(c.weights, c.down)), ByWeight, nil
}

// next takes the next turn by a stage.
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

// unavailable is the error where backend i has the request and nobody takes it. It
// will pass where i or its fallback exists.
func (c *choice) unavailable(i int, why string) error {
	kind := ErrUnavailable
	if !c.absent.Has(i) || c.s.OnUnavailable == ToFallback && !c.absent.Has(c.s.Fallback) {
		kind = ErrUnhealthy
	}
	return fmt.Errorf("%w: %q cannot be used, %s", kind, c.s.Backends[i].Name, why)
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
