// Package status shows an operator how a running server does, as metrics for
// Prometheus and as JSON, by HTTP on an address of its own. It only looks: who asks
// changes nothing, and it takes no part in any request of Kong's.
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

// A Source is what there is to see. Its functions may be called by several
// goroutines at once.
type Source struct {
	Version string
	// Splits tells how all splits do at now.
	Splits func(now time.Time) []plugin.SplitStatus
	// ConfigErrors tells which configs are wrong. Nil: nobody knows.
	ConfigErrors func() []plugin.ConfigError
	// Problems is what is wrong with the split files, of which the last good ones are
	// in use. Nil: there are no split files.
	Problems func() []string
	// Hosts are names with dots by which clients may call the server.
	Hosts []string
	// State says how the saved state outlives the server. Nil: it does not.
	State func() SavedState
	// Probes says how the probes of backends do. Nil: there are none.
	Probes func() Probes
}

// SavedState is how what must outlive the server is saved.
type SavedState struct {
	Path string `json:"path"`
	// Problem is why it is not saved; empty: it is.
	Problem string `json:"problem,omitempty"`
	// PutAside are files of it that could not be used.
	PutAside []string `json:"put_aside,omitempty"`
}

// Probes are how many probes of backends there are.
type Probes struct {
	InFlight int `json:"in_flight"`
	Waiting  int `json:"waiting"`
	Limit    int `json:"limit"` // of those in flight
	// Unjudged are those so far that failed for want of file descriptors or memory of
	// the server's own, and so say nothing of a backend.
	Unjudged uint64 `json:"unjudged"`
}

// Handler answers GET /metrics and GET /status.
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

// writeMetrics writes what can be a metric; of the others the log tells: splits of the
// same name, of a file and of a row, cost their own figures only.
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

// report is what GET /status answers.
type report struct {
	Version      string               `json:"version"`
	SplitFiles   *splitFiles          `json:"split_files,omitempty"`
	State        *SavedState          `json:"state,omitempty"`
	Probes       *Probes              `json:"probes,omitempty"`
	ConfigErrors []plugin.ConfigError `json:"config_errors"`
	Splits       []plugin.SplitStatus `json:"splits"`
}

type splitFiles struct {
	Problems []string `json:"problems"`
}

func (s *Source) report() report {
	r := report{Version: s.Version, Splits: s.Splits(time.Now())}
	if r.ConfigErrors = []plugin.ConfigError{}; s.ConfigErrors != nil {
		r.ConfigErrors = s.ConfigErrors()
	}
	if s.Problems != nil {
		r.SplitFiles = &splitFiles{append([]string{}, s.Problems()...)}
	}
	if s.State != nil {
		r.State = new(s.State())
	}
	if s.Probes != nil {
		r.Probes = new(s.Probes())
	}
	return r
}
