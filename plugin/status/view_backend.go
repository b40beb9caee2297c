package status

import (
	"fmt"
	"time"

	"kong-traffic-split/plugin"
)

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
	Takes      string  // what it takes other than its condition and its weight say; empty: nothing
	TakesUntil *Moment // likewise; nil: that is not known
	Ejections  uint64
	ProbeSince *Moment
	Probe      string
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
	case b.Redirect != "":
		v.Condition = "redirects to " + b.Redirect
	case b.Missing:
		v.Condition = "missing: Kong has no Upstream of its name"
	case !b.EjectedUntil.IsZero():
		v.Condition, v.Until = "ejected until", &Moment{b.EjectedUntil, now}
	}
	v.Takes = takes(b)
	if slow := b.SlowStart; slow != nil {
		v.TakesUntil = &Moment{slow.Until, now}
	}
	if p := b.Probe; p != nil {
		v.ProbeSince = &Moment{p.Since, now}
		if v.Probe = p.Target; !p.Healthy && p.LastError != "" {
			v.Probe += ": " + p.LastError
		}
	}
	return v
}

// takes says what a backend takes other than its condition and its weight say; empty: nothing.
func takes(b *plugin.BackendStatus) string {
	switch {
	case b.Kept:
		return "takes requests all the same: more than max_ejected would be out"
	case b.SlowStart != nil:
		return "in a slow start, at " + percentage(b.SlowStart.Part) + " of its share"
	}
	return ""
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
