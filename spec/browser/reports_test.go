package browser

import (
	"fmt"
	"strings"
	"time"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/health"
	"kong-traffic-split/plugin/split"
	"kong-traffic-split/plugin/status"
)

// backend returns one that has got what it should.
func backend(name string, share float64, requests uint64) plugin.BackendStatus {
	return plugin.BackendStatus{
		Name: name, Weight: int(share * 100), Share: share, Up: new(true),
		Requests: map[split.Reason]uint64{split.ByWeight: 40 * requests},
		Recent:   &plugin.RecentBackend{Requests: requests},
	}
}

// observed adds outcomes, of which some have failed.
func observed(b plugin.BackendStatus, failed uint64, latency, p95 float64) plugin.BackendStatus {
	b.Recent.Observed, b.Recent.Failed, b.Recent.Latency, b.Recent.LatencyP95 = b.Recent.Requests, failed, new(latency), new(p95)
	b.Outcomes = &plugin.Outcomes{OK: b.Recent.Requests - failed, Failed: failed}
	return b
}

// splitOf returns a split with these backends.
func splitOf(name string, backends ...plugin.BackendStatus) plugin.SplitStatus {
	s := plugin.SplitStatus{Split: name, Revision: "3f9a1c20", Since: time.Now().Add(-40 * time.Minute), Recent: &plugin.Recent{Seconds: 60}, Backends: backends, Drift: new(0.6)}
	for _, b := range backends {
		s.Recent.Requests += b.Recent.Requests
	}
	for i := range backends {
		if s.Recent.Requests > 0 {
			backends[i].Recent.Share = new(float64(backends[i].Recent.Requests) / float64(s.Recent.Requests))
		}
	}
	return s
}

// plan gives a split a ramp of four steps of 10 minutes, which began 25 minutes ago.
func plan(s plugin.SplitStatus) plugin.SplitStatus {
	start := time.Now().Add(-25 * time.Minute)
	s.Ramp = &plugin.RampStatus{
		Backend: "canary", Share: 0.25, To: 1, Start: start, End: start.Add(40 * time.Minute), Step: 3, Steps: 5,
		Next: start.Add(30 * time.Minute), WaitsFor: "118 of 200 requests",
		Guard: &plugin.GuardStatus{Requests: 118, Failed: 3, MinRequests: 20, Judges: true, Latency: new(0.25), Summary: "3 of 118 failed, judged from 20"},
	}
	for i, share := range []float64{0.01, 0.05, 0.25, 0.5, 1} {
		s.Ramp.Course = append(s.Ramp.Course, plugin.RampPoint{At: start.Add(time.Duration(i) * 10 * time.Minute), Share: share})
	}
	return s
}

func rollout() plugin.SplitStatus {
	return plan(splitOf("shop", observed(backend("stable", 0.75, 914), 1, 0.054, 0.1), observed(backend("canary", 0.25, 302), 9, 0.21, 0.5)))
}

// rolledBack returns the same after a rollback.
func rolledBack() plugin.SplitStatus {
	s := splitOf("shop", observed(backend("stable", 1, 1216), 1, 0.054, 0.1), observed(backend("canary", 0, 0), 0, 0.21, 0.5))
	s.Backends[1].Recent = &plugin.RecentBackend{Share: new(0.0)}
	s = plan(s)
	r := s.Ramp
	r.Share, r.Next, r.WaitsFor, r.RolledBack, r.Why = 0, time.Time{}, "", time.Now().Add(-4*time.Minute), "18 of 60 requests failed"
	return s
}

func continuous() plugin.SplitStatus {
	s := splitOf("checkout", backend("v1", 0.4, 400), backend("v2", 0.6, 600))
	start := time.Now().Add(-36 * time.Minute)
	s.Ramp = &plugin.RampStatus{
		Backend: "v2", Share: 0.6, To: 1, Start: start, End: start.Add(time.Hour), Next: start.Add(time.Hour),
		Course: []plugin.RampPoint{{At: start}, {At: start.Add(time.Hour), Share: 1}},
	}
	return s
}

func unhealthy() plugin.SplitStatus {
	s := splitOf("accounts", observed(backend("a", 0.5, 500), 0, 0.012, 0.025), observed(backend("b", 0.3, 12), 12, 0.9, 1), observed(backend("c", 0.2, 0), 0, 0.1, 0.1))
	s.Backends[1].Up, s.Backends[1].EjectedUntil, s.Backends[1].Ejections = new(false), time.Now().Add(22*time.Second), 3
	s.Backends[2].Up = new(false)
	s.Backends[2].Probe = &health.Condition{Target: "http://10.0.0.7:8080/healthz", LastError: "dial tcp 10.0.0.7:8080: connect: connection refused", Since: time.Now().Add(-time.Hour)}
	s.Unavailable, s.Recent.Unavailable = 1204, 17
	return s
}

// many returns n healthy splits.
func many(n int) (all []plugin.SplitStatus) {
	for i := range n {
		all = append(all, splitOf(fmt.Sprintf("route-%03d", i), backend("stable", 0.9, 90), backend("next", 0.1, 10)))
	}
	return all
}

const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>` + "\u202eabc\u2066\x1b[2J\x00"

// hostileSplit has names that are not to be anything but text.
func hostileSplit() plugin.SplitStatus {
	s := splitOf(hostile, observed(backend(hostile, 0.5, 10), 2, 0.1, 0.1), observed(backend(`"'><svg onload=alert(1)>`, 0.5, 10), 0, 0.1, 0.1))
	s = plan(s)
	s.Ramp.Backend, s.Ramp.WaitsFor, s.Revision, s.ID = hostile, hostile, hostile, hostile
	s.Backends[1].Up, s.Backends[1].Probe = new(false), &health.Condition{Target: "javascript:alert(1)", LastError: hostile}
	return s
}

func longNames() plugin.SplitStatus {
	return splitOf(strings.Repeat("a-very-long-name-", 15), backend(strings.Repeat("x", 255), 0.5, 10), backend("a name of several words and العربية and 漢字", 0.5, 11))
}

func manyBackends() plugin.SplitStatus {
	var all []plugin.BackendStatus
	for i := range 64 {
		all = append(all, backend(fmt.Sprintf("node-%02d", i), 1.0/64, uint64(10+i%3)))
	}
	return splitOf("wide", all...)
}

// source shows these splits, and what has gone on.
func source(splits ...plugin.SplitStatus) status.Source {
	began := time.Now().Add(-time.Hour)
	return status.Source{
		Version: plugin.Version, Commit: "4055785", Started: began,
		Splits:     func(time.Time) []plugin.SplitStatus { return splits },
		SplitFiles: func() status.SplitFiles { return status.SplitFiles{LastReload: began} },
		Probes:     func() status.Probes { return status.Probes{Limit: 64, InFlight: 1} },
		Changes: func() (all []status.Change) {
			for i := range 12 {
				all = append(all, status.Change{At: began.Add(time.Duration(i) * time.Minute), Split: "shop", Text: fmt.Sprintf("a weight has changed backend=canary weight=%d->%d", i, i+1)})
			}
			return append(all, status.Change{At: time.Now().Add(-4 * time.Minute), Split: "shop", Text: `a ramp was rolled back backend=canary share=25->0 why="18 of 60 requests failed"`, Wrong: true})
		},
	}
}
