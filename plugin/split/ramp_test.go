package split_test

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestShareAt(t *testing.T) {
	hour := func(from, to, steps int) *split.Ramp {
		return &split.Ramp{From: from, To: to, Steps: steps, Start: noon, Duration: time.Hour}
	}
	for _, test := range []struct {
		name string
		ramp *split.Ramp
		at   time.Duration // after the start
		want int
	}{
		{"long before", hour(500, 10000, 0), -1e6 * time.Hour, 500},
		{"just before", hour(500, 10000, 0), -1, 500},
		{"at the start", hour(500, 10000, 0), 0, 500},
		{"half way", hour(0, 10000, 0), 30 * time.Minute, 5000},
		{"before a hundredth", hour(0, 10000, 0), 360*time.Millisecond - 1, 0},
		{"at a hundredth", hour(0, 10000, 0), 360 * time.Millisecond, 1},
		{"just before the end", hour(0, 10000, 0), time.Hour - 1, 9999},
		{"at the end", hour(0, 10000, 0), time.Hour, 10000},
		{"long after", hour(0, 10000, 0), 1e6 * time.Hour, 10000},
		{"down, half way", hour(10000, 0, 0), 30 * time.Minute, 5000},
		{"down, before a hundredth", hour(10000, 0, 0), 360*time.Millisecond - 1, 10000},
		{"down, just before the end", hour(10000, 0, 0), time.Hour - 1, 1},
		{"down, at the end", hour(10000, 0, 0), time.Hour, 0},
		{"before the first of 4 steps", hour(0, 10000, 4), 15*time.Minute - 1, 0},
		{"at the first", hour(0, 10000, 4), 15 * time.Minute, 2500},
		{"before the last", hour(0, 10000, 4), time.Hour - 1, 7500},
		{"one step", hour(0, 10000, 1), time.Hour - 1, 0},
		{"one step, at the end", hour(0, 10000, 1), time.Hour, 10000},
		{"3 steps of 1 %", hour(0, 100, 3), 20 * time.Minute, 33},
		{"3 steps down", hour(100, 0, 3), 40 * time.Minute, 34},
		{"more steps than hundredths", hour(100, 102, 10000), 30 * time.Minute, 101},
		{"a third of 3 hundredths", hour(0, 3, 0), 20 * time.Minute, 1},
		{"29 of 100 steps, which floats miss", &split.Ramp{To: 100, Steps: 100, Start: noon, Duration: 100}, 29, 29},
		{"no change", hour(100, 100, 0), 30 * time.Minute, 100},
		{"a year by the nanosecond", &split.Ramp{To: 10000, Start: noon, Duration: 8760 * time.Hour}, 4380*time.Hour - 1, 4999},
		{"at once", &split.Ramp{To: 10000, Start: noon}, 0, 10000},
		{"a plan, before it", planned(), -1, 100},
		{"its first step", planned(), 0, 500},
		{"the end of that", planned(), 10*time.Minute - 1, 500},
		{"the second one", planned(), 10 * time.Minute, 2500},
		{"the third one, at which it stops", planned(), 30 * time.Minute, 1001},
		{"long after", planned(), 1e6 * time.Hour, 1001},
		{"a plan of one step", &split.Ramp{Start: noon, Plan: []split.PlanStep{{Share: 700, For: time.Hour}}}, 2 * time.Hour, 700},
		{"held", held(planned(), 42), 20 * time.Minute, 42},
		{"held at 0, before the start", held(hour(500, 10000, 0), 0), -1, 0},
	} {
		if got := test.ramp.ShareAt(noon.Add(test.at)); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestShareOnlyGoesFromTheOneToTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRamp(t, 1)
		last := r.From
		for k := -3; k < 60; k++ {
			share := r.ShareAt(noon.Add(time.Duration(k) * r.Duration / 50))
			if r.To > r.From && share < last || r.To < r.From && share > last || share < min(r.From, r.To) || share > max(r.From, r.To) {
				t.Fatalf("%+v: from %d to %d", r, last, share)
			}
			last = share
		}
		if last != r.To {
			t.Fatalf("%+v: ends at %d", r, last)
		}
	})
}

// A plan costs a decision no more than weights do, nor does one whose steps wait, and
// neither does showing its share.
func TestPlansDoNotAllocate(t *testing.T) {
	for name, s := range map[string]*split.Split{"a plan": {Ramp: planned()}, "one that waits": waiting(), "held": {Ramp: held(planned(), 30)}} {
		s.Backends = smooth(1, 1).Backends
		s.Ramp.Backend = 1
		st := split.NewState(s)
		f := split.Facts{Now: noon.Add(time.Hour)}
		warm(t, s, st, f)
		if n := testing.AllocsPerRun(1000, func() { _, _ = split.Decide(s, st, &f) }); n != 0 {
			t.Errorf("%s: %v allocations a decision", name, n)
		}
	}
}

