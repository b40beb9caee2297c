package split_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// waiting is a split with a plan whose steps wait for 3 requests: 5 % for 10 minutes,
// 25 % for 20 minutes, 50 % for 10 minutes, 100 %.
func waiting() *split.Split {
	s := smooth(1, 1)
	s.Ramp = &split.Ramp{
		Backend: 1, From: 100, Start: noon,
		Plan: []split.PlanStep{
			{Share: 500, For: 10 * time.Minute}, {Share: 2500, For: 20 * time.Minute}, {Share: 5000, For: 10 * time.Minute}, {Share: 10000},
		},
		Guard: &split.Guard{MaxErrorRatio: 5000, MinRequests: 3, Window: time.Minute, Wait: true},
	}
	return s
}

// moment is one in the course of a ramp: what it shows, after some outcomes.
type moment struct {
	at       time.Duration
	outcomes []outcome
	events   []string
	share    int
	waits    string
	ends     time.Duration // after noon; 0: it does not end
	behind   time.Duration
}

func play(t *testing.T, s *split.Split, st *split.State, moments ...moment) {
	t.Helper()
	for _, m := range moments {
		now := noon.Add(m.at)
		events := observe(st, 1, m.outcomes...)
		if diff := cmp.Diff(m.events, events); diff != "" {
			t.Errorf("at %v (-want +got):\n%s", m.at, diff)
		}
		got := st.Status(now).Ramp
		var ends time.Duration
		if !got.Ends.IsZero() {
			ends = got.Ends.Sub(noon)
		}
		if got.Share != m.share || got.Waits != m.waits || ends != m.ends || got.Behind != m.behind {
			t.Errorf("at %v: share %d, waits for %q, ends at %v, %v behind; want %+v", m.at, got.Share, got.Waits, ends, got.Behind, m)
		}
		if share := st.RampShare(now); share != m.share {
			t.Errorf("at %v: share %d, want %d", m.at, share, m.share)
		}
	}
}

func TestStepsWait(t *testing.T) {
	const m = time.Minute
	s := waiting()
	st := split.NewState(s)
	begun := func(step int, from, to string, late ...string) []string {
		text := fmt.Sprintf(`step %d of 4 of the ramp of "1" has begun, from %s %% to %s %%`, step, from, to)
		for _, l := range late {
			text += ", " + l + " later than without waiting"
		}
		return []string{text}
	}
	play(t, s, st,
		moment{at: -m, outcomes: times(9, ok(-m)), share: 100},
		moment{at: 0, share: 500, waits: "0 of 3 requests", ends: 10 * m},
		moment{at: m, outcomes: times(2, ok(m)), events: begun(1, "1", "5"), share: 500, waits: "2 of 3 requests", ends: 10 * m},
		moment{at: 10 * m, share: 500, waits: "2 of 3 requests", ends: 10 * m}, // by the clock it would be over
		moment{at: time.Hour, share: 500, waits: "2 of 3 requests", ends: 10 * m},
		moment{at: 61 * m, outcomes: times(1, ok(61*m)), events: begun(2, "5", "25", "51m0s"), share: 2500, waits: "0 of 3 requests", ends: 81 * m, behind: 51 * m},
		moment{at: 62 * m, outcomes: times(3, ok(62*m)), share: 2500, ends: 81 * m, behind: 51 * m}, // it has been judged in time
		moment{at: 81*m - 1, share: 2500, ends: 81 * m, behind: 51 * m},
		moment{at: 81 * m, share: 5000, waits: "0 of 3 requests", ends: 91 * m, behind: 51 * m},
		moment{at: 3 * time.Hour, share: 5000, waits: "0 of 3 requests", ends: 91 * m, behind: 51 * m},
		moment{
			at: 3 * time.Hour, outcomes: times(3, ok(3*time.Hour)), share: 10000, behind: 140 * m,
			events: append(begun(3, "25", "50", "51m0s"), begun(4, "50", "100", "2h20m0s")...),
		},
	)
}

