package split_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// limited returns the split of guarded with another guard.
func limited(g split.Guard) *split.Split {
	s := guarded()
	s.Ramp.Guard = &g
	return s
}

// took observes outcomes of the backend of the ramp, a minute after noon, that succeeded
// after so long, and returns what they led to.
func took(st *split.State, latencies ...time.Duration) (events []string) {
	for _, latency := range latencies {
		o := split.Outcome{Backend: 1, Subject: st.Subject(1), Latency: latency}
		for _, e := range st.Observe(o, noon.Add(time.Minute)) {
			events = append(events, e.String())
		}
	}
	return events
}

func TestGuardByExcess(t *testing.T) {
	const m = time.Minute
	excess := split.Guard{MaxErrorExcess: 1000, MinRequests: 10, Window: time.Minute}
	back := func(why string) []string {
		return []string{`the ramp of "1" is rolled back, and stays so until it is changed: ` + why}
	}
	mix := func(at time.Duration, well, failed int) []outcome {
		return append(times(well, ok(at)), times(failed, bad(at))...)
	}
	for _, test := range []struct {
		name        string
		others, own []outcome
		want        []string
	}{
		{"just at the limit", mix(m, 16, 4), mix(m, 14, 6), nil},
		{"above it", mix(m, 16, 4), mix(m, 13, 7), back("6 of 19 requests failed, and 4 of 20 of the other backends'")},
		{"both fail alike", mix(m, 0, 50), mix(m, 0, 50), nil},
		{"too few of the others", mix(m, 9, 0), mix(m, 0, 50), nil},
		{"too few of its own", mix(m, 50, 0), mix(m, 0, 9), nil},
		{"the others were long ago", mix(m, 50, 0), mix(3*m, 0, 50), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			st := split.NewState(limited(excess))
			got := append(observe(st, 0, test.others...), observe(st, 1, test.own...)...)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The comparison is exact, however many requests there are.
func TestExcessIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 9999).Draw(t, "limit")
		count := rapid.IntRange(1, 60)
		st := split.NewState(limited(split.Guard{MaxErrorExcess: limit, MinRequests: 1, Window: time.Hour}))
		var all, failed [2]int
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			i, n, bad := rapid.IntRange(0, 1).Draw(t, "backend"), count.Draw(t, "n"), rapid.Bool().Draw(t, "failed")
			for range n {
				events := observe(st, i, outcome{time.Minute, bad})
				if all[i]++; bad {
					failed[i]++
				}
				over := all[0] > 0 && all[1] > 0 && failed[1]*all[0]*10000 > failed[0]*all[1]*10000+limit*all[0]*all[1]
				if over != (events != nil) {
					t.Fatalf("%v of %v failed, limit %d: %v", failed, all, limit, events)
				}
				if over {
					return
				}
			}
		}
	})
}

