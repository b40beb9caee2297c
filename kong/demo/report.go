package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// barWidth is the length, in characters, of the bar for all requests of a step.
const barWidth = 48

// A Result is what the demo has counted and measured.
type Result struct {
	Steps []*Step `json:"steps"`
	// Added is what the plugin added to the time of a request, in ms: the difference of
	// the medians with and without it, on the stand-in.
	Added float64 `json:"added_ms"`
}

// A Step is one round of requests with the same weights.
type Step struct {
	Weights  map[string]int `json:"weights"`
	Requests int            `json:"requests"`
	Counts   map[string]int `json:"counts"` // answers, by backend
	Failed   int            `json:"failed"`
	// FirstError is the error of the first request that failed.
	FirstError error `json:"-"`
}

// WriteJSON writes the result for machines, on one line.
func (r *Result) WriteJSON(w io.Writer) error {
	return json.NewEncoder(w).Encode(r)
}

// Err returns an error if any request failed.
func (r *Result) Err() error {
	failed := 0
	var first error
	for _, s := range r.Steps {
		failed += s.Failed
		if first == nil {
			first = s.FirstError
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d requests failed, the first with: %w", failed, first)
	}
	return nil
}

// writeStep writes a step's counts as `sort | uniq -c` does, with a bar each.
func writeStep(w io.Writer, title string, s *Step) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:\n", title)
	for _, name := range slices.Sorted(maps.Keys(s.Counts)) {
		n := s.Counts[name]
		fmt.Fprintf(&b, "%7d %-8s %s\n", n, name, strings.Repeat("█", (n*barWidth+s.Requests/2)/s.Requests))
	}
	if s.Failed > 0 {
		fmt.Fprintf(&b, "%7d failed\n", s.Failed)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// describe returns the title of the step of index i.
func describe(i int, weights map[string]int) string {
	if i == 0 {
		return "No weights"
	}
	names := slices.Sorted(maps.Keys(weights))
	var shares []string
	for _, name := range names {
		shares = append(shares, fmt.Sprint(weights[name]))
	}
	return fmt.Sprintf("Weights %s of %s, set on the running gateway", strings.Join(shares, " : "), strings.Join(names, " : "))
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