// A step that is failing, too slowly to be rolled back, waits until it is better.
func TestStepThatFailsWaits(t *testing.T) {
	const m = time.Minute
	s := waiting()
	st := split.NewState(s)
	st.Status(noon)
	observe(st, 1, bad(m), bad(4*m), ok(7*m))
	play(t, s, st,
		moment{at: 11 * m, share: 500, waits: "fewer failures or a shorter latency: 2 of 3 requests failed", ends: 10 * m},
		moment{
			at: 12 * m, outcomes: times(1, ok(12*m)), share: 2500, ends: 32 * m, waits: "0 of 3 requests", behind: 2 * m,
			events: []string{`step 2 of 4 of the ramp of "1" has begun, from 5 % to 25 %, 2m0s later than without waiting`},
		},
	)
	if events := observe(st, 1, times(3, bad(13*m))...); len(events) != 1 || st.RampShare(noon.Add(13*m)) != 0 {
		t.Errorf("%v, share %d, want it rolled back", events, st.RampShare(noon.Add(13*m)))
	}
	got := st.Status(noon.Add(13 * m)).Ramp
	if got.Why != "2 of 3 requests failed" || !got.Ends.IsZero() || got.Waits != "" {
		t.Errorf("after a rollback: %+v", got)
	}
}

// A step by excess also waits for requests of the others, but not at 100 %, where there
// are none; one that gives no requests waits for none.
func TestWhatStepsWaitFor(t *testing.T) {
	s := waiting()
	s.Ramp.Plan = []split.PlanStep{{Share: 0, For: time.Minute}, {Share: 5000, For: time.Minute}, {Share: 10000, For: time.Minute}, {Share: 9000}}
	s.Ramp.Guard = &split.Guard{MaxErrorExcess: 1000, MinRequests: 2, Window: time.Hour, Wait: true}
	st := split.NewState(s)
	status := func(at time.Duration) (share int, waits string) {
		r := st.Status(noon.Add(at)).Ramp
		return r.Share, r.Waits
	}
	for _, step := range []struct {
		at          time.Duration
		others, own int
		share       int
		waits       string
	}{
		{0, 0, 0, 0, ""},
		{time.Minute, 0, 0, 5000, "0 of 2 requests"},
		{5 * time.Minute, 0, 2, 5000, "0 of 2 requests of other backends"},
		{6 * time.Minute, 2, 0, 10000, "0 of 2 requests"},
		{8 * time.Minute, 0, 2, 9000, ""},
	} {
		observe(st, 1, times(step.own, ok(step.at))...)
		observe(st, 0, times(step.others, ok(step.at))...)
		if share, waits := status(step.at); share != step.share || waits != step.waits {
			t.Errorf("at %v: share %d, waits for %q; want %+v", step.at, share, waits, step)
		}
	}
}

