// Package simulate plays requests over a split, by a clock of its own: one, to explain
// the decision, or many, to see which backends get them while a ramp goes on, backends
// fail and clients come again. It decides with the code that decides in Kong.
package simulate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"kong-traffic-split/plugin/split"
)

// Options are what to play. The zero value is 1000 requests; of a split with a ramp, 10000
// over the time of the ramp.
type Options struct {
	Requests  int           // 0: from Rate and For
	Rate      float64       // requests a second; 0: from Requests and For, or 100
	From      time.Time     // zero: shortly before the ramp begins, or Epoch
	For       time.Duration // 0: from Requests and Rate, or until shortly after the end of the ramp
	Clients   Clients
	Facts     split.Facts              // what all requests have in common
	Fail      map[string]float64       // by the backend's name, the part of its requests that fail
	Latency   map[string]time.Duration // by the backend's name, how long each of its requests takes
	Down      []string                 // backends that do not exist, all the time
	Unhealthy []string                 // backends that probes have found unhealthy, all the time
	Seed      uint64                   // the same seed gives the same result
}

// Play plays requests over a split without any choice yet. The outcome of a request is
// known before the next one. An error names the option that is wrong.
func Play(s *split.Split, o Options) (*Result, error) {
	c, err := newCourse(s, &o)
	if err != nil {
		return nil, err
	}
	p := player{
		split: s, state: split.NewState(s), course: c, facts: o.Facts, shares: newShares(s),
		random: rand.New(rand.NewPCG(o.Seed, 1)), failures: rand.New(rand.NewPCG(o.Seed, 2)),
	}
	if p.crowd, err = newCrowd(s, &o); err != nil {
		return nil, err
	}
	if p.down, err = Named(s, o.Down); err != nil {
		return nil, fmt.Errorf("down: %w", err)
	}
	if p.facts.Unhealthy, err = Named(s, o.Unhealthy); err != nil {
		return nil, fmt.Errorf("unhealthy: %w", err)
	}
	if p.ratios, err = ratios(s, o.Fail); err != nil {
		return nil, fmt.Errorf("fail: %w", err)
	}
	if p.latencies, err = latencies(s, o.Latency); err != nil {
		return nil, fmt.Errorf("latency: %w", err)
	}
	p.result = newResult(s, c, len(o.Fail) > 0)
	for k := range c.requests {
		p.play(k)
	}
	p.result.sums(p.shares)
	p.result.waits(p.state.Status(c.from.Add(c.length)), c.from.Add(c.length))
	p.result.Clients = p.crowd.summary()
	return p.result, nil
}

// player plays requests.
type player struct {
	split  *split.Split
	state  *split.State
	course course
	crowd  *crowd
	facts  split.Facts // of all requests
	down   split.Set   // backends that do not exist, as a request finds out when one is chosen
	ratios []float64   // by backend, the part of its requests that fail

	latencies []time.Duration // by backend, how long its requests take

	random, failures *rand.Rand
	shares           *shares
	result           *Result
}

// play plays request k, from 0.
func (p *player) play(k int) {
	f := p.facts
	f.Now, f.Random = p.course.at(k), p.random.Uint64()
	client := p.crowd.next(k, &f)
	point := p.result.point(k)
	if point.Requests++; point.At.IsZero() {
		point.At = f.Now
	}
	if p.split.Ramp != nil {
		share := p.state.RampShare(f.Now)
		p.shares.advance(share)
		point.ramp += share
	}
	p.shares.request()
	d, err := split.Choose(p.split, p.state, &f, func(i int, _ bool) (bool, error) { return !p.down.Has(i), nil })
	if err != nil {
		p.shares.chosen(-1)
		p.result.Refused++
		return
	}
	p.shares.chosen(d.Backend)
	client.record(d)
	failed := p.ratios[d.Backend] > 0 && p.failures.Float64() < p.ratios[d.Backend]
	p.result.record(d, point, failed)
	for _, e := range p.state.Observe(split.Outcome{
		Backend: d.Backend, Subject: d.Subject, Failed: failed, Latency: p.latencies[d.Backend], Unusable: p.down | f.Unhealthy,
	}, f.Now) {
		p.result.addEvent(f.Now, e)
	}
}

// Named returns the set of the backends of these names.
func Named(s *split.Split, names []string) (set split.Set, err error) {
	for _, name := range names {
		i, err := index(s, name)
		if err != nil {
			return 0, err
		}
		set = set.With(i)
	}
	return set, nil
}

func ratios(s *split.Split, byName map[string]float64) ([]float64, error) {
	all := make([]float64, len(s.Backends))
	for name, ratio := range byName {
		i, err := index(s, name)
		if err != nil {
			return nil, err
		}
		if !(ratio >= 0 && ratio <= 1) { // nor NaN
			return nil, fmt.Errorf("%s=%v: a ratio is in 0..1", name, ratio)
		}
		all[i] = ratio
	}
	return all, nil
}

func latencies(s *split.Split, byName map[string]time.Duration) ([]time.Duration, error) {
	all := make([]time.Duration, len(s.Backends))
	for name, latency := range byName {
		i, err := index(s, name)
		if err != nil {
			return nil, err
		}
		if latency < 0 {
			return nil, fmt.Errorf("%s=%s: a latency is not below 0", name, latency)
		}
		all[i] = latency
	}
	return all, nil
}

func index(s *split.Split, name string) (int, error) {
	i := slices.IndexFunc(s.Backends, func(b split.Backend) bool { return b.Name == name })
	if i < 0 {
		var names []string
		for _, b := range s.Backends {
			names = append(names, strconv.Quote(b.Name))
		}
		return -1, fmt.Errorf("%q is the name of no backend; there are %s", name, strings.Join(names, ", "))
	}
	return i, nil
}
