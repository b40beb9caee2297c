package simulate

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	columns   = 80 // of a terminal
	maxLabel  = 24 // of a backend's name
	maxEvents = 8
)

// WriteText writes a result for people, with charts, 80 columns wide but for what is
// told in sentences.
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

// writeEvents tells the first things that happened.
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

// clock says a time: as a date where dates mean something, otherwise how long after
// the beginning.
func (r *Result) clock(at time.Time) string {
	if r.Dated {
		return at.Format(time.RFC3339)
	}
	return "+" + at.Sub(r.From).Round(time.Millisecond).String()
}

// percent is a share, 0 to 1, for people.
func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// shorten cuts a name to so many characters.
func shorten(name string, most int) string {
	if utf8.RuneCountInString(name) <= most {
		return name
	}
	return string([]rune(name)[:most-1]) + "…"
}