// Another process goes on at the step of this one, neither where the clock is nor at the
// beginning; what it has counted of the step begins anew.
func TestRestartKeepsTheStep(t *testing.T) {
	const m = time.Minute
	st := split.NewState(waiting())
	st.Status(noon)
	observe(st, 1, times(2, ok(time.Hour))...)
	observe(st, 1, ok(time.Hour)) // the second step begins, 50 minutes late
	observe(st, 1, times(2, ok(61*m))...)
	later := noon.Add(100 * time.Hour)
	memory := st.Memory(noon.Add(62 * m))

	next := split.NewState(waiting())
	if err := next.Recall(memory, later); err != nil {
		t.Fatal(err)
	}
	got := next.Status(later).Ramp
	if got.Share != 2500 || got.Behind != 50*m || got.Waits != "0 of 3 requests" || got.Step != 2 || got.Steps != 4 {
		t.Errorf("recalled: %+v", got)
	}
	if diff := cmp.Diff(string(memory), string(next.Memory(later))); diff != "" {
		t.Errorf("what is saved of what was recalled (-want +got):\n%s", diff)
	}

	// A step that has begun by the clock, and had no outcome yet, is saved as well.
	early := split.NewState(waiting())
	early.Status(noon)
	observe(early, 1, times(3, ok(m))...)
	third := split.NewState(waiting())
	if err := third.Recall(early.Memory(noon.Add(11*m)), later); err != nil {
		t.Fatal(err)
	}
	if share := third.RampShare(later); share != 2500 {
		t.Errorf("of a step without an outcome: share %d", share)
	}

	// Without what was saved it begins where the clock has it, and is saved at once.
	fresh := split.NewState(waiting())
	memory = fresh.Memory(noon.Add(15 * m))
	if share := fresh.RampShare(later); share != 2500 || memory == nil {
		t.Errorf("share %d, saved %s", share, memory)
	}

	// A ramp that is changed begins where the clock has it, too.
	edited := waiting()
	edited.Ramp.Start = later.Add(-35 * m)
	if share := next.For(edited).RampShare(later); share != 5000 {
		t.Errorf("after an edit: share %d", share)
	}

	// One that does not wait any more follows the clock, and if it waits again, goes on
	// from there.
	hasty := waiting()
	hasty.Ramp.Guard.Wait = false
	st = next.For(hasty)
	if share := st.RampShare(later); share != 10000 {
		t.Errorf("without wait: share %d", share)
	}
	if share := st.For(waiting()).RampShare(later); share != 10000 {
		t.Errorf("with wait again: share %d", share)
	}
}

// What is saved of another ramp, or of more steps than there are, is ignored.
func TestRecallOfStepsThatAreNotThere(t *testing.T) {
	good := string(split.NewState(waiting()).Memory(noon))
	for _, step := range []string{`"step":4`, `"step":1000000`, `"step":-7`} {
		text := strings.Replace(good, `"step":0`, step, 1)
		st := split.NewState(waiting())
		if err := st.Recall([]byte(text), noon); err != nil {
			t.Fatal(err)
		}
		if share := st.RampShare(noon); share != 500 && share != 100 {
			t.Errorf("%s: share %d", text, share)
		}
		before := split.NewState(smooth(1, 1)) // the ramp comes later
		if err := before.Recall([]byte(text), noon); err != nil {
			t.Fatal(err)
		}
		if share := before.For(waiting()).RampShare(noon); share != 500 && share != 100 {
			t.Errorf("%s: share %d of a ramp that came later", text, share)
		}
	}
}

// Of a wait that is longer than any, no more is believed, and nothing overflows.
func TestRecallOfAWaitThatCannotBe(t *testing.T) {
	for _, behind := range []time.Duration{math.MaxInt64, math.MinInt64} {
		for _, start := range []time.Time{noon, noon.Add(time.Hour), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
			s := waiting()
			s.Ramp.Start = start
			// What is saved is of this very ramp.
			text := strings.Replace(string(split.NewState(s).Memory(start)), `"behind":0`, fmt.Sprintf(`"behind":%d`, behind), 1)
			st := split.NewState(s)
			if err := st.Recall([]byte(text), start); err != nil {
				t.Fatal(err)
			}
			for _, now := range []time.Time{noon.Add(-time.Hour), start, start.Add(5 * time.Minute)} {
				r := st.Status(now).Ramp
				if r.Share != 500 || !r.Ends.IsZero() && r.Ends.Before(start) || r.Behind < 0 {
					t.Errorf("%d behind a start at %v, at %v: %+v", behind, start, now, r)
				}
			}
		}
	}
}

