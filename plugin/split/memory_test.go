package split_test

import (
	"strings"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
)

// What one process notes another one knows, of the backends and the ramp that it has.
func TestRecallWhatMemoryReturned(t *testing.T) {
	full := func() *split.Split {
		s := watched(guarded())
		s.Backends = append(s.Backends, split.Backend{Name: "2", Passive: &split.Passive{Failures: 1, Ejection: time.Hour}})
		return s
	}
	before := split.NewState(full())
	observe(before, 2, bad(0))
	observe(before, 1, times(8, bad(30*time.Minute))...)
	now := noon.Add(30*time.Minute + time.Second)
	memory := before.Memory()

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
		if err := st.Recall(memory); err != nil {
			t.Fatal(err)
		}
		status := st.Status(now)
		if diff := cmp.Diff(test.ejected, status.Ejected); diff != "" {
			t.Errorf("%s: ejected (-want +got):\n%s", test.name, diff)
		}
		if status.RolledBack.IsZero() == test.back || test.back && !status.RolledBack.Equal(noon.Add(30*time.Minute)) {
			t.Errorf("%s: taken back: %v", test.name, status.RolledBack)
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
	if err := again.Recall(memory); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(memory), string(again.Memory())); diff != "" {
		t.Errorf("what is noted of what was recalled (-want +got):\n%s", diff)
	}
}

func TestMemoryOfNothing(t *testing.T) {
	s := watched(guarded())
	st := split.NewState(s)
	if got := string(st.Memory()); got != "{}" {
		t.Errorf("got %s", got)
	}
	if err := st.Recall([]byte("{}")); err != nil {
		t.Error(err)
	}
}

func TestRecallOfGarbageChangesNothing(t *testing.T) {
	for _, text := range []string{"", "\xff", "[]", `{"ejected":{"0":1}}`, `{"ejected":{"0":"2099-01-01T00:00"}}`, `{"rolled_back":true}`} {
		st := split.NewState(watched(guarded()))
		if err := st.Recall([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "the memory of a split: ") {
			t.Errorf("%q: %v", text, err)
		}
		if got := string(st.Memory()); got != "{}" {
			t.Errorf("after %q: %s", text, got)
		}
	}
	for _, text := range []string{"null", "{}", `{"ejected":{"gone":"2099-01-01T00:00:00Z"}}`, `{"rolled_back":{}}`, `{"other":1}`} {
		st := split.NewState(watched(guarded()))
		if err := st.Recall([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := string(st.Memory()); got != "{}" {
			t.Errorf("after %q: %s", text, got)
		}
	}
}