// planned is a ramp with a plan that stops before its last step.
func planned() *split.Ramp {
	return &split.Ramp{From: 100, Start: noon, Plan: []split.PlanStep{
		{Share: 500, For: 10 * time.Minute}, {Share: 2500, For: 20 * time.Minute}, {Share: 1001}, {Share: 10000},
	}}
}

func held(r *split.Ramp, share int) *split.Ramp {
	r.Hold = &share
	return r
}

// Whatever the plan, each step has exactly its share from its first moment to its last
// one, whoever asks in which order, and a plan that only grows never goes back.
func TestPlanHasTheSharesOfItsSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawPlan(t, 1)
		at := noon
		for i, step := range r.Plan {
			moments := []time.Time{at, at.Add(max(step.For-1, 0)), at.Add(time.Duration(rapid.Int64Range(0, max(int64(step.For)-1, 0)).Draw(t, "moment")))}
			if step.For == 0 || i == len(r.Plan)-1 {
				moments = append(moments, at.Add(1e6*time.Hour))
			}
			for _, moment := range moments {
				if got := r.ShareAt(moment); got != step.Share {
					t.Fatalf("%+v: step %d has %d at %v", r, i, got, moment)
				}
			}
			if step.For == 0 {
				break
			}
			at = at.Add(step.For)
		}
		if got := r.ShareAt(noon.Add(-1)); got != r.From {
			t.Fatalf("%+v has %d before it", r, got)
		}
		slices.SortFunc(r.Plan, func(a, b split.PlanStep) int { return a.Share - b.Share })
		r.From = rapid.IntRange(0, r.Plan[0].Share).Draw(t, "from")
		last := 0
		for k := -3; k < 60; k++ {
			share := r.ShareAt(noon.Add(time.Duration(k) * length(r) / 50))
			if share < last {
				t.Fatalf("%+v goes from %d to %d", r, last, share)
			}
			last = share
		}
	})
}

// drawPlan draws a ramp with a plan.
func drawPlan(t *rapid.T, backends int) *split.Ramp {
	step := rapid.Custom(func(t *rapid.T) split.PlanStep {
		return split.PlanStep{
			Share: rapid.OneOf(rapid.IntRange(0, 10000), rapid.SampledFrom([]int{0, 1, 9999, 10000})).Draw(t, "share"),
			For:   time.Duration(rapid.OneOf(rapid.Int64Range(1, int64(8760*time.Hour)), rapid.Int64Range(0, 3)).Draw(t, "for")),
		}
	})
	return &split.Ramp{
		Backend: rapid.IntRange(0, backends-1).Draw(t, "backend"),
		From:    rapid.IntRange(0, 10000).Draw(t, "from"),
		Start:   noon,
		Plan:    rapid.SliceOfN(step, 1, 8).Draw(t, "plan"),
	}
}

// length is how long a ramp takes.
func length(r *split.Ramp) time.Duration {
	whole := r.Duration
	for _, step := range r.Plan {
		whole += step.For
	}
	return max(whole, 1000)
}

func drawRamp(t *rapid.T, backends int) *split.Ramp {
	share := rapid.OneOf(rapid.IntRange(0, 10000), rapid.SampledFrom([]int{0, 1, 9999, 10000}))
	return &split.Ramp{
		Backend:  rapid.IntRange(0, backends-1).Draw(t, "backend"),
		From:     share.Draw(t, "from"),
		To:       share.Draw(t, "to"),
		Start:    noon,
		Duration: time.Duration(rapid.Int64Range(1, int64(8760*time.Hour)).Draw(t, "duration")),
		Steps:    rapid.OneOf(rapid.Just(0), rapid.IntRange(1, 20), rapid.IntRange(1, 10000)).Draw(t, "steps"),
	}
}

// shares are those of the backends under a ramp's share, in parts of 1.
func shares(s *split.Split, share int) []float64 {
	out := make([]float64, len(s.Backends))
	rest := 0
	for i, b := range s.Backends {
		if i != s.Ramp.Backend {
			rest += b.Weight
		}
	}
	for i, b := range s.Backends {
		out[i] = float64(b.Weight) / float64(rest) * float64(10000-share) / 10000
	}
	out[s.Ramp.Backend] = float64(share) / 10000
	return out
}

