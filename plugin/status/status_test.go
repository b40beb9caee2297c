package status

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/health"
	"kong-traffic-split/plugin/mirror"
	"kong-traffic-split/plugin/split"
)

var update = flag.Bool("update", false, "write testdata anew")

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// source has a split with everything, and a plain one.
func source() Source {
	return Source{
		Version:    "1.2.3",
		Commit:     "0123abc",
		SplitFiles: func() SplitFiles { return SplitFiles{Problems: []string{"splits.yaml:1:1: wrong"}} },
		State: func() SavedState {
			return SavedState{Path: "/s", Problem: "disk full", PutAside: []string{"/s.damaged"}}
		},
		ConfigErrors: func() []plugin.ConfigError {
			return []plugin.ConfigError{{Split: "p1", Route: "r1", Error: "rules: wrong", Since: noon, InUse: "the last good one"}, {Split: "p1"}}
		},
		Probes:    func() Probes { return Probes{InFlight: 6, Waiting: 57, Limit: 6, Unjudged: 3} },
		Processes: func() Processes { return Processes{Died: 2, Hung: 1, Last: noon} },
		Log:       func() Log { return Log{Dropped: 7, Last: noon} },
		Started:   noon,
		Changes: func() []Change {
			return []Change{{At: noon, Split: "p1", Text: "a weight has changed backend=canary weight=10->20"}, {At: noon, Text: "wrong", Wrong: true}}
		},
		Splits: func(time.Time) []plugin.SplitStatus {
			return []plugin.SplitStatus{
				{
					OutcomesMissing: noon, Split: "shop", ID: "p1", Revision: "abc", Since: noon, Unavailable: 5,
					Recent: &plugin.Recent{Seconds: 60, Requests: 6, Unavailable: 1}, Drift: new(0.25),
					Ramp: &plugin.RampStatus{
						Backend: "canary", Share: 0.25, To: 0.5, Start: noon, End: noon.Add(time.Hour), Step: 2, Steps: 3,
						Course: []plugin.RampPoint{{At: noon}, {At: noon.Add(time.Hour), Share: 0.5}},
						Next:   noon.Add(time.Minute), Behind: 1.5, WaitsFor: "18 of 20 requests", RolledBack: noon, Why: "too many failed",
						Guard: &plugin.GuardStatus{Requests: 18, Failed: 3, MinRequests: 20, Latency: new(0.25), Lacks: split.LacksRequests, Summary: "3 of 18 failed, judged from 20"},
					},
					Mirrors: []plugin.MirrorStatus{{
						Shadow: "shadow", Percent: 10, Copies: map[string]uint64{"2xx": 4, "no_answer": 2}, Uncopied: map[mirror.Drop]uint64{mirror.QueueFull: 3},
						Compared: &plugin.Compared{Same: 4, Differing: 2}, Wrong: "refused", WrongAt: noon,
					}},
					Backends: []plugin.BackendStatus{
						{Name: "stable", Weight: 3, Share: 0.75, Up: new(true), SlowStart: &plugin.SlowStartStatus{Since: noon, Until: noon.Add(time.Minute), Part: 0.5}, Recent: &plugin.RecentBackend{Requests: 4, Share: new(4. / 6), Observed: 4, Latency: new(0.056), LatencyP95: new(0.1)}, Requests: map[split.Reason]uint64{split.ByWeight: 7, split.BySession: 2}, Outcomes: &plugin.Outcomes{OK: 9, Classes: map[string]uint64{"2xx": 8, "3xx": 1}, Latencies: plugin.Latencies{Requests: 9, Sum: 0.5, UpTo: [11]uint64{2, 2, 2, 5, 9, 9, 9, 9, 9, 9, 9}}}},
						{
							Name: "canary", Weight: 1, Share: 0.25, Ejections: 2, Kept: true, Recent: &plugin.RecentBackend{Requests: 1, Share: new(1. / 6), Observed: 3, Failed: 2}, Up: new(false), EjectedUntil: noon.Add(time.Minute), Requests: map[split.Reason]uint64{split.ByWeight: 3}, Outcomes: &plugin.Outcomes{OK: 1, Failed: 2, Classes: map[string]uint64{"4xx": 1, "no_answer": 2}},
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

// metricsAt returns the metrics of that time.
func metricsAt(t *testing.T, at time.Time) (w *httptest.ResponseRecorder) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(at))
		w = get(t, source(), io.Discard, "GET", "/metrics")
	})
	return w
}

// A step waits for more than its time from when that is over on.
func TestMetricOfWaitingStep(t *testing.T) {
	for want, at := range []time.Time{noon.Add(59 * time.Second), noon.Add(time.Minute)} {
		if got := metricsAt(t, at).Body.String(); !strings.Contains(got, fmt.Sprintf("ramp_waiting{backend=\"canary\",split=\"shop\"} %d\n", want)) {
			t.Errorf("at %v it is not %d", at, want)
		}
	}
}

func TestMetrics(t *testing.T) {
	w := metricsAt(t, noon.Add(time.Hour))
	want := []string{
		`backend_kept{backend="canary",split="shop"} 1`,
		`backend_observed_share{backend="canary",split="shop"} 0.16666666666666666`,
		`backend_observed_share{backend="stable",split="shop"} 0.6666666666666666`,
		`backend_share{backend="a",split="web"} 1`,
		`backend_share{backend="canary",split="shop"} 0.25`,
		`backend_share{backend="stable",split="shop"} 0.75`,
		`backend_up{backend="a",split="web"} 1`,
		`backend_up{backend="canary",split="shop"} 0`,
		`backend_up{backend="stable",split="shop"} 1`,
		`backend_weight{backend="a",split="web"} 0`,
		`backend_weight{backend="canary",split="shop"} 1`,
		`backend_weight{backend="stable",split="shop"} 3`,
		`build_info{commit="0123abc",version="1.2.3"} 1`,
		`config_error{split="p1"} 1`,
		`drift_requests{split="shop"} 0.25`,
		`ejections_total{backend="canary",split="shop"} 2`,
		`ejections_total{backend="stable",split="shop"} 0`,
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
		`log_lines_dropped_total 7`,
		`mirror_compared_total{result="differing",shadow="shadow",split="shop"} 2`,
		`mirror_compared_total{result="same",shadow="shadow",split="shop"} 4`,
		`mirror_copies_total{class="2xx",shadow="shadow",split="shop"} 4`,
		`mirror_copies_total{class="no_answer",shadow="shadow",split="shop"} 2`,
		`mirror_uncopied_total{reason="queue_full",shadow="shadow",split="shop"} 3`,
		`outcomes_missing{split="shop"} 1`,
		`outcomes_total{backend="canary",outcome="failed",split="shop"} 2`,
		`outcomes_total{backend="canary",outcome="ok",split="shop"} 1`,
		`outcomes_total{backend="stable",outcome="failed",split="shop"} 0`,
		`outcomes_total{backend="stable",outcome="ok",split="shop"} 9`,
		`probes_in_flight 6`,
		`probes_limit 6`,
		`probes_unjudged_total 3`,
		`probes_waiting 57`,
		`process_deaths_total{how="died"} 2`,
		`process_deaths_total{how="hung"} 1`,
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
	s.SplitFiles = func() SplitFiles { return SplitFiles{LastReload: time.Unix(1_700_000_000, 500_000_000)} }
	if text := get(t, s, io.Discard, "GET", "/metrics").Body.String(); !strings.Contains(text, "\ntraffic_split_file_last_reload_successful 1\n") || !strings.Contains(text, "\ntraffic_split_file_last_reload_success_timestamp_seconds 1.7000000005e+09\n") {
		t.Error("files that are good are not said to be")
	}
	if text := get(t, s, io.Discard, "GET", "/status").Body.String(); !strings.Contains(text, `"problems": []`) {
		t.Errorf("got %s", text)
	}
	s.SplitFiles = nil
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
	if n := len(ours(w.Body.String())); w.Code != 200 || n != 66 {
		t.Errorf("%d, %d samples, want 66", w.Code, n)
	}
	if !strings.Contains(log.String(), "web") || !strings.Contains(log.String(), "UTF-8") {
		t.Errorf("the log: %s", &log)
	}
}

func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // for the time that it says
		const path = "testdata/status.json"
		w := get(t, source(), io.Discard, "GET", "/status")
		if *update {
			if err := os.WriteFile(path, w.Body.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), w.Body.String()); diff != "" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%v (-want +got):\n%s", w.Header(), diff)
		}
	})
}

func TestNothingElse(t *testing.T) {
	for request, want := range map[string]int{"GET /": 200, "HEAD /": 200, "HEAD /events": 200, "POST /": 405, "POST /events": 405, "GET /x": 404, "POST /metrics": 405, "DELETE /status": 405, "HEAD /status": 200} {
		method, path, _ := strings.Cut(request, " ")
		if got := get(t, source(), io.Discard, method, path).Code; got != want {
			t.Errorf("%s: %d, want %d", request, got, want)
		}
	}
}
