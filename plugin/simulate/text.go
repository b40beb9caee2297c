package simulate

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	columns   = 80 // of a terminal
	maxLabel  = 24 // of a backend's name
	maxEvents = 8
)

// WriteText writes a result for people, with charts. It is 80 columns wide except for
// events.
func (r *Result) WriteText(to io.Writer, name string) error {
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "%s: %d requests in %s", name, r.Requests, r.For.Round(time.Millisecond))
	if r.Dated {
		fmt.Fprintf(w, ", from %s", r.From.Format(time.RFC3339))
	}
	fmt.Fprint(w, "\n\n")
	r.writeCounts(w)
	if r.changes() {
		r.writeChart(w)
	}
	r.writeEvents(w)
	if r.Waits != "" {
		fmt.Fprintf(w, "\n  %s\n", r.Waits)
	}
	fmt.Fprintf(w, "\n  largest deviation from what was due: %.2f requests\n", r.MaxDeviation)
	var reasons []string
	for _, m := range r.reasons() {
		reasons = append(reasons, fmt.Sprintf("%s %d", m.Name, m.Value))
	}
	if reasons != nil {
		fmt.Fprintln(w, "  decided by:", strings.Join(reasons, ", "))
	}
	if c := r.Clients; c != nil {
		fmt.Fprintf(w, "  clients: %d; %d of them moved to another backend, %d times in all\n", c.Number, c.Moved, c.Moves)
	}
	return w.Flush()
}

// writeCounts writes a line with a bar for each backend.
func (r *Result) writeCounts(w io.Writer) {
	width := len("(refused)")
	for _, name := range r.Backends {
		width = max(width, utf8.RuneCountInString(shorten(name, maxLabel)))
	}
	line := func(name string, requests int, due string, failed int) string {
		share := float64(requests) / float64(r.Requests)
		text := fmt.Sprintf("  %-*s %9d %9s %8s", width, name, requests, due, percent(share))
		if r.Fails {
			text += fmt.Sprintf(" %8d", failed)
		}
		return strings.TrimRight(text+"  "+bar(share, columns-2-utf8.RuneCountInString(text)), " ")
	}
	head := fmt.Sprintf("  %-*s %9s %9s %8s", width, "backend", "requests", "due", "share")
	if r.Fails {
		head += fmt.Sprintf(" %8s", "failed")
	}
	fmt.Fprintln(w, head)
	for i, name := range r.Backends {
		fmt.Fprintln(w, line(shorten(name, maxLabel), r.Counts[i], fmt.Sprintf("%.1f", r.Expected[i]), r.Failed[i]))
	}
	if r.Refused > 0 {
		fmt.Fprintln(w, line("(refused)", r.Refused, "", 0))
	}
}

// writeEvents writes the first events.
func (r *Result) writeEvents(w io.Writer) {
	for i, e := range r.Events {
		if i == 0 {
			fmt.Fprintln(w)
		}
		if i == maxEvents {
			fmt.Fprintf(w, "  and %d more of the kind\n", len(r.Events)-i)
			break
		}
		fmt.Fprintf(w, "  %-8s  %s\n", r.clock(e.At), e.Text)
	}
}

// clock returns a time as a date if dates matter, or else as the time since the
// beginning.
func (r *Result) clock(at time.Time) string {
	if r.Dated {
		return at.Format(time.RFC3339)
	}
	return "+" + at.Sub(r.From).Round(time.Millisecond).String()
}

// percent returns a share, 0 to 1, in percent.
func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// shorten cuts a name to at most limit characters.
func shorten(name string, limit int) string {
	if utf8.RuneCountInString(name) <= limit {
		return name
	}
	return string([]rune(name)[:limit-1]) + "…"
}

const (
	chartRows = 8
	margin    = 16 // columns on the left of a chart, for labels
)

var (
	lower = []rune(" ▁▂▃▄▅▆▇█") // a cell filled from below
	left  = []rune(" ▏▎▍▌▋▊▉█") // a cell filled from the left
)

// cell returns a cell that is filled from below to a part of 0 to 1. Any part above 0 is
// visible.
func cell(part float64) rune {
	return lower[int(math.Ceil(8*min(max(part, 0), 1)-1e-9))]
}

// bar returns a bar for a share, 0 to 1, where 1 has that many cells.
func bar(share float64, cells int) string {
	filled := int(math.Round(share * float64(cells) * 8))
	if filled < 1 {
		return ""
	}
	return strings.Repeat("█", filled/8) + strings.TrimRight(string(left[filled%8]), " ")
}

// writeChart writes the shares over the time: a chart for the ramp's backend, and a line
// for every backend.
func (r *Result) writeChart(w io.Writer) {
	if r.Ramp >= 0 {
		r.writeRamp(w)
	}
	fmt.Fprintln(w, "\n  shares, 0 to 100 %")
	for i, name := range r.Backends {
		line := make([]rune, len(r.Points))
		for j := range r.Points {
			line[j] = cell(r.Points[j].share(i))
		}
		writeRow(w, shorten(name, margin), " ", string(line))
	}
	r.writeAxis(w, "")
}

// writeRamp charts the share of the ramp's backend.
func (r *Result) writeRamp(w io.Writer) {
	top := 0.0
	for i := range r.Points {
		top = max(top, r.Points[i].share(r.Ramp))
	}
	top = scale(top)
	fmt.Fprintf(w, "\n  share of %s\n", shorten(r.Backends[r.Ramp], maxLabel))
	marks := map[int]string{chartRows - 1: percent(top), chartRows/2 - 1: percent(top / 2)}
	for row := chartRows - 1; row >= 0; row-- {
		line := make([]rune, len(r.Points))
		for i := range r.Points {
			line[i] = cell(r.Points[i].share(r.Ramp)/top*chartRows - float64(row))
		}
		writeRow(w, marks[row], "┤", string(line))
	}
	r.writeAxis(w, percent(0))
}

// writeAxis writes the axis of the time, with marks for events.
func (r *Result) writeAxis(w io.Writer, zero string) {
	line := []rune(strings.Repeat("─", len(r.Points)))
	for _, e := range r.Events {
		at := int(float64(len(line)) * float64(e.At.Sub(r.From)) / float64(r.For))
		line[min(max(at, 0), len(line)-1)] = '▲'
	}
	writeRow(w, zero, "└", string(line))
	from, to := r.clock(r.From), r.clock(r.From.Add(r.For))
	writeRow(w, "", " ", fmt.Sprintf("%s%*s", from, max(len(line)-len(from), len(to)+1), to))
}

func writeRow(w io.Writer, label, border, line string) {
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %*s %s%s", margin-1, label, border, line), " "))
}

// scale returns a round share to be the top of a chart whose largest value is most.
func scale(most float64) float64 {
	for _, top := range []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 0.75} {
		if most <= 1.03*top { // a little more is cut off
			return top
		}
	}
	return 1
}
