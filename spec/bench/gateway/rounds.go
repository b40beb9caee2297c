package gateway

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// A figure is what one round has come to.
type figure struct {
	perS        float64 // requests
	median, p99 float64 // latency in ms
	worker      float64 // CPU time of Kong's worker for a request, in µs
}

// figures are those of a contestant, one a round.
type figures struct {
	name   string
	rounds []figure
}

// play measures all contestants in each round. They take turns at being the first.
func (s *setup) play(ctx context.Context) ([]figures, error) {
	all := make([]figures, len(s.all))
	counts := make([]map[string]int, len(s.all))
	for i, c := range s.all {
		all[i].name, counts[i] = c.name, map[string]int{}
	}
	for round := range s.Rounds {
		for turn := range s.all {
			i := (round + turn) % len(s.all)
			f, err := s.measure(ctx, &s.all[i], counts[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.all[i].name, err)
			}
			all[i].rounds = append(all[i].rounds, f)
		}
		fmt.Fprintf(s.Log, "round %d of %d\n", round+1, s.Rounds)
	}
	for i, c := range s.all {
		if err := sharesHold(c.answers, counts[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return all, nil
}

// measure is one round of a contestant: first many connections, and then one.
func (s *setup) measure(ctx context.Context, c *contestant, counts map[string]int) (f figure, err error) {
	many, err := s.load(ctx, c, connections, s.Round, counts)
	if err != nil {
		return figure{}, err
	}
	one, err := s.load(ctx, c, 1, s.Round/4, counts)
	if err != nil {
		return figure{}, err
	}
	return figure{
		perS: float64(len(many.latencies)) / many.took.Seconds(), worker: many.worker.Seconds() * 1e6 / float64(len(many.latencies)),
		median: quantile(one.latencies, .5), p99: quantile(one.latencies, .99),
	}, nil
}

// A tally is what a while of load has come to.
type tally struct {
	latencies    []float64 // in ms
	took, worker time.Duration
}

// load sends a contestant's requests on n connections: for a tenth of d to warm up,
// and then for d. It fails where one is answered wrong.
func (s *setup) load(ctx context.Context, c *contestant, n int, d time.Duration, counts map[string]int) (t tally, err error) {
	l, err := newLoad(s.address, n, s.requests[c.name])
	if err != nil {
		return tally{}, err
	}
	defer func() {
		if closed := l.close(); err == nil {
			err = closed
		}
	}()
	count := func(r *response, took time.Duration) error {
		if n, ok := counts[string(r.body)]; ok && r.status == 200 { // makes no string
			counts[string(r.body)] = n + 1
		} else if err := c.check(r); err != nil {
			return err
		} else {
			counts[string(r.body)] = 1
		}
		t.latencies = append(t.latencies, took.Seconds()*1000)
		return nil
	}
	if err := l.run(ctx, d/10, count); err != nil {
		return tally{}, err
	}
	t.latencies = slices.Grow(t.latencies[:0], 20*len(t.latencies))
	before, err := cpuTime(s.worker)
	if err != nil {
		return tally{}, err
	}
	began := time.Now()
	if err := l.run(ctx, d, count); err != nil {
		return tally{}, err
	}
	t.took = time.Since(began)
	after, err := cpuTime(s.worker)
	t.worker = after - before
	return t, err
}

// sharesHold compares how often each answer came with its share. Requests that were
// under way at the end of a round, and draws by chance, are within the margin.
func sharesHold(shares map[string]float64, counts map[string]int) error {
	all := 0
	for _, n := range counts {
		all += n
	}
	for _, answer := range keys(shares) {
		due := shares[answer] * float64(all)
		if margin := max(2*connections, .02*float64(all)); math.Abs(float64(counts[answer])-due) > margin {
			return fmt.Errorf("of %d requests, %d were answered with %q; %.0f were due", all, counts[answer], answer, due)
		}
	}
	return nil
}

func keys(of map[string]float64) []string { return slices.Sorted(maps.Keys(of)) }

// quantile is the value that a part q of all are at most; between two of them, in
// proportion. It sorts of, which has at least one.
func quantile(of []float64, q float64) float64 {
	slices.Sort(of)
	at := q * float64(len(of)-1)
	low := int(at)
	if low == len(of)-1 {
		return of[low]
	}
	return of[low] + (at-float64(low))*(of[low+1]-of[low])
}
