package split_test

import (
	"slices"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
)

// guarded returns a split whose ramp of "1" takes an hour, from 10 % to 60 %, with a
// guard.
func guarded() *split.Split {
	s := smooth(1, 1)
	s.Ramp = &split.Ramp{
		Backend: 1, From: 1000, To: 6000, Start: noon, Duration: time.Hour,
		Guard: &split.Guard{MaxErrorRatio: 2500, MinRequests: 8, Window: time.Minute},
	}
	return s
}

// times repeats outcomes.
func times(n int, o outcome) (all []outcome) {
	for range n {
		all = append(all, o)
	}
	return all
}

func TestGuard(t *testing.T) {
	const m = time.Minute
	back := func(failed, of string) []string {
		return []string{`the ramp of "1" is rolled back, and stays so until it is changed: ` + failed + ` of ` + of + ` requests failed`}
	}
	for _, test := range []struct {
		name     string
		outcomes []outcome
		want     []string
	}{
		{"fewer than min_requests", times(7, bad(m)), nil},
		{"min_requests", times(8, bad(m)), back("8", "8")},
		{"a ratio of just the limit", append(times(6, ok(m)), times(2, bad(m))...), nil},
		{"a ratio above it", append(times(5, ok(m)), times(3, bad(m))...), back("3", "8")},
		{"before the start", times(100, bad(-m)), nil},
		{"just before the start", times(100, bad(-1)), nil},
		{"at the start", times(8, bad(0)), back("8", "8")},
		{"from before the start, still in the window", append(times(8, bad(-m/2)), ok(m/5)), back("8", "9")},
		{"after the end", times(8, bad(2*time.Hour)), back("8", "8")},
		{"what is older than the window", append(times(7, bad(m)), append(times(1, bad(2*m+6*time.Second)), times(7, ok(2*m+6*time.Second))...)...), nil},
		{"what is just inside", append(append(times(4, bad(m+6*time.Second-1)), times(3, ok(m+6*time.Second-1))...), ok(2*m+6*time.Second-1)), back("4", "8")},
		{"after a long pause", append(times(7, bad(m)), times(7, bad(10*time.Hour))...), nil},
		{"late ones count", append(append(times(4, ok(m)), ok(2*m-time.Second)), times(3, bad(m))...), back("3", "8")},
		{"the clock is set back", append(append(times(7, ok(2*time.Hour)), times(7, ok(m))...), times(8, bad(20*m))...), back("8", "8")},
		{"it judges once", times(100, bad(m)), back("8", "8")},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := guarded()
			st := split.NewState(s)
			if diff := cmp.Diff(test.want, observe(st, 1, test.outcomes...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if events := observe(st, 0, times(100, bad(m))...); events != nil {
				t.Errorf("of another backend: %v", events)
			}
			wasBack := test.want != nil
			if got := !rolledBack(st, noon).IsZero(); got != wasBack {
				t.Errorf("rolled back: %t", got)
			}
		})
	}
}

// The limit is exact, whatever it would be in binary: with 0.29, 29 of 100 may fail.
func TestGuardIsExact(t *testing.T) {
	for percent := 1; percent < 100; percent++ {
		s := guarded()
		s.Ramp.Guard.MaxErrorRatio, s.Ramp.Guard.MinRequests = percent*100, 100
		st := split.NewState(s)
		all := append(times(100-percent, ok(time.Minute)), times(percent, bad(time.Minute))...)
		if events := observe(st, 1, all...); events != nil {
			t.Errorf("%d %%: %v", percent, events)
		}
		if events := observe(st, 1, bad(time.Minute)); events == nil {
			t.Errorf("%d %%: one more fails, and nothing happens", percent)
		}
	}
}

// What failed in one part of the window no longer counts in the next.
func TestWindowSlides(t *testing.T) {
	st := split.NewState(guarded())
	for k := range 600 { // one of three fails, but never eight in one window
		at := time.Minute + time.Duration(k)*10*time.Second
		if events := observe(st, 1, outcome{at, k%3 == 0}); events != nil {
			t.Fatalf("after %v: %v", at, events)
		}
	}
	var events []string
	for k := range 12 { // the same, twice as fast
		events = append(events, observe(st, 1, outcome{2*time.Hour + time.Duration(k)*5*time.Second, k%3 == 0})...)
	}
	if len(events) != 1 {
		t.Errorf("events %v, want one", events)
	}
}

// After a pause nothing of what was before counts, in whichever part of the window it
// was.
func TestWindowForgetsInAPause(t *testing.T) {
	for part := range 10 {
		before := time.Minute + time.Duration(part)*6*time.Second
		for _, pause := range []time.Duration{time.Hour, 1000 * time.Hour} {
			st := split.NewState(guarded())
			events := observe(st, 1, append(times(7, bad(before)), times(7, bad(time.Minute+pause))...)...)
			if events != nil {
				t.Errorf("part %d, then %v later: %v", part, pause, events)
			}
		}
	}
}

