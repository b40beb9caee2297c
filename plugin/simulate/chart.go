package simulate

import (
	"fmt"
	"io"
	"math"
	"strings"
)

const (
	chartRows = 8
	margin    = 16 // columns on the left of a chart, for labels
)

var (
	lower = []rune(" ▁▂▃▄▅▆▇█") // a cell filled from below
	left  = []rune(" ▏▎▍▌▋▊▉█") // a cell filled from the left
)

// cell is filled from below, to a part of 0 to 1. What is more than nothing is seen.
func cell(part float64) rune {
	return lower[int(math.Ceil(8*min(max(part, 0), 1)-1e-9))]
}

// bar is a bar for a share, 0 to 1, of so many cells.
func bar(share float64, cells int) string {
	filled := int(math.Round(share * float64(cells) * 8))
	if filled < 1 {
		return ""
	}
	return strings.Repeat("█", filled/8) + strings.TrimRight(string(left[filled%8]), " ")
}

// writeChart shows the shares over the time: that of the ramp's backend as a chart,
// every backend's in a line.
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

// writeAxis writes the axis of the time, with a mark where something happened.
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

// scale is a round share of which most is a good part.
func scale(most float64) float64 {
	for _, top := range []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 0.75} {
		if most <= 1.03*top { // a little more is left off
			return top
		}
	}
	return 1
}
