package simulate

import (
	"fmt"
	"math"
	"time"

	"kong-traffic-split/plugin/split"
)

// maxPoints is into how many parts the time of a play is divided at most: as many as fit
// in a terminal.
const maxPoints = 60

// Result is what became of the requests that were played. Counts by backend are in the
// order of Backends.
type Result struct {
	Backends     []string
	Requests     int
	Counts       []int
	Expected     []float64 // by the weights and the ramp alone
	MaxDeviation float64   // the most requests, at any time, that a backend was off what was expected
	Refused      int       // requests that Kong answers itself, as no backend can take them
	Failed       []int     // those of Counts that failed
	Reasons      map[split.Reason]int
	Clients      *ClientCounts // nil: the split does not distinguish clients
	Events       []Event
	Waits        string  // what a step of the ramp has waited for in vain at the end; empty: none has
	Points       []Point // equal parts of the time, at most 60

	From  time.Time
	For   time.Duration
	Dated bool // the dates matter
	Ramp  int  // the ramp's backend; -1: there is none
	Fails bool // there is a backend whose requests may fail
}

// Point is a part of a play's time.
type Point struct {
	At       time.Time // of its first request
	Requests int
	Counts   []int // by backend
	ramp     int   // the sum of the ramp's shares at its requests, in hundredths of a percent
}

// Ramp returns the share, 0 to 1, that the ramp gave its backend.
func (p *Point) Ramp() float64 { return float64(p.ramp) / float64(hundred*p.Requests) }

// share returns the part of the requests that a backend got, 0 to 1.
func (p *Point) share(backend int) float64 { return float64(p.Counts[backend]) / float64(p.Requests) }

// Event is an ejection, or something that a guard has done.
type Event struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

func newResult(s *split.Split, c course, fails bool) *Result {
	n := len(s.Backends)
	r := &Result{
		Requests: c.requests, Counts: make([]int, n), Failed: make([]int, n), Expected: make([]float64, n),
		Reasons: map[split.Reason]int{}, Points: make([]Point, min(c.requests, maxPoints)),
		From: c.from, For: c.length, Dated: c.dated, Ramp: -1, Fails: fails,
	}
	for _, b := range s.Backends {
		r.Backends = append(r.Backends, b.Name)
	}
	for i := range r.Points {
		r.Points[i].Counts = make([]int, n)
	}
	if s.Ramp != nil {
		r.Ramp = s.Ramp.Backend
	}
	return r
}

// point returns the part of the time in which request k, counted from 0, is.
func (r *Result) point(k int) *Point { return &r.Points[k*len(r.Points)/r.Requests] }

// record counts a decision.
func (r *Result) record(d split.Decision, p *Point, failed bool) {
	r.Reasons[d.Reason]++
	r.Counts[d.Backend]++
	p.Counts[d.Backend]++
	if failed {
		r.Failed[d.Backend]++
	}
}

// addEvent adds an event.
func (r *Result) addEvent(at time.Time, e split.Incident) {
	if e.Kind == split.StepBegun && e.Behind == 0 { // as the plan has it
		return
	}
	text := fmt.Sprintf("%q is ejected for %s: %d requests in a row failed", e.Backend, e.Until.Sub(at), e.Failed)
	if e.Kind != split.Ejected {
		text = e.String()
	}
	r.Events = append(r.Events, Event{at, text})
}

// waits takes over what a step waits for that would be over at now.
func (r *Result) waits(s split.Status, now time.Time) {
	if ramp := s.Ramp; ramp != nil && ramp.Waits != "" && !now.Before(ramp.Ends) {
		r.Waits = fmt.Sprintf("step %d of %d has waited since %s: %s", ramp.Step, ramp.Steps, ramp.Ends.Format(time.RFC3339), ramp.Waits)
	}
}

// sums takes over the totals of the shares.
func (r *Result) sums(sh *shares) {
	r.MaxDeviation = rounded(sh.deviation())
	for i, n := range r.Counts {
		r.Expected[i] = rounded(sh.expected(i, n))
	}
}

// rounded rounds a number to four decimals.
func rounded(x float64) float64 { return math.Round(x*10_000) / 10_000 }
