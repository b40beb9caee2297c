package split_test

import (
	"strings"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
)

// half is when the ramps of these tests are half under way, after noon.
const half = 30 * time.Minute

// What one process saves another one recalls, of the backends and the ramp that it has.
func TestRecallWhatMemoryReturned(t *testing.T) {
	full := func() *split.Split {
		s := watched(guarded())
		s.Ramp.Guard.RollbackTo = 1000
		s.Backends = append(s.Backends, split.Backend{Name: "2", Passive: &split.Passive{Failures: 1, Ejection: time.Hour}})
		return s
	}
	before := split.NewState(full())
	observe(before, 2, bad(0))
	observe(before, 1, times(8, bad(30*time.Minute))...)
	now := noon.Add(30*time.Minute + time.Second)
	memory := before.Memory(now)

	for _, test := range []struct {
		name    string
		change  func(s *split.Split)
		ejected map[string]time.Time
		back    bool
	}{
		{"the same split", func(*split.Split) {}, map[string]time.Time{"1": noon.Add(31 * time.Minute), "2": noon.Add(time.Hour)}, true},
		{"a backend is gone", func(s *split.Split) { s.Backends = s.Backends[:2] }, map[string]time.Time{"1": noon.Add(31 * time.Minute)}, true},
		{"one is not watched", func(s *split.Split) { s.Backends[1].Passive = nil }, map[string]time.Time{"2": noon.Add(time.Hour)}, true},
		{"another ramp", func(s *split.Split) { s.Ramp.To = 100 }, map[string]time.Time{"1": noon.Add(31 * time.Minute), "2": noon.Add(time.Hour)}, false},
		{"no ramp", func(s *split.Split) { s.Ramp = nil }, map[string]time.Time{"1": noon.Add(31 * time.Minute), "2": noon.Add(time.Hour)}, false},
	} {
		s := full()
		test.change(s)
		st := split.NewState(s)
		if err := st.Recall(memory, now); err != nil {
			t.Fatal(err)
		}
		status := st.Status(now)
		if diff := cmp.Diff(test.ejected, status.Ejected); diff != "" {
			t.Errorf("%s: ejected (-want +got):\n%s", test.name, diff)
		}
		if rolledBack(st, now).IsZero() == test.back || test.back && !rolledBack(st, now).Equal(noon.Add(30*time.Minute)) {
			t.Errorf("%s: rolled back: %v", test.name, rolledBack(st, now))
		}
		facts := split.Facts{Now: now}
		d, err := split.Decide(s, st, &facts)
		for range 9 { // until it is the turn of "1", if it ever is
			if err != nil || d.Backend == 1 {
				break
			}
			d, err = split.Decide(s, st, &facts)
		}
		if _, out := test.ejected["1"]; (err != nil) != out {
			t.Errorf("%s: the turn of \"1\" comes to %+v, %v", test.name, d, err)
		}
	}

	again := split.NewState(full())
	if err := again.Recall(memory, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(memory), string(again.Memory(now))); diff != "" {
		t.Errorf("what is saved of what was recalled (-want +got):\n%s", diff)
	}
}

// What one process is told late adds to what it knows by then.
func TestRecallAddsToWhatWasObserved(t *testing.T) {
	s := watched(guarded())
	st, other := split.NewState(s), split.NewState(s)
	observe(other, 1, times(8, bad(half))...)
	observe(st, 0, times(8, bad(half+time.Second))...)
	before := st.Status(noon.Add(half)).Ejected
	if err := st.Recall(other.Memory(noon.Add(half)), noon.Add(half)); err != nil {
		t.Fatal(err)
	}
	if got := st.Status(noon.Add(half)); rolledBack(st, noon.Add(half)).IsZero() || len(before) != 1 || len(got.Ejected) != 2 {
		t.Errorf("before %v were ejected, then %+v", before, got)
	}
}

// An ejection that was saved ends in its time, though the clock has been set since.
func TestRecallWhereTheClockWasSet(t *testing.T) {
	s := watched(guarded())
	other := split.NewState(s)
	observe(other, 1, times(8, bad(half))...)
	ejected := noon.Add(half)
	rest := other.Status(ejected).Ejected["1"].Sub(ejected)
	memory := other.Memory(ejected)
	for name, test := range map[string]struct {
		set  time.Duration
		want time.Duration // from then on
	}{
		"as it was": {0, rest},
		"on":        {rest / 2, rest / 2},
		"too far":   {2 * rest, 0},
		"back":      {-24 * time.Hour, rest},
	} {
		st := split.NewState(s)
		now := ejected.Add(test.set)
		if err := st.Recall(memory, now); err != nil {
			t.Fatal(err)
		}
		if until, is := st.Status(now).Ejected["1"]; is != (test.want > 0) || is && !until.Equal(now.Add(test.want)) {
			t.Errorf("%s: it is ejected until %v, want %v from %v on", name, until, test.want, now)
		}
	}
}

// What is of no state any more is forgotten, and of a ramp that comes again nothing is
// known.
func TestPrune(t *testing.T) {
	s := watched(guarded())
	st := split.NewState(s)
	observe(st, 1, times(8, bad(half))...)
	edited := watched(guarded())
	edited.Ramp.Duration++
	next := st.For(edited)
	if split.Prune(st, next) || rolledBack(st, noon.Add(half)).IsZero() {
		t.Error("something of a state that is there is forgotten")
	}
	if !split.Prune(next) || split.Prune(next) {
		t.Error("it does not say whether something is forgotten")
	}
	again := next.For(s)
	if got := again.Status(noon.Add(half)); !rolledBack(again, noon.Add(half)).IsZero() || len(got.Ejected) != 1 {
		t.Errorf("of a ramp that comes again, and a backend that stayed: %+v", got)
	}
}

func TestMemoryOfNothing(t *testing.T) {
	s := watched(guarded())
	st := split.NewState(s)
	if got := st.Memory(noon); got != nil {
		t.Errorf("got %s", got)
	}
	if err := st.Recall([]byte("{}"), noon); err != nil {
		t.Error(err)
	}
}

func TestRecallOfGarbageChangesNothing(t *testing.T) {
	for _, text := range []string{"", "\xff", "[]", `{"ejected":{"0":1}}`, `{"ejected":{"0":"2099-01-01T00:00"}}`, `{"rolled_back":true}`} {
		st := split.NewState(watched(guarded()))
		if err := st.Recall([]byte(text), noon); err == nil || !strings.HasPrefix(err.Error(), "the memory of a split: ") {
			t.Errorf("%q: %v", text, err)
		}
		if got := st.Memory(noon); got != nil {
			t.Errorf("after %q: %s", text, got)
		}
	}
	for _, text := range []string{"null", "{}", `{"ejected":{"gone":"2099-01-01T00:00:00Z"}}`, `{"rolled_back":{}}`, `{"other":1}`} {
		st := split.NewState(watched(guarded()))
		if err := st.Recall([]byte(text), noon); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		split.Prune(st)
		if got := st.Memory(noon); got != nil {
			t.Errorf("after %q: %s", text, got)
		}
	}
}
