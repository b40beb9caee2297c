package spec

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// observability is the folder of what watches the plugin server.
const observability = "../kong/observability"

// An alert is a rule in alerts.yml.
type alert struct {
	Alert               string
	Expr                string
	Labels, Annotations map[string]string
}

func alerts(t testing.TB) (found []alert) {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alert }
	}
	readYAML(t, observability+"/alerts.yml", &file)
	for _, g := range file.Groups {
		found = append(found, g.Rules...)
	}
	return found
}

func readYAML(t testing.TB, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// promtool runs Prometheus' tool, or skips the test where it is not.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("no promtool on this machine; Debian has it in the package prometheus")
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPrometheusTakesItsConfig(t *testing.T) {
	promtool(t, "check", "config", observability+"/prometheus.yml") // with the rules that it names
	shown := regexp.MustCompile("(?s)```yaml\n(scrape_configs:.*?)```").FindStringSubmatch(textOf(t, "../docs/observability.md"))
	if shown == nil {
		t.Fatal("docs/observability.md shows none")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"prometheus.yml": shown[1], "alerts.yml": textOf(t, observability+"/alerts.yml")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, "check", "config", filepath.Join(dir, "prometheus.yml"))
}

func TestCasesOfAlerts(t *testing.T) {
	promtool(t, "test", "rules", observability+"/alerts_test.yml")
}

// Each alert has a case in which it fires, with the texts that people get, and one in
// which it does not.
func TestAlertsHaveCases(t *testing.T) {
	var file struct {
		Tests []struct {
			Cases []struct {
				Name   string `yaml:"alertname"`
				Alerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, observability+"/alerts_test.yml", &file)
	var want, fires, silent []string
	for _, a := range alerts(t) {
		want = append(want, a.Alert)
	}
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			if len(c.Alerts) > 0 {
				fires = append(fires, c.Name)
			} else {
				silent = append(silent, c.Name)
			}
		}
	}
	if diff := cmp.Diff(want, fires); diff != "" {
		t.Errorf("alerts (-) and the cases in which they fire (+):\n%s", diff)
	}
	if diff := cmp.Diff(want, silent); diff != "" {
		t.Errorf("alerts (-) and the cases in which they do not (+):\n%s", diff)
	}
}

// An alert says what is wrong and what to do, and how bad it is; docs/observability.md has
// a section for each, in the same order, which says the same of how bad it is.
func TestAlertsSayWhatToDo(t *testing.T) {
	text := textOf(t, "../docs/observability.md")
	var want []string
	for _, a := range alerts(t) {
		want = append(want, a.Alert+" "+a.Labels["severity"])
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s: severity %q", a.Alert, a.Labels["severity"])
		}
		page := "docs/observability.md#" + strings.ToLower(a.Alert)
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" || a.Annotations["runbook_url"] != page {
			t.Errorf("%s: a summary, a description and the runbook_url %s are needed: %q", a.Alert, page, a.Annotations)
		}
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^### (TrafficSplit\w+)\n\n(\w+):`).FindAllStringSubmatch(text, -1) {
		got = append(got, m[1]+" "+strings.ToLower(m[2]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts (-) and sections of docs/observability.md (+):\n%s", diff)
	}
}

// Prometheus can read each query that the dashboard and the documentation have.
func TestQueriesCanBeRead(t *testing.T) {
	type rule struct{ Record, Expr string }
	var rules []rule
	for i, q := range queries(t) {
		rules = append(rules, rule{fmt.Sprintf("query:%d", i), q})
	}
	if len(rules) < 40 {
		t.Errorf("found %d queries, so they are not looked for in the right way", len(rules))
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "queries", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", "--lint=none", file)
}

// queries are those of the dashboard and of docs/observability.md, with the values that
// variables may have.
func queries(t testing.TB) (found []string) {
	t.Helper()
	for _, target := range targets(t) {
		found = append(found, target.Expr)
	}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(textOf(t, "../docs/observability.md"), -1) {
		for _, document := range strings.Split(block[1], "\n---\n") {
			var node yaml.Node
			if err := yaml.Unmarshal([]byte(document), &node); err != nil {
				t.Fatalf("docs/observability.md: %v\n%s", err, document)
			}
			found = append(found, valuesOf(&node, "query")...)
		}
	}
	for i, q := range found {
		found[i] = withValues(q)
	}
	return found
}

// A target is a query of the dashboard's, and what its series are called.
type target struct {
	Expr   string
	Legend string `yaml:"legendFormat"`
}

func targets(t testing.TB) (all []target) {
	t.Helper()
	var dashboard struct {
		Panels []struct{ Targets []target }
	}
	readYAML(t, observability+"/grafana/traffic-split.json", &dashboard) // JSON is YAML
	for _, p := range dashboard.Panels {
		all = append(all, p.Targets...)
	}
	return all
}

// withValues is a query with values in place of its variables.
func withValues(query string) string {
	return strings.NewReplacer(
		"$__rate_interval", "5m", "$job", ".*", "$instance", ".*", "$split", "shop",
		"{{args.split}}", "shop", "{{args.backend}}", "canary", "{{ interval }}", "5m",
		"{{ variables.split }}", "shop", "{{ variables.backend }}", "canary",
	).Replace(query)
}

// valuesOf are the texts that a document has for a key, wherever that is.
func valuesOf(n *yaml.Node, key string) (found []string) {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == key && child.Kind == yaml.ScalarNode {
			found = append(found, child.Value)
		}
		found = append(found, valuesOf(child, key)...)
	}
	return found
}