// Held, the ramp neither goes on nor judges its step.
func TestHoldStopsSteps(t *testing.T) {
	s := waiting()
	st := split.NewState(s)
	st.Status(noon)
	stop := waiting()
	stop.Ramp.Hold = new(3000)
	st = st.For(stop)
	if events := observe(st, 1, times(9, ok(time.Hour))...); events != nil || st.RampShare(noon.Add(time.Hour)) != 3000 {
		t.Errorf("%v, share %d", events, st.RampShare(noon.Add(time.Hour)))
	}
	if got := st.Status(noon.Add(time.Hour)).Ramp; !got.Held || !got.Ends.IsZero() || got.Waits != "" {
		t.Errorf("held: %+v", got)
	}
	st = st.For(s)
	if share := st.RampShare(noon.Add(2 * time.Hour)); share != 500 {
		t.Errorf("afterwards: share %d", share)
	}
	st = st.For(stop)
	if events := observe(st, 1, times(9, bad(3*time.Hour))...); len(events) != 1 || st.RampShare(noon.Add(3*time.Hour)) != 0 {
		t.Errorf("it fails, held: %v", events)
	}
}

// Whatever comes in, no step is left before enough requests of it were seen, none is
// skipped, the ramp never goes back, and each lasts at least its time.
func TestNoStepIsSkipped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := waiting()
		if rapid.Bool().Draw(t, "equal steps") {
			s.Ramp.Plan, s.Ramp.To, s.Ramp.Duration, s.Ramp.Steps = nil, 9000, time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "duration")), rapid.IntRange(1, 9).Draw(t, "steps")
		}
		plain := *s.Ramp
		plain.Guard = nil
		st := split.NewState(s)
		st.Status(noon.Add(-1))
		shares := []int{100}
		seen := 0
		now := noon.Add(-1)
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(10*time.Minute)).Draw(t, "pause")))
			share := st.RampShare(now)
			if last := shares[len(shares)-1]; share != last {
				if share < last || len(shares) > 1 && seen < 3 {
					t.Fatalf("from %d to %d after %d requests", last, share, seen)
				}
				shares, seen = append(shares, share), 0
			}
			if share > plain.ShareAt(now) {
				t.Fatalf("%d at %v, before its time", share, now)
			}
			if rapid.Bool().Draw(t, "outcome") {
				observe(st, 1, ok(now.Sub(noon)))
				seen++
				if after := st.RampShare(now); after != share { // it was the last one needed
					if seen < 3 {
						t.Fatalf("from %d to %d after %d requests", share, after, seen)
					}
					shares, seen = append(shares, after), 0
				}
			}
		}
		all := []int{100}
		for k := range 100_000 {
			if share := plain.ShareAt(noon.Add(time.Duration(k) * time.Second)); share != all[len(all)-1] {
				all = append(all, share)
			}
			if len(all) > len(shares) {
				break
			}
		}
		if s.Ramp.Steps == 0 && cmp.Diff(all[:len(shares)], shares) != "" {
			t.Fatalf("went over %v, want %v", shares, all)
		}
	})
}

// Many decide, observe, save and look while steps begin: each step begins once, and in
// its turn.
func TestStepsFromManyGoroutines(t *testing.T) {
	s := waiting()
	s.Ramp.Guard.MaxErrorExcess, s.Ramp.Guard.MaxLatency, s.Ramp.Guard.Quantile = 9000, time.Minute, 9500
	st := split.NewState(s)
	st.Status(noon)
	var ticks atomic.Int64
	var begun [5]atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				now := noon.Add(time.Duration(ticks.Add(1)) * time.Second)
				d, err := split.Decide(s, st, &split.Facts{Now: now})
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range st.Observe(split.Outcome{Backend: d.Backend, Subject: d.Subject, Latency: time.Second}, now) {
					begun[e.Step].Add(1)
				}
				st.Status(now)
				st.Memory(now)
			}
		})
	}
	all.Wait()
	for step := 2; step <= 4; step++ {
		if n := begun[step].Load(); n != 1 {
			t.Errorf("step %d has begun %d times", step, n)
		}
	}
	if got := st.Status(noon.Add(8000 * time.Second)).Ramp; got.Step != 4 || got.Share != 10000 {
		t.Errorf("at the end: %+v", got)
	}
}
