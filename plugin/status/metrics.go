package status

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kong-traffic-split/plugin"
)

func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("traffic_split_"+name, help, labels, nil)
}

var (
	buildInfo = described("build_info", "1, with the version of the plugin, and the commit that it was built from where that is known.", "version", "commit")
	splitInfo = described("info", "1, with the id of a split's plugin row, empty in the split files, and the revision in use.", "split", "id", "revision")
	filesRead = described("file_last_reload_success_timestamp_seconds", "When the split files were last read and right. None where that was not since the process began.")
	filesGood = described("file_last_reload_successful", "0 while the split files are wrong, and the last good ones are in use.")

	configError = described("config_error", "1 while the config of a plugin row, or of a split in the files, is wrong: the last good one is in use where there is one. None where it is right.", "split")

	stateSaved    = described("state_saved", "0 while what must outlive a restart cannot be saved, or not all of it.")
	statePutAside = described("state_put_aside", "Files of saved state that could not be used and were put aside, until somebody removes them.")

	probesInFlight = described("probes_in_flight", "Probes of backends that are under way.")
	probesWaiting  = described("probes_waiting", "Probes of backends that are late, as too many are under way.")
	probesLimit    = described("probes_limit", "How many probes of backends are under way at the same time at most.")
	probesUnjudged = described("probes_unjudged_total", "Probes that failed for want of file descriptors or memory of the server's own: they say nothing of the backend.")

	processDeaths = described("process_deaths_total", "Serving processes that were to go on, by how they ended: died, or hung, so that the parent has killed them. Each was replaced by another one.", "how")
	linesDropped  = described("log_lines_dropped_total", "Lines that the log lacks, as nobody has read it in time.")

	requests    = described("requests_total", "Requests and connections that a backend got, by the reason.", "split", "backend", "reason")
	companion   = described("companion", "Of a split with retry, or response headers to set or remove, 1 where Kong has the row of post-function that does that, and 0 where requests have shown that it has not, or that of another version. None while that is not known, as without -outcomes.", "split")
	unavailable = described("unavailable_total", "Requests and connections that no backend could take.", "split")
	missing     = described("outcomes_missing", "1 where a guard, passive health checks or shadows need outcomes of requests and Kong tells none: it has the dump of a server without -outcomes.", "split")
	outcomes    = described("outcomes_total", "Requests of a split with a guard, passive health, the companion or shadows, by what has become of them: ok, or failed on account of the backend.", "split", "backend", "outcome")
	responses   = described("responses_total", "Requests of a split with a guard, passive health, the companion or shadows, by the status of the response, 1xx to 5xx; grpc_error is one whose status of gRPC stands for a 5xx, and no_answer where there was none.", "split", "backend", "class")
	latency     = described("latency_seconds", "How long Kong waited for a backend to begin its response, on the last try, of a split with a guard, passive health, the companion or shadows. Responses of Kong's own are not in it.", "split", "backend")

	copies   = described("mirror_copies_total", "Copies that were sent to a shadow, by the status of its answer, 1xx to 5xx; no_answer is one that had none.", "split", "shadow", "class")
	uncopied = described("mirror_uncopied_total", "Requests that were to be copied to a shadow and were not, by the reason.", "split", "shadow", "reason")
	compared = described("mirror_compared_total", "Copies by whether the shadow has answered with a status of the same class as the backend, where outcomes are told: same, or differing.", "split", "shadow", "result")

	share      = described("backend_share", "A backend's share of new clients, from 0 to 1, by the weights, the ramp and slow starts.", "split", "backend")
	weight     = described("backend_weight", "A backend's weight in the config.", "split", "backend")
	observed   = described("backend_observed_share", "A backend's part of the split's requests in the last minute, from 0 to 1. None where there were none.", "split", "backend")
	drift      = described("drift_requests", "By how many requests the backend that is furthest from its share is off, of those that the weights decide: below 2. None with algorithm random.", "split")
	ejections  = described("ejections_total", "How often a backend of a split with a guard, passive health, the companion or shadows was ejected.", "split", "backend")
	up         = described("backend_up", "0 while a backend is ejected, its probes find it unhealthy, or Kong does not have its Upstream. None while that is not known, before the first request that it may be for.", "split", "backend")
	keptUp     = described("backend_kept", "1 while a backend takes requests although it is ejected or its probes find it unhealthy, as otherwise more than max_ejected of the weights would be out. None otherwise.", "split", "backend")
	rolledBack = described("ramp_rolled_back", "1 where the guard has rolled the ramp of a backend back.", "split", "backend")
	rampShare  = described("ramp_share", "The share of a ramp's backend, from 0 to 1.", "split", "backend")
	rampStep   = described("ramp_step", "The step of a ramp that is under way. None for a continuous ramp.", "split", "backend")
	rampSteps  = described("ramp_steps", "How many steps a ramp has. None for a continuous ramp.", "split", "backend")
	rampWaits  = described("ramp_waiting", "1 while the next step of a ramp waits for more than its time. None for a continuous ramp.", "split", "backend")
	rampHeld   = described("ramp_held", "1 while the config holds the share of a ramp, whatever the clock says.", "split", "backend")
	guardSaw   = described("guard_requests", "Requests in the window of a ramp's guard, by their outcome.", "split", "backend", "outcome")
	guardLeast = described("guard_min_requests", "How many requests there have to be in the window of a ramp's guard before they are judged.", "split", "backend")
	blocked    = described("ramp_rollback_blocked", "1 where the guard would roll the ramp of a backend back if another one could take its share.", "split", "backend")
)

