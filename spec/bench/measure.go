package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
)

// measure starts the servers, measures them and ends them.
func measure(ctx context.Context, o options) (results []result, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	all := make([]*contestant, 0, len(contestants))
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.end())
		}
	}()
	for _, name := range contestants {
		c, err := enter(ctx, name, dir)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if err := sameCalls(o.cases, all); err != nil {
		return nil, err
	}
	return play(ctx, o, all)
}

// sameCalls starts an instance of each case on each server, and makes sure that
// all of them ask the same of Kong.
func sameCalls(cases []kase, all []*contestant) error {
	for i, k := range cases {
		var want []string
		for _, c := range all {
			got, err := c.rehearse(k, int32(i+1))
			if err != nil {
				return fmt.Errorf("%s, %v: %w", c.name, k, err)
			}
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("%v: %s calls %q, and %s %q", k, c.name, got, all[0].name, want)
			}
		}
	}
	return nil
}

// play measures all servers in all cases, and again in each round. The servers
// take turns at being the first.
func play(ctx context.Context, o options, all []*contestant) ([]result, error) {
	rates := make([]map[string][]float64, len(o.cases)) // of each server, one a round
	for round := range o.rounds {
		for i, k := range o.cases {
			if rates[i] == nil {
				rates[i] = map[string][]float64{}
			}
			for turn := range all {
				c := all[(round+turn)%len(all)]
				rate, err := c.rate(k, o.round)
				if ctx.Err() != nil {
					return nil, context.Cause(ctx)
				}
				if err != nil {
					return nil, fmt.Errorf("%s, %v: %w", c.name, k, err)
				}
				rates[i][c.name] = append(rates[i][c.name], rate)
			}
		}
	}
	results := make([]result, len(o.cases))
	for i, k := range o.cases {
		results[i] = newResult(k, median(rates[i]["ours"]), median(rates[i]["stock"]), median(rates[i]["raw"]))
	}
	return results, nil
}

// median is the one in the middle, or the mean of the two there. It sorts the values.
func median(values []float64) float64 {
	slices.Sort(values)
	half := len(values) / 2
	if len(values)%2 == 0 {
		return (values[half-1] + values[half]) / 2
	}
	return values[half]
}