// Half way up the share falls to rollback_to, stays there, and the sessions
// of that backend are void, not those of others. It pins nobody any more, not those
// whom the share still sends there either.
func TestRollback(t *testing.T) {
	s := guarded()
	s.Identity, s.Session = "shop", sessions().Session
	s.Ramp.Guard.RollbackTo = 1000
	st := split.NewState(s)
	now := noon.Add(30 * time.Minute)
	canary, stable := pinTo(t, s, "1", now), pinTo(t, s, "0", now)
	decide := func(cookies string) split.Decision {
		d, err := split.Decide(s, st, &split.Facts{Now: now, Cookies: cookies})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	share := func() (n int) {
		for range 100 {
			n += decide("").Backend
		}
		return n
	}
	if n := share(); n < 34 || n > 36 || !slices.Equal(st.Status(now).Shares, []float64{0.65, 0.35}) {
		t.Errorf("%d of 100, %+v, half way from 10 %% to 60 %%", n, st.Status(now))
	}
	if d := decide(canary); d.Reason != split.BySession || d.RolledBack {
		t.Errorf("before: %+v", d)
	}
	observe(st, 1, times(8, bad(30*time.Minute))...)
	if n := share(); n < 9 || n > 11 || !slices.Equal(st.Status(now).Shares, []float64{0.9, 0.1}) || !rolledBack(st, now).Equal(now) {
		t.Errorf("%d of 100, %+v, after the ramp was rolled back", n, st.Status(now))
	}
	var came [2]bool
	for range 20 {
		d := decide(canary)
		came[d.Backend] = true
		if d.Reason != split.ByWeight || (d.SetCookie != "") != (d.Backend == 0) || !d.RolledBack {
			t.Errorf("after, the session of the ramp's: %+v", d)
		}
	}
	if came != [2]bool{true, true} {
		t.Errorf("20 requests came to %v, want both backends", came)
	}
	if d := decide(stable); d.Reason != split.BySession || d.Backend != 0 || !d.RolledBack {
		t.Errorf("after, another session: %+v", d)
	}
	now = noon.Add(5 * time.Hour)
	observe(st, 1, times(100, ok(5*time.Hour))...)
	if n := share(); n < 9 || n > 11 {
		t.Errorf("%d of 100, long after the end", n)
	}
}

// A ramp that was rolled back stays so while it is the same one, whatever else
// changes, backends' places too.
func TestRollbackStaysWithItsRamp(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(s *split.Split)
		stays  bool
	}{
		{"nothing", func(*split.Split) {}, true},
		{"weights", func(s *split.Split) { s.Backends[0].Weight = 7 }, true},
		{"places", func(s *split.Split) {
			s.Backends[0], s.Backends[1] = s.Backends[1], s.Backends[0]
			s.Ramp.Backend = 0
		}, true},
		{"rules", func(s *split.Split) {
			s.Rules = []split.Rule{{Match: split.Match{Methods: []string{"PUT"}}, Weights: []int{1, 2}}}
		}, true},
		{"a session", func(s *split.Split) { s.Session = sessions().Session }, true},
		{"the end", func(s *split.Split) { s.Ramp.To = 5000 }, false},
		{"the beginning", func(s *split.Split) { s.Ramp.From = 2000 }, false},
		{"the start", func(s *split.Split) { s.Ramp.Start = noon.Add(1) }, false},
		{"the duration", func(s *split.Split) { s.Ramp.Duration++ }, false},
		{"steps", func(s *split.Split) { s.Ramp.Steps = 3 }, false},
		{"the limit", func(s *split.Split) { s.Ramp.Guard.MaxErrorRatio = 2501 }, true},
		{"the requests", func(s *split.Split) { s.Ramp.Guard.MinRequests++ }, true},
		{"the window", func(s *split.Split) { s.Ramp.Guard.Window++ }, true},
		{"the share to go back to", func(s *split.Split) { s.Ramp.Guard.RollbackTo = 5000 }, true},
		{"no guard", func(s *split.Split) { s.Ramp.Guard = nil }, false},
		{"another backend", func(s *split.Split) { s.Ramp.Backend = 0 }, false},
		{"the backend's name", func(s *split.Split) { s.Backends[1].Name = "x" }, false},
		{"no ramp", func(s *split.Split) { s.Ramp = nil }, false},
	} {
		st := split.NewState(guarded())
		observe(st, 1, times(8, bad(half))...)
		s := guarded()
		test.change(s)
		next := st.For(s)
		d, err := split.Decide(s, next, &split.Facts{Now: noon.Add(half)})
		if err != nil || d.RolledBack != test.stays || rolledBack(next, noon).IsZero() == test.stays {
			t.Errorf("%s: %+v, want it rolled back: %t (%v)", test.name, d, test.stays, err)
		}
	}
}