func TestGuardByLatency(t *testing.T) {
	const ms = time.Millisecond
	back := func(why string) []string {
		return []string{`the ramp of "1" is rolled back, and stays so until it is changed: ` + why}
	}
	for _, test := range []struct {
		name string
		took []time.Duration
		want []string
	}{
		{"fast", slices.Repeat([]time.Duration{0}, 20), nil},
		{"just at the limit", slices.Repeat([]time.Duration{50 * ms}, 20), nil},
		{"above it", slices.Repeat([]time.Duration{51 * ms}, 20), back("the slowest 10 % of 20 requests took 51ms or longer")},
		{"a tenth above it", append(slices.Repeat([]time.Duration{80 * ms}, 2), slices.Repeat([]time.Duration{0}, 18)...), nil},
		{"more than that", append(slices.Repeat([]time.Duration{80 * ms}, 3), slices.Repeat([]time.Duration{0}, 17)...), back("the slowest 10 % of 20 requests took 80ms or longer")},
		{"too few", slices.Repeat([]time.Duration{time.Hour}, 19), nil},
		{"not known", append(slices.Repeat([]time.Duration{-1}, 50), slices.Repeat([]time.Duration{time.Hour}, 19)...), nil},
		{"longer than can be told", slices.Repeat([]time.Duration{24 * time.Hour}, 20), back("the slowest 10 % of 20 requests had no answer")},
	} {
		t.Run(test.name, func(t *testing.T) {
			st := split.NewState(limited(split.Guard{MaxLatency: 50 * ms, Quantile: 9000, MinRequests: 20, Window: time.Minute}))
			if diff := cmp.Diff(test.want, took(st, test.took...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A backend that answers nothing at all is slower than any limit.
func TestNoAnswerIsSlow(t *testing.T) {
	st := split.NewState(limited(split.Guard{MaxLatency: time.Hour, Quantile: 9500, MinRequests: 20, Window: time.Minute}))
	var events []string
	for range 20 {
		for _, e := range st.Observe(split.Outcome{Backend: 1, Subject: st.Subject(1), Failed: true, Latency: -1}, noon.Add(time.Minute)) {
			events = append(events, e.String())
		}
	}
	want := []string{`the ramp of "1" is rolled back, and stays so until it is changed: the slowest 5 % of 20 requests had no answer`}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The quantile of the window is that of its latencies, each at most 3.2 % below what it
// was; up to 64 ms it is exact. What has left the window is forgotten.
func TestLatencyQuantile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quantile := rapid.IntRange(100, 9999).Draw(t, "quantile")
		g := split.Guard{MaxLatency: split.MaxLatency, Quantile: quantile, MinRequests: 1_000_000, Window: time.Minute}
		st := split.NewState(limited(g))
		latency := rapid.OneOf(rapid.IntRange(0, 70), rapid.IntRange(0, 10_000), rapid.IntRange(0, 3_600_000))
		draw := func(at time.Duration) (all []int) {
			for range rapid.IntRange(1, 100).Draw(t, "n") {
				all = append(all, latency.Draw(t, "ms"))
				st.Observe(split.Outcome{Backend: 1, Subject: st.Subject(1), Latency: time.Duration(all[len(all)-1]) * time.Millisecond}, noon.Add(at))
			}
			return all
		}
		draw(time.Minute)
		if rapid.Bool().Draw(t, "resized") {
			g.Window = 90 * time.Second
			st = st.For(limited(g))
		}
		all := draw(5 * time.Minute)
		slices.Sort(all)
		want := float64(all[int(math.Ceil(float64(quantile*len(all))/10000))-1])
		got := st.Status(noon.Add(5 * time.Minute)).Ramp.Guard
		if ms := float64(got.Latency / time.Millisecond); got.Timed != len(all) || ms > want || ms < want*0.968 || want < 64 && ms != want {
			t.Fatalf("the %d/10000 quantile of %v is %v of %d, want %v", quantile, all, got.Latency, got.Timed, want)
		}
		if late := st.Status(noon.Add(time.Hour)).Ramp.Guard; late.Timed != 0 || late.Latency != 0 || late.Requests != 0 {
			t.Fatalf("an hour later: %+v", late)
		}
	})
}

// What a guard counts costs no allocation.
func TestObserveDoesNotAllocate(t *testing.T) {
	s := limited(split.Guard{
		MaxErrorRatio: 9999, MaxErrorExcess: 9999, MaxLatency: time.Hour, Quantile: 9500, MinRequests: 20, Window: time.Minute, Wait: true,
	})
	s.Ramp.Steps = 2
	st := split.NewState(s)
	k := 0
	allocations := testing.AllocsPerRun(2000, func() {
		now := noon.Add(time.Second + time.Duration(k)*time.Millisecond)
		st.Observe(split.Outcome{Backend: k % 2, Subject: st.Subject(k % 2), Latency: time.Duration(k) * time.Millisecond}, now)
		k++
	})
	if allocations != 0 {
		t.Errorf("%v allocations an outcome", allocations)
	}
}

// What it shows is what it has counted, and what it lacks to judge.
func TestGuardStatus(t *testing.T) {
	s := limited(split.Guard{MaxErrorRatio: 9000, MaxErrorExcess: 9000, MaxLatency: time.Second, Quantile: 5000, MinRequests: 3, Window: time.Minute})
	st := split.NewState(s)
	now := noon.Add(time.Minute)
	status := func() split.GuardStatus { return *st.Status(now).Ramp.Guard }
	step := func(want split.GuardStatus) {
		t.Helper()
		if diff := cmp.Diff(want, status()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	step(split.GuardStatus{Lacks: split.LacksRequests})
	took(st, 10*time.Millisecond, 20*time.Millisecond)
	step(split.GuardStatus{Requests: 2, Latency: 10 * time.Millisecond, Timed: 2, Lacks: split.LacksRequests, Have: 2})
	took(st, -1)
	step(split.GuardStatus{Requests: 3, Latency: 10 * time.Millisecond, Timed: 2, Lacks: split.LacksOthers})
	observe(st, 0, bad(time.Minute), ok(time.Minute), ok(time.Minute))
	step(split.GuardStatus{Requests: 3, Others: 3, Failing: 1, Latency: 10 * time.Millisecond, Timed: 2, Lacks: split.LacksLatencies, Have: 2})
	took(st, 70*time.Millisecond)
	step(split.GuardStatus{Requests: 4, Others: 3, Failing: 1, Latency: 20 * time.Millisecond, Timed: 3})
}
