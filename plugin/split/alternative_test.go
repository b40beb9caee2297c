package split_test

import (
	"slices"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Only where somebody else can take the share is a ramp rolled back. Where nobody can,
// it is said once, and judged again with each outcome.
func TestRollbackNeedsAnAlternative(t *testing.T) {
	const (
		blocked = `the ramp of "1" is rolled back only once another backend can take its share, and none can: 8 of 8 requests failed`
		back    = `the ramp of "1" is rolled back, and stays so until it is changed: 8 of 8 requests failed`
	)
	ejected := func(s *split.Split) { s.Backends[0].Passive = &split.Passive{Failures: 1, Ejection: time.Hour} }
	fallback := func(to int) func(*split.Split) {
		return func(s *split.Split) {
			s.Backends = append(s.Backends, split.Backend{Name: "2"})
			s.OnUnavailable, s.Fallback = split.ToFallback, to
		}
	}
	for _, test := range []struct {
		name     string
		change   func(*split.Split)
		unusable split.Set
		want     string
	}{
		{"the other can be used", nil, 0, back},
		{"the ramp's own is unusable", nil, 0b10, back},
		{"the other is unhealthy or missing", nil, 0b01, blocked},
		{"the other is ejected", ejected, 0, blocked},
		{"one of two others can be used", func(s *split.Split) { s.Backends = append(s.Backends, split.Backend{Name: "2", Weight: 1}) }, 0b001, back},
		{"the other that can be used has no weight", func(s *split.Split) { s.Backends = append(s.Backends, split.Backend{Name: "2"}) }, 0b001, blocked},
		{"the fallback can be used", fallback(2), 0b001, back},
		{"the fallback cannot", fallback(2), 0b101, blocked},
		{"the fallback is the ramp's own", fallback(1), 0b001, blocked},
		{"the others have no weight", func(s *split.Split) { s.Backends[0].Weight = 0 }, 0, blocked},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := guarded()
			if test.change != nil {
				test.change(s)
			}
			st := split.NewState(s)
			if s.Backends[0].Passive != nil {
				st.Observe(failed(st, 0), noon.Add(half))
			}
			var events []string
			for range 8 {
				o := failed(st, 1)
				o.Unusable = test.unusable
				for _, e := range st.Observe(o, noon.Add(half)) {
					events = append(events, e.String())
				}
			}
			if diff := cmp.Diff([]string{test.want}, events); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			status := st.Status(noon.Add(half))
			if status.Ramp.RolledBack.IsZero() == (test.want == back) || status.Ramp.Blocked.IsZero() == (test.want == blocked) {
				t.Errorf("status %+v", status)
			}
		})
	}
}

// Once another backend is there again, the next outcome rolls the ramp back; and where
// requests do well again, nothing does.
func TestBlockedRollbackIsJudgedAgain(t *testing.T) {
	for _, well := range []bool{false, true} {
		st := split.NewState(guarded())
		for range 8 {
			o := failed(st, 1)
			o.Unusable = 1
			st.Observe(o, noon.Add(half))
		}
		if well {
			for range 100 {
				o := failed(st, 1)
				o.Failed, o.Unusable = false, 1
				st.Observe(o, noon.Add(half))
			}
		} else {
			observe(st, 1, bad(half))
		}
		status := st.Status(noon.Add(half))
		if !status.Ramp.Blocked.IsZero() || status.Ramp.RolledBack.IsZero() != well {
			t.Errorf("requests do well: %t; status %+v", well, status)
		}
	}
}

// A ramp never gets more by a rollback than it had.
func TestRollbackToTheSmallerShare(t *testing.T) {
	for _, test := range []struct {
		rollbackTo int
		at         time.Duration
		want       float64
	}{
		{0, half, 0},
		{1000, half, 0.1},
		{3499, half, 0.3499},
		{3500, half, -1}, // what it has
		{9000, half, -1},
		{0, 0, 0}, // at the start it has 10 %
	} {
		s := guarded()
		s.Ramp.Guard.RollbackTo = test.rollbackTo
		st := split.NewState(s)
		before := st.Status(noon.Add(test.at)).Shares[1]
		observe(st, 1, times(100, bad(test.at))...)
		status := st.Status(noon.Add(test.at))
		want := test.want
		if want < 0 {
			want = before
		}
		if status.Shares[1] != want || status.Ramp.RolledBack.IsZero() != (test.want < 0) {
			t.Errorf("to %d: %+v, want the share %v", test.rollbackTo, status, want)
		}
	}
}

