package simulate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"kong-traffic-split/plugin/split"
)

// Explanation is how one request was decided.
type Explanation struct {
	Split       string    `json:"split"`
	Revision    string    `json:"revision"`
	At          time.Time `json:"at"`
	Steps       []Step    `json:"steps"`
	Backend     string    `json:"backend,omitempty"`      // empty: Kong answers the request
	RedirectsTo string    `json:"redirects_to,omitempty"` // where the backend leads, with a star for what is the request's; empty: it has a destination
	Reason      string    `json:"reason,omitempty"`
	SetCookie   string    `json:"set_cookie,omitempty"`
	Status      int       `json:"status,omitempty"` // of Kong's answer
	Error       string    `json:"error,omitempty"`
}

// Step is one part of the configuration, in the order of precedence, and what came of it.
type Step struct {
	Part    string `json:"part"`
	Verdict string `json:"verdict"`
	Decided bool   `json:"decided"`
}

// Explain decides one request, as the first one of a split, and explains what each part
// of the configuration contributed.
func Explain(name string, s *split.Split, f split.Facts) *Explanation {
	e := &Explanation{Split: name, Revision: s.Revision, At: f.Now}
	steps, d, err := split.Explain(s, split.NewState(s), &f)
	a := account{split: s, facts: &f}
	for _, step := range steps {
		a.take(step)
	}
	e.Steps = a.steps()
	if err != nil {
		e.Error, e.Status = err.Error(), 500
		if errors.Is(err, split.ErrUnhealthy) {
			e.Status = 503
		}
		return e
	}
	b := &s.Backends[d.Backend]
	e.Backend, e.RedirectsTo, e.Reason, e.SetCookie = b.Name, b.RedirectsTo, string(d.Reason), d.SetCookie
	return e
}

// account sorts the core's steps by precedence, and adds why other parts did not matter.
type account struct {
	split     *split.Split
	facts     *split.Facts
	coreSteps []split.Step
	instead   []split.Step // the steps after a backend was found unusable
}

func (a *account) take(step split.Step) {
	switch {
	case step.Part == "on_unavailable" || len(a.instead) > 0 && step.Decided:
		a.instead = append(a.instead, step)
	case len(a.instead) == 0: // later steps repeat
		a.coreSteps = append(a.coreSteps, step)
	}
}

// part is one part of the configuration.
type part struct {
	name, core string // core: another name of it in the core's steps
	configured bool
	rule       *split.Rule // nil: it is not a rule
}

func (a *account) parts() []part {
	s, hash := a.split, string(split.ByHash)
	parts := []part{{name: "force_header", configured: s.ForceHeader != ""}}
	for i := range s.Rules {
		parts = append(parts, part{name: fmt.Sprintf("rules[%d]", i), configured: true, rule: &s.Rules[i]})
	}
	if len(s.Rules) == 0 {
		parts = append(parts, part{name: "rules"})
	}
	return append(parts,
		part{name: "session", configured: s.Session != nil},
		part{name: "hash_on", core: hash, configured: len(s.HashOn) > 0},
		part{name: "hash_fallback", core: hash, configured: len(s.HashOn) > 1},
		part{name: "weight", configured: true})
}

// steps returns all parts with their verdicts. If nothing before a configured part has
// decided and the core has no step of it, that part has chosen an unusable backend.
func (a *account) steps() (all []Step) {
	decided, ruleHolds := false, false
	for _, p := range a.parts() {
		step := Step{Part: p.name}
		said, known := a.stepOf(p)
		switch {
		case !p.configured:
			step.Verdict = "not configured"
		case decided:
			step.Verdict = "not asked, it is decided"
		case p.rule != nil && ruleHolds:
			step.Verdict = "not asked, a rule before it holds"
		case known:
			step.Verdict, step.Decided = said.Verdict, said.Decided
			decided = said.Decided
			if p.rule != nil && !decided {
				step.Verdict += ", because of " + because(p.rule, a.facts)
			}
		case p.rule != nil && p.rule.Weights != nil:
			step.Verdict, ruleHolds = "holds: its weights count in place of the backends' own", true
		default:
			step.Verdict, decided = "has chosen a backend that cannot be used", true
		}
		all = append(all, step)
	}
	for _, said := range a.instead {
		all = append(all, Step(said))
	}
	return all
}

