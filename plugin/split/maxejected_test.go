package split_test

import (
	"slices"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// bounded returns s with that limit, in hundredths of a percent, where every backend may be
// ejected.
func bounded(s *split.Split, limit int) *split.Split {
	s.MaxEjected = &limit
	s.OnUnavailable = split.Redistribute
	for i := range s.Backends {
		s.Backends[i].Passive = &split.Passive{Failures: 2, Ejection: 10 * time.Second}
	}
	return s
}

// Whatever fails and recovers, and whatever a ramp does meanwhile, never is more out than
// the limit; and what is kept would be too much.
func TestNoMoreThanMaxEjectedIsOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := bounded(smooth(weights(t, 8)...), rapid.IntRange(0, 10000).Draw(t, "limit"))
		n := len(s.Backends)
		if n > 1 && s.Backends[1].Weight > 0 && rapid.Bool().Draw(t, "ramp") {
			s.Ramp = &split.Ramp{From: 0, To: 10000, Start: noon, Duration: time.Minute}
		}
		st, p, now := split.NewState(s), &patients{}, noon
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause")) * time.Millisecond)
			i := rapid.IntRange(0, n-1).Draw(t, "backend")
			f := p.facts(now)
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				p.set(i, rapid.Bool().Draw(t, "healthy"), now)
				f = p.facts(now)
			case 1:
				for range 2 {
					o := failed(st, i)
					o.Unusable, o.Unhealthy, o.Changed = f.Unhealthy, f.Unhealthy, f.Changed
					for _, e := range st.Observe(o, now) {
						if kept := st.Health(f).Kept.Has(i); e.Kept != kept {
							t.Fatalf("%s, and it is kept: %t", e, kept)
						}
					}
				}
			}
			checkLimit(t, s, st, f, now)
		}
	})
}

func checkLimit(t *rapid.T, s *split.Split, st *split.State, f *split.Facts, now time.Time) {
	weights, all, out := weightsAt(s, now), 0.0, 0.0
	kept := st.Health(f).Kept
	ejected := st.Status(now).Ejected
	for i, w := range weights {
		_, sick := ejected[s.Backends[i].Name]
		if sick = sick || f.Unhealthy.Has(i); sick && !kept.Has(i) {
			out += w
		} else if !sick && kept.Has(i) {
			t.Fatalf("%d is kept, and healthy", i)
		}
		all += w
	}
	most := all * float64(*s.MaxEjected) / 10000
	if out > most*(1+1e-12) {
		t.Fatalf("%v of %v are out, and %v may be", out, all, most)
	}
	for i, w := range weights {
		if kept.Has(i) && out+w <= most*(1-1e-12) {
			t.Fatalf("%d is kept, and there is room for it", i)
		}
	}
	d, err := split.Decide(s, st, f)
	if err == nil && d.Kept != kept {
		t.Fatalf("a decision has %b as kept, and the state %b", d.Kept, kept)
	}
}

// The one that failed first is out; the next one only once that is back. One that was kept
// never lost its share, so it has no slow start.
func TestWhoIsOut(t *testing.T) {
	s := slowly(bounded(smooth(1, 1, 1), 5000), 10*time.Second)
	st, p := split.NewState(s), &patients{}
	takers := func(at time.Duration) (got []int) {
		for range 12 {
			d, err := split.Decide(s, st, p.facts(noon.Add(at)))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(got, d.Backend) {
				got = append(got, d.Backend)
			}
		}
		slices.Sort(got)
		return got
	}
	check := func(at time.Duration, want ...int) {
		t.Helper()
		if diff := cmp.Diff(want, takers(at)); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", at, diff)
		}
	}
	p.set(2, false, noon)
	check(0, 0, 1)
	p.set(0, false, noon.Add(time.Second))
	check(time.Second, 0, 1)
	events := observe(st, 1, bad(2*time.Second), bad(2*time.Second))
	if diff := cmp.Diff([]string{`"1" is ejected until 2026-01-31T12:00:12Z: 2 requests in a row failed`}, events); diff != "" {
		t.Errorf("where the probes were not told (-want +got):\n%s", diff)
	}
	check(3*time.Second, 0, 1)
	p.set(2, true, noon.Add(4*time.Second)) // the next one goes out, and it comes back by and by
	check(4*time.Second, 1)
	check(20*time.Second, 1, 2)
	p.set(2, false, noon.Add(21*time.Second)) // now it is the later one
	check(21*time.Second, 1, 2)
	p.set(2, true, noon.Add(22*time.Second))
	if slow := st.Health(p.facts(noon.Add(23 * time.Second))).SlowStarts; slow[2] != nil {
		t.Errorf("it was never out, and grows: %+v", slow[2])
	}
	p.set(0, true, noon.Add(30*time.Second))
	if slow := st.Health(p.facts(noon.Add(31 * time.Second))).SlowStarts; slow[0] == nil {
		t.Error("it was out, and has its share at once")
	}
}

func TestEjectionThatIsNotCarriedOut(t *testing.T) {
	s := bounded(smooth(2, 1), 5000)
	st := split.NewState(s)
	want := []string{`"0" is ejected until 2026-01-31T12:00:10Z, but takes requests as long as too much of the weights would be out (max_ejected): 2 requests in a row failed`}
	if diff := cmp.Diff(want, observe(st, 0, bad(0), bad(0))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := count(t, s, st, 30); got[0] != 20 {
		t.Errorf("counts: %v", got)
	}
	want = []string{`"1" is ejected until 2026-01-31T12:00:10Z: 2 requests in a row failed`}
	if diff := cmp.Diff(want, observe(st, 1, bad(0), bad(0))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Who was kept never lost its share, and has it in another process, too, however it was
// found unhealthy.
func TestWhoIsKeptHasNoSlowStartInAnotherProcess(t *testing.T) {
	s := slowly(bounded(smooth(1, 1, 1), 5000), 10*time.Second)
	st, p := split.NewState(s), &patients{}
	p.set(0, false, noon)
	p.set(1, false, noon.Add(time.Second))
	st.Health(p.facts(noon.Add(time.Second))) // as a request does
	o := failed(st, 2)
	o.Unhealthy, o.Changed = p.unhealthy, p.facts(noon).Changed
	for range 2 {
		st.Observe(o, noon.Add(2*time.Second))
	}
	saved := st.Memory(noon.Add(3 * time.Second))
	back := noon.Add(12 * time.Second)
	p.set(0, true, back)
	p.set(1, true, back.Add(time.Second))
	next := split.NewState(s)
	if err := next.Recall(saved, back.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, st := range []*split.State{st, next} {
		slow := st.Health(p.facts(back.Add(2 * time.Second))).SlowStarts
		if slow[0] == nil || slow[1] != nil || slow[2] != nil {
			t.Errorf("%+v; only the first one was out", slow)
		}
	}
	unlimited := *s
	unlimited.MaxEjected = nil
	next = split.NewState(&unlimited)
	if err := next.Recall(saved, back.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if slow := next.Health(p.facts(back.Add(2 * time.Second))).SlowStarts; slow[1] == nil {
		t.Error("without max_ejected nobody is kept")
	}
}
