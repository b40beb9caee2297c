package status

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"kong-traffic-split/plugin"
)

// The widths of columns.
const (
	shareWidth   = 8 // "100.00 %"
	rateWidth    = 7
	failedWidth  = 8
	latencyWidth = 7
	p95Width     = 9
	// leastBar is the least that is worth a bar, and mostBar the most.
	leastBar = 4
	mostBar  = 50
	// mostName is the part of a screen that names of backends may have.
	mostName = 4
)

// shows reports whether a split is one of those that the filter wants.
func (s *screen) shows(split *plugin.SplitStatus) bool {
	has := func(name string) bool { return strings.Contains(strings.ToLower(name), s.filter) }
	if has(split.Split) {
		return true
	}
	for i := range split.Backends {
		if has(split.Backends[i].Name) {
			return true
		}
	}
	return false
}

func (s *screen) writeSplit(split *plugin.SplitStatus, now time.Time) {
	about := "  revision " + split.Revision
	if !split.Since.IsZero() {
		about += " since " + moment(split.Since)
	}
	if r := split.Recent; r != nil {
		about += ", " + rateText(r.Requests, r.Seconds) + " requests/s"
	}
	s.line(Part{printable(split.Split), Heading}, Part{printable(about), Faint})

	name, bar := s.widths(split)
	s.line(Part{"  " + s.head(name, bar), Faint})
	ramp := ""
	if split.Ramp != nil {
		ramp = split.Ramp.Backend
	}
	for i := range split.Backends {
		b := &split.Backends[i]
		s.writeBackend(split, b, name, bar, b.Name == ramp)
	}
	if r := split.Recent; r != nil && r.Unavailable > 0 {
		s.paragraph("  ", "no backend could take "+percent(float64(r.Unavailable)/float64(r.Requests))+" of the requests", Bad)
	}
	for i := range split.Mirrors {
		s.paragraph("  ", "shadow "+shadowText(&split.Mirrors[i]), Plain)
	}
	if split.Ramp != nil {
		s.writeRamp(viewRamp(split, now))
	}
}

// writeRamp writes how far a ramp has come, what it waits for, and what its guard has seen.
func (s *screen) writeRamp(v *rampView) {
	style := Plain
	if v.Wrong {
		style = Bad
	}
	s.paragraph("  ", "ramp from "+v.From+" to "+v.To+": "+v.Stage, style)
	for _, w := range v.Words {
		if style = Plain; w.Wrong {
			style = Bad
		}
		text := w.Before
		if w.At != nil {
			text += w.At.Machine() + " (" + w.At.Away() + ")"
		}
		s.paragraph("    ", text+w.After, style)
	}
	if len(v.Guard) > 0 {
		s.paragraph("    ", strings.Join(v.Guard, " "), Plain)
	}
}

// widths returns those of the names and the bars of a split's backends; bar is 0 where
// there is no room for any.
func (s *screen) widths(split *plugin.SplitStatus) (name, bar int) {
	name = len("backend")
	for i := range split.Backends {
		name = max(name, utf8.RuneCountInString(split.Backends[i].Name))
	}
	name = min(name, s.width/mostName)
	bar = min(s.width-utf8.RuneCountInString(s.head(name, 0))-4, mostBar)
	if bar < leastBar {
		bar = 0
	}
	return name, bar
}

// head is the first line of a split's table, without the space before it.
func (s *screen) head(name, bar int) string {
	text := fitted("backend", name) + " " + right("share", shareWidth) + " " + right("got", shareWidth)
	if bar > 0 {
		text += "  " + fitted("▀ share ▄ got", bar)
	}
	text += " " + right("req/s", rateWidth) + " " + right("failed", failedWidth) + " " + right("mean", latencyWidth)
	if s.width >= wideWidth {
		text += " " + right("95 %", p95Width)
	}
	return text
}

// writeBackend writes a backend's share and what it got in the last minute.
func (s *screen) writeBackend(split *plugin.SplitStatus, b *plugin.BackendStatus, name, bar int, ramp bool) {
	got, requests, failed, mean, p95 := "", "", "", "", ""
	failing := Plain
	observed := 0.0
	if r := b.Recent; r != nil && split.Recent != nil {
		if r.Share != nil {
			observed = *r.Share
			got = percent(observed)
		}
		requests = rateText(r.Requests, split.Recent.Seconds)
		if r.Observed > 0 {
			failed = percent(float64(r.Failed) / float64(r.Observed))
		}
		if r.Failed > 0 {
			failing = Bad
		}
		mean, p95 = latencies(r.Latency, r.LatencyP95)
	}
	parts := []Part{{"  " + fitted(b.Name, name) + " " + right(percent(b.Share), shareWidth) + " " + right(got, shareWidth), Plain}}
	if bar > 0 {
		style := Bar
		if ramp {
			style = RampBar
		}
		parts = append(parts, Part{"  " + bars(b.Share, observed, bar), style})
	}
	parts = append(parts, Part{" " + right(requests, rateWidth), Plain}, Part{" " + right(failed, failedWidth), failing}, Part{" " + right(mean, latencyWidth), Plain})
	if s.width >= wideWidth {
		parts = append(parts, Part{" " + right(p95, p95Width), Plain})
	}
	s.line(parts...)
	switch {
	case b.Redirect != "":
		s.paragraph("    ", "redirects to "+b.Redirect, Faint)
	case b.Up == nil:
		s.paragraph("    ", condition(b), Faint)
	case !*b.Up:
		s.paragraph("    ", condition(b), Bad)
	case b.SlowStart != nil:
		s.paragraph("    ", takes(b)+" until "+moment(b.SlowStart.Until), Faint)
	}
}

// bars returns two bars over one another, of half a line each: above the share that is
// configured, below the one that was observed.
func bars(configured, observed float64, width int) string {
	cells := func(share float64) int {
		n := int(math.Round(min(max(share, 0), 1) * float64(width)))
		if n == 0 && share > 0 {
			return 1 // a little is not nothing
		}
		return n
	}
	above, below := cells(configured), cells(observed)
	text := strings.Repeat("█", min(above, below))
	if above > below {
		text += strings.Repeat("▀", above-below)
	} else {
		text += strings.Repeat("▄", below-above)
	}
	return text + strings.Repeat(" ", width-max(above, below))
}

// rateText returns requests a second.
func rateText(n uint64, seconds float64) string {
	if seconds <= 0 {
		return ""
	}
	perSecond := float64(n) / seconds
	decimals := 1
	if perSecond >= 10000 {
		decimals = 0
	}
	return strconv.FormatFloat(perSecond, 'f', decimals, 64)
}
