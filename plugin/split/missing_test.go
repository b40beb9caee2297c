package split_test

import (
	"errors"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
)

// play makes n requests at a pace from a time on, and counts them by backend.
func (g *gateway) play(t *testing.T, s *split.Split, st *split.State, n int, from time.Time, pace time.Duration) []int {
	t.Helper()
	counts := make([]int, len(s.Backends))
	for k := range n {
		d, err := split.Choose(s, st, &split.Facts{Now: from.Add(time.Duration(k) * pace)}, g.exists)
		if err != nil {
			t.Fatal(err)
		}
		counts[d.Backend]++
	}
	return counts
}

// 8 of 11 backends are missing: the first request finds them all, and the others need
// not ask for them but once a second, all at a time.
func TestMissingBackendsAreRemembered(t *testing.T) {
	s := smooth(weightsOfOne(11)...)
	s.OnUnavailable = split.Redistribute
	st := split.NewState(s)
	g := gateway{absent: set(0, 1, 2, 3, 4, 5, 6, 7)}
	for _, test := range []struct {
		name     string
		requests int
		from     time.Duration
		asked    int
	}{
		{"the first request", 1, 0, 9},
		{"the first second", 999, time.Millisecond, 999},
		{"the request after it", 1, time.Second, 9},
		{"what follows", 100, 1001 * time.Millisecond, 100},
		{"after a long time", 1, time.Hour, 9},
		{"the clock was set back", 1, 0, 9},
		{"and goes on from there", 1, time.Millisecond, 1},
	} {
		g.asked = 0
		g.play(t, s, st, test.requests, noon.Add(test.from), time.Millisecond)
		if g.asked != test.asked {
			t.Errorf("%s: asked %d times, want %d", test.name, g.asked, test.asked)
		}
	}
}

// One that is there again has its share a second later at most, and at once where
// somebody says that something has changed; nor does a request fail for it where
// nobody else is left.
func TestMissingBackendComesBack(t *testing.T) {
	for _, test := range []struct {
		name    string
		weights []int
		after   time.Duration
		doubt   bool
		want    []int
	}{
		{"a moment later", []int{1, 1, 2}, time.Second - 1, false, []int{0, 40, 80}},
		{"a second later", []int{1, 1, 2}, time.Second, false, []int{30, 30, 60}},
		{"something has changed", []int{1, 1, 2}, 0, true, []int{30, 30, 60}},
	} {
		s := smooth(test.weights...)
		s.OnUnavailable = split.Redistribute
		st := split.NewState(s)
		g := gateway{absent: set(0)}
		g.play(t, s, st, 3, noon, 0)
		g.absent = 0
		if test.doubt {
			st.Doubt()
		}
		if diff := cmp.Diff(test.want, g.play(t, s, st, 120, noon.Add(test.after), 0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	s := smooth(1, 1)
	s.OnUnavailable = split.Redistribute
	st := split.NewState(s)
	g := gateway{absent: set(0, 1)}
	facts := split.Facts{Now: noon}
	if _, err := split.Choose(s, st, &facts, g.exists); !errors.Is(err, split.ErrUnavailable) {
		t.Fatalf("with nobody left: %v", err)
	}
	g.absent = 0
	if diff := cmp.Diff([]int{10, 0}, g.play(t, s, st, 10, noon, 0)); diff != "" {
		t.Errorf("where nobody was left (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{5, 5}, g.play(t, s, st, 10, noon.Add(time.Second), 0)); diff != "" {
		t.Errorf("a second later (-want +got):\n%s", diff)
	}
}

// Another revision knows the backends by name, and finds out at once whether they are
// there by now.
func TestMissingBackendsInAnotherRevision(t *testing.T) {
	s := named(map[string]int{"a": 1, "b": 1, "c": 1})
	s.OnUnavailable = split.Redistribute
	st := split.NewState(s)
	g := gateway{absent: set(0)}
	g.play(t, s, st, 3, noon, 0)
	next := named(map[string]int{"0": 1, "a": 1, "b": 1})
	next.OnUnavailable = split.Redistribute
	st = st.For(next)
	g = gateway{absent: set(1)}
	if diff := cmp.Diff([]int{5, 0, 5}, g.play(t, next, st, 10, noon, 0)); diff != "" || g.asked != 11 {
		t.Errorf("asked %d times, want 11 (-want +got):\n%s", g.asked, diff)
	}
}

// To what does not redistribute a missing backend makes no difference: only its own
// share asks for it, and finds it as soon as it is there.
func TestMissingBackendThatIsNotRedistributed(t *testing.T) {
	for _, on := range []split.OnUnavailable{split.Fail, split.ToFallback} {
		s := smooth(1, 1)
		s.OnUnavailable, s.Fallback = on, 1
		st := split.NewState(s)
		g := gateway{absent: set(0)}
		for range 4 {
			_, _ = split.Choose(s, st, &split.Facts{Now: noon}, g.exists)
		}
		g.absent = 0
		if diff := cmp.Diff([]int{5, 5}, g.play(t, s, st, 10, noon, 0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", on, diff)
		}
	}
}

// What goes wrong in asking ends the choice.
func TestErrorOfAsking(t *testing.T) {
	s := smooth(1, 1)
	s.OnUnavailable = split.Redistribute
	st := split.NewState(s)
	g := gateway{absent: set(0)}
	g.play(t, s, st, 1, noon, 0)
	broken := errors.New("the connection is gone")
	for _, now := range []time.Time{noon, noon.Add(time.Hour)} { // for the one that is chosen, and for one that was missing
		_, err := split.Choose(s, st, &split.Facts{Now: now}, func(int, bool) (bool, error) { return false, broken })
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
}
