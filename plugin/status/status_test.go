package status

import (
	"bytes"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/health"
	"kong-traffic-split/plugin/split"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// source has a split with everything, and a plain one.
func source() Source {
	return Source{
		Version:  "1.2.3",
		Commit:   "0123abc",
		Problems: func() []string { return []string{"splits.yaml:1:1: wrong"} },
		State: func() SavedState {
			return SavedState{Path: "/s", Problem: "disk full", PutAside: []string{"/s.damaged"}}
		},
		ConfigErrors: func() []plugin.ConfigError {
			return []plugin.ConfigError{{Split: "p1", Route: "r1", Error: "rules: wrong", Since: noon, InUse: "the last good one"}, {Split: "p1"}}
		},
		Probes: func() Probes { return Probes{InFlight: 6, Waiting: 57, Limit: 6, Unjudged: 3} },
		Splits: func(time.Time) []plugin.SplitStatus {
			return []plugin.SplitStatus{
				{
					OutcomesMissing: noon, Split: "shop", ID: "p1", Revision: "abc", Unavailable: 5,
					Ramp: &plugin.RampStatus{
						Backend: "canary", Share: 0.25, To: 0.5, Start: noon, End: noon.Add(time.Hour), Step: 2, Steps: 3,
						Next: noon.Add(time.Minute), Behind: 1.5, WaitsFor: "18 of 20 requests", RolledBack: noon, Why: "too many failed",
						Guard: &plugin.GuardStatus{Requests: 18, Failed: 3, MinRequests: 20, Latency: new(0.25), Lacks: split.LacksRequests, Summary: "3 of 18 failed, judged from 20"},
					},
					Backends: []plugin.BackendStatus{
						{Name: "stable", Share: 0.75, Up: new(true), Requests: map[split.Reason]uint64{split.ByWeight: 7, split.BySession: 2}, Outcomes: &plugin.Outcomes{OK: 9, Classes: map[string]uint64{"2xx": 8, "3xx": 1}, Latencies: plugin.Latencies{Requests: 9, Sum: 0.5, UpTo: [11]uint64{2, 2, 2, 5, 9, 9, 9, 9, 9, 9, 9}}}},
						{
							Name: "canary", Share: 0.25, Up: new(false), EjectedUntil: noon.Add(time.Minute), Requests: map[split.Reason]uint64{split.ByWeight: 3}, Outcomes: &plugin.Outcomes{OK: 1, Failed: 2, Classes: map[string]uint64{"4xx": 1, "no_answer": 2}},
							Probe: &health.Condition{Target: "http://10.0.0.1:80/", Since: noon, LastError: "no answer within 1s"},
						},
					},
				},
				{Split: "web", Revision: "def", Backends: []plugin.BackendStatus{{Name: "a", Share: 1, Up: new(true), Requests: map[split.Reason]uint64{split.ByWeight: 1}}}},
			}
		},
	}
}

func get(t *testing.T, s Source, log io.Writer, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(s, slog.New(slog.NewTextHandler(log, nil))).ServeHTTP(w, httptest.NewRequest(method, "http://localhost"+path, nil))
	return w
}

// ours are the samples of the plugin, without those of histograms but for one bucket, the
// sum and the count of each.
func ours(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "traffic_split_"); ok && (!strings.Contains(rest, "le=") || strings.Contains(rest, `le="0.05"`)) {
			lines = append(lines, strings.TrimSpace(rest))
		}
	}
	return lines
}