// Who was rolled back to nothing is better than nobody.
func TestLastResort(t *testing.T) {
	for name, on := range map[string]split.OnUnavailable{
		"redistribute": split.Redistribute, "fallback": split.ToFallback, "fail": split.Fail,
	} {
		s := guarded()
		s.Identity, s.Session = "shop", sessions().Session
		s.OnUnavailable, s.Fallback = on, 0
		st := split.NewState(s)
		observe(st, 1, times(8, bad(half))...)
		f := split.Facts{Now: noon.Add(half), Unhealthy: 1}
		d, err := split.Decide(s, st, &f)
		switch {
		case on == split.Fail:
			if err == nil {
				t.Errorf("%s: %+v", name, d)
			}
		case err != nil || d.Backend != 1 || d.Reason != split.ByFallback || d.SetCookie != "":
			t.Errorf("%s: %+v, %v", name, d, err)
		}
		f.Unhealthy = 3
		if d, err := split.Decide(s, st, &f); on == split.ToFallback && err == nil {
			t.Errorf("%s: with both unhealthy: %+v", name, d)
		}
		f.Unhealthy = 0
		for range 10 {
			if d, err := split.Decide(s, st, &f); err != nil || d.Backend != 0 {
				t.Errorf("%s, with the other one back: %+v, %v", name, d, err)
			}
		}
		d, err = split.Choose(s, st, &split.Facts{Now: noon.Add(half)}, func(i int, _ bool) (bool, error) { return i == 1, nil })
		if on != split.Fail && (err != nil || d.Backend != 1) {
			t.Errorf("%s, where the other one does not exist: %+v, %v", name, d, err)
		}
	}
}

// An outcome says nothing about another ramp, another destination, or what came after
// an ejection.
func TestLateOutcomes(t *testing.T) {
	base := func() *split.Split {
		s := guarded()
		s.Backends[1].Passive = &split.Passive{Failures: 9, Ejection: time.Minute}
		return s
	}
	for _, test := range []struct {
		name           string
		change         func(*split.Split)
		passive, guard bool // what the outcomes still say something about
	}{
		{"weights", func(s *split.Split) { s.Backends[0].Weight = 7 }, true, true},
		{"the guard", func(s *split.Split) { s.Ramp.Guard.MinRequests = 9 }, true, true},
		{"the ramp", func(s *split.Split) { s.Ramp.Start = noon.Add(-1) }, true, false},
		{"the destination", func(s *split.Split) { s.Backends[1].Destination = "10.0.0.2:80" }, false, true},
		{"both", func(s *split.Split) { s.Ramp.Start, s.Backends[1].Destination = noon.Add(-1), "x" }, false, false},
	} {
		s := base()
		st := split.NewState(s)
		late := failed(st, 1)
		test.change(s)
		next := split.NewState(base()).For(s)
		var got []split.IncidentKind
		for range 20 {
			for _, e := range next.Observe(late, noon.Add(half)) {
				got = append(got, e.Kind)
			}
		}
		var want []split.IncidentKind
		if test.passive {
			want = append(want, split.Ejected)
		}
		if test.guard {
			want = append(want, split.RolledBack)
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	s := smooth(1, 1)
	s.Backends[0].Passive = &split.Passive{Failures: 2, Ejection: time.Second}
	st := split.NewState(s)
	late := failed(st, 0)
	observe(st, 0, bad(0), bad(0))
	for range 10 {
		if events := st.Observe(late, noon.Add(time.Minute)); events != nil {
			t.Errorf("from before the ejection: %v", events)
		}
	}
	if events := observe(st, 0, bad(time.Minute), bad(time.Minute)); len(events) != 1 {
		t.Errorf("from after it: %v", events)
	}
}

// The window has all of its time, and a tenth more at most, at whatever distances
// requests come, and where its length is edited.
func TestWindowIsNeverShorter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := guarded()
		s.Ramp.Guard.Window = time.Duration(rapid.Int64Range(10, 100_000).Draw(t, "window, ms")) * time.Millisecond
		n := rapid.IntRange(2, 20).Draw(t, "requests")
		s.Ramp.Guard.MinRequests = n
		st := split.NewState(s)
		begin := noon.Add(time.Duration(rapid.Int64Range(1, int64(half)).Draw(t, "begin")))
		length := s.Ramp.Guard.Window
		coarse := time.Duration(0)          // an edit adds a part of the window before
		if rapid.Bool().Draw(t, "edited") { // to one that is longer, so that all is kept
			edited := guarded()
			edited.Ramp.Guard.Window = length + time.Duration(rapid.Int64Range(0, int64(length)).Draw(t, "more"))
			edited.Ramp.Guard.MinRequests = n
			observe(st, 1, bad(begin.Sub(noon)))
			st, n, coarse = st.For(edited), n-1, length/10
			s = edited
		}
		inside := rapid.Bool().Draw(t, "inside")
		last := begin.Add(length)
		if !inside {
			last = begin.Add(s.Ramp.Guard.Window + s.Ramp.Guard.Window/10 + coarse + 1)
		}
		var events []string
		for k := range n {
			at := begin
			if k == n-1 {
				at = last
			}
			events = append(events, observe(st, 1, bad(at.Sub(noon)))...)
		}
		if got := len(events) == 1; got != inside {
			t.Fatalf("%d failures, the last %v after the others, in a window of %v: %v", n, last.Sub(begin), s.Ramp.Guard.Window, events)
		}
	})
}
