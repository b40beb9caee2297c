package status

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsOfDocs: the table of docs/operate.md has the metrics that there are.
func TestMetricsOfDocs(t *testing.T) {
	want := slices.Collect(maps.Keys(known()))
	text, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range regexp.MustCompile("(?m)^ *\\| `traffic_split_.*?\\|").FindAllString(string(text), -1) {
		got = append(got, regexp.MustCompile(`traffic_split_\w+`).FindAllString(row, -1)...)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics that there are (-) and those of docs/operate.md (+):\n%s", diff)
	}
}

// TestMetricsThatAreNamed: alerts, dashboard and pages name no metric and no label of one
// that is not there.
func TestMetricsThatAreNamed(t *testing.T) {
	metrics := known()
	maps.Copy(metrics, ofController(t))
	labels := regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*\\?"`)
	found := 0
	for _, path := range []string{
		"../../kong/observability/alerts.yml", "../../kong/observability/alerts_test.yml",
		"../../kong/observability/grafana/traffic-split.json",
		"../../docs/observability.md", "../../docs/operate.md", "../../docs/rollouts.md", "../../README.md",
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\b(traffic_split_\w+)(\{[^\n{][^\n}]*(?:\}\}[^\n}]*)*\})?`).FindAllStringSubmatch(string(text), -1) {
			name := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(m[1], "")
			labelled, is := metrics[name]
			if !is {
				t.Errorf("%s names %s, which there is not", path, m[1])
				continue
			}
			found++
			for _, label := range labels.FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(labelled, label[1]) && !slices.Contains([]string{"job", "instance", "le"}, label[1]) {
					t.Errorf("%s: %s has no label %s: %s", path, name, label[1], m[2])
				}
			}
		}
	}
	if found < 200 {
		t.Errorf("found %d metrics, so they are not looked for in the right way", found)
	}
}

// ofController are the metrics of the controller in Kubernetes, by its source: it is a module
// of its own.
func ofController(t *testing.T) map[string][]string {
	text, err := os.ReadFile("../../cmd/traffic-split-controller/controller/health.go")
	if err != nil {
		t.Fatal(err)
	}
	metrics := map[string][]string{}
	for _, m := range regexp.MustCompile(`NewDesc\("(\w+)".*, (?:nil|\[\]string\{(.*)\}), nil\)`).FindAllStringSubmatch(string(text), -1) {
		metrics[m[1]] = strings.Split(strings.ReplaceAll(m[2], `"`, ""), ", ")
	}
	return metrics
}

// known are the metrics that there are, each with its labels.
func known() map[string][]string {
	descriptions := make(chan *prometheus.Desc, 100)
	collector{}.Describe(descriptions)
	close(descriptions)
	metrics := map[string][]string{}
	for d := range descriptions {
		m := regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{(.*?)\}`).FindStringSubmatch(d.String())
		metrics[m[1]] = strings.Split(m[2], ",")
	}
	return metrics
}
