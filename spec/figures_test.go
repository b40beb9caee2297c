package spec

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// The figures at the top of the dashboard count what is wrong, whichever of their metrics
// says so, and nothing else.
func TestFiguresOfDashboard(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("no promtool on this machine; Debian has it in the package prometheus")
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []target
		}
	}
	readYAML(t, observability+"/grafana/traffic-split.json", &dashboard)
	queries := map[string]string{}
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 1 {
			queries[p.Title] = p.Targets[0].Expr
		}
	}
	const backend = `split="shop",backend="canary",`
	// What two servers of a job say; in each case a says one thing else.
	fine := map[string]string{
		"traffic_split_file_last_reload_successful{":     "1",
		"traffic_split_state_saved{":                     "1",
		"traffic_split_state_put_aside{":                 "0",
		"traffic_split_backend_up{" + backend:            "1",
		"traffic_split_ramp_rolled_back{" + backend:      "0",
		"traffic_split_ramp_rollback_blocked{" + backend: "0",
		`traffic_split_outcomes_missing{split="shop",`:   "0",
	}
	var input []map[string]string
	var expect []map[string]any
	for name, wrong := range map[string]struct{ panel, series, value string }{
		"nothing":     {},
		"a config":    {"Config errors", `traffic_split_config_error{split="shop",`, "1"},
		"files":       {"Split files wrong", "traffic_split_file_last_reload_successful{", "0"},
		"not saved":   {"State not saved", "traffic_split_state_saved{", "0"},
		"put aside":   {"State not saved", "traffic_split_state_put_aside{", "1"},
		"down":        {"Backends down", "traffic_split_backend_up{" + backend, "0"},
		"rolled back": {"Ramps rolled back", "traffic_split_ramp_rolled_back{" + backend, "1"},
		"blocked":     {"Ramps rolled back", "traffic_split_ramp_rollback_blocked{" + backend, "1"},
		"no outcomes": {"Outcomes missing", `traffic_split_outcomes_missing{split="shop",`, "1"},
	} {
		values := map[string]string{}
		labels := fmt.Sprintf("job=%q,instance=", name)
		for series, value := range fine {
			values[series+labels+`"a"}`], values[series+labels+`"b"}`] = value, value
		}
		if wrong.series != "" {
			values[wrong.series+labels+`"a"}`] = wrong.value
		}
		for series, value := range values {
			input = append(input, map[string]string{"series": series, "values": value + "x150"})
		}
		for _, panel := range []string{"Config errors", "Split files wrong", "State not saved", "Backends down", "Ramps rolled back", "Outcomes missing"} {
			want := 0
			if panel == wrong.panel {
				want = 1
			}
			query := withValues(strings.ReplaceAll(queries[panel], "$job", name))
			expect = append(expect, expects(fmt.Sprintf("(%s) == bool %d", query, want), "{}"))
		}
	}
	if err := evaluate(t.TempDir(), input, expect); err != nil {
		t.Error(err)
	}
}
