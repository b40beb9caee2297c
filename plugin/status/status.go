// Package status shows the state of a running server to operators: as metrics for
// Prometheus and as JSON, by HTTP on an address of its own. It changes nothing, and takes
// no part in Kong's requests.
package status

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"kong-traffic-split/plugin"
)

// A Source is what to show. Its functions have to be safe for concurrent use.
type Source struct {
	Version string
	// Commit is what the server was built from; empty: that is not known.
	Commit string
	// Splits returns the state of all splits at now.
	Splits func(now time.Time) []plugin.SplitStatus
	// ConfigErrors returns the configs that are wrong. Nil: that is not known.
	ConfigErrors func() []plugin.ConfigError
	// Problems returns what is wrong with the split files, while the last good ones are
	// in use. Nil: there are no split files.
	Problems func() []string
	// Hosts are names with dots that the Host header of requests may have.
	Hosts []string
	// State returns how the saved state is kept. Nil: it ends with the server.
	State func() SavedState
	// Probes returns the numbers of probes. Nil: there are none.
	Probes func() Probes
}

// SavedState is how the saved state is kept in a file.
type SavedState struct {
	Path string `json:"path"`
	// Problem is why not all of it can be saved; empty: it can.
	Problem string `json:"problem,omitempty"`
	// PutAside are files with it that could not be read.
	PutAside []string `json:"put_aside,omitempty"`
}

// Probes are the numbers of probes of backends.
type Probes struct {
	InFlight int `json:"in_flight"`
	Waiting  int `json:"waiting"`
	Limit    int `json:"limit"` // of those in flight
	// Unjudged are the probes so far that failed because the server had no file
	// descriptor or no memory for them. They are no evidence about a backend.
	Unjudged uint64 `json:"unjudged"`
}

// Handler returns a handler of GET /metrics and GET /status.
func Handler(s Source, log *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{s},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", &page{
		contentType: string(expfmt.NewFormat(expfmt.TypeTextPlain)),
		write:       func(to io.Writer) error { return writeMetrics(to, registry, log) },
	})
	mux.Handle("GET /status", &page{
		contentType: "application/json",
		write: func(to io.Writer) error {
			out := json.NewEncoder(to)
			out.SetIndent("", "  ")
			return out.Encode(s.report())
		},
	})
	hosts := make([]string, len(s.Hosts))
	for i, name := range s.Hosts {
		hosts[i] = hostName(name)
	}
	return guarded(mux, hosts)
}

// writeMetrics writes all metrics that are valid, and logs the others: if two splits have
// the same name, one of a file and one of a row, only their figures are missing.
func writeMetrics(to io.Writer, from prometheus.Gatherer, log *slog.Logger) error {
	families, err := from.Gather()
	if err != nil {
		log.Warn("some metrics are left out", "error", err)
	}
	out := expfmt.NewEncoder(to, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := out.Encode(family); err != nil {
			return err
		}
	}
	return nil
}

// A Report is what GET /status answers.
type Report struct {
	Version      string               `json:"version"`
	Commit       string               `json:"commit,omitempty"`
	SplitFiles   *SplitFiles          `json:"split_files,omitempty"`
	State        *SavedState          `json:"state,omitempty"`
	Probes       *Probes              `json:"probes,omitempty"`
	ConfigErrors []plugin.ConfigError `json:"config_errors"`
	Splits       []plugin.SplitStatus `json:"splits"`
}

// SplitFiles are the server's split files.
type SplitFiles struct {
	// Problems are what is wrong with them, while the last good ones are in use.
	Problems []string `json:"problems"`
}

func (s *Source) report() Report {
	r := Report{Version: s.Version, Commit: s.Commit, Splits: s.Splits(time.Now())}
	if r.ConfigErrors = []plugin.ConfigError{}; s.ConfigErrors != nil {
		r.ConfigErrors = s.ConfigErrors()
	}
	if s.Problems != nil {
		r.SplitFiles = &SplitFiles{append([]string{}, s.Problems()...)}
	}
	if s.State != nil {
		r.State = new(s.State())
	}
	if s.Probes != nil {
		r.Probes = new(s.Probes())
	}
	return r
}
