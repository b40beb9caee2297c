package status

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/health"
)

// What a server reports can be read from it again, and is shown as it is.
func TestScreen(t *testing.T) {
	s := httptest.NewServer(Handler(source(), slog.New(slog.DiscardHandler)))
	defer s.Close()
	r, err := Fetch(t.Context(), strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	r.Now = noon.Add(3*time.Hour + 500*time.Millisecond)
	one := []Server{{Address: "127.0.0.1:8007", Report: r}}
	several := append(one,
		Server{Address: "kong-2:8007", Err: errors.New("dial tcp 10.0.0.2:8007: connect: connection refused"), Away: noon},
		Server{Address: "kong-3:8007", Report: &Report{Version: "1.2.3", Now: noon, Started: noon, Splits: []plugin.SplitStatus{}, Changes: []Change{{At: noon.Add(time.Second), Split: "web", Text: "revision=abc->def"}}}},
		Server{Address: "kong-4:8007"},
	)
	for _, c := range []struct {
		name    string
		servers []Server
		width   int
	}{
		{"one-80", one, 80},
		{"several-120", several, 120},
		{"away-80", several[1:2], 80},
		{"several-endless", several, 0},
	} {
		path := "testdata/screen-" + c.name + ".txt"
		var got strings.Builder
		if err := WriteScreen(&got, c.servers, c.width); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
		}
	}
}

// A filter shows the splits that it names, whatever is wrong, and the changes of those.
func TestFilteredScreen(t *testing.T) {
	s := source()
	servers := []Server{{Address: "a", Report: s.report()}}
	for filter, shown := range map[string][2]bool{"sHo": {true, false}, "WEB": {false, true}, "canary": {true, false}, "": {true, true}, "nobody": {}} {
		var got strings.Builder
		for _, line := range Screen(servers, 80, filter) {
			fmt.Fprintln(&got, line)
		}
		if is := [2]bool{strings.Contains(got.String(), "\nshop "), strings.Contains(got.String(), "\nweb ")}; is != shown {
			t.Errorf("%q shows %v, want %v:\n%s", filter, is, shown, got.String())
		}
		if !strings.HasPrefix(got.String(), "wrong:\n") {
			t.Errorf("%q does not show what is wrong", filter)
		}
		if change := strings.Contains(got.String(), "weight=10->20"); change != strings.Contains("shop", strings.ToLower(filter)) {
			t.Errorf("%q: the change of shop is shown: %v", filter, change)
		}
	}
}

// Whatever is in a report, a line does nothing to a terminal but what it says, and is no
// longer than the terminal is wide.
func TestScreenIsPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func() string {
			return rapid.OneOf(rapid.SampledFrom([]string{"shop", "a\x1b]0;b\a\tc\nd\u009b2J\u202ee", "", strings.Repeat("long ", 40), strings.Repeat("x", 300)}), rapid.String()).Draw(t, "text")
		}
		b := func() plugin.BackendStatus {
			return plugin.BackendStatus{
				Name: text(), Share: rapid.Float64Range(0, 1).Draw(t, "share"), Up: new(rapid.Bool().Draw(t, "up")), Probe: &health.Condition{LastError: text()},
				Recent: &plugin.RecentBackend{Requests: rapid.Uint64Range(0, 1e9).Draw(t, "requests"), Share: new(rapid.Float64Range(0, 1).Draw(t, "got")), Observed: 9, Failed: rapid.Uint64Range(0, 9).Draw(t, "failed"), Latency: new(rapid.Float64Range(0, 99).Draw(t, "latency")), LatencyP95: new(10.)},
			}
		}
		r := &Report{
			Version: text(), Now: noon, Started: noon.Add(-time.Hour), SplitFiles: &SplitFiles{Problems: []string{text()}},
			ConfigErrors: []plugin.ConfigError{{Split: text(), Error: text(), InUse: text()}},
			Splits: []plugin.SplitStatus{{
				Split: text(), Revision: text(), Since: noon, Backends: []plugin.BackendStatus{b(), b()},
				Recent: &plugin.Recent{Seconds: 60, Requests: 7, Unavailable: 1},
				Ramp:   &plugin.RampStatus{Backend: text(), WaitsFor: text(), RolledBack: noon, Why: text(), Guard: &plugin.GuardStatus{Summary: text()}},
			}},
			Changes: []Change{{At: noon, Split: text(), Text: text()}},
		}
		r.Wrong = r.wrong()
		servers := []Server{{Address: text(), Report: r}, {Address: text(), Err: errors.New(text())}}
		width := rapid.IntRange(60, 200).Draw(t, "width")
		for _, l := range Screen(servers, width, "") {
			if line := l.String(); printable(line) != line || utf8.RuneCountInString(line) > width {
				t.Fatalf("%d characters: %q", utf8.RuneCountInString(line), line)
			}
		}
	})
}

func TestBars(t *testing.T) {
	for want, shares := range map[string][2]float64{
		"██████████": {1, 1},
		"█████     ": {0.5, 0.5},
		"█████▀▀   ": {0.7, 0.5},
		"█████▄▄   ": {0.5, 0.7},
		"▀         ": {0.001, 0},
		"▄▄▄▄▄▄▄▄▄▄": {0, 1.5},
		"          ": {0, 0},
	} {
		if got := bars(shares[0], shares[1], 10); got != want {
			t.Errorf("%v: got %q, want %q", shares, got, want)
		}
	}
}
