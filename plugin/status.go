package plugin

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"kong-traffic-split/plugin/health"
	"kong-traffic-split/plugin/split"
)

// SplitStatus is the state of a split, for operators. Its counts are those of this process
// alone.
type SplitStatus struct {
	// Split is its name in the split files, or that of its plugin row: the instance_name,
	// else the name of the route, Service or consumer that the row is on. It is the id
	// where there is none, or none is known before the first request.
	Split string `json:"split"`
	// ID is that of its plugin row; empty: it is in the split files.
	ID       string `json:"id,omitempty"`
	Revision string `json:"revision"`
	// Since is when that came into use in this process.
	Since time.Time `json:"since"`
	// Recent is nil until [Plugin.Sample] is called, and so is that of the backends.
	Recent *Recent `json:"recent,omitempty"`
	// Drift is by how many requests the backend that is furthest from its share is off, of
	// those that the weights decide. It is below 2 however often they are changed, unless
	// with a view to it; nil: algorithm random keeps no such bound.
	Drift *float64 `json:"drift,omitempty"`
	// Ramp is nil if there is none.
	Ramp     *RampStatus     `json:"ramp,omitempty"`
	Backends []BackendStatus `json:"backends"`
	// Mirrors are the shadows that get copies.
	Mirrors []MirrorStatus `json:"mirrors,omitempty"`
	// OutcomesMissing is since when Kong reports no outcomes of requests, so that neither
	// the guard nor passive health checks work; zero: it reports them, or they do not
	// matter.
	OutcomesMissing time.Time `json:"outcomes_missing,omitzero"`
	// Companion is empty unless the split takes that row.
	Companion Companion `json:"companion,omitempty"`
	// Unavailable are the requests that no backend could take.
	Unavailable uint64 `json:"unavailable"`
}

