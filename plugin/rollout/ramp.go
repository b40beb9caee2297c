package rollout

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// Start is how a ramp is begun. What it lacks is what the split's ramp has; where there
// is none, From is the backend's present share, and To 100.
type Start struct {
	Backend  string   // empty: the ramp's
	From, To *float64 // percent
	Duration float64  // s; 0: not given
	Steps    *int
	Plan     []config.PlanStep
	Guard    []config.Member // its parameters, of any kind
}

// Begin begins a ramp at now: a new one, or the split's anew.
func Begin(c *config.Config, s Start, now time.Time) (out Change, err error) {
	if len(s.Plan) > 0 && (s.To != nil || s.Duration > 0 || s.Steps != nil) {
		return out, errors.New("--plan goes in the place of --to, --duration and --steps")
	}
	if c.Ramp != nil {
		return again(c, s, now)
	}
	if s.Backend == "" {
		return out, errors.New("has no ramp: say which backend's share is to change: ramp start SPLIT BACKEND")
	}
	i, err := backend(c, s.Backend)
	if err != nil {
		return out, err
	}
	if s.Duration == 0 && len(s.Plan) == 0 {
		return out, errors.New("needs --duration or --plan")
	}
	ramp := &config.Node{Kind: config.Map}
	add := func(key string, value *config.Node) {
		ramp.Members = append(ramp.Members, config.Member{Key: key, Value: value})
	}
	from := math.Round(Shares(c, now)[i].Percent*100) / 100
	if s.From != nil {
		from = *s.From
	}
	add("backend", config.Text(s.Backend))
	if from != 0 {
		add("from", config.Float(from))
	}
	if s.To != nil {
		add("to", config.Float(*s.To))
	}
	add("start", config.Text(moment(now)))
	if s.Duration > 0 {
		add("duration", config.Float(s.Duration))
	}
	if s.Steps != nil {
		add("steps", config.Int(*s.Steps))
	}
	if len(s.Plan) > 0 {
		add("plan", planNode(s.Plan))
	}
	if len(s.Guard) > 0 {
		add("guard", &config.Node{Kind: config.Map, Members: s.Guard})
	}
	if c.Backends[i].Weight != 0 {
		out.set(config.Int(0), "backends", i, "weight")
		out.note("the weight of %s becomes 0: while there is a ramp it does nothing, and should somebody take the ramp out, it would be the share", s.Backend)
	}
	out.set(ramp, "ramp")
	return out, nil
}

// again begins the ramp that there is anew.
func again(c *config.Config, s Start, now time.Time) (out Change, err error) {
	r := c.Ramp
	if s.Backend != "" && s.Backend != r.Backend {
		if _, err := backend(c, s.Backend); err != nil {
			return out, err
		}
		return out, fmt.Errorf("has a ramp of %s already: hold and finish it first, or edit it by hand", r.Backend)
	}
	if s.From != nil {
		out.set(config.Float(*s.From), "ramp", "from")
	}
	if s.To != nil {
		out.set(config.Float(*s.To), "ramp", "to")
	}
	if s.Duration > 0 {
		out.set(config.Float(s.Duration), "ramp", "duration")
		out.remove("ramp", "plan")
	}
	if s.Steps != nil {
		out.set(config.Int(*s.Steps), "ramp", "steps")
	}
	if len(s.Plan) > 0 {
		out.set(planNode(s.Plan), "ramp", "plan")
		for _, key := range []string{"to", "duration", "steps"} {
			out.remove("ramp", key)
		}
	}
	for _, m := range s.Guard {
		if r.Guard == nil {
			out.set(&config.Node{Kind: config.Map, Members: s.Guard}, "ramp", "guard")
			break
		}
		out.set(m.Value, "ramp", "guard", m.Key)
	}
	out.set(config.Text(moment(now)), "ramp", "start")
	out.release(r)
	return out, nil
}

// Hold has a ramp stay at the share that it has at now.
func Hold(c *config.Config, now time.Time) (out Change, err error) {
	r, err := ramp(c)
	if err != nil {
		return out, err
	}
	if r.Hold != nil {
		out.note("it is held already, at %s", Percent(*r.Hold))
		return out, nil
	}
	return HoldAt(r.ShareAt(now)), nil
}

// HoldAt has a ramp stay at a share, in hundredths of a percent, wherever the clock has it.
func HoldAt(hundredths int) (out Change) {
	out.set(share(hundredths), "ramp", "hold")
	return out
}

// Resume has a ramp that is held go on. Its start moves, so that the share goes on from
// where it is: in the step that has it, or the last one before, which begins at now.
func Resume(c *config.Config, now time.Time) (out Change, err error) {
	r, err := ramp(c)
	if err != nil {
		return out, err
	}
	if r.Hold == nil {
		out.note("it is not held, and goes on by the clock")
		return out, nil
	}
	held := *r.Hold
	out.release(c.Ramp)
	clock := *r
	clock.Hold = nil
	if step := reached(&clock, held); step >= 0 {
		out.moveTo(c, &clock, step, now)
	} else {
		out.set(config.Text(moment(now)), "ramp", "start")
	}
	return out, nil
}

