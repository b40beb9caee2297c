package status

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"kong-traffic-split/plugin"
)

const (
	// fewSplits is how many splits are all shown open. Of more, those are where something
	// is wrong or a ramp is under way.
	fewSplits = 6
	// The page has so many splits, backends and sentences, as a browser, and whoever makes
	// it each second, has to cope. What is wrong comes before all else.
	maxSplits   = 500
	maxBackends = 4000
	maxWrong    = 50
	// fewBackends is how many are named where a split is closed.
	fewBackends = 4
	// fewShare is a share up to which bars are drawn larger: else those of many backends
	// could not be told apart.
	fewShare = 0.1
	// newChanges is how many changes are shown at first.
	newChanges = 8
	// bad is one of how many requests may fail until that is marked.
	bad = 100
)

// view is what the page shows of a report.
type view struct {
	*Report
	AsOf     Moment
	Started  Moment
	Reloaded Moment // the split files
	Wrong    []sentence
	More     int // that are wrong, too
	Splits   []*splitView
	Left     int // splits that are not shown
	Changes  []changeView
}

// sentence is one with a name for the element that has it: the same as long as it says
// the same.
type sentence struct {
	ID, Text string
	Split    string // the element of the split that it is about; empty: of none
}

type changeView struct {
	At          Moment
	Split, Text string
	Wrong       bool
}

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
	Ramp        *rampView
}

type backendView struct {
	Name       string
	Ramp       bool // it is the ramp's
	Weight     int
	Set        string // its share by weights and ramp
	Got        string // its share of the last minute's requests; empty: there were none
	SetAt      string // the same as lengths of the bar
	GotTo      string
	Requests   string // of the last minute
	All        string // since the process began
	Failed     string
	Bad        bool // more than 1 % of them have
	Latency    string
	P95        string
	Health     string // "up", "down" or "unknown"
	Condition  string
	Until      *Moment // it is in that condition; nil: that is not known
	Ejections  uint64
	ProbeSince *Moment
	Probe      string
}

// newView returns what to show of a report.
func newView(r *Report) *view {
	now := r.Now
	v := &view{Report: r, AsOf: Moment{now, now}, Started: Moment{r.Started, now}}
	if r.SplitFiles != nil {
		v.Reloaded = Moment{r.SplitFiles.LastReload, now}
	}
	about := map[string]string{} // the elements of the splits that sentences are about
	for i := range r.Splits {
		s := viewSplit(&r.Splits[i], now)
		for _, text := range s.Wrong {
			about[text] = s.ID
		}
		for _, e := range r.ConfigErrors {
			if e.Split == s.Name {
				s.note("its config is wrong since " + moment(e.Since) + ": " + e.Error + "; in use is " + e.InUse)
			}
		}
		s.Open = len(r.Splits) <= fewSplits || len(s.Wrong) > 0 || s.Ramp != nil && s.Ramp.UnderWay
		v.Splits = append(v.Splits, s)
	}
	for i, text := range r.Wrong {
		if slices.Contains(r.Wrong[:i], text) {
			continue
		}
		if len(v.Wrong) == maxWrong {
			v.More++
			continue
		}
		v.Wrong = append(v.Wrong, sentence{name("wrong", text), text, about[text]})
	}
	v.Left = len(v.Splits)
	v.Splits = bounded(v.Splits)
	v.Left -= len(v.Splits)
	for _, c := range slices.Backward(r.Changes) {
		v.Changes = append(v.Changes, changeView{Moment{c.At, now}, c.Split, c.Text, c.Wrong})
	}
	return v
}

// bounded returns as many splits as the page may have.
func bounded(all []*splitView) []*splitView {
	backends := 0
	for _, s := range all {
		backends += len(s.Backends)
	}
	if len(all) <= maxSplits && backends <= maxBackends {
		return all
	}
	slices.SortStableFunc(all, func(a, b *splitView) int { return cmp.Compare(min(1, len(b.Wrong)), min(1, len(a.Wrong))) })
	backends = 0
	for i, s := range all {
		if backends += len(s.Backends); i == maxSplits || backends > maxBackends {
			return all[:i]
		}
	}
	return all
}

