package spec

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// A sample is one line of /metrics.
type sample struct {
	name, labels string
	value        float64
}

var sampleLine = regexp.MustCompile(`(?m)^([a-z]\w*)(?:\{(.*)\})? (\S+)$`)

// scrape returns what the plugin server shows at an address, as Prometheus would have it:
// with the labels of the target, and with up. Moments count from now on, as the time of
// promtool's tests begins at 0.
func scrape(address string) []sample {
	target := fmt.Sprintf("job=%q,instance=%q", "traffic-split", address)
	got, err := sendHTTP1(address, request{method: http.MethodGet, target: "/metrics"})
	if err != nil || got.status != http.StatusOK {
		return []sample{{"up", target, 0}}
	}
	samples := []sample{{"up", target, 1}}
	for _, m := range sampleLine.FindAllStringSubmatch(string(got.body), -1) {
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil || !strings.HasPrefix(m[1], "traffic_split_") && !strings.HasPrefix(m[1], "process_") {
			continue
		}
		if strings.HasSuffix(m[1], "_timestamp_seconds") {
			value -= float64(time.Now().Unix())
		}
		samples = append(samples, sample{m[1], strings.Trim(target+","+m[2], ","), value})
	}
	return samples
}

// series are samples of now as input of promtool's tests, one a minute for hours. What
// has been counted since before is counted again in each minute.
func series(before, now []sample) (input []map[string]string) {
	former := map[string]float64{}
	for _, s := range before {
		former[s.name+s.labels] = s.value
	}
	for _, s := range now {
		step := 0.0
		if regexp.MustCompile(`_(total|bucket|count|sum)$`).MatchString(s.name) {
			if old, known := former[s.name+s.labels]; known {
				step = max(0, s.value-old)
			}
		}
		number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
		input = append(input, map[string]string{
			"series": s.name + "{" + s.labels + "}",
			"values": number(s.value) + "+" + number(step) + "x150",
		})
	}
	return input
}

// evaluate has promtool compute expressions over series, after two hours. The rules in
// alerts.yml are applied meanwhile.
func evaluate(dir string, input []map[string]string, expect []map[string]any) error {
	rules, err := filepath.Abs(observability + "/alerts.yml")
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(map[string]any{
		"rule_files": []string{rules},
		"tests":      []any{map[string]any{"interval": "1m", "input_series": input, "promql_expr_test": expect}},
	})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "observed.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	out, err := exec.Command("promtool", "test", "rules", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// expects is a test of promtool's: an expression has the value 1 for each of the labels,
// and no other.
func expects(expr string, labels ...string) map[string]any {
	samples := []any{}
	for _, l := range labels {
		samples = append(samples, map[string]any{"labels": l, "value": 1})
	}
	return map[string]any{"expr": expr, "eval_time": "2h", "exp_samples": samples}
}

// cmdAlerts expects that exactly these alerts of kong/observability fire, if what the
// plugin server shows stays as it is for two hours, and what has been counted since the
// last alerts is counted again in each minute of them. It waits for that. Without
// promtool it does nothing.
func (s *scene) cmdAlerts(args []string) error {
	if err := arguments(args, "alerts address [name]...", 1, 100); err != nil {
		return err
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		s.tb.Log("alerts are not looked at, as there is no promtool")
		return nil
	}
	var fire []string
	for _, name := range args[1:] {
		fire = append(fire, fmt.Sprintf("{alertname=%q}", name))
	}
	var now []sample
	var problem error
	err := await(func() bool {
		now = scrape(args[0])
		s.series = series(s.observed, now)
		problem = evaluate(s.dir, s.series, []map[string]any{
			expects(`group by (alertname) (ALERTS{alertstate="firing"})`, fire...),
		})
		return problem == nil
	})
	s.observed = now
	return errors.Join(err, problem)
}

// cmdDashboard expects that each query of the dashboard and of docs/observability.md has
// an answer, with the labels by which the dashboard calls it, by the series of the last
// alerts, which have a split shop with a backend canary, of one server and of two; and
// that promtool finds nothing wrong with any metric.
func (s *scene) cmdDashboard(args []string) error {
	if err := arguments(args, "dashboard address", 1, 1); err != nil {
		return err
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		s.tb.Log("the dashboard is not looked at, as there is no promtool")
		return nil
	}
	var expect []map[string]any
	for _, q := range queries(s.tb) {
		expect = append(expect, expects("group("+q+")", "{}"))
	}
	for _, target := range targets(s.tb) {
		for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.Legend, -1) {
			expect = append(expect, expects(fmt.Sprintf(`group by (lacks) (label_replace(%s, "lacks", %[2]q, %[2]q, ""))`, withValues(target.Expr), m[1]), "{}"))
		}
	}
	two := s.series
	for _, one := range s.series {
		two = append(two, map[string]string{
			"series": strings.Replace(one["series"], strconv.Quote(args[0]), `"another:8007"`, 1),
			"values": one["values"],
		})
	}
	for _, input := range [][]map[string]string{s.series, two} {
		if err := evaluate(s.dir, input, expect); err != nil {
			return err
		}
	}
	got, err := sendHTTP1(args[0], request{method: http.MethodGet, target: "/metrics"})
	if err != nil {
		return err
	}
	lint := exec.Command("promtool", "check", "metrics")
	lint.Stdin = strings.NewReader(string(got.body))
	if out, err := lint.CombinedOutput(); err != nil || len(out) > 0 {
		return fmt.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	return nil
}
