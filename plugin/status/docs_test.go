package status

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsOfDocs: the table of docs/operate.md has the metrics that there are.
func TestMetricsOfDocs(t *testing.T) {
	descriptions := make(chan *prometheus.Desc, 100)
	collector{}.Describe(descriptions)
	close(descriptions)
	var want []string
	for d := range descriptions {
		want = append(want, regexp.MustCompile(`traffic_split_\w+`).FindString(d.String()))
	}
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