// Edition is that of the page's style and script.
func (v *view) Edition() string { return pageEdition }

// Title says in the browser's tab whether something is wrong.
func (v *view) Title() string {
	if n := len(v.Wrong) + v.More; n > 0 {
		return fmt.Sprintf("%d wrong · traffic-split", n)
	}
	return "traffic-split"
}

// NewChanges and OldChanges are those to show at first, and on request.
func (v *view) NewChanges() []changeView { return v.Changes[:min(newChanges, len(v.Changes))] }

// OldChanges are the others.
func (v *view) OldChanges() []changeView { return v.Changes[len(v.NewChanges()):] }

// name returns the name of an element about that: letters and digits alone, whatever the
// texts are.
func name(kind string, texts ...string) string {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%q", texts)
	return fmt.Sprintf("%s-%016x", kind, h.Sum64())
}

func viewSplit(s *plugin.SplitStatus, now time.Time) *splitView {
	v := &splitView{
		ID: name("split", s.Split, s.ID), Name: s.Split, Row: s.ID, Revision: s.Revision, Since: Moment{s.Since, now},
		Wrong: wrongWith(s),
	}
	if !s.OutcomesMissing.IsZero() {
		v.Notices = v.Wrong[:1:1] // it is the first one
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

func viewBackend(b *plugin.BackendStatus, ramp bool, now time.Time) backendView {
	v := backendView{
		Name: b.Name, Ramp: ramp, Weight: b.Weight, Set: percentage(b.Share),
		Ejections: b.Ejections, Health: "unknown", Condition: "not known yet",
	}
	var all uint64
	for _, n := range b.Requests {
		all += n
	}
	v.All = grouped(all)
	if r := b.Recent; r != nil {
		v.Requests = grouped(r.Requests)
		if r.Share != nil {
			v.Got = percentage(*r.Share)
		}
		v.Failed, v.Bad = failures(r.Failed, r.Observed), r.Failed*bad > r.Observed
		v.Latency, v.P95 = latencies(r.Latency, r.LatencyP95)
	}
	if b.Up != nil {
		v.Health, v.Condition = "up", "healthy"
		if !*b.Up {
			v.Health, v.Condition = "down", "unhealthy"
		}
	}
	switch {
	case b.Missing:
		v.Condition = "missing: Kong has no Upstream of its name"
	case !b.EjectedUntil.IsZero():
		v.Condition, v.Until = "ejected until", &Moment{b.EjectedUntil, now}
	}
	if p := b.Probe; p != nil {
		v.ProbeSince = &Moment{p.Since, now}
		if v.Probe = p.Target; !p.Healthy && p.LastError != "" {
			v.Probe += ": " + p.LastError
		}
	}
	return v
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

// length returns a part of a whole as a length in an image.
func length(part float64) string { return fmt.Sprintf("%.4g%%", min(max(part, 0), 1)*100) }

// failures says how many of the requests whose outcome is known have failed; empty: there
// are none.
func failures(failed, of uint64) string {
	switch {
	case of == 0:
		return ""
	case failed == 0:
		return "0 %"
	}
	return fmt.Sprintf("%s (%s of %s)", percentage(float64(failed)/float64(of)), grouped(failed), grouped(of))
}

// latencies writes a mean and a bound; empty: there is none.
func latencies(mean, p95 *float64) (string, string) {
	if mean == nil {
		return "", ""
	}
	if p95 == nil {
		return duration(*mean), "> " + duration(plugin.LatencyBounds[len(plugin.LatencyBounds)-1].Seconds())
	}
	return duration(*mean), "≤ " + duration(*p95)
}

// Search is the text by which a split is found on the page.
func (s *splitView) Search() string {
	names := []string{s.Name, s.Row}
	for i := range s.Backends {
		names = append(names, s.Backends[i].Name)
	}
	return strings.ToLower(strings.Join(names, "\n"))
}
