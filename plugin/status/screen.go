package status

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A Server is what is known of a server by its status address.
type Server struct {
	Address string
	// Report is what it has answered; nil: nothing, because of Err.
	Report *Report
	Err    error
	// Away is since when it does not answer; zero: it does, or that is not known.
	Away time.Time
}

// Style is what a part of a line is to look like, where colours are to be had.
type Style int

// The styles.
const (
	Plain Style = iota
	Heading
	Faint
	Bad     // what is wrong
	Bar     // of a backend
	RampBar // of the backend of a ramp
)

// A Line is one of a screen, in parts. Nothing in it does anything to a terminal.
type Line []Part

// A Part is a part of a line that has one style.
type Part struct {
	Text  string
	Style Style
}

// String returns the line without styles.
func (l Line) String() string {
	var all strings.Builder
	for _, part := range l {
		all.WriteString(part.Text)
	}
	return strings.TrimRight(all.String(), " ")
}

// WriteScreen writes a screen without styles. Width 0 is for what is no terminal: its tables
// have the usual width, and other lines are as long as they are.
func WriteScreen(to io.Writer, servers []Server, width int) error {
	for _, line := range Screen(servers, width, "") {
		if _, err := fmt.Fprintln(to, line); err != nil {
			return err
		}
	}
	return nil
}

const (
	// usualWidth is the width of a terminal, and leastWidth that which a screen has at
	// least.
	usualWidth = 80
	leastWidth = 60
	// wideWidth is the width from which on there is a column more.
	wideWidth = 100
	// lastChanges is how many changes are shown.
	lastChanges = 10
)

// Screen shows servers in so many columns: what is wrong, their splits whose name, or that
// of a backend, has the filter in it, and what has changed lately.
func Screen(servers []Server, width int, filter string) []Line {
	s := &screen{width: max(width, leastWidth), several: len(servers) > 1, filter: strings.ToLower(filter)}
	if width == 0 {
		s.width, s.endless = usualWidth, true
	}
	s.writeWrong(servers)
	for i := range servers {
		s.writeServer(&servers[i])
	}
	s.writeChanges(servers)
	return s.lines
}

type screen struct {
	width   int
	endless bool // lines may be longer than that
	several bool // servers, so that it matters which one says something
	filter  string
	lines   []Line
}

// line writes a line. What the screen has no room for is cut off.
func (s *screen) line(parts ...Part) {
	left := s.width
	if s.endless {
		left = math.MaxInt
	}
	for i, part := range parts {
		if n := utf8.RuneCountInString(part.Text); n <= left {
			left -= n
			continue
		}
		if left == 0 {
			parts = parts[:i]
			break
		}
		parts[i].Text, left = fitted(part.Text, left), 0
	}
	s.lines = append(s.lines, parts)
}

// blank separates what comes from what was there before.
func (s *screen) blank() {
	if len(s.lines) > 0 {
		s.line()
	}
}

// paragraph writes a text in lines that are not longer than the screen is wide.
func (s *screen) paragraph(indent, text string, style Style) {
	width := s.width - utf8.RuneCountInString(indent) - 2
	if s.endless {
		width = math.MaxInt
	}
	for i, line := range wrapped(text, width) {
		if i == 1 {
			indent += "  "
		}
		s.line(Part{indent + line, style})
	}
}

// writeWrong writes what is wrong, before all else.
func (s *screen) writeWrong(servers []Server) {
	for i := range servers {
		of := &servers[i]
		place := ""
		if s.several {
			place = of.Address + ": "
		}
		wrong := []string{}
		switch {
		case of.Report != nil:
			wrong = of.Report.Wrong
		case of.Err != nil && s.several: // else it is all there is to see
			wrong = append(wrong, of.away())
		}
		for _, text := range wrong {
			if len(s.lines) == 0 {
				s.line(Part{"wrong:", Bad})
			}
			s.paragraph("  ", place+text, Bad)
		}
	}
}

// away says why a server has nothing to show.
func (of *Server) away() string {
	text := "away"
	if !of.Away.IsZero() {
		text += " since " + moment(of.Away)
	}
	return text + ": " + of.Err.Error()
}

func (s *screen) writeServer(of *Server) {
	s.blank()
	address := printable(of.Address)
	switch r := of.Report; {
	case r != nil:
		s.line(Part{address, Heading}, Part{printable(": traffic-split " + r.Version + running(r)), Plain})
	case of.Err != nil:
		s.paragraph("", address+": "+of.away(), Bad)
		return
	default:
		s.line(Part{address, Heading}, Part{": no answer yet", Faint})
		return
	}
	for i := range of.Report.Splits {
		if split := &of.Report.Splits[i]; s.shows(split) {
			s.blank()
			s.writeSplit(split, of.Report.Now)
		}
	}
}

// running says for how long a server has been running.
func running(r *Report) string {
	if r.Started.IsZero() || r.Now.Before(r.Started) {
		return ""
	}
	return ", running for " + span(r.Now.Sub(r.Started))
}

// writeChanges writes what the servers have told lately, the newest first.
func (s *screen) writeChanges(servers []Server) {
	type told struct {
		Change
		address string
	}
	var all []told
	for _, of := range servers {
		if of.Report != nil {
			for _, c := range slices.Backward(of.Report.Changes) {
				if s.filter == "" || strings.Contains(strings.ToLower(c.Split), s.filter) {
					all = append(all, told{c, of.Address})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b told) int { return b.At.Compare(a.At) })
	for i, c := range all[:min(len(all), lastChanges)] {
		if i == 0 {
			s.blank()
			s.line(Part{"last changes:", Heading})
		}
		text := moment(c.At)
		if s.several {
			text += "  " + c.address
		}
		if c.Split != "" {
			text += "  " + c.Split
		}
		style := Plain
		if c.Wrong {
			style = Bad
		}
		s.paragraph("  ", text+"  "+c.Text, style)
	}
}

// wrapped returns a text in lines of at most so many characters, broken between words
// where that can be, and with nothing in them that a terminal would not show but do.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for word := range strings.SplitSeq(printable(text), " ") {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for utf8.RuneCountInString(word) > width {
			runes := []rune(word)
			lines, word = append(lines, string(runes[:width])), string(runes[width:])
		}
		line = word
	}
	return append(lines, line)
}

// fitted returns a text in exactly so many characters, its end cut off or spaces behind it.
func fitted(text string, width int) string {
	runes := []rune(printable(text))
	if len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return string(runes) + strings.Repeat(" ", width-len(runes))
}

// right returns a text in at least so many characters, with spaces before it.
func right(text string, width int) string { return fmt.Sprintf("%*s", width, cmp.Or(text, "-")) }
