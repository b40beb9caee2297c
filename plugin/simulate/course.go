package simulate

import (
	"errors"
	"fmt"
	"math"
	"time"

	"kong-traffic-split/plugin/split"
)

// Epoch is when requests begin if the date does not matter.
var Epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Limits of what is played.
const (
	MaxRequests = 10_000_000
	maxFor      = 10 * 366 * 24 * time.Hour
)

// Defaults.
const (
	defaultRequests     = 1000
	defaultRampRequests = 10_000 // of a split with a ramp
	defaultRate         = 100.0
)

// course is when requests are made: at equal intervals over a time.
type course struct {
	requests int
	from     time.Time
	length   time.Duration
	dated    bool // the dates matter
}

// at returns when request k, counted from 0, is made.
func (c *course) at(k int) time.Time {
	n := time.Duration(c.requests)
	// In two parts, as length·k may overflow.
	return c.from.Add(c.length/n*time.Duration(k) + c.length%n*time.Duration(k)/n)
}

func newCourse(s *split.Split, o *Options) (c course, err error) {
	switch {
	case o.Requests < 0 || o.Requests > MaxRequests:
		return c, fmt.Errorf("requests: %d is not in 1..%d", o.Requests, MaxRequests)
	case o.Rate < 0 || math.IsNaN(o.Rate) || math.IsInf(o.Rate, 0):
		return c, fmt.Errorf("rate: %v is not a number of requests a second", o.Rate)
	case o.For < 0 || o.For > maxFor:
		return c, fmt.Errorf("for: %s is not in 0s..%s", o.For, maxFor)
	case o.Requests > 0 && o.Rate > 0 && o.For > 0:
		return c, errors.New("rate: requests and for make it already; leave one of the three out")
	}
	c = course{requests: o.Requests, from: o.From, length: o.For, dated: s.Ramp != nil || !o.From.IsZero()}
	requests, rate := defaultRequests, o.Rate
	if s.Ramp != nil {
		requests = defaultRampRequests
		c.followRamp(s.Ramp, rate > 0 && c.requests > 0)
	}
	if c.from.IsZero() {
		c.from = Epoch
	}
	switch {
	case c.length > 0 && rate > 0:
		n := math.Ceil(rate * c.length.Seconds())
		if n > MaxRequests {
			return c, fmt.Errorf("rate: %v a second for %s are more than %d requests; take fewer a second, or requests instead", rate, c.length, MaxRequests)
		}
		c.requests = int(n)
	case c.requests == 0:
		c.requests = requests
	}
	if c.length > 0 {
		return c, nil
	}
	if rate == 0 {
		rate = defaultRate
	}
	seconds := float64(c.requests) / rate
	if seconds > maxFor.Seconds() {
		return c, fmt.Errorf("rate: %d requests at %v a second take longer than %s", c.requests, rate, maxFor)
	}
	c.length = max(time.Duration(seconds*float64(time.Second)), 1)
	return c, nil
}

// followRamp sets what is not set of the course to that of a ramp, with a twentieth of
// its time before and after. ends is true if requests and rate determine the end.
func (c *course) followRamp(r *split.Ramp, ends bool) {
	length := r.Length()
	margin := length / 20
	if c.from.IsZero() {
		c.from = r.Start.Add(-margin)
	}
	if length == 0 { // a plan that stops at its first step
		return
	}
	if end := r.Start.Add(length + margin); c.length == 0 && !ends && end.After(c.from) {
		c.length = end.Sub(c.from)
	}
}
