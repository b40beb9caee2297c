package split

import (
	"math/big"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// drawWeights draws weights, one of them positive, with any period.
func drawWeights(t *rapid.T, name string, n int) []int64 {
	weight := rapid.OneOf(rapid.IntRange(0, 9), rapid.IntRange(0, 200), rapid.IntRange(0, MaxWeight))
	s := &Split{Backends: make([]Backend, n)}
	for i := range s.Backends {
		s.Backends[i].Weight = weight.Draw(t, name)
	}
	s.Backends[rapid.IntRange(0, n-1).Draw(t, "not 0")].Weight++
	return reduced(weightsOf(s.Backends), 0)
}

// inherited draws a tally in which backends are owed something from a few other
// weights before.
func inherited(t *rapid.T) tally {
	n := rapid.IntRange(1, 8).Draw(t, "n")
	same := make([]int, n)
	for i := range same {
		same[i] = i
	}
	tally := newTally(drawWeights(t, "first", n))
	for range rapid.IntRange(0, 4).Draw(t, "changes") {
		for range rapid.IntRange(0, 20).Draw(t, "choices") {
			tally.next()
		}
		tally = heir(drawWeights(t, "next", n), tally, same)
	}
	return tally
}

func owedInAll(t *tally) (sum int64) {
	for _, owed := range t.owed(nil) {
		sum += owed
	}
	return sum
}

// Whether it is stepped through or read off a schedule, the sequence is the same.
func TestRotationIsTheTally(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tally := inherited(t)
		stepped := tally
		stepped.lanes = slices.Clone(tally.lanes)
		r := newRotation(tally)
		for k := range 4*min(stepped.period, 500) + 7 {
			if got, want := r.next(), stepped.next(); got != want {
				t.Fatalf("choice %d is %d, want %d", k+1, got, want)
			}
			if k%97 == 0 {
				now := r.snapshot()
				if !slices.Equal(now.owed(nil), stepped.owed(nil)) {
					t.Fatalf("after choice %d backends are owed %v, want %v", k+1, now.owed(nil), stepped.owed(nil))
				}
			}
		}
	})
}

// A rotation that owes nobody has its schedule after one period.
func TestRotationReadsAScheduleAfterOnePeriod(t *testing.T) {
	for _, test := range []struct {
		weights []int64
		choices int64 // until there is a schedule; 0: never
	}{
		{[]int64{1}, 1},
		{[]int64{2, 1}, 3},
		{[]int64{0, 5, 0, 3}, 8},
		{[]int64{maxSchedule - 1, 1}, maxSchedule},
		{[]int64{maxSchedule, 1}, 0},
	} {
		r := newRotation(newTally(test.weights))
		got := int64(0)
		for k := range int64(2 * maxSchedule) {
			if r.next(); r.schedule.Load() != nil {
				got = k + 1
				break
			}
		}
		if got != test.choices {
			t.Errorf("weights %v: a schedule after %d choices, want %d", test.weights, got, test.choices)
		}
	}
}

// One that has inherited does too, once what is left of the other weights is paid.
func TestInheritedRotationComesToASchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRotation(inherited(t))
		if r.tally.period > 1000 {
			t.Skip("long period")
		}
		for range 4 * r.tally.period {
			r.next()
		}
		if r.schedule.Load() == nil {
			t.Fatalf("no schedule after 4 periods of %d", r.tally.period)
		}
	})
}

// A snapshot that is taken while others choose is the state after some number of
// choices that were made by then.
func TestSnapshotWhileOthersChoose(t *testing.T) {
	weights := []int64{5, 3, 2, 1}
	var states [][]int64
	tally := newTally(weights)
	for range tally.period {
		states = append(states, tally.owed(nil))
		tally.next()
	}
	r := newRotation(newTally(weights))
	var choosers sync.WaitGroup
	for range 4 {
		choosers.Go(func() {
			for range 5000 {
				r.next()
			}
		})
	}
	for range 2000 {
		now := r.snapshot()
		if !slices.ContainsFunc(states, func(s []int64) bool { return slices.Equal(s, now.owed(nil)) }) {
			t.Errorf("backends are owed %v, which is no state of the period", now.owed(nil))
			break
		}
	}
	choosers.Wait()
	now := r.snapshot()
	if want := states[4*5000%len(states)]; !slices.Equal(want, now.owed(nil)) {
		t.Errorf("after all choices backends are owed %v, want %v", now.owed(nil), want)
	}
}

