package controller

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kong-traffic-split/cmd/traffic-split-controller/splits"
)

// state is what metrics and health tell of the last step.
type state struct {
	good, partial, wrong int // routes
	splits               int
	problems             []string
	writeErr             error
	stepped              time.Time
	written              time.Time
}

// note takes note of a step.
func (c *Controller) note(routes []splits.Route, entries int, changed bool, err error, now time.Time) {
	s := state{splits: entries, writeErr: err, stepped: now}
	for _, r := range routes {
		switch {
		case r.Wrong:
			s.wrong++
		case len(r.Problems) > 0:
			s.partial++
		default:
			s.good++
		}
		if message := messageOf(r); message != "" {
			s.problems = append(s.problems, r.Object.GetKind()+" "+r.Object.GetNamespace()+"/"+r.Object.GetName()+": "+message)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.written = c.state.written
	if changed {
		s.written = now
	}
	c.state = s
}

// Ready reports whether there is a file for the plugin server to start with: that of this
// process, or the one from before. An API server that is away does not change it.
func (c *Controller) Ready() error {
	c.mu.Lock()
	stepped := c.state.stepped
	c.mu.Unlock()
	if stepped.IsZero() && !c.File.Exists() {
		return errNotReady
	}
	return nil
}

// Handler serves /readyz, /healthz and /metrics.
func (c *Controller) Handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{c})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := c.Ready(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		c.describe(w)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { c.describe(w) })
	return mux
}

// describe writes what is wrong, a line each, or ok.
func (c *Controller) describe(w http.ResponseWriter) {
	c.mu.Lock()
	s := c.state
	c.mu.Unlock()
	wrong := slices.Clone(s.problems) // others read them at the same time
	if err := c.Ready(); err != nil {
		wrong = append(wrong, err.Error())
	}
	if s.writeErr != nil {
		wrong = append(wrong, s.writeErr.Error())
	}
	for _, watch := range c.Cluster.Watches() {
		if watch.Err != nil {
			wrong = append(wrong, fmt.Sprintf("%ss cannot be read: %v", watch.Kind, watch.Err))
		}
	}
	if len(wrong) == 0 {
		wrong = []string{"ok"}
	}
	for _, line := range wrong {
		fmt.Fprintln(w, line)
	}
}

// collector collects the metrics.
type collector struct{ *Controller }

var (
	routesDesc = prometheus.NewDesc("traffic_split_controller_routes", "HTTPRoutes and GRPCRoutes that have the plugin: good, partial (with a warning), or wrong (their last good splits stay in use).", []string{"state"}, nil)
	splitsDesc = prometheus.NewDesc("traffic_split_controller_splits", "Splits in the file.", nil, nil)
	watchDesc  = prometheus.NewDesc("traffic_split_controller_watch_up", "1 if the API server answers about this kind of objects, 0 if not: the last ones stay in use.", []string{"kind"}, nil)
	fileDesc   = prometheus.NewDesc("traffic_split_controller_file_error", "1 if the split file could not be written: the last one stays in use.", nil, nil)
	timeDesc   = prometheus.NewDesc("traffic_split_controller_file_changed_timestamp_seconds", "When this process last changed the file.", nil, nil)
)

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{routesDesc, splitsDesc, watchDesc, fileDesc, timeDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	s := c.state
	c.mu.Unlock()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(routesDesc, float64(s.good), "good")
	gauge(routesDesc, float64(s.partial), "partial")
	gauge(routesDesc, float64(s.wrong), "wrong")
	gauge(splitsDesc, float64(s.splits))
	gauge(fileDesc, one(s.writeErr != nil))
	if !s.written.IsZero() {
		gauge(timeDesc, float64(s.written.UnixMilli())/1000)
	}
	for _, watch := range c.Cluster.Watches() {
		gauge(watchDesc, one(watch.Err == nil), watch.Kind)
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