// Widen has a ramp go on at once: to its next step, or to a share in percent. One that is
// held stays so, at the new share.
func Widen(c *config.Config, to *float64, now time.Time) (out Change, err error) {
	r, err := ramp(c)
	if err != nil {
		return out, err
	}
	clock := *r
	clock.Hold = nil
	have := r.ShareAt(now)
	at := clock.StepAt(now)
	if r.Hold != nil {
		at = reached(&clock, have)
	}
	if to == nil && continuous(r) {
		return out, fmt.Errorf("has no steps: say to which share, as in ramp widen SPLIT %v", min(have/100+10, 100))
	}
	last := r.LastStep()
	step := at + 1
	if len(r.Plan) == 0 {
		step = max(step, 1) // step 0 has the share of before
	}
	for r.Hold != nil && step <= last && !further(r, r.ShareOf(step), have) {
		step++
	}
	wanted := -1
	if to != nil {
		wanted = int(math.Round(*to * 100))
		if !further(r, wanted, have) {
			return out, fmt.Errorf("has %s: %s is not further on its way from %s to %s", Percent(have), Percent(wanted), Percent(r.From), Percent(r.ShareOf(last)))
		}
		for step <= last && r.ShareOf(step) != wanted && !further(r, r.ShareOf(step), wanted) {
			step++
		}
	}
	switch {
	case r.Hold != nil && to != nil:
		out.set(share(wanted), "ramp", "hold")
		return out, nil
	case step > last:
		return out, fmt.Errorf("is at its last step, %s: finish it", Percent(r.ShareOf(last)))
	case r.Hold != nil:
		out.set(share(r.ShareOf(step)), "ramp", "hold")
		return out, nil
	case to != nil && r.ShareOf(step) != wanted:
		return out, fmt.Errorf("has no step of %s; its steps are %s. For a share between them, hold the ramp first", Percent(wanted), strings.Join(shares(r), ", "))
	}
	out.moveTo(c, r, step, now)
	return out, nil
}

// Finish leaves, in place of a ramp that is at its end or held, weights that give the
// share that it has.
func Finish(c *config.Config, now time.Time) (out Change, err error) {
	r, err := ramp(c)
	if err != nil {
		return out, err
	}
	have := r.ShareAt(now)
	if r.Hold == nil && r.StepAt(now) < r.LastStep() {
		return out, fmt.Errorf("has %s, and is on its way to %s: wait for that, ramp widen it, or ramp hold it and finish it where it is", Percent(have), Percent(r.ShareOf(r.LastStep())))
	}
	for i, w := range plainWeights(c, r, have) {
		if w != c.Backends[i].Weight {
			out.set(config.Int(w), "backends", i, "weight")
		}
		if w == 0 && c.Backends[i].Weight != 0 {
			out.stays(c, c.Backends[i].Name)
		}
	}
	out.remove("ramp")
	if have == 0 {
		out.stays(c, c.Ramp.Backend)
	} else if c.Session != nil && have < 10000 {
		out.Sessions = "who has a session stays where it is; with --end-sessions everybody is chosen for anew"
	}
	return out, nil
}

// Abort takes the share of a ramp's backend to 0, and holds it there.
func Abort(c *config.Config, now time.Time) (out Change, err error) {
	r, err := ramp(c)
	if err != nil {
		return out, err
	}
	if r.Hold == nil || *r.Hold != 0 {
		out.set(share(0), "ramp", "hold")
	}
	out.stays(c, c.Ramp.Backend)
	out.note("ramp start begins it anew, and ramp finish takes it out")
	return out, nil
}

// ramp returns the split's ramp.
func ramp(c *config.Config) (*split.Ramp, error) {
	if c.Ramp == nil {
		return nil, errors.New("has no ramp: begin one with ramp start, or take set and drain")
	}
	return c.Compile("").Ramp, nil
}

// release removes what holds a ramp.
func (c *Change) release(r *config.Ramp) {
	if r.Hold != nil {
		c.remove("ramp", "hold")
	}
}

// share returns a share in hundredths of a percent as the configuration has it.
func share(hundredths int) *config.Node { return config.Float(float64(hundredths) / 100) }

// moment returns a time as the configuration has it, no later than it is.
func moment(t time.Time) string {
	return t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
}

func planNode(plan []config.PlanStep) *config.Node {
	out := &config.Node{Kind: config.List}
	for _, step := range plan {
		n := &config.Node{Kind: config.Map, Members: []config.Member{{Key: "share", Value: config.Float(step.Share)}}}
		if step.For > 0 {
			n.Members = append(n.Members, config.Member{Key: "for", Value: config.Float(step.For)})
		}
		out.Items = append(out.Items, n)
	}
	return out
}

// plainWeights returns weights that give the ramp's backend a share in hundredths of a
// percent, and leave the others their proportions. The others keep their weights where
// that can be.
func plainWeights(c *config.Config, r *split.Ramp, have int) []int {
	const whole, most = 10000, 1_000_000
	out := make([]int, len(c.Backends))
	sum := 0
	for i, b := range c.Backends {
		if i != r.Backend {
			out[i] = b.Weight
			sum += b.Weight
		}
	}
	switch {
	case have == 0:
		return out
	case have == whole:
		out = make([]int, len(out))
		out[r.Backend] = min(max(sum, 1), most)
		return out
	case have*sum%(whole-have) == 0 && have*sum/(whole-have) <= most:
		out[r.Backend] = have * sum / (whole - have)
		return out
	}
	out[r.Backend] = have * sum
	divisor := out[r.Backend]
	for i := range out {
		if i != r.Backend {
			out[i] *= whole - have
		}
		divisor = gcd(divisor, out[i])
	}
	largest := slices.Max(out) / divisor
	for i := range out {
		out[i] /= divisor
		if largest > most && out[i] > 0 { // as near as can be
			out[i] = max(int(math.Round(float64(out[i])*most/float64(largest))), 1)
		}
	}
	return out
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
