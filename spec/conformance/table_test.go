package conformance

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/gateway-api/conformance/tests"
)

// cell finds the names of the suite's tests.
var cell = regexp.MustCompile("`((?:HTTPRoute|GRPC)[A-Za-z0-9]+)`")

// TestTable has the table in docs/gateway-api.md name each of the suite's tests of
// HTTPRoutes once, and say yes of exactly those that have to pass here.
func TestTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/gateway-api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n## Conformance\n")
	if !ok {
		t.Fatal("docs/gateway-api.md has no section Conformance")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	said := map[string]string{}
	for line := range strings.Lines(table) {
		columns := strings.Split(line, "|")
		if len(columns) < 5 || !cell.MatchString(columns[3]) {
			continue
		}
		verdict := strings.TrimSpace(columns[2])
		for _, name := range cell.FindAllStringSubmatch(columns[3], -1) {
			if said[name[1]] != "" {
				t.Errorf("%s stands there twice", name[1])
			}
			said[name[1]] = verdict
		}
	}
	for _, test := range tests.ConformanceTests {
		if !strings.HasPrefix(test.ShortName, "HTTPRoute") && !strings.HasPrefix(test.ShortName, "GRPC") {
			continue
		}
		verdict := said[test.ShortName]
		delete(said, test.ShortName)
		switch {
		case !slices.Contains([]string{"yes", "partly", "no"}, verdict):
			t.Errorf("%s: the table says %q of it", test.ShortName, verdict)
		case (verdict == "yes") != slices.Contains(passes, test.ShortName):
			t.Errorf("%s: the table says %s, and it has to pass: %v", test.ShortName, verdict, slices.Contains(passes, test.ShortName))
		}
	}
	for name := range said {
		t.Errorf("%s: the suite has no such test", name)
	}
}
