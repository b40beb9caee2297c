package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The plain route's rounds differ by a factor of two, as where the machine is busy with
// something else; the ratios do not.
var played = []figures{
	{name: "plain", rounds: []figure{
		{perS: 10000, median: .2, p99: 1, worker: 50},
		{perS: 20000, median: .1, p99: 2, worker: 40},
		{perS: 5000, median: .4, p99: 9, worker: 100},
	}},
	{name: "ours0", rounds: []figure{
		{perS: 6000, median: .3, p99: 2, worker: 70},
		{perS: 13000, median: .2, p99: 3, worker: 61},
		{perS: 3500, median: .5, p99: 8, worker: 122},
	}},
	{name: "ours1", rounds: []figure{
		{perS: 5000, median: .3, p99: 2, worker: 90},
		{perS: 10000, median: .2, p99: 3, worker: 80},
		{perS: 2500, median: .5, p99: 8, worker: 140},
	}},
}

var playedCalls = map[string][]string{"ours0": {}, "ours1": {"kong.service.set_target"}}

func TestReport(t *testing.T) {
	got := newReport(played, playedCalls)
	want := []Result{
		{Name: "plain", PerS: 10000, Ratio: 1, Spread: [2]float64{1, 1}, Latency: Latency{Median: .2, P99: 2}, Worker: 50},
		{
			Name: "ours0", PerS: 6000, Ratio: .65, Spread: [2]float64{.625, .675}, Latency: Latency{Median: .3, P99: 3},
			Worker: 70, AbovePlain: 21, Calls: []string{},
		},
		{
			Name: "ours1", PerS: 5000, Ratio: .5, Spread: [2]float64{.5, .5}, Latency: Latency{Median: .3, P99: 3},
			Worker: 90, AbovePlain: 40, Calls: []string{"kong.service.set_target"},
		},
	}
	if diff := cmp.Diff(want, got.Results); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestJSONOfReport(t *testing.T) {
	r := newReport(played[:2], playedCalls)
	r.CPUs, r.Connections, r.Round, r.Rounds = 2, 32, 2, 3
	var got strings.Builder
	if err := r.WriteJSON(&got); err != nil {
		t.Fatal(err)
	}
	want := `{
		"cpus": 2, "connections": 32, "round_s": 2, "rounds": 3,
		"contestants": [
			{
				"name": "plain", "throughput": 10000, "ratio": 1, "ratio_spread": [1, 1],
				"latency_ms": {"median": 0.2, "p99": 2}, "worker_us": 50, "worker_us_above_plain": 0, "calls": null
			},
			{
				"name": "ours0", "throughput": 6000, "ratio": 0.65, "ratio_spread": [0.625, 0.675],
				"latency_ms": {"median": 0.3, "p99": 3}, "worker_us": 70, "worker_us_above_plain": 21, "calls": []
			}
		]
	}`
	if diff := cmp.Diff(decoded(t, want), decoded(t, got.String())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func decoded(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTableOfReport(t *testing.T) {
	var got strings.Builder
	if err := newReport(played, playedCalls).WriteTable(&got); err != nil {
		t.Fatal(err)
	}
	want := `   contestant   requests/s   of plain   quartiles   median ms   p99 ms   worker µs   above plain   calls
        plain        10000       1.00   1.00–1.00       0.200    2.000        50.0           0.0        
        ours0         6000       0.65   0.62–0.68       0.300    3.000        70.0          21.0       0
        ours1         5000       0.50   0.50–0.50       0.300    3.000        90.0          40.0       1
ours1 calls kong.service.set_target
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		of      []float64
		q, want float64
	}{
		{[]float64{7}, .5, 7},
		{[]float64{9, 1, 5}, .5, 5},
		{[]float64{100, 1, 5, 3}, .5, 4},
		{[]float64{4, 3, 2, 1, 0}, .25, 1},
		{[]float64{1, 2}, .99, 1.99},
		{[]float64{1, 2}, 1, 2},
	} {
		if got := quantile(tt.of, tt.q); got != tt.want {
			t.Errorf("%v of %v: %v, want %v", tt.q, tt.of, got, tt.want)
		}
	}
}
