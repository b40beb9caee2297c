package top

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/split"
	"kong-traffic-split/plugin/status"
)

var update = flag.Bool("update", false, "write testdata anew")

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// report is what a server reports: a split of that name with a ramp under way, and others.
func report(name string, others int) *status.Report {
	r := &status.Report{
		Version: "1.2.3", Now: noon.Add(time.Hour), Started: noon, Healthy: true, Wrong: []string{},
		Splits: []plugin.SplitStatus{{
			Split: name, Revision: "0123456789ab", Since: noon, Recent: &plugin.Recent{Seconds: 60, Requests: 6000},
			Ramp: &plugin.RampStatus{
				Backend: "canary", Share: 0.15, To: 1, Start: noon, Step: 2, Steps: 5, Next: noon.Add(time.Hour + time.Minute), WaitsFor: "14 of 20 requests",
				Guard: &plugin.GuardStatus{Requests: 14, MinRequests: 20, Lacks: split.LacksRequests},
			},
			Backends: []plugin.BackendStatus{
				{Name: "stable", Share: 0.85, Up: new(true), Recent: &plugin.RecentBackend{Requests: 5100, Share: new(0.85), Observed: 5100, Failed: 51, Latency: new(0.012), LatencyP95: new(0.025)}},
				{Name: "canary", Share: 0.15, Up: new(true), Recent: &plugin.RecentBackend{Requests: 600, Share: new(0.1), Observed: 600, Latency: new(0.018), LatencyP95: new(0.05)}},
			},
		}},
		Changes: []status.Change{{At: noon, Split: name, Text: `the next step of a ramp has begun backend=canary step="2 of 5" share=5->15`}},
	}
	for i := range others {
		r.Splits = append(r.Splits, plugin.SplitStatus{Split: fmt.Sprintf("other-%d", i), Revision: "cd", Backends: []plugin.BackendStatus{{Name: "a", Share: 1}}})
	}
	return r
}

// asked returns a model of a terminal of a size after servers have answered; nil: that one
// has not.
func asked(width, height int, reports ...*status.Report) model {
	var addresses []string
	for i := range reports {
		addresses = append(addresses, fmt.Sprintf("kong-%d:8007", i+1))
	}
	m := newModel(context.Background(), addresses, nil)
	m = after(m, tea.WindowSizeMsg{Width: width, Height: height})
	for i, r := range reports {
		a := answer{server: i, report: r, at: noon}
		if r == nil {
			a.err = errors.New("dial tcp 10.0.0.2:8007: connect: connection refused")
		}
		m = after(m, a)
	}
	return m
}

// after returns the model after messages.
func after(m model, messages ...tea.Msg) model {
	for _, msg := range messages {
		next, _ := m.Update(msg)
		m = next.(model)
	}
	return m
}

// keys are the messages of keys that are pressed one after another.
func keys(text string) (all []tea.Msg) {
	named := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "home": tea.KeyHome, "end": tea.KeyEnd, "backspace": tea.KeyBackspace}
	for key := range strings.FieldsSeq(text) {
		if code, ok := named[key]; ok {
			all = append(all, tea.KeyPressMsg{Code: code})
		} else {
			all = append(all, tea.KeyPressMsg{Code: []rune(key)[0], Text: key})
		}
	}
	return all
}

// screen is what the terminal shows, without colours and spaces at the ends of lines.
func screen(m model) string {
	var all []string
	for line := range strings.SplitSeq(ansi.Strip(m.View().Content), "\n") {
		all = append(all, strings.TrimRight(line, " "))
	}
	return strings.Join(all, "\n") + "\n"
}

func TestScreens(t *testing.T) {
	wrong := report("shop", 0)
	wrong.Wrong, wrong.Healthy = []string{"shop: the ramp of canary was rolled back at 2026-11-01T12:00:00Z: 10 of 185 requests failed"}, false
	wrong.Splits[0].Ramp.RolledBack, wrong.Splits[0].Ramp.Share = noon, 0
	for name, m := range map[string]model{
		"one-80x24":      asked(80, 24, report("shop", 0)),
		"several-80x24":  asked(80, 24, wrong, nil, report("web", 3)),
		"several-120x40": asked(120, 40, wrong, nil, report("web", 3)),
		"help-80x24":     after(asked(80, 24, wrong), keys("?")...),
		"filter-80x24":   after(asked(80, 24, report("shop", 5)), keys("/ o T H e r - 3")...),
		"new-80x24":      after(newModel(t.Context(), []string{"kong-1:8007"}, nil), tea.WindowSizeMsg{Width: 80, Height: 24}),
	} {
		path := "testdata/" + name + ".txt"
		got := screen(m)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
		}
	}
}

// A server that is away is said to be, since when it is, and nothing old is shown of it;
// when it answers again, it is shown again.
func TestServerThatIsAway(t *testing.T) {
	m := asked(80, 24, report("shop", 0))
	away := func(after time.Duration) answer {
		return answer{server: 0, err: errors.New("connection refused"), at: noon.Add(after)}
	}
	m = after(m, away(time.Minute), away(2*time.Minute))
	if got := screen(m); !strings.Contains(got, "\nkong-1:8007: away since 2026-11-01T12:01:00Z: connection refused\n") ||
		strings.Contains(got, "canary") || !strings.HasPrefix(got, " splitctl top: 1 server, 1 away ") {
		t.Errorf("got\n%s", got)
	}
	m = after(m, answer{server: 0, report: report("shop", 0), at: noon.Add(3 * time.Minute)})
	if got := screen(m); !strings.HasPrefix(got, " splitctl top: 1 server, nothing is wrong ") || !strings.Contains(got, "\nshop  revision 0123456789ab") {
		t.Errorf("got\n%s", got)
	}
	m = after(m, away(4*time.Minute))
	if got := screen(m); !strings.Contains(got, "away since 2026-11-01T12:04:00Z") {
		t.Errorf("got\n%s", got)
	}
}

