// Package status shows the state of a running server to operators: as a page, as metrics for
// Prometheus and as JSON, by HTTP on an address of its own. It changes nothing, and takes
// no part in Kong's requests.
package status

import (
	"cmp"
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
	// Schema is Kong's schema of the plugin, of which the report has a hash. Nil: none.
	Schema []byte
	// Outcomes is whether Kong is to report what becomes of requests.
	Outcomes bool
	// Splits returns the state of all splits at now.
	Splits func(now time.Time) []plugin.SplitStatus
	// ConfigErrors returns the configs that are wrong. Nil: that is not known.
	ConfigErrors func() []plugin.ConfigError
	// Started is when the process began.
	Started time.Time
	// SplitFiles returns how reading the split files went. Nil: there are none.
	SplitFiles func() SplitFiles
	// Changes returns what has changed lately. Nil: that is not known.
	Changes func() []Change
	// Hosts are names with dots that the Host header of requests may have.
	Hosts []string
	// State returns how the saved state is kept. Nil: it ends with the server.
	State func() SavedState
	// Probes returns the numbers of probes. Nil: there are none.
	Probes func() Probes
	// Processes returns how the processes before this one have ended. Nil: the server has no
	// parent process that starts another one.
	Processes func() Processes
	// Log returns what the log lacks. Nil: that is not known.
	Log func() Log
}

// Processes are those that served before this one and were to go on, in this server and
// those that it has taken over from.
type Processes struct {
	// Died are those that ended by themselves, or were killed by somebody else; Hung are
	// those that the parent has killed, as they did not answer any more.
	Died uint64 `json:"died"`
	Hung uint64 `json:"hung"`
	// Last is when the last one died; zero: none has.
	Last time.Time `json:"last,omitzero"`
}

// Log is what the log of this process lacks, as nobody has read it in time.
type Log struct {
	Dropped uint64    `json:"dropped"` // lines
	Last    time.Time `json:"last,omitzero"`
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

// Handler returns a handler of GET /metrics and GET /status, and of GET / and GET /events,
// the page for people and what happens on it.
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
			out.SetEscapeHTML(false) // people read it, and no browser takes it for HTML
			return out.Encode(s.report())
		},
	})
	mux.Handle("GET /{$}", &page{
		contentType: "text/html; charset=utf-8",
		write:       func(to io.Writer) error { return writeDocument(to, s.report()) },
	})
	mux.Handle("GET /events", &feed{sections: func() []section { return sections(s.report()) }})
	hosts := make([]string, len(s.Hosts))
	for i, name := range s.Hosts {
		hosts[i] = hostName(name)
	}
	return guarded(secured(mux), hosts)
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
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	// Schema is [SchemaHash] of the schema that Kong has to have; empty: it is not known.
	Schema string `json:"schema,omitempty"`
	// Outcomes is whether the server was started with -outcomes.
	Outcomes bool `json:"outcomes"`
	// Now is the server's time, and Started when the process began, from which on it counts.
	Now     time.Time `json:"now"`
	Started time.Time `json:"started,omitzero"`
	// Healthy is true where nothing is Wrong, a sentence for each thing that is.
	Healthy      bool                 `json:"healthy"`
	Wrong        []string             `json:"wrong"`
	SplitFiles   *SplitFiles          `json:"split_files,omitempty"`
	State        *SavedState          `json:"state,omitempty"`
	Probes       *Probes              `json:"probes,omitempty"`
	Processes    *Processes           `json:"processes,omitempty"`
	Log          *Log                 `json:"log,omitempty"`
	ConfigErrors []plugin.ConfigError `json:"config_errors"`
	Splits       []plugin.SplitStatus `json:"splits"`
	// Changes are the last ones, the oldest first.
	Changes []Change `json:"changes"`
}

// SplitFiles are the server's split files.
type SplitFiles struct {
	// Problems are what is wrong with them, while the last good ones are in use.
	Problems []string `json:"problems"`
	// LastReload is when they were last read and right; zero: not since the process began.
	LastReload time.Time `json:"last_reload,omitzero"`
}

func (s *Source) report() *Report {
	now := time.Now()
	r := &Report{
		Version: s.Version, Commit: s.Commit, Schema: SchemaHash(s.Schema), Outcomes: s.Outcomes, Now: now.UTC(), Started: s.Started.UTC(),
		ConfigErrors: []plugin.ConfigError{}, Splits: s.Splits(now), Changes: []Change{},
	}
	if s.ConfigErrors != nil {
		r.ConfigErrors = s.ConfigErrors()
	}
	if s.SplitFiles != nil {
		r.SplitFiles = new(s.SplitFiles())
		r.SplitFiles.Problems = append([]string{}, r.SplitFiles.Problems...)
	}
	if s.State != nil {
		r.State = new(s.State())
	}
	if s.Probes != nil {
		r.Probes = new(s.Probes())
	}
	if s.Processes != nil {
		r.Processes = new(s.Processes())
	}
	if s.Log != nil {
		r.Log = new(s.Log())
	}
	if s.Changes != nil {
		names := map[string]string{}
		for _, split := range r.Splits {
			if split.ID != "" {
				names[split.ID] = split.Split
			}
		}
		for _, c := range s.Changes() {
			c.Split = cmp.Or(names[c.Split], c.Split) // the log has the row's id
			r.Changes = append(r.Changes, c)
		}
	}
	r.Wrong = r.wrong()
	r.Healthy = len(r.Wrong) == 0
	return r
}
