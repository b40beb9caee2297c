package split

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Step is one part of the configuration that a decision looked at, in the order of
// precedence, and what came of it.
type Step struct {
	Part    string // such as force_header, rules[1] or weight
	Verdict string
	Decided bool
}

// Explain decides as [Decide] does, and returns the steps that led to the decision. It
// takes a turn as Decide does.
func Explain(s *Split, st *State, f *Facts) ([]Step, Decision, error) {
	var steps []Step
	c := choice{s: s, st: st, f: f, steps: &steps}
	d, err := c.conclude(c.decide())
	return steps, d, err
}

func (c *choice) explains() bool { return c.steps != nil }

// add adds a step that has not decided, if the choice is explained. Callers whose
// arguments are costly ask explains first.
func (c *choice) add(part, format string, args ...string) {
	if !c.explains() {
		return
	}
	values := make([]any, len(args))
	for i, a := range args {
		values[i] = a
	}
	*c.steps = append(*c.steps, Step{Part: part, Verdict: fmt.Sprintf(format, values...)})
}

// addUnusable adds the step that found a backend unusable.
func (c *choice) addUnusable(i int) {
	c.add("on_unavailable", "%q cannot be used: %s", c.s.Backends[i].Name, string(c.s.OnUnavailable))
}

// addMissingKey adds the step that found no key in the request.
func (c *choice) addMissingKey(i int) {
	if !c.explains() {
		return
	}
	part := "hash_on"
	if i > 0 {
		part = "hash_fallback"
	}
	k := c.s.HashOn[i]
	step := Step{Part: part, Verdict: "the request has no " + strings.TrimSpace(string(k.On)+" "+k.Name)}
	if k.On == OnConsumer {
		step.Verdict += " and no credential"
	}
	if !slices.Contains(*c.steps, step) { // redistribute looks for it again
		*c.steps = append(*c.steps, step)
	}
}

// addFailure adds the step that has failed.
func (c *choice) addFailure(err error) {
	if !c.explains() {
		return
	}
	part := "on_unavailable"
	if errors.Is(err, ErrNoWeight) {
		part = "weight"
	}
	*c.steps = append(*c.steps, Step{part, err.Error(), true})
}

// addChoice adds the step that has decided.
func (c *choice) addChoice(i int, reason Reason) {
	if !c.explains() {
		return
	}
	part, how := string(reason), ""
	switch reason {
	case ByForce:
		part = "force_header"
	case ByRule:
		part = fmt.Sprintf("rules[%d]", c.rule)
	case ByHash, ByWeight:
		how = c.share(i)
	case BySession, ByFallback:
	}
	*c.steps = append(*c.steps, Step{part, fmt.Sprintf("%q%s", c.s.Backends[i].Name, how), true})
}

// share returns a backend's share of the weights, in words.
func (c *choice) share(i int) string {
	var sum int64
	for _, w := range c.weights.weights {
		sum += w
	}
	text := fmt.Sprintf(", which has %.4g %% by weight", 100*float64(c.weights.weights[i])/float64(sum))
	if c.weighsByRule() {
		return text + fmt.Sprintf(" of rules[%d]", c.rule)
	}
	if r := c.s.Ramp; r != nil {
		text += fmt.Sprintf("; the ramp of %q is at %.4g %%", c.s.Backends[r.Backend].Name, float64(c.weights.share)/100)
	}
	return text
}
