package status

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"kong-traffic-split/plugin"
)

type splitView struct {
	ID          string // of its element
	Name        string
	Row         string // the id of its plugin row; empty: it is in the split files
	Revision    string
	Since       Moment
	Open        bool
	Wrong       []string
	Notices     []string // those of it that nothing else shows
	Stage       string   // how far its ramp is, in a few words; empty: it has none
	Shares      string   // of its backends, likewise
	Brief       string   // what it has had lately
	Observed    bool     // the outcomes of its requests are known
	Unavailable string
	Drift       string // by how many requests shares are off; empty: they are not kept
	Scale       string // the share of a bar of full length; empty: 100 %
	Backends    []backendView
	Shadows     []string // what each has got, in words
	Ramp        *rampView
}

func viewSplit(s *plugin.SplitStatus, now time.Time) *splitView {
	v := &splitView{
		ID: name("split", s.Split, s.ID), Name: s.Split, Row: s.ID, Revision: s.Revision, Since: Moment{s.Since, now},
		Wrong: wrongWith(s, now), Notices: notices(s, now),
	}
	var ramp string
	if s.Ramp != nil {
		ramp = s.Ramp.Backend
		v.Ramp = viewRamp(s, now)
		v.Stage = v.Ramp.Stage
	}
	highest := 0.
	for i := range s.Backends {
		b := &s.Backends[i]
		v.Observed = v.Observed || b.Outcomes != nil
		v.Backends = append(v.Backends, viewBackend(b, b.Name == ramp, now))
		if highest = max(highest, b.Share); b.Recent != nil && b.Recent.Share != nil {
			highest = max(highest, *b.Recent.Share)
		}
	}
	full := scaleOf(highest)
	if full > fewShare {
		full = 1
	}
	v.measure(s, full)
	for i := range s.Mirrors {
		v.Shadows = append(v.Shadows, shadowText(&s.Mirrors[i]))
	}
	v.Shares, v.Brief = shares(s), brief(s)
	if s.Drift != nil {
		v.Drift = strconv.FormatFloat(*s.Drift, 'f', 1, 64)
	}
	if s.Unavailable > 0 {
		v.Unavailable = grouped(s.Unavailable)
	}
	return v
}

// note adds something that is wrong, which nothing else shows.
func (s *splitView) note(text string) {
	s.Wrong, s.Notices = append(s.Wrong, text), append(s.Notices, text)
}

// shares says what share each backend has.
func shares(s *plugin.SplitStatus) string {
	if len(s.Backends) > fewBackends {
		return count(uint64(len(s.Backends)), "backend")
	}
	all := make([]string, len(s.Backends))
	for i, b := range s.Backends {
		all[i] = b.Name + " " + percentage(b.Share)
	}
	return strings.Join(all, ", ")
}

// brief says what a split has had lately.
func brief(s *plugin.SplitStatus) string {
	if s.Recent == nil {
		return ""
	}
	text := requestsIn(s.Recent.Requests, s.Recent.Seconds)
	if s.Recent.Unavailable > 0 {
		text += ", " + grouped(s.Recent.Unavailable) + " of them unavailable"
	}
	return text
}

func requestsIn(n uint64, seconds float64) string {
	if seconds < 59 {
		return fmt.Sprintf("%s in the last %.0f s", count(n, "request"), seconds)
	}
	return count(n, "request") + " in the last minute"
}

func count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}

// measure makes the bars, whose full length is that share.
func (s *splitView) measure(of *plugin.SplitStatus, full float64) {
	if full < 1 {
		s.Scale = percentage(full)
	}
	for i := range s.Backends {
		b := &of.Backends[i]
		s.Backends[i].SetAt, s.Backends[i].GotTo = length(b.Share/full), "0%"
		if b.Recent != nil && b.Recent.Share != nil {
			s.Backends[i].GotTo = length(*b.Recent.Share / full)
		}
	}
}

// scaleOf returns the share at the end of a scale that has one as high as that.
func scaleOf(highest float64) float64 {
	for _, full := range []float64{0.01, 0.05, 0.1, 0.25, 0.5, 0.75} {
		if highest <= full && highest > 0 {
			return full
		}
	}
	return 1
}

// Search is the text by which a split is found on the page.
func (s *splitView) Search() string {
	names := []string{s.Name, s.Row}
	for i := range s.Backends {
		names = append(names, s.Backends[i].Name)
	}
	return strings.ToLower(strings.Join(names, "\n"))
}