// stepOf returns the core's step of a part.
func (a *account) stepOf(p part) (split.Step, bool) {
	for _, name := range []string{p.name, p.core} {
		for _, step := range a.coreSteps {
			if step.Part == name && name != "" {
				return step, true
			}
		}
	}
	return split.Step{}, false
}

// because returns the parts of a rule that do not hold.
func because(r *split.Rule, f *split.Facts) string {
	var missing []string
	try := func(name string, r split.Rule) {
		alone := &split.Split{
			Backends: []split.Backend{{Name: name, Weight: 1}}, Algorithm: split.Smooth, OnUnavailable: split.Fail,
			Rules: []split.Rule{r},
		}
		// If it does not hold, the weight decides.
		if d, _ := split.Decide(alone, split.NewState(alone), &split.Facts{
			Method: f.Method, Path: f.Path, Query: f.Query, Cookies: f.Cookies, Headers: f.Headers, IP: f.IP, Consumer: f.Consumer,
		}); d.Reason != split.ByRule {
			missing = append(missing, name)
		}
	}
	eachPart(&r.Match, func(name string, part split.Match) { try(name, split.Rule{Match: part}) })
	eachPart(&r.Not, func(name string, part split.Match) { try("not "+name, split.Rule{Not: part}) })
	return strings.Join(missing, ", ")
}

// eachPart calls do with each part of a match.
func eachPart(m *split.Match, do func(name string, part split.Match)) {
	do("methods", split.Match{Methods: m.Methods})
	do("path_prefix", split.Match{PathPrefix: m.PathPrefix})
	do("consumers", split.Match{Consumers: m.Consumers})
	do("client_ips", split.Match{ClientIPs: m.ClientIPs})
	for _, p := range m.Headers {
		do("header "+p.Name, split.Match{Headers: []split.Pattern{p}})
	}
	for _, p := range m.Cookies {
		do("cookie "+p.Name, split.Match{Cookies: []split.Pattern{p}})
	}
	for _, p := range m.QueryArgs {
		do("query_arg "+p.Name, split.Match{QueryArgs: []split.Pattern{p}})
	}
}

// sentences explain the reasons of decisions.
var sentences = map[split.Reason]string{
	split.ByForce:    "the client has named it",
	split.ByRule:     "a rule that holds says so",
	split.BySession:  "the client's session is pinned to it",
	split.ByHash:     "the client's key falls on it, each time until names or weights change",
	split.ByWeight:   "its turn has come; who makes the next request may get another one",
	split.ByFallback: "it stands in for a backend that cannot be used",
	split.ByRetry:    "the request has failed on another backend",
}

// WriteText writes an explanation for people.
func (e *Explanation) WriteText(to io.Writer) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "split %s, revision %s, at %s\n\n", e.Split, e.Revision, e.At.Format(time.RFC3339))
	width := 0
	for _, step := range e.Steps {
		width = max(width, len(step.Part))
	}
	for _, step := range e.Steps {
		mark := " "
		if step.Decided {
			mark = "→"
		}
		fmt.Fprintf(w, "%s %-*s  %s\n", mark, width, step.Part, step.Verdict)
	}
	switch {
	case e.Error != "":
		fmt.Fprintf(w, "\nKong answers with %d: %s.\n", e.Status, e.Error)
	case e.RedirectsTo != "":
		fmt.Fprintf(w, "\nThe request is answered with the redirect of %s: %s.\nIt leads to %s, where * is the request's own.\n", e.Backend, sentences[split.Reason(e.Reason)], e.RedirectsTo)
	default:
		fmt.Fprintf(w, "\nThe request goes to %s: %s.\n", e.Backend, sentences[split.Reason(e.Reason)])
	}
	if e.SetCookie != "" {
		fmt.Fprintf(w, "The client gets a cookie:\nSet-Cookie: %s\n", e.SetCookie)
	}
	return w.Flush()
}
