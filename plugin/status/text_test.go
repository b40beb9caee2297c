package status

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
)

// A backend says why it has no requests, and a ramp why it goes on.
func TestTextOfRampsAndBackends(t *testing.T) {
	for want, b := range map[string]*plugin.BackendStatus{
		"not known yet": {},
		"missing: Kong has no Upstream of its name": {Up: new(false), Missing: true},
		"unhealthy": {Up: new(false)},
		"unhealthy, and takes requests all the same: more than max_ejected would be out":                          {Up: new(false), Kept: true},
		"ejected until 2026-11-01T12:00:00Z, and takes requests all the same: more than max_ejected would be out": {Up: new(false), Kept: true, EjectedUntil: noon},
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

// The algorithm keeps below 2, whatever somebody edits.
func TestDriftThatIsWrong(t *testing.T) {
	for drift, want := range map[float64][]string{
		1.99: nil,
		2.5:  {"shop: choices by weight are off from the shares by 2.50 requests, which no config can cause: report it"},
	} {
		if got := wrongWith(&plugin.SplitStatus{Split: "shop", Drift: new(drift)}, noon); !slices.Equal(got, want) {
			t.Errorf("%v: %q, want %q", drift, got, want)
		}
	}
}
