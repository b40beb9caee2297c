package split

import (
	"math/big"
	"runtime"
	"slices"
	"strconv"
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

// all is a stage of backends "0", "1", … with these weights.
func all(weights ...int64) *stage {
	names := make([]string, len(weights))
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return newStage(names, weights)
}

// heir returns a rotation of the weights that has inherited from old.
func heir(weights []int64, old rotation, was []int) rotation {
	t := newRotation(nil, len(was), weights)
	t.inherit(&old, was)
	return t
}

// inherited draws a ledger in which backends are owed something from a few other
// weights before, and the stage at which it is.
func inherited(t *rapid.T) (*ledger, *stage) {
	n := rapid.IntRange(1, 8).Draw(t, "n")
	l, g := new(ledger), all(drawWeights(t, "first", n)...)
	l.next(g)
	for range rapid.IntRange(0, 4).Draw(t, "changes") {
		for range rapid.IntRange(0, 20).Draw(t, "choices") {
			l.next(g)
		}
		g = all(drawWeights(t, "next", n)...)
		l.next(g)
	}
	return l, g
}

// snapshot returns the rotation as it is after the choices that were made so far.
func (l *ledger) snapshot() rotation {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.rotation
	t.lanes = slices.Clone(t.lanes)
	if s := l.schedule.Load(); s != nil {
		t.replay(s.order[:s.turns.Load()%uint64(len(s.order))])
	}
	return t
}

func owedInAll(t *rotation) (sum int64) {
	for _, owed := range t.owed(nil) {
		sum += owed
	}
	return sum
}

// Whether it is stepped through or read off a schedule, the sequence is the same.
func TestLedgerIsTheTally(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, g := inherited(t)
		stepped := l.snapshot()
		for k := range 4*min(stepped.period, 500) + 40 {
			if got, want := l.next(g), stepped.next(); got != want {
				t.Fatalf("choice %d is %d, want %d", k+1, got, want)
			}
			if k%97 == 0 {
				now := l.snapshot()
				if !slices.Equal(now.owed(nil), stepped.owed(nil)) {
					t.Fatalf("after choice %d backends are owed %v, want %v", k+1, now.owed(nil), stepped.owed(nil))
				}
			}
		}
	})
}

// A ledger by which nobody is owed anything has its schedule after one period.
func TestLedgerReadsAScheduleAfterOnePeriod(t *testing.T) {
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
		l, g := new(ledger), all(test.weights...)
		got := int64(0)
		for k := range int64(2 * maxSchedule) {
			if l.next(g); l.schedule.Load() != nil {
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
func TestInheritedLedgerComesToASchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, g := inherited(t)
		if l.rotation.period > 1000 {
			t.Skip("long period")
		}
		for range settled + 4*l.rotation.period {
			l.next(g)
		}
		if l.schedule.Load() == nil {
			t.Fatalf("no schedule after 4 periods of %d", l.rotation.period)
		}
	})
}

// A snapshot that is taken while others choose is the state after some number of
// choices that were made by then.
func TestSnapshotWhileOthersChoose(t *testing.T) {
	g := all(5, 3, 2, 1)
	var states [][]int64
	rotation := newRotation(nil, 4, g.weights)
	for range rotation.period {
		states = append(states, rotation.owed(nil))
		rotation.next()
	}
	l := new(ledger)
	l.next(g)
	var choosers sync.WaitGroup
	for range 4 {
		choosers.Go(func() {
			for range 5000 {
				l.next(g)
			}
		})
	}
	for range 2000 {
		now := l.snapshot()
		if !slices.ContainsFunc(states, func(s []int64) bool { return slices.Equal(s, now.owed(nil)) }) {
			t.Errorf("backends are owed %v, which is no state of the period", now.owed(nil))
			break
		}
	}
	choosers.Wait()
	now := l.snapshot()
	if want := states[(1+4*5000)%len(states)]; !slices.Equal(want, now.owed(nil)) {
		t.Errorf("after all choices backends are owed %v, want %v", now.owed(nil), want)
	}
}

// Those who wait for the last choice before there is a schedule choose from the
// schedule.
func TestManyReachTheScheduleAtOnce(t *testing.T) {
	for range 100 {
		l, g := new(ledger), all(2, 1)
		var choosers sync.WaitGroup
		l.mu.Lock()
		for range 9 {
			choosers.Go(func() { l.next(g) })
		}
		for range 20 {
			runtime.Gosched() // so that some of them see that there is no schedule
		}
		l.mu.Unlock()
		choosers.Wait()
		now, turns := l.snapshot(), l.schedule.Load().turns.Load()
		if turns != 6 || !slices.Equal(now.owed(nil), []int64{0, 0}) {
			t.Fatalf("after 9 choices %d are from the schedule of 3, and backends are owed %v", turns, now.owed(nil))
		}
	}
}