// ramped draws a split with a ramp.
func ramped(t *rapid.T) *split.Split {
	w := weights(t, 8)
	s := smooth(append(w, rapid.IntRange(0, 9).Draw(t, "its own weight"))...)
	if rapid.Bool().Draw(t, "with a plan") {
		s.Ramp = drawPlan(t, len(s.Backends))
	} else {
		s.Ramp = drawRamp(t, len(s.Backends))
	}
	rest := 0
	for i, b := range s.Backends {
		if i != s.Ramp.Backend {
			rest += b.Weight
		}
	}
	if rest == 0 {
		t.Skip("nobody takes the rest")
	}
	return s
}

// The ramp's shares add up to what is chosen, at each choice, however many choices
// fall on a step.
func TestRampFollowsTheSumOfShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ramped(t)
		st := split.NewState(s)
		owed := make([]float64, len(s.Backends))
		choices := rapid.IntRange(1, 1000).Draw(t, "choices")
		for k := range choices + choices/2 {
			now := noon.Add(time.Duration(float64(length(s.Ramp)) * (float64(k)/float64(choices) - 0.2)))
			for i, share := range shares(s, s.Ramp.ShareAt(now)) {
				owed[i] += share
			}
			d, err := split.Decide(s, st, &split.Facts{Now: now})
			if err != nil {
				t.Fatal(err)
			}
			owed[d.Backend]--
			for i := range owed {
				if math.Abs(owed[i]) > 1.01 {
					t.Fatalf("after choice %d backend %d is owed %.4f", k+1, i, owed[i])
				}
			}
		}
	})
}

// A client with a key goes over at most once, to the backend that grows, or from the
// one that shrinks.
func TestRampMovesAKeyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ramped(t)
		if len(s.Ramp.Plan) > 0 {
			slices.SortFunc(s.Ramp.Plan, func(a, b split.PlanStep) int { return a.Share - b.Share })
			s.Ramp.From, s.Ramp.To = 0, 10000
		}
		s.HashOn = []split.Key{{On: split.OnPath}}
		st := split.NewState(s)
		to := s.Ramp.To > s.Ramp.From
		at := map[string]int{}
		for k := range 60 {
			now := noon.Add(time.Duration(float64(length(s.Ramp)) * float64(k) / 50))
			for n := range 10 {
				key := fmt.Sprint("/", n)
				d, err := split.Decide(s, st, &split.Facts{Now: now, Path: key})
				if err != nil {
					t.Fatal(err)
				}
				was, known := at[key]
				if at[key] = d.Backend; !known || was == d.Backend {
					continue
				}
				if to && d.Backend != s.Ramp.Backend || !to && was != s.Ramp.Backend {
					t.Fatalf("%s went from %d to %d", key, was, d.Backend)
				}
			}
		}
	})
}

