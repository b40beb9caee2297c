package status

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
)

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
