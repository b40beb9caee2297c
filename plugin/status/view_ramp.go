package status

import (
	"fmt"
	"time"

	"kong-traffic-split/plugin"
)

type rampView struct {
	Backend  string
	Stage    string // in a few words
	Share    string
	From, To string
	Start    Moment
	End      Moment
	Wrong    bool // it was rolled back, or ought to be
	UnderWay bool
	Words    []words // what it does and waits for
	Guard    []string
	Course   *courseView // nil: it has none to draw
	Compared []comparedView
}

// words are a sentence about a time: what comes before and after that.
type words struct {
	Before string
	At     *Moment // nil: there is none
	After  string
	Wrong  bool
}

// comparedView is what the ramp's backend, or all others, have had lately.
type comparedView struct {
	Name                           string
	Ramp                           bool
	Requests, Failed, Latency, P95 string
}

func viewRamp(s *plugin.SplitStatus, now time.Time) *rampView {
	r := s.Ramp
	v := &rampView{
		Backend: r.Backend, Share: percentage(r.Share), From: percentage(r.From), To: percentage(r.To),
		Start: Moment{r.Start, now}, End: Moment{r.End, now}, Course: viewCourse(r, now),
		Wrong: !r.RolledBack.IsZero() || !r.RollbackBlocked.IsZero(),
	}
	v.does(r, now)
	if r.Guard != nil {
		v.Guard = guardWords(r.Guard)
	}
	v.compare(s)
	return v
}

// does says what the ramp does, and what it waits for.
func (v *rampView) does(r *plugin.RampStatus, now time.Time) {
	say := func(before string, at time.Time, after string) {
		w := words{Before: before, After: after}
		if !at.IsZero() {
			w.At = &Moment{at, now}
		}
		v.Words = append(v.Words, w)
	}
	step := ""
	if r.Step > 0 {
		step = fmt.Sprintf(", step %d of %d", r.Step, r.Steps)
	}
	v.Stage = fmt.Sprintf("%s at %s%s", r.Backend, v.Share, step)
	switch {
	case !r.RolledBack.IsZero():
		v.Stage = fmt.Sprintf("%s rolled back to %s", r.Backend, v.Share)
		say("Rolled back to "+v.Share+" at ", r.RolledBack, ": "+r.Why+". It stays there until the ramp's start or plan is changed.")
		v.Words[0].Wrong = true
	case r.Held:
		v.Stage, v.UnderWay = v.Stage+", held", true
		say("Held at "+v.Share+", whatever the clock says, until the config changes.", time.Time{}, "")
	case now.Before(r.Start):
		v.Stage, v.UnderWay = fmt.Sprintf("ramp of %s begins %s", r.Backend, Moment{r.Start, now}.Away()), true
		say("Begins at ", r.Start, ".")
	case r.WaitsFor != "":
		v.Stage, v.UnderWay = v.Stage+", waits", true
		if r.Overdue(now) {
			say("The time of this step is over. The next one waits for "+r.WaitsFor+".", time.Time{}, "")
		} else {
			say("The next step begins at ", r.Next, " at the earliest, and waits for "+r.WaitsFor+".")
		}
	case r.Next.IsZero() && r.Step < r.Steps:
		v.Stage, v.UnderWay = v.Stage+", waits for you", true
		say("This step lasts until you go on, as by splitctl ramp widen.", time.Time{}, "")
	case r.Next.IsZero():
		say("At its end since ", r.End, ".")
	case r.Steps > 0:
		v.UnderWay = true
		say("The next step begins at ", r.Next, ".")
	default:
		v.UnderWay = true
		say("Changes evenly until ", r.Next, ".")
	}
	if !r.RollbackBlocked.IsZero() && r.RolledBack.IsZero() {
		v.Stage += ", rollback blocked"
		say("Too many requests fail since ", r.RollbackBlocked, ", and it is not rolled back: no other backend can take its share.")
		v.Words[len(v.Words)-1].Wrong = true
	}
	if r.Behind >= 1 {
		say("Its steps have waited "+span(time.Duration(r.Behind*float64(time.Second)))+" so far.", time.Time{}, "")
	}
}

// guardWords says what a guard has seen, and whether it can judge by that.
func guardWords(g *plugin.GuardStatus) (all []string) {
	seen := fmt.Sprintf("The guard has seen %s of %s fail", grouped(uint64(g.Failed)), count(uint64(g.Requests), "request"))
	if g.Others > 0 {
		seen += fmt.Sprintf(", and %s of %s to the other backends", grouped(uint64(g.OthersFailed)), count(uint64(g.Others), "request"))
	}
	if g.Latency != nil {
		seen += ", and a latency of " + duration(*g.Latency)
	}
	all = append(all, seen+".")
	switch {
	case g.Judges:
		all = append(all, fmt.Sprintf("It judges, as it does from %d on.", g.MinRequests))
	case g.Requests < g.MinRequests:
		all = append(all, fmt.Sprintf("It judges from %d on, so not yet.", g.MinRequests))
	default:
		all = append(all, fmt.Sprintf("It cannot judge by all of its limits yet: it needs %d %s.", g.MinRequests, g.Lacks))
	}
	return all
}

// compare puts what the ramp's backend has had lately beside what all others have.
func (v *rampView) compare(s *plugin.SplitStatus) {
	own, others := plugin.RecentBackend{}, together{}
	known := false
	for i := range s.Backends {
		b := &s.Backends[i]
		if b.Recent == nil || b.Outcomes == nil {
			continue
		}
		known = true
		if b.Name == s.Ramp.Backend {
			own = *b.Recent
			continue
		}
		others.add(b.Recent)
	}
	if !known || len(s.Backends) < 2 {
		return
	}
	name := "the others"
	if len(s.Backends) == 2 {
		for _, b := range s.Backends {
			if b.Name != s.Ramp.Backend {
				name = b.Name
			}
		}
	}
	for i, r := range []*plugin.RecentBackend{&own, &others.RecentBackend} {
		c := comparedView{Name: name, Requests: grouped(r.Requests), Failed: failures(r.Failed, r.Observed)}
		if i == 0 {
			c.Name, c.Ramp = s.Ramp.Backend, true
		}
		c.Latency, c.P95 = latencies(r.Latency, r.LatencyP95)
		v.Compared = append(v.Compared, c)
	}
}

// together is what several backends have had.
type together struct {
	plugin.RecentBackend
	timed uint64 // the requests of those that have a latency
}

// add adds what another backend has had. The mean of the latencies is that of all their
// requests; 95 % of these took at most the larger one of the two bounds.
func (t *together) add(b *plugin.RecentBackend) {
	if b.Latency != nil {
		if t.Latency == nil {
			t.Latency, t.LatencyP95 = new(0.), new(0.)
		}
		t.timed += b.Observed
		*t.Latency += (*b.Latency - *t.Latency) * float64(b.Observed) / float64(max(t.timed, 1))
		if t.LatencyP95 != nil && (b.LatencyP95 == nil || *b.LatencyP95 > *t.LatencyP95) {
			t.LatencyP95 = b.LatencyP95
		}
	}
	t.Requests += b.Requests
	t.Observed += b.Observed
	t.Failed += b.Failed
}

// Label says what the drawing of the course shows.
func (v *rampView) Label() string {
	return fmt.Sprintf("The course of %s from %s to %s; now %s", v.Backend, v.From, v.To, v.Share)
}
