package status

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
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
	Death    Moment // the last one of a serving process
	Dropped  Moment // the last line that the log lacks
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

// newView returns what to show of a report.
func newView(r *Report) *view {
	now := r.Now
	v := &view{Report: r, AsOf: Moment{now, now}, Started: Moment{r.Started, now}}
	if r.SplitFiles != nil {
		v.Reloaded = Moment{r.SplitFiles.LastReload, now}
	}
	if r.Processes != nil {
		v.Death = Moment{r.Processes.Last, now}
	}
	if r.Log != nil {
		v.Dropped = Moment{r.Log.Last, now}
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