// collector collects the metrics of a source.
type collector struct{ Source }

// Describe implements [prometheus.Collector].
func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{buildInfo, splitInfo, filesGood, filesRead, configError, stateSaved, statePutAside, probesInFlight, probesWaiting, probesLimit, probesUnjudged, processDeaths, linesDropped, requests, companion, unavailable, missing, outcomes, responses, latency, copies, uncopied, compared, share, weight, observed, drift, ejections, up, keptUp, rolledBack, blocked, rampShare, rampStep, rampSteps, rampWaits, rampHeld, guardSaw, guardLeast} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- metric(d, prometheus.GaugeValue, value, labels)
	}
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		to <- metric(d, prometheus.CounterValue, float64(value), labels)
	}
	gauge(buildInfo, 1, c.Version, c.Commit)
	if c.SplitFiles != nil {
		f := c.SplitFiles()
		gauge(filesGood, number(len(f.Problems) == 0))
		if !f.LastReload.IsZero() {
			gauge(filesRead, float64(f.LastReload.UnixMilli())/1000)
		}
	}
	if c.ConfigErrors != nil {
		seen := map[string]bool{}
		for _, e := range c.ConfigErrors() {
			if !seen[e.Split] { // an entry of a split file may have the name of a row
				seen[e.Split] = true
				gauge(configError, 1, e.Split)
			}
		}
	}
	if c.State != nil {
		s := c.State()
		gauge(stateSaved, number(s.Problem == ""))
		gauge(statePutAside, float64(len(s.PutAside)))
	}
	if c.Probes != nil {
		p := c.Probes()
		gauge(probesInFlight, float64(p.InFlight))
		gauge(probesWaiting, float64(p.Waiting))
		gauge(probesLimit, float64(p.Limit))
		counter(probesUnjudged, p.Unjudged)
	}
	if c.Processes != nil {
		p := c.Processes()
		counter(processDeaths, p.Died, "died")
		counter(processDeaths, p.Hung, "hung")
	}
	if c.Log != nil {
		counter(linesDropped, c.Log().Dropped)
	}
	now := time.Now()
	for _, s := range c.Splits(now) {
		gauge(splitInfo, 1, s.Split, s.ID, s.Revision)
		counter(unavailable, s.Unavailable, s.Split)
		if s.Drift != nil {
			gauge(drift, *s.Drift, s.Split)
		}
		if slices.ContainsFunc(s.Backends, func(b plugin.BackendStatus) bool { return b.Outcomes != nil }) {
			gauge(missing, number(!s.OutcomesMissing.IsZero()), s.Split)
		}
		if s.Companion != "" && s.Companion != plugin.CompanionUnknown {
			gauge(companion, number(s.Companion == plugin.CompanionRuns), s.Split)
		}
		if r := s.Ramp; r != nil {
			gauge(rolledBack, number(!r.RolledBack.IsZero()), s.Split, r.Backend)
			gauge(blocked, number(!r.RollbackBlocked.IsZero()), s.Split, r.Backend)
			gauge(rampShare, r.Share, s.Split, r.Backend)
			gauge(rampHeld, number(r.Held), s.Split, r.Backend)
			if r.Steps > 0 {
				gauge(rampStep, float64(r.Step), s.Split, r.Backend)
				gauge(rampSteps, float64(r.Steps), s.Split, r.Backend)
				gauge(rampWaits, number(r.Overdue(now)), s.Split, r.Backend)
			}
			if g := r.Guard; g != nil {
				gauge(guardSaw, float64(g.Requests-g.Failed), s.Split, r.Backend, "ok")
				gauge(guardSaw, float64(g.Failed), s.Split, r.Backend, "failed")
				gauge(guardLeast, float64(g.MinRequests), s.Split, r.Backend)
			}
		}
		for _, m := range s.Mirrors {
			for _, class := range slices.Sorted(maps.Keys(m.Copies)) {
				counter(copies, m.Copies[class], s.Split, m.Shadow, class)
			}
			for _, reason := range slices.Sorted(maps.Keys(m.Uncopied)) {
				counter(uncopied, m.Uncopied[reason], s.Split, m.Shadow, string(reason))
			}
			if m.Compared != nil {
				counter(compared, m.Compared.Same, s.Split, m.Shadow, "same")
				counter(compared, m.Compared.Differing, s.Split, m.Shadow, "differing")
			}
		}
		for _, b := range s.Backends {
			gauge(weight, float64(b.Weight), s.Split, b.Name)
			gauge(share, b.Share, s.Split, b.Name)
			if b.Recent != nil && b.Recent.Share != nil {
				gauge(observed, *b.Recent.Share, s.Split, b.Name)
			}
			if b.Up != nil {
				gauge(up, number(*b.Up), s.Split, b.Name)
			}
			if b.Kept {
				gauge(keptUp, 1, s.Split, b.Name)
			}
			for _, reason := range slices.Sorted(maps.Keys(b.Requests)) {
				counter(requests, b.Requests[reason], s.Split, b.Name, string(reason))
			}
			if o := b.Outcomes; o != nil {
				counter(ejections, b.Ejections, s.Split, b.Name)
				counter(outcomes, o.OK, s.Split, b.Name, "ok")
				counter(outcomes, o.Failed, s.Split, b.Name, "failed")
				for _, class := range slices.Sorted(maps.Keys(o.Classes)) {
					counter(responses, o.Classes[class], s.Split, b.Name, class)
				}
				to <- histogram(latency, &o.Latencies, s.Split, b.Name)
			}
		}
	}
}

// metric returns a metric, an invalid one after an error. It must not panic: Prometheus
// collects on goroutines of its own, so that a panic would end the process.
func metric(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels []string) prometheus.Metric {
	m, err := prometheus.NewConstMetric(d, kind, value, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return m
}

// histogram returns a histogram, an invalid one after an error, as metric does.
func histogram(d *prometheus.Desc, l *plugin.Latencies, labels ...string) prometheus.Metric {
	buckets := map[float64]uint64{}
	for i, bound := range plugin.LatencyBounds {
		buckets[bound.Seconds()] = l.UpTo[i]
	}
	m, err := prometheus.NewConstHistogram(d, l.Requests, l.Sum, buckets, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return m
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
