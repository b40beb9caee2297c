package simulate

import (
	"fmt"
	"math"
	"time"

	"kong-traffic-split/plugin/split"
)

// maxPoints is how many parts of a play's time are told apart: as many as a terminal
// has room for.
const maxPoints = 60

// Result is what has become of the requests that were played. What is counted by
// backend is in the order of Backends.
type Result struct {
	Backends     []string
	Requests     int
	Counts       []int
	Expected     []float64 // by weight and ramp alone
	MaxDeviation float64   // requests that a backend was off what was expected, at the most, after any of them
	Refused      int       // requests that no backend got: Kong answers them
	Failed       []int     // of Counts
	Reasons      map[split.Reason]int
	Clients      *ClientCounts // nil: nobody tells them apart
	Events       []Event
	Points       []Point // equal parts of the time, 60 at most

	From  time.Time
	For   time.Duration
	Dated bool // the dates mean something
	Ramp  int  // the ramp's backend; -1: there is none
	Fails bool // some backend is said to fail
}

// Point is a part of a play's time.
type Point struct {
	At       time.Time // of its first request
	Requests int
	Counts   []int // by backend
	ramp     int   // the sum of the ramp's shares, in hundredths of a percent
}

// Ramp is the share, 0 to 1, that the ramp gave its backend.
func (p *Point) Ramp() float64 { return float64(p.ramp) / float64(hundred*p.Requests) }

// share is what part of the requests a backend got, 0 to 1.
func (p *Point) share(backend int) float64 { return float64(p.Counts[backend]) / float64(p.Requests) }

// Event is something that failures have led to.
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

// point is the part of the time that request k is of, from 0.
func (r *Result) point(k int) *Point { return &r.Points[k*len(r.Points)/r.Requests] }

// chosen takes note of a decision.
func (r *Result) chosen(d split.Decision, p *Point, failed bool) {
	r.Reasons[d.Reason]++
	r.Counts[d.Backend]++
	p.Counts[d.Backend]++
	if failed {
		r.Failed[d.Backend]++
	}
}

// happened takes note of an event.
func (r *Result) happened(at time.Time, e split.Incident) {
	text := fmt.Sprintf("%q is ejected for %s: %d requests in a row failed", e.Backend, e.Until.Sub(at), e.Failed)
	if e.Kind != split.Ejected {
		text = e.String()
	}
	r.Events = append(r.Events, Event{at, text})
}

// sums takes over what the shares have to say in the end.
func (r *Result) sums(sh *shares) {
	r.MaxDeviation = rounded(sh.deviation())
	for i, n := range r.Counts {
		r.Expected[i] = rounded(sh.expected(i, n))
	}
}

// rounded leaves a number the decimals that somebody can read.
func rounded(x float64) float64 { return math.Round(x*10_000) / 10_000 }