// RampStatus is the state of a ramp. Shares are from 0 to 1.
type RampStatus struct {
	Backend string  `json:"backend"`
	Share   float64 `json:"share"` // at the moment
	// From is the share before Start, To that from End on, by the clock.
	From  float64   `json:"from"`
	To    float64   `json:"to"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	// Course has the share from each time on by the clock, with what steps have waited so
	// far. That of a continuous ramp, whose Steps are 0, changes evenly in between.
	Course []RampPoint `json:"course"`
	// Step is the step under way, of Steps; both are 0 for a continuous ramp.
	Step  int `json:"step,omitempty"`
	Steps int `json:"steps,omitempty"`
	// Held is true while the config holds the share, whatever the clock says.
	Held bool `json:"held,omitempty"`
	// Next is when the next step begins, or a continuous ramp is at its end; zero: nothing
	// changes by the clock.
	Next time.Time `json:"next,omitzero"`
	// Behind is how many seconds the steps have waited so far.
	Behind float64 `json:"behind,omitempty"`
	// WaitsFor is what the next step waits for besides its time; empty: for nothing else.
	WaitsFor string `json:"waits_for,omitempty"`
	// RolledBack is since when it is rolled back, and Why the reason; zero: it is not.
	RolledBack time.Time `json:"rolled_back,omitzero"`
	Why        string    `json:"why,omitempty"`
	// RollbackBlocked is since when too many requests fail, but no other backend can take
	// the share, so that it is not rolled back; zero: that is not so.
	RollbackBlocked time.Time `json:"rollback_blocked,omitzero"`
	// Guard is nil if there is none.
	Guard *GuardStatus `json:"guard,omitempty"`
}

// Overdue reports whether the next step waits although its time has come.
func (r *RampStatus) Overdue(now time.Time) bool { return r.WaitsFor != "" && !r.Next.After(now) }

// RampPoint is the share of a ramp from a time on, from 0 to 1.
type RampPoint struct {
	At    time.Time `json:"at"`
	Share float64   `json:"share"`
}

// GuardStatus is what a guard has counted of the ramp's backend.
type GuardStatus struct {
	// Requests in its window, those of them that failed, and how many there have to be:
	// while there are fewer, the guard does nothing, and Judges is false.
	Requests    int  `json:"requests"`
	Failed      int  `json:"failed"`
	MinRequests int  `json:"min_requests"`
	Judges      bool `json:"judges"`
	// Others are the requests to all other backends, and OthersFailed those of them that
	// failed; 0 unless the guard compares with them.
	Others       int `json:"others,omitempty"`
	OthersFailed int `json:"others_failed,omitempty"`
	// Latency is that of the guard's quantile, in seconds; nil: the guard has no limit of
	// it, or the requests of the quantile had no answer.
	Latency *float64 `json:"latency,omitempty"`
	// Lacks is what there is too little of to judge by every limit; empty: nothing.
	Lacks split.Lack `json:"lacks,omitempty"`
	// Summary says it in words: "3 of 18 failed, judged from 20".
	Summary string `json:"summary"`
}

// BackendStatus is the state of a backend.
type BackendStatus struct {
	Name string `json:"name"`
	// Upstream is the name of Kong's Upstream; empty: it is none.
	Upstream string `json:"upstream,omitempty"`
	Weight   int    `json:"weight"`
	// Share of new clients, from 0 to 1, by the weights, the ramp and slow starts. It does
	// not count that others take the share of a backend that is not up.
	Share float64 `json:"share"`
	// Redirect is where it leads clients, with a star for each part of the URL that is the
	// request's; empty: it is a destination.
	Redirect string `json:"redirect,omitempty"`
	// Up is false while it is missing, ejected or found unhealthy by its probes. It is
	// nil while that is not known, as probes begin with the first request.
	Up *bool `json:"up,omitempty"`
	// Missing is true if Kong had no Upstream of its name when a request last asked.
	Missing bool `json:"missing,omitempty"`
	// EjectedUntil is zero if it is not ejected.
	EjectedUntil time.Time `json:"ejected_until,omitzero"`
	// Kept is true if it takes requests although it is not up, as otherwise more than
	// max_ejected of the weights would be out.
	Kept bool `json:"kept,omitempty"`
	// SlowStart is nil if it is in none.
	SlowStart *SlowStartStatus `json:"slow_start,omitempty"`
	// Ejections is how often it was ejected.
	Ejections uint64 `json:"ejections"`
	// Probe is nil if it is not probed, or had no request yet.
	Probe *health.Condition `json:"probe,omitempty"`
	// Requests that it got, by the reason.
	Requests map[split.Reason]uint64 `json:"requests"`
	Recent   *RecentBackend          `json:"recent,omitempty"`
	// Outcomes is nil if they do not matter, and so are not counted.
	Outcomes *Outcomes `json:"outcomes,omitempty"`
}

// SlowStartStatus is how far a backend has come in a slow start.
type SlowStartStatus struct {
	Since time.Time `json:"since"` // when it could be used again
	Until time.Time `json:"until"` // when it has its whole share
	Part  float64   `json:"part"`  // of its share, from 0 to 1
}

// Outcomes are the numbers of a backend's requests that succeeded, and of those that
// failed on its account.
type Outcomes struct {
	OK     uint64 `json:"ok"`
	Failed uint64 `json:"failed"`
	// Classes has them by the status of the answer, 1xx to 5xx, or grpc_error and no_answer.
	// Classes without requests are left out.
	Classes map[string]uint64 `json:"classes"`
	// Latencies are how long Kong waited for the backend to begin its answer.
	Latencies Latencies `json:"latencies"`
}

// Latencies are those of a number of requests.
type Latencies struct {
	Requests uint64  `json:"requests"`
	Sum      float64 `json:"sum"` // in seconds
	// UpTo are the numbers of requests with at most the latency of each of [LatencyBounds].
	UpTo [len(LatencyBounds)]uint64 `json:"-"`
}

// Status returns the state of all splits at now, in the order of their names.
func (p *Plugin) Status(now time.Time) []SplitStatus {
	all := []SplitStatus{}
	names := p.names()
	start := p.sampling.start(now)
	p.rows.each(func(l *live) {
		s := l.status(start, now)
		s.ID = s.Split
		s.Split = cmp.Or(names[s.ID], s.ID) // which may have begun meanwhile
		all = append(all, s)
	})
	p.file.each(func(l *live) { all = append(all, l.status(start, now)) })
	slices.SortFunc(all, func(a, b SplitStatus) int { return cmp.Compare(a.Split, b.Split) })
	return all
}

// status returns the state at now, with what has happened since start.
func (l *live) status(start, now time.Time) SplitStatus {
	state := l.state.Status(now)
	healthy := l.state.Health(&split.Facts{Now: now, Unhealthy: l.watches.unhealthy(), Changed: l.changed, Down: l.state.Missing()})
	s := SplitStatus{
		Split: l.split.Identity, Revision: l.split.Revision, Since: l.since,
		Backends: make([]BackendStatus, len(l.backends)), Unavailable: l.tally.unavailable.Load(),
	}
	recent := make([]*RecentBackend, len(l.backends))
	if !start.IsZero() {
		s.Recent, recent = l.recent(start, now)
	}
	if l.split.Algorithm != split.Random {
		s.Drift = new(state.Drift)
	}
	if l.judged {
		s.OutcomesMissing = l.tally.silence.since(now)
	}
	if l.tally.companion != nil {
		s.Companion = l.tally.companion.status(now)
	}
	if state.Ramp != nil {
		s.Ramp = l.rampStatus(state.Ramp)
	}
	for i := range l.shadows {
		s.Mirrors = append(s.Mirrors, l.shadows[i].status(l.observed))
	}
	for i := range l.backends {
		b := BackendStatus{
			Name: l.split.Backends[i].Name, Upstream: l.backends[i].Upstream, Weight: l.split.Backends[i].Weight, Share: healthy.Shares[i], Kept: healthy.Kept.Has(i), Probe: l.watches.condition(i),
			Ejections: l.tally.backends[i].ejections.Load(), Requests: map[split.Reason]uint64{}, Recent: recent[i],
		}
		if to := l.backends[i].Redirect; to != nil {
			b.Redirect = to.String()
		}
		b.EjectedUntil, b.Missing = state.Ejected[b.Name], l.state.Missing().Has(i)
		if ejected := !b.EjectedUntil.IsZero(); ejected || b.Probe != nil || !isProbed(&l.backends[i].Backend) {
			b.Up = new(!ejected && !b.Missing && (b.Probe == nil || b.Probe.Healthy))
		}
		if slow := healthy.SlowStarts[i]; slow != nil {
			b.SlowStart = &SlowStartStatus{slow.Since, slow.Until, float64(slow.Part) / 10000}
		}
		t := l.tally.backends[i]
		for j, reason := range split.Reasons {
			if reason == split.ByRetry && l.split.Retry == nil {
				continue
			}
			b.Requests[reason] = t.chosen[j].Load()
		}
		if l.observed {
			b.Outcomes = t.status()
		}
		s.Backends[i] = b
	}
	return s
}

func (l *live) rampStatus(r *split.RampStatus) *RampStatus {
	ramp := l.split.Ramp
	part := func(share int) float64 { return float64(share) / 10000 }
	byClock := *ramp
	byClock.Hold = nil
	end := ramp.Start.Add(ramp.Length())
	var points []RampPoint
	for _, point := range ramp.Course() {
		points = append(points, RampPoint{ramp.Start.Add(point.After + r.Behind), part(point.Share)})
	}
	s := &RampStatus{
		Backend: l.split.Backends[ramp.Backend].Name, Share: part(r.Share),
		From: part(ramp.From), To: part(byClock.ShareAt(end)), Start: ramp.Start, End: end, Course: points,
		Step: r.Step, Steps: r.Steps, Held: r.Held, Next: r.Ends, Behind: r.Behind.Seconds(), WaitsFor: r.Waits,
		RolledBack: r.RolledBack, Why: r.Why, RollbackBlocked: r.Blocked,
	}
	if g := r.Guard; g != nil {
		least := ramp.Guard.MinRequests
		s.Guard = &GuardStatus{
			Requests: g.Requests, Failed: g.Failed, MinRequests: least, Judges: g.Lacks == split.LacksNothing,
			Others: g.Others, OthersFailed: g.Failing, Lacks: g.Lacks,
			Summary: fmt.Sprintf("%d of %d failed, judged from %d", g.Failed, g.Requests, least),
		}
		if g.Timed > 0 && g.Latency != split.NoAnswer {
			s.Guard.Latency = new(g.Latency.Seconds())
		}
	}
	return s
}

func (t *backendTally) status() *Outcomes {
	r := t.result()
	o := &Outcomes{OK: r.observed - r.failed, Failed: r.failed, Classes: map[string]uint64{}}
	for c := nothing + 1; c < classes; c++ {
		if n := t.outcomes[c].Load(); n > 0 {
			o.Classes[c.String()] = n
		}
	}
	for i, n := range r.latencies {
		o.Latencies.Requests += n
		if i < len(LatencyBounds) {
			o.Latencies.UpTo[i] = o.Latencies.Requests
		}
	}
	o.Latencies.Sum = time.Duration(r.sum).Seconds()
	return o
}