func TestMetrics(t *testing.T) {
	w := get(t, source(), io.Discard, "GET", "/metrics")
	want := []string{
		`backend_share{backend="a",split="web"} 1`,
		`backend_share{backend="canary",split="shop"} 0.25`,
		`backend_share{backend="stable",split="shop"} 0.75`,
		`backend_up{backend="a",split="web"} 1`,
		`backend_up{backend="canary",split="shop"} 0`,
		`backend_up{backend="stable",split="shop"} 1`,
		`build_info{commit="0123abc",version="1.2.3"} 1`,
		`config_error{split="p1"} 1`,
		`file_last_reload_successful 0`,
		`guard_min_requests{backend="canary",split="shop"} 20`,
		`guard_requests{backend="canary",outcome="failed",split="shop"} 3`,
		`guard_requests{backend="canary",outcome="ok",split="shop"} 15`,
		`info{id="",revision="def",split="web"} 1`,
		`info{id="p1",revision="abc",split="shop"} 1`,
		`latency_seconds_bucket{backend="canary",split="shop",le="0.05"} 0`,
		`latency_seconds_sum{backend="canary",split="shop"} 0`,
		`latency_seconds_count{backend="canary",split="shop"} 0`,
		`latency_seconds_bucket{backend="stable",split="shop",le="0.05"} 5`,
		`latency_seconds_sum{backend="stable",split="shop"} 0.5`,
		`latency_seconds_count{backend="stable",split="shop"} 9`,
		`outcomes_missing{split="shop"} 1`,
		`outcomes_total{backend="canary",outcome="failed",split="shop"} 2`,
		`outcomes_total{backend="canary",outcome="ok",split="shop"} 1`,
		`outcomes_total{backend="stable",outcome="failed",split="shop"} 0`,
		`outcomes_total{backend="stable",outcome="ok",split="shop"} 9`,
		`probes_in_flight 6`,
		`probes_limit 6`,
		`probes_unjudged_total 3`,
		`probes_waiting 57`,
		`ramp_held{backend="canary",split="shop"} 0`,
		`ramp_rollback_blocked{backend="canary",split="shop"} 0`,
		`ramp_rolled_back{backend="canary",split="shop"} 1`,
		`ramp_share{backend="canary",split="shop"} 0.25`,
		`ramp_step{backend="canary",split="shop"} 2`,
		`ramp_steps{backend="canary",split="shop"} 3`,
		`ramp_waiting{backend="canary",split="shop"} 1`,
		`requests_total{backend="a",reason="weight",split="web"} 1`,
		`requests_total{backend="canary",reason="weight",split="shop"} 3`,
		`requests_total{backend="stable",reason="session",split="shop"} 2`,
		`requests_total{backend="stable",reason="weight",split="shop"} 7`,
		`responses_total{backend="canary",class="4xx",split="shop"} 1`,
		`responses_total{backend="canary",class="no_answer",split="shop"} 2`,
		`responses_total{backend="stable",class="2xx",split="shop"} 8`,
		`responses_total{backend="stable",class="3xx",split="shop"} 1`,
		`state_put_aside 1`,
		`state_saved 0`,
		`unavailable_total{split="shop"} 5`,
		`unavailable_total{split="web"} 0`,
	}
	if diff := cmp.Diff(want, ours(w.Body.String())); w.Code != 200 || diff != "" {
		t.Errorf("%d (-want +got):\n%s", w.Code, diff)
	}
	if !strings.Contains(w.Body.String(), "\ngo_goroutines ") {
		t.Error("nothing of the process is there")
	}
}

// The names and the help are as Prometheus' own linter wants them.
func TestMetricsAreWellNamed(t *testing.T) {
	problems, err := testutil.CollectAndLint(collector{source()})
	if err != nil || len(problems) > 0 {
		t.Errorf("got %v, %v", problems, err)
	}
}

func TestFilesThatAreGoodOrNone(t *testing.T) {
	s := source()
	s.Problems = func() []string { return nil }
	if text := get(t, s, io.Discard, "GET", "/metrics").Body.String(); !strings.Contains(text, "\ntraffic_split_file_last_reload_successful 1\n") {
		t.Error("files that are good are not said to be")
	}
	if text := get(t, s, io.Discard, "GET", "/status").Body.String(); !strings.Contains(text, `"problems": []`) {
		t.Errorf("got %s", text)
	}
	s.Problems = nil
	for path, files := range map[string]string{"/metrics": "traffic_split_file", "/status": "split_files"} {
		if text := get(t, s, io.Discard, "GET", path).Body.String(); strings.Contains(text, files) {
			t.Errorf("without files, %s has %s", path, text)
		}
	}
}