// Those who wait for the last choice before there is a schedule choose from the
// schedule.
func TestManyReachTheScheduleAtOnce(t *testing.T) {
	for range 100 {
		r := newRotation(newTally([]int64{2, 1}))
		var choosers sync.WaitGroup
		r.mu.Lock()
		for range 9 {
			choosers.Go(func() { r.next() })
		}
		for range 20 {
			runtime.Gosched() // so that some of them see that there is no schedule
		}
		r.mu.Unlock()
		choosers.Wait()
		now, turns := r.snapshot(), r.schedule.Load().turns.Load()
		if turns != 6 || !slices.Equal(now.owed(nil), []int64{0, 0}) {
			t.Fatalf("after 9 choices %d are from the schedule of 3, and backends are owed %v", turns, now.owed(nil))
		}
	}
}

// Whatever backends come, go and change, what they are owed sums to zero.
func TestWhatIsOwedSumsToZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tally := inherited(t)
		for range 5 {
			if sum := owedInAll(&tally); sum != 0 {
				t.Fatalf("the sum is %d", sum)
			}
			was := rapid.SliceOfNDistinct(rapid.IntRange(0, len(tally.lanes)-1), 1, -1, rapid.ID).Draw(t, "was")
			for range rapid.IntRange(0, 2).Draw(t, "new") {
				was = append(was, -1)
			}
			tally = heir(drawWeights(t, "weights", len(was)), tally, was)
			for range rapid.IntRange(0, 20).Draw(t, "choices") {
				tally.next()
			}
		}
	})
}

// A change of weights converts what is owed to within 2⁻³² of a choice, and one
// unit for the sum: not even a hundred thousand of them move it noticeably.
func TestChangesOfWeightsDoNotDrift(t *testing.T) {
	two := [][]int64{{MaxWeight, MaxWeight - 1, 3, 0}, {7, 1, 1, 1}}
	first := newTally(two[1])
	first.next()
	first.next()
	tally, same := first, []int{0, 1, 2, 3}
	for k := range 100_000 {
		tally = heir(two[k%2], tally, same)
	}
	for i, owed := range first.owed(nil) {
		want := convert(owed, first.unit, tally.unit)
		if off := tally.lanes[i].owed - want; max(off, -off) > tally.unit/1000 {
			t.Errorf("backend %d is owed %d, want about %d", i, tally.lanes[i].owed, want)
		}
	}
}

func TestConvertRoundsTowardsZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.Int64Range(1<<32, 1<<33-1)
		from, to := unit.Draw(t, "from"), unit.Draw(t, "to")
		owed := rapid.Int64Range(-100*from, 100*from).Draw(t, "owed")
		want := new(big.Int).Mul(big.NewInt(owed), big.NewInt(to))
		want.Quo(want, big.NewInt(from))
		if got := convert(owed, from, to); got != want.Int64() {
			t.Fatalf("%d of %d is %d of %d, want %d", owed, from, got, to, want)
		}
	})
}

// Others choose while the weights change, to the same ones at that: together they
// have made the choices that one would have made alone.
func TestNoChoiceIsLostWhereWeightsChange(t *testing.T) {
	for name, weights := range map[string][]int64{"schedule": {5, 3, 2}, "beyond": {maxSchedule, 2 * maxSchedule, 1}} {
		t.Run(name, func(t *testing.T) {
			r, alone := newRotation(newTally(weights)), newTally(weights)
			const goroutines, choices = 4, 5000
			counts := make([]atomic.Int64, len(weights))
			var choosers sync.WaitGroup
			var done atomic.Bool
			for range goroutines {
				choosers.Go(func() {
					for range choices {
						counts[r.next()].Add(1)
					}
				})
			}
			go func() { choosers.Wait(); done.Store(true) }()
			for !done.Load() {
				r.change(weights)
				runtime.Gosched()
			}
			want := make([]int64, len(weights))
			for range goroutines * choices {
				want[alone.next()]++
			}
			for i := range counts {
				if got := counts[i].Load(); got != want[i] {
					t.Errorf("backend %d has %d choices, want %d", i, got, want[i])
				}
			}
		})
	}
}

// Who has found a schedule that is closed meanwhile makes no choice from it.
func TestClosedScheduleGivesNoChoice(t *testing.T) {
	r := newRotation(newTally([]int64{2, 1}))
	for range 4 {
		r.next()
	}
	found := r.schedule.Load()
	r.change([]int64{2, 1})
	if i := found.next(); i != -1 {
		t.Errorf("chose %d from the closed schedule", i)
	}
	var got []int
	for range 5 { // the fourth of the period and the ones after it were not made yet
		got = append(got, r.next())
	}
	if want := []int{1, 0, 0, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("chose %v, want %v", got, want)
	}
}