// Whatever backends come, go and change, what they are owed sums to zero.
func TestWhatIsOwedSumsToZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := new(ledger)
		for range 5 {
			names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-h]`), 1, -1, rapid.ID).Draw(t, "names")
			g := newStage(names, drawWeights(t, "weights", len(names)))
			for range rapid.IntRange(0, 20).Draw(t, "choices") {
				l.next(g)
			}
			if rapid.Bool().Draw(t, "prune") {
				l.prune(g, func(name string) bool { return slices.Contains(names, name) })
			}
			now := l.snapshot()
			if sum := owedInAll(&now); sum != 0 {
				t.Fatalf("the sum is %d", sum)
			}
		}
	})
}

// A change of weights converts what is owed to within 2⁻³² of a choice, and one
// unit for the sum: not even a hundred thousand of them move it noticeably.
func TestChangesOfWeightsDoNotDrift(t *testing.T) {
	two := [][]int64{{MaxWeight, MaxWeight - 1, 3, 0}, {7, 1, 1, 1}}
	first := newRotation(nil, 4, two[1])
	first.next()
	first.next()
	rotation, same := first, []int{0, 1, 2, 3}
	for k := range 100_000 {
		rotation = heir(two[k%2], rotation, same)
	}
	for i, owed := range first.owed(nil) {
		want := convert(owed, first.unit, rotation.unit)
		if off := rotation.lanes[i].owed - want; max(off, -off) > rotation.unit/1000 {
			t.Errorf("backend %d is owed %d, want about %d", i, rotation.lanes[i].owed, want)
		}
	}
}

// Names that nobody forgets do not add up without bound; those of the stage are there
// always.
func TestLedgerIsBounded(t *testing.T) {
	l := new(ledger)
	for k := range 1000 {
		g := newStage([]string{"a", strconv.Itoa(k)}, []int64{1, 1})
		for range 3 {
			l.next(g)
		}
		if len(l.names) > 2+maxAway || len(l.rotation.lanes) != len(l.names) || !slices.Equal(l.names[:2], g.names) {
			t.Fatalf("after %d edits there are %d names and %d lanes, the first of them %q", k+1, len(l.names), len(l.rotation.lanes), l.names[:2])
		}
		now := l.snapshot()
		if sum := owedInAll(&now); sum != 0 {
			t.Fatalf("after %d edits what is owed sums to %d", k+1, sum)
		}
	}
}

func TestConvertRoundsTowardsZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.Int64Range(1<<32, 1<<40)
		from, to := unit.Draw(t, "from"), unit.Draw(t, "to")
		owed := rapid.Int64Range(-100*from, 100*from).Draw(t, "owed")
		want := new(big.Int).Mul(big.NewInt(owed), big.NewInt(to))
		want.Quo(want, big.NewInt(from))
		if got := convert(owed, from, to); got != want.Int64() {
			t.Fatalf("%d of %d is %d of %d, want %d", owed, from, got, to, want)
		}
	})
}

// Some choose by one stage and some by another one of the same weights: together they
// have made the choices that one would have made alone.
func TestNoChoiceIsLostWhereStagesTakeTurns(t *testing.T) {
	for name, weights := range map[string][]int64{"schedule": {5, 3, 2}, "beyond": {maxSchedule, 2 * maxSchedule, 1}} {
		t.Run(name, func(t *testing.T) {
			l, alone := new(ledger), newRotation(nil, len(weights), weights)
			const goroutines, choices = 4, 5000
			counts := make([]atomic.Int64, len(weights))
			var choosers sync.WaitGroup
			for range goroutines {
				choosers.Go(func() {
					g := all(weights...)
					for k := range choices {
						if k%1000 == 999 {
							g = all(weights...)
						}
						counts[l.next(g)].Add(1)
					}
				})
			}
			choosers.Wait()
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
	l, g, other := new(ledger), all(2, 1), all(2, 1)
	for range 4 {
		l.next(g)
	}
	found := l.schedule.Load()
	got := []int{l.next(other)}
	if i := found.next(g); i != -1 {
		t.Errorf("chose %d from the closed schedule", i)
	}
	for range 4 { // the fifth of the period and the ones after it were not made yet
		got = append(got, l.next(other))
	}
	if want := []int{1, 0, 0, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("chose %v, want %v", got, want)
	}
}

// A choice that is undone has not been made: whether it was read off the schedule
// or not, and whatever was chosen since.
func TestChoiceThatIsUndone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(t, "n")
		g := all(drawWeights(t, "weights", n)...)
		l, without := new(ledger), new(ledger)
		for range rapid.IntRange(0, 300).Draw(t, "before") {
			l.next(g)
			without.next(g)
		}
		i := l.next(g)
		left := newTurns(g).without(g, Set(0).With(i))
		if left.weighted == 0 {
			t.Skip("nobody is left")
		}
		without.switchTo(g)
		without.close()
		without.switchTo(left)
		without.rotation.forgive(i)
		if got, want := l.instead(g, i, left), without.next(left); got != want {
			t.Fatalf("instead of %d chose %d, want %d", i, got, want)
		}
		now, other := l.snapshot(), without.snapshot()
		if !slices.Equal(now.owed(nil), other.owed(nil)) {
			t.Fatalf("backends are owed %v, want %v", now.owed(nil), other.owed(nil))
		}
	})
}
