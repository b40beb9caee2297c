package gateway

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// A Report is what a run has come to. Times and ratios are medians of the rounds.
type Report struct {
	CPUs        int      `json:"cpus"`
	Connections int      `json:"connections"` // throughput and CPU time are measured at so many
	Round       float64  `json:"round_s"`
	Rounds      int      `json:"rounds"`
	Results     []Result `json:"contestants"`
}

// A Result is a contestant's.
type Result struct {
	Name       string     `json:"name"`
	PerS       float64    `json:"throughput"`   // requests a second
	Ratio      float64    `json:"ratio"`        // of the plain route's throughput in the same round
	Spread     [2]float64 `json:"ratio_spread"` // the quartiles of that
	Latency    Latency    `json:"latency_ms"`
	Worker     float64    `json:"worker_us"`             // CPU time of Kong's worker for a request
	AbovePlain float64    `json:"worker_us_above_plain"` // in the same round
	// Calls are the methods of Kong's PDK that the plugin server calls for a request,
	// in order, as most of the rehearsal's requests had them; null without a server.
	Calls []string `json:"calls"`
}

// A Latency is that of requests one after another, on one connection.
type Latency struct {
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
}

// newReport makes a report of figures, the first of which are the plain route's.
func newReport(all []figures, calls map[string][]string) (r Report) {
	plain := all[0].rounds
	for _, f := range all {
		of := func(value func(i int) float64) []float64 {
			values := make([]float64, len(f.rounds))
			for i := range values {
				values[i] = value(i)
			}
			return values
		}
		ratios := of(func(i int) float64 { return f.rounds[i].perS / plain[i].perS })
		r.Results = append(r.Results, Result{
			Name:   f.name,
			PerS:   math.Round(quantile(of(func(i int) float64 { return f.rounds[i].perS }), .5)),
			Ratio:  rounded(quantile(ratios, .5), 3),
			Spread: [2]float64{rounded(quantile(ratios, .25), 3), rounded(quantile(ratios, .75), 3)},
			Latency: Latency{
				Median: rounded(quantile(of(func(i int) float64 { return f.rounds[i].median }), .5), 3),
				P99:    rounded(quantile(of(func(i int) float64 { return f.rounds[i].p99 }), .5), 3),
			},
			Worker:     rounded(quantile(of(func(i int) float64 { return f.rounds[i].worker }), .5), 1),
			AbovePlain: rounded(quantile(of(func(i int) float64 { return f.rounds[i].worker - plain[i].worker }), .5), 1),
			Calls:      calls[f.name],
		})
	}
	return r
}

func rounded(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}

// WriteTable writes a report for people.
func (r Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "contestant\trequests/s\tof plain\tquartiles\tmedian ms\tp99 ms\tworker µs\tabove plain\tcalls\t")
	for _, c := range r.Results {
		calls := ""
		if c.Calls != nil {
			calls = fmt.Sprint(len(c.Calls))
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.2f–%.2f\t%.3f\t%.3f\t%.1f\t%.1f\t%s\t\n",
			c.Name, c.PerS, c.Ratio, c.Spread[0], c.Spread[1], c.Latency.Median, c.Latency.P99, c.Worker, c.AbovePlain, calls)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range r.Results {
		if len(c.Calls) > 0 {
			if _, err := fmt.Fprintf(w, "%s calls %s\n", c.Name, strings.Join(c.Calls, ", ")); err != nil {
				return err
			}
		}
	}
	return nil
}
