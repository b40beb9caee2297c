package split_test

import (
	"sync"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
)

// outcome is one that a test observes.
type outcome struct {
	at     time.Duration // after noon
	failed bool
}

func ok(at time.Duration) outcome  { return outcome{at, false} }
func bad(at time.Duration) outcome { return outcome{at, true} }

// failed is the outcome of a request that a backend got now.
func failed(st *split.State, backend int) split.Outcome {
	return split.Outcome{Backend: backend, Subject: st.Subject(backend), Failed: true}
}

// observe counts them, and returns what they led to, in words.
func observe(st *split.State, backend int, outcomes ...outcome) (events []string) {
	for _, o := range outcomes {
		for _, e := range st.Observe(split.Outcome{Backend: backend, Subject: st.Subject(backend), Failed: o.failed}, noon.Add(o.at)) {
			events = append(events, e.String())
		}
	}
	return events
}

func TestEjection(t *testing.T) {
	const s = time.Second
	event := `"0" is ejected until 2026-01-31T12:00:40Z: 3 requests in a row failed`
	for _, test := range []struct {
		name     string
		outcomes []outcome
		want     []string
		out      []time.Duration // when it is out
		in       []time.Duration // when it is not
	}{
		{"two failures", []outcome{bad(8 * s), bad(9 * s)}, nil, nil, []time.Duration{9 * s, 10 * s}},
		{"three", []outcome{bad(8 * s), bad(9 * s), bad(10 * s)}, []string{event}, []time.Duration{10 * s, 40*s - 1}, []time.Duration{40 * s, time.Hour}},
		{"three, not in a row", []outcome{bad(7 * s), bad(8 * s), ok(9 * s), bad(10 * s)}, nil, nil, []time.Duration{10 * s}},
		{
			"more while it is out, and two after",
			[]outcome{bad(8 * s), bad(9 * s), bad(10 * s), bad(11 * s), bad(12 * s), bad(39 * s), bad(41 * s), bad(42 * s)},
			[]string{event},
			[]time.Duration{39 * s},
			[]time.Duration{42 * s},
		},
		{
			"well while it is out",
			[]outcome{bad(8 * s), bad(9 * s), bad(10 * s), ok(11 * s)},
			[]string{event},
			[]time.Duration{39 * s},
			[]time.Duration{40 * s},
		},
		{
			"three more after it is back",
			[]outcome{bad(8 * s), bad(9 * s), bad(10 * s), bad(40 * s), bad(40 * s), bad(40 * s)},
			[]string{event, `"0" is ejected until 2026-01-31T12:01:10Z: 3 requests in a row failed`},
			[]time.Duration{70*s - 1},
			[]time.Duration{70 * s},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			sp := smooth(1)
			sp.Backends[0].Passive = &split.Passive{Failures: 3, Ejection: 30 * time.Second}
			st := split.NewState(sp)
			if diff := cmp.Diff(test.want, observe(st, 0, test.outcomes...)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			check := func(at time.Duration, out bool) {
				_, err := split.Decide(sp, st, &split.Facts{Now: noon.Add(at)})
				_, listed := st.Status(noon.Add(at)).Ejected["0"]
				if (err != nil) != out || listed != out {
					t.Errorf("after %v: %v, listed: %t; out should be %t", at, err, listed, out)
				}
			}
			for _, at := range test.out {
				check(at, true)
			}
			for _, at := range test.in {
				check(at, false)
			}
		})
	}
}

func TestBackendThatIsNotWatchedIsNotEjected(t *testing.T) {
	s := smooth(1, 1)
	s.Backends[1].Passive = &split.Passive{Failures: 1, Ejection: time.Hour}
	st := split.NewState(s)
	for range 100 {
		if events := st.Observe(failed(st, 0), noon); events != nil {
			t.Fatal(events)
		}
	}
	if got := st.Status(noon).Ejected; len(got) > 0 {
		t.Errorf("ejected: %v", got)
	}
}

// What was counted goes on in another state, as do ejections; of a backend that is
// new or not watched any more nothing is known.
func TestHealthGoesOnThroughEdits(t *testing.T) {
	edit := func(names ...string) *split.Split {
		s := smooth()
		for _, name := range names {
			s.Backends = append(s.Backends, split.Backend{Name: name, Weight: 1, Passive: &split.Passive{Failures: 2, Ejection: time.Minute}})
		}
		return s
	}
	st := split.NewState(edit("a", "b", "c"))
	observe(st, 0, bad(0), bad(0))
	observe(st, 1, bad(0))
	s := edit("new", "b", "a", "c")
	st = st.For(s)
	if diff := cmp.Diff(map[string]time.Time{"a": noon.Add(time.Minute)}, st.Status(noon).Ejected); diff != "" {
		t.Errorf("after an edit (-want +got):\n%s", diff)
	}
	for range 8 {
		if d, err := split.Decide(s, st, &split.Facts{Now: noon}); err == nil && d.Backend == 2 {
			t.Error("after an edit a has a request")
		}
	}
	if events := observe(st, 1, bad(0)); len(events) != 1 {
		t.Errorf("the second failure of b in a row led to %v", events)
	}
	s = edit("new", "b", "a", "c")
	s.Backends[2].Passive = nil
	if got := st.For(s).Status(noon).Ejected; len(got) != 1 || got["b"].IsZero() {
		t.Errorf("where a is not watched any more: %v", got)
	}
	st = split.NewState(guarded())
	observe(st, 1, times(7, bad(time.Minute))...)
	weighed := guarded()
	weighed.Backends[0].Weight = 7
	if events := observe(st.For(weighed), 1, bad(time.Minute)); len(events) != 1 {
		t.Errorf("the eighth failure in a row led to %v", events)
	}
}

// Many observe, decide, edit and look at once.
func TestHealthFromManyGoroutines(t *testing.T) {
	s := watched(guarded())
	s.OnUnavailable = split.Redistribute
	st := split.NewState(s)
	edited := watched(guarded())
	edited.Backends[0].Weight = 3
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for k := range 1000 {
				now := noon.Add(time.Duration(k) * 20 * time.Second)
				if _, err := split.Decide(s, st, &split.Facts{Now: now}); err != nil {
					t.Error(err)
					return
				}
				o := failed(st, g%2)
				o.Failed = (k+g)%3 == 0
				st.Observe(o, now)
				if k%50 == 0 {
					next := st.For(edited)
					next.Observe(failed(next, 1), now)
					st.Status(now)
					st.Memory(noon)
				}
			}
		})
	}
	all.Wait()
}