// The body is scrolled as far as there is something, also when it grows shorter or the
// terminal larger.
func TestScrolling(t *testing.T) {
	m := asked(80, 12, report("shop", 10))
	lines := len(m.body())
	end := lines - 10
	for _, c := range []struct {
		keys string
		want int
	}{
		{"up k", 0},
		{"down j", 2},
		{"up", 1},
		{"pgdown", 11},
		{"b", 1},
		{"f", 11},
		{"home", 0},
		{"end", end},
		{"down pgdown", end},
		{"g", 0},
		{"G", end},
		{"?", 0},
		{"G", len(help) - 10},
		{"?", 0},
		{"G", end},
	} {
		if m = after(m, keys(c.keys)...); m.above != c.want {
			t.Errorf("after %q, %d lines are above, want %d", c.keys, m.above, c.want)
		}
	}
	if foot := screen(m); !strings.HasSuffix(foot, fmt.Sprintf("%d-%d of %d lines\n", end+1, lines, lines)) {
		t.Errorf("got\n%s", foot)
	}
	if grown := after(m, tea.WindowSizeMsg{Width: 80, Height: 24}); grown.above != lines-22 {
		t.Errorf("in a larger terminal %d lines are above, want %d", grown.above, lines-22)
	}
	if fewer := after(m, answer{server: 0, report: report("shop", 0), at: noon}); fewer.above != max(len(fewer.body())-10, 0) {
		t.Errorf("of a shorter body %d lines are above", fewer.above)
	}
}

func TestFilter(t *testing.T) {
	m := after(asked(80, 24, report("shop", 3)), keys("/ q x backspace enter")...)
	if m.filter != "q" || m.typing {
		t.Errorf("the filter is %q, typing %v; want q", m.filter, m.typing)
	}
	if got := screen(m); strings.Contains(got, "\nshop ") || !strings.Contains(got, "\n filter: q   /: change, Esc: show all") {
		t.Errorf("got\n%s", got)
	}
	if m = after(m, keys("esc")...); m.filter != "" || !strings.Contains(screen(m), "\nshop ") {
		t.Errorf("Esc does not show all:\n%s", screen(m))
	}
	if m = after(m, keys("/ s esc")...); m.filter != "" || m.typing {
		t.Errorf("the filter is %q, typing %v", m.filter, m.typing)
	}
}

func TestEnd(t *testing.T) {
	typing := after(asked(80, 24, nil), keys("/")...)
	control := tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	for i, c := range []struct {
		m    model
		key  tea.Msg
		ends bool
	}{
		{asked(80, 24, nil), keys("q")[0], true},
		{asked(80, 24, nil), control, true},
		{typing, control, true},
		{typing, keys("q")[0], false}, // it is part of the filter
		{asked(80, 24, nil), keys("x")[0], false},
	} {
		_, cmd := c.m.Update(c.key)
		ends := false
		if cmd != nil {
			_, ends = cmd().(tea.QuitMsg)
		}
		if ends != c.ends {
			t.Errorf("%d: it ends: %v, want %v", i, ends, c.ends)
		}
	}
}

// Each server is asked again a second after its answer, whatever the others do.
func TestAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var addresses []string
		m := newModel(t.Context(), []string{"a", "b"}, func(_ context.Context, address string) (*status.Report, error) {
			addresses = append(addresses, address)
			return report(address, 0), nil
		})
		batch := m.Init()().(tea.BatchMsg)
		if len(batch) != 2 {
			t.Fatalf("%d servers are asked at first", len(batch))
		}
		next, wait := m.Update(batch[1]())
		start := time.Now()
		msg := wait()
		if waited := time.Since(start); waited != pause {
			t.Errorf("it is asked again after %v", waited)
		}
		_, ask := next.Update(msg)
		if a := ask().(answer); a.server != 1 || a.report.Splits[0].Split != "b" {
			t.Errorf("got %+v", a)
		}
		if diff := cmp.Diff([]string{"b", "b"}, addresses); diff != "" {
			t.Errorf("asked (-want +got)\n%s", diff)
		}
	})
}

// In a terminal of any size, there are as many lines as it has, and none is longer.
func TestAnySize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(0, 150).Draw(t, "width"), rapid.IntRange(0, 50).Draw(t, "height")
		wide := report("商店\x1b[2J", rapid.IntRange(0, 20).Draw(t, "others"))
		wide.Splits[0].Backends[0].Name = "安定"
		m := asked(width, height, wide, nil)
		m = after(m, keys(strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"down", "pgdown", "end", "up", "home", "/", "x", "esc", "enter", "?"})).Draw(t, "keys"), " "))...)
		content := m.View().Content
		if width == 0 || height == 0 {
			if content != "" {
				t.Fatalf("got %q", content)
			}
			return
		}
		lines := strings.Split(content, "\n")
		if len(lines) != max(height, 3) {
			t.Errorf("%d lines in a height of %d", len(lines), height)
		}
		for _, line := range lines {
			if plain := ansi.Strip(line); ansi.StringWidth(line) > width || strings.Contains(plain, "\x1b") {
				t.Errorf("%d columns in a width of %d: %q", ansi.StringWidth(line), width, line)
			}
		}
	})
}