// What cannot be a metric costs itself only, and the log says so.
func TestMetricsThatCannotBe(t *testing.T) {
	s := source()
	splits := s.Splits
	s.Splits = func(now time.Time) []plugin.SplitStatus {
		return append(splits(now), plugin.SplitStatus{Split: "web"}, plugin.SplitStatus{Split: "\xff"})
	}
	var log bytes.Buffer
	w := get(t, s, &log, "GET", "/metrics")
	if n := len(ours(w.Body.String())); w.Code != 200 || n != 49 {
		t.Errorf("%d, %d samples, want 49", w.Code, n)
	}
	if !strings.Contains(log.String(), "web") || !strings.Contains(log.String(), "UTF-8") {
		t.Errorf("the log: %s", &log)
	}
}

func TestJSON(t *testing.T) {
	w := get(t, source(), io.Discard, "GET", "/status")
	const want = `{
  "version": "1.2.3",
  "commit": "0123abc",
  "split_files": {
    "problems": [
      "splits.yaml:1:1: wrong"
    ]
  },
  "state": {
    "path": "/s",
    "problem": "disk full",
    "put_aside": [
      "/s.damaged"
    ]
  },
  "probes": {
    "in_flight": 6,
    "waiting": 57,
    "limit": 6,
    "unjudged": 3
  },
  "config_errors": [
    {
      "split": "p1",
      "route_id": "r1",
      "error": "rules: wrong",
      "since": "2026-11-01T12:00:00Z",
      "in_use": "the last good one"
    },
    {
      "split": "p1",
      "error": "",
      "since": "0001-01-01T00:00:00Z",
      "in_use": ""
    }
  ],
  "splits": [
    {
      "split": "shop",
      "id": "p1",
      "revision": "abc",
      "ramp": {
        "backend": "canary",
        "share": 0.25,
        "from": 0,
        "to": 0.5,
        "start": "2026-11-01T12:00:00Z",
        "end": "2026-11-01T13:00:00Z",
        "step": 2,
        "steps": 3,
        "next": "2026-11-01T12:01:00Z",
        "behind": 1.5,
        "waits_for": "18 of 20 requests",
        "rolled_back": "2026-11-01T12:00:00Z",
        "why": "too many failed",
        "guard": {
          "requests": 18,
          "failed": 3,
          "min_requests": 20,
          "judges": false,
          "latency": 0.25,
          "lacks": "requests",
          "summary": "3 of 18 failed, judged from 20"
        }
      },
      "backends": [
        {
          "name": "stable",
          "share": 0.75,
          "up": true,
          "requests": {
            "session": 2,
            "weight": 7
          },
          "outcomes": {
            "ok": 9,
            "failed": 0,
            "classes": {
              "2xx": 8,
              "3xx": 1
            },
            "latencies": {
              "requests": 9,
              "sum": 0.5
            }
          }
        },
        {
          "name": "canary",
          "share": 0.25,
          "up": false,
          "ejected_until": "2026-11-01T12:01:00Z",
          "probe": {
            "target": "http://10.0.0.1:80/",
            "healthy": false,
            "since": "2026-11-01T12:00:00Z",
            "last_error": "no answer within 1s"
          },
          "requests": {
            "weight": 3
          },
          "outcomes": {
            "ok": 1,
            "failed": 2,
            "classes": {
              "4xx": 1,
              "no_answer": 2
            },
            "latencies": {
              "requests": 0,
              "sum": 0
            }
          }
        }
      ],
      "outcomes_missing": "2026-11-01T12:00:00Z",
      "unavailable": 5
    },
    {
      "split": "web",
      "revision": "def",
      "backends": [
        {
          "name": "a",
          "share": 1,
          "up": true,
          "requests": {
            "weight": 1
          }
        }
      ],
      "unavailable": 0
    }
  ]
}
`
	if diff := cmp.Diff(want, w.Body.String()); diff != "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v (-want +got):\n%s", w.Header(), diff)
	}
}

func TestNothingElse(t *testing.T) {
	for request, want := range map[string]int{"GET /": 404, "POST /metrics": 405, "DELETE /status": 405, "HEAD /status": 200} {
		method, path, _ := strings.Cut(request, " ")
		if got := get(t, source(), io.Discard, method, path).Code; got != want {
			t.Errorf("%s: %d, want %d", request, got, want)
		}
	}
}