// A request that is late, of the time before a step, is dealt with the weights of
// after it, and the next one is too.
func TestLateRequestDoesNotTurnTheRampBack(t *testing.T) {
	s := smooth(1, 1)
	s.Ramp = &split.Ramp{Backend: 1, To: 10000, Steps: 2, Start: noon, Duration: time.Hour}
	st := split.NewState(s)
	at := func(minutes time.Duration) int {
		d, err := split.Decide(s, st, &split.Facts{Now: noon.Add(minutes * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		return d.Backend
	}
	var got []int
	for _, minute := range []time.Duration{0, 29, 30, 29, 30, 29, 60, 30, 0} {
		got = append(got, at(minute))
	}
	if diff := cmp.Diff([]int{0, 0, 0, 1, 0, 1, 1, 1, 1}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is redistributed follows the ramp too: 1 : 2 of the others, after its end.
func TestRedistributionFollowsTheRamp(t *testing.T) {
	s := smooth(1, 1, 0)
	s.OnUnavailable = split.Redistribute
	s.Ramp = &split.Ramp{Backend: 2, To: 5000, Steps: 1, Start: noon, Duration: time.Hour}
	st := split.NewState(s)
	for _, test := range []struct {
		at   time.Duration
		want []int
	}{
		{0, []int{0, 1200, 0}},
		{time.Hour, []int{0, 400, 800}},
	} {
		counts := make([]int, 3)
		for range 1200 {
			d, err := split.Decide(s, st, &split.Facts{Now: noon.Add(test.at), Down: set(0)})
			if err != nil {
				t.Fatal(err)
			}
			counts[d.Backend]++
		}
		if diff := cmp.Diff(test.want, counts); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", test.at, diff)
		}
	}
}

// Where nobody could take the rest, the ramp's backend takes everything.
func TestRampAmongBackendsOfWeight0(t *testing.T) {
	s := smooth(0, 0)
	s.Ramp = &split.Ramp{Backend: 1, To: 10000, Start: noon, Duration: time.Hour}
	st := split.NewState(s)
	for minutes := range 70 {
		if d, err := split.Decide(s, st, &split.Facts{Now: noon.Add(time.Duration(minutes) * time.Minute)}); err != nil || d.Backend != 1 {
			t.Fatalf("after %d minutes: %+v, %v", minutes, d, err)
		}
	}
}

// A configuration that changes under way keeps the ramp's course, and nobody is
// starved.
func TestRampGoesOnThroughEdits(t *testing.T) {
	edit := func(k int) *split.Split {
		s := smooth(900+k%2, 100, 1)
		s.Ramp = &split.Ramp{Backend: 2, From: 0, To: 1000, Start: noon, Duration: 10000 * time.Second}
		s.Ramp.Steps = k % 3 * 100
		return s
	}
	s := edit(0)
	st := split.NewState(s)
	owed := make([]float64, 3)
	for k := range 10000 {
		s = edit(k)
		st = st.For(s)
		now := noon.Add(time.Duration(k) * time.Second)
		for i, share := range shares(s, s.Ramp.ShareAt(now)) {
			owed[i] += share
		}
		d, err := split.Decide(s, st, &split.Facts{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		owed[d.Backend]--
		for i := range owed {
			if math.Abs(owed[i]) >= 1.1 {
				t.Fatalf("after choice %d backend %d is owed %.4f", k+1, i, owed[i])
			}
		}
	}
}

// Many choose while the ramp goes on: a choice has the share of some moment between
// its beginning and its end, and none is lost or made twice.
func TestRampFromManyGoroutinesIsExactInSum(t *testing.T) {
	for name, others := range map[string][]int{"schedule": {2, 1}, "beyond": {60_000, 29_999}} {
		t.Run(name, func(t *testing.T) {
			s := smooth(append(others, 0)...)
			const goroutines, choices = 8, 2500
			s.Ramp = &split.Ramp{Backend: 2, To: 10000, Start: noon, Duration: goroutines * choices * time.Millisecond}
			st := split.NewState(s)
			var ticks, chosen, least, most atomic.Int64
			var all sync.WaitGroup
			for range goroutines {
				all.Go(func() {
					for range choices {
						now := noon.Add(time.Duration(ticks.Add(1)) * time.Millisecond)
						d, err := split.Decide(s, st, &split.Facts{Now: now})
						if err != nil {
							t.Error(err)
							return
						}
						after := noon.Add(time.Duration(ticks.Load()) * time.Millisecond)
						least.Add(int64(s.Ramp.ShareAt(now)))
						most.Add(int64(s.Ramp.ShareAt(after)))
						if d.Backend == 2 {
							chosen.Add(1)
						}
					}
				})
			}
			all.Wait()
			got, low, high := float64(chosen.Load()), float64(least.Load())/10000-1, float64(most.Load())/10000+1
			t.Logf("%.0f of %.1f to %.1f", got, low, high)
			if got < low || got > high {
				t.Errorf("backend 2 has %.0f choices, its shares add up to %.1f to %.1f", got, low, high)
			}
		})
	}
}

// Close to 100 % the shares of the others are small, and as exact as any: within what
// Tijdeman's solution promises.
func TestRampIsExactCloseToItsEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ramped(t)
		share := rapid.SampledFrom([]int{1, 2, 5000, 9998, 9999}).Draw(t, "share")
		s.Ramp.From, s.Ramp.To, s.Ramp.Hold = share, share, &share
		others := 0
		for i, b := range s.Backends {
			if i != s.Ramp.Backend {
				others += b.Weight
			}
		}
		weights := make([]int, len(s.Backends))
		for i, b := range s.Backends {
			weights[i] = b.Weight * (10000 - share)
		}
		weights[s.Ramp.Backend] = others * share
		st := split.NewState(s)
		counts := make([]int, len(weights))
		for k := 1; k <= 2000; k++ {
			counts[choose(t, s, st)]++
			checkBound(t, weights, counts, k)
		}
	})
}

// 62 backends of weight 1 beside one of 10,000, in the last hundredth of a percent of
// a ramp: 0.12 requests of 200,000 are due to all of them together.
func TestRampDoesNotRoundSmallSharesUp(t *testing.T) {
	s := smooth(append([]int{0, 10000}, slices.Repeat([]int{1}, 62)...)...)
	s.Ramp = &split.Ramp{Backend: 0, From: 9999, To: 9999, Start: noon, Duration: time.Hour}
	counts := count(t, s, split.NewState(s), 200_000)
	if small := sum(counts[2:]); counts[0] != 199_980 || small > 1 {
		t.Errorf("the ramp has %d, the small ones have %d of 200,000", counts[0], small)
	}
}
