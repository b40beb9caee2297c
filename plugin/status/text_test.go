package status

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/health"
)

// What a server reports can be read from it again, and is shown as it is.
func TestText(t *testing.T) {
	s := httptest.NewServer(Handler(source(), slog.New(slog.DiscardHandler)))
	defer s.Close()
	r, err := Fetch(t.Context(), strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	if err := r.Text(&got); err != nil {
		t.Fatal(err)
	}
	const want = `traffic-split 1.2.3

shop      revision abc
  stable  75.00 %  gets 66.67 %  up                                  9 requests, 0 failed, 56 ms on average
  canary  25.00 %  gets 16.67 %  ejected until 2026-11-01T12:01:00Z  3 requests, 2 failed
  ramp of canary: 25.00 % on the way from 0.00 % to 50.00 %; step 2 of 3; rolled back at 2026-11-01T12:00:00Z; 3 of 18 failed, judged from 20

web  revision def
  a  100.00 %  gets nothing  up  1 requests

wrong:
  the split files are wrong, and the last good ones are in use: splits.yaml:1:1: wrong
  the config of p1 is wrong since 2026-11-01T12:00:00Z: rules: wrong; in use is the last good one
  the config of p1 is wrong since 0001-01-01T00:00:00Z: ; in use is 
  what must outlive a restart cannot be saved in /s: disk full
  saved state could not be used and was put aside as /s.damaged
  shop: Kong tells no outcomes since 2026-11-01T12:00:00Z, so that neither guard nor passive health checks work
  shop: canary is ejected until 2026-11-01T12:01:00Z
  shop: the ramp of canary was rolled back at 2026-11-01T12:00:00Z: too many failed
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A ramp says what it does, and a backend why it has no requests.
func TestTextOfRampsAndBackends(t *testing.T) {
	for want, r := range map[string]*plugin.RampStatus{
		"10.00 % on the way from 0.00 % to 100.00 %; goes on until 2026-11-01T12:00:00Z": {Share: 0.1, To: 1, Next: noon},
		"10.00 % on the way from 0.00 % to 100.00 %; held":                               {Share: 0.1, To: 1, Held: true},
		"0.50 % on the way from 0.00 % to 1.00 %; step 1 of 4; waits for 7 of 20 requests": {
			Share: 0.005, To: 0.01, Step: 1, Steps: 4, Next: noon, WaitsFor: "7 of 20 requests",
		},
		"100.00 % on the way from 0.00 % to 100.00 %": {Share: 1, To: 1},
	} {
		if got := strings.Join(course(r), "; "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	down, up := false, true
	for want, b := range map[string]*plugin.BackendStatus{
		"not known yet": {},
		"up":            {Up: &up},
		"missing: Kong has no Upstream of its name": {Up: &down, Missing: true},
		"unhealthy": {Up: &down},
	} {
		if got := condition(b); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	blocked := Report{Splits: []plugin.SplitStatus{{Split: "shop", Ramp: &plugin.RampStatus{Backend: "b", RollbackBlocked: noon.Add(time.Hour)}}}}
	const want = "shop: the ramp of b is not rolled back since 2026-11-01T13:00:00Z, as no other backend can take its share"
	if got := blocked.wrong(); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What others have written into a report does nothing to a terminal or to the layout.
func TestTextIsPrintable(t *testing.T) {
	const odd = "a\x1b]0;b\a\tc\nd\u009b2J\u202ee"
	r := Report{
		Version:    odd,
		SplitFiles: &SplitFiles{Problems: []string{odd}},
		Splits: []plugin.SplitStatus{{
			Split: odd, Revision: odd,
			Backends: []plugin.BackendStatus{{Name: odd, Up: new(false), Probe: &health.Condition{LastError: odd}}},
			Ramp:     &plugin.RampStatus{Backend: odd, WaitsFor: odd, RolledBack: noon, Why: odd},
		}},
	}
	r.Wrong = r.wrong()
	var got strings.Builder
	if err := r.Text(&got); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(got.String(), "\n") {
		if printable(line) != line {
			t.Errorf("line %d: %q", i, line)
		}
	}
	if lines := strings.Count(got.String(), "\n"); lines != 10 {
		t.Errorf("there are %d lines:\n%s", lines, got.String())
	}
}

// What has happened once is wrong for a while.
func TestWrongForAWhile(t *testing.T) {
	for _, tt := range []struct {
		of   Report
		want []string
	}{
		{Report{Processes: &Processes{}, Log: &Log{}}, []string{}},
		{
			Report{Processes: &Processes{Died: 2, Hung: 1, Last: noon}, Log: &Log{Dropped: 7, Last: noon}},
			[]string{
				"a serving process has died at 2026-11-01T12:00:00Z, and another one goes on; so far 2 have died and 1 hung, and the server's log says why",
				"the log was not read in time at 2026-11-01T12:00:00Z, and 7 lines of it are missing so far",
			},
		},
	} {
		tt.of.Now = noon.Add(recentTime - 1)
		if diff := cmp.Diff(tt.want, tt.of.wrong()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		tt.of.Now = noon.Add(recentTime)
		if got := tt.of.wrong(); len(got) > 0 {
			t.Errorf("still wrong after %v: %q", recentTime, got)
		}
	}
}
