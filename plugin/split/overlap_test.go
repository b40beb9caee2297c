package split_test

import (
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kong-traffic-split/plugin/split"

	"pgregory.net/rapid"
)

// revisions are the revisions of a split that are in use at a time, with what each
// backend should have had less what it got, by name: of every choice, the shares of
// the revision that made it.
type revisions struct {
	live  []*revision
	owed  map[string]float64
	worst float64
}

type revision struct {
	s  *split.Split
	st *split.State
}

// edit has another revision in use, beside those that are.
func (r *revisions) edit(s *split.Split) {
	next := &revision{s: s}
	if len(r.live) == 0 {
		next.st, r.owed = split.NewState(s), map[string]float64{}
	} else {
		next.st = r.live[len(r.live)-1].st.For(s)
	}
	r.live = append(r.live, next)
}

// drop ends the use of an old one. What backends are owed that nobody has any more
// falls to the others, by the newest weights.
func (r *revisions) drop(at int) {
	r.live = slices.Delete(r.live, at, at+1)
	var states []*split.State
	names := map[string]bool{}
	for _, one := range r.live {
		states = append(states, one.st)
		for _, b := range one.s.Backends {
			names[b.Name] = true
		}
	}
	split.Prune(states...)
	rest, total := 0.0, 0.0
	maps.DeleteFunc(r.owed, func(name string, owed float64) bool {
		if !names[name] {
			rest += owed
		}
		return !names[name]
	})
	newest := r.live[len(r.live)-1].s
	for _, b := range newest.Backends {
		total += float64(b.Weight)
	}
	for _, b := range newest.Backends {
		r.owed[b.Name] += rest * float64(b.Weight) / total
	}
}

// choose makes a choice by one of them.
func (r *revisions) choose(t rapid.TB, at int) {
	one := r.live[at]
	total := 0
	for _, b := range one.s.Backends {
		total += b.Weight
	}
	for _, b := range one.s.Backends {
		r.owed[b.Name] += float64(b.Weight) / float64(total)
	}
	r.owed[one.s.Backends[choose(t, one.s, one.st)].Name]--
	for _, owed := range r.owed {
		r.worst = max(r.worst, math.Abs(owed))
	}
}

// Kong's workers reload one after another, and requests are under way while split
// files are read: old revisions choose beside the new one, and none of their choices
// is lost.
func TestChoicesOfAllRevisionsCount(t *testing.T) {
	highest := 0.0
	rapid.Check(t, func(t *rapid.T) {
		splits := rapid.Custom(func(t *rapid.T) *split.Split {
			weight := rapid.OneOf(rapid.IntRange(1, 3), rapid.IntRange(1, 400), rapid.IntRange(0, split.MaxWeight))
			s := named(rapid.MapOfN(rapid.StringMatching(`[a-f]`), weight, 1, 6).Draw(t, "weights"))
			if rapid.Bool().Draw(t, "in another order") {
				slices.Reverse(s.Backends)
			}
			s.Backends[0].Weight++
			return s
		})
		var r revisions
		r.edit(splits.Draw(t, "first"))
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				r.edit(splits.Draw(t, "split"))
			case 1:
				if old := len(r.live) - 1; old > 0 {
					r.drop(rapid.IntRange(0, old-1).Draw(t, "old"))
				}
			default:
				for range rapid.IntRange(1, 30).Draw(t, "choices") {
					r.choose(t, rapid.IntRange(0, len(r.live)-1).Draw(t, "by"))
				}
			}
		}
		highest = max(highest, r.worst)
		if r.worst >= 2 {
			t.Fatalf("off by %.3f", r.worst)
		}
	})
	t.Logf("off by %.3f at the most", highest)
}

// 300 : 100 and 301 : 100 in turn, two workers, hundreds of edits.
func TestCountsDoNotDriftOverEdits(t *testing.T) {
	random := seeded(22)
	var r revisions
	r.edit(smooth(300, 100))
	for k := range 500 {
		r.edit(smooth(300+(k+1)%2, 100))
		for range random.IntN(20) {
			r.choose(t, random.IntN(2))
		}
		r.drop(0)
		for range random.IntN(20) {
			r.choose(t, 0)
		}
	}
	if r.worst >= 1 {
		t.Errorf("off by %.3f", r.worst)
	}
}

// What a rule's weights choose counts in the same way.
func TestChoicesOfAllRevisionsCountByRule(t *testing.T) {
	splitWith := func(weight int) *split.Split {
		s := smooth(1, 0)
		s.Rules = []split.Rule{{Weights: []int{weight, 100}}}
		return s
	}
	s := splitWith(300)
	st := split.NewState(s)
	counts, due := make([]int, 2), 0.0
	for k := range 500 {
		next := splitWith(300 + (k+1)%2)
		other := st.For(next)
		for turn := range 3 {
			if turn == 1 {
				counts[choose(t, next, other)]++
				due += 100 / float64(100+next.Rules[0].Weights[0])
			} else {
				counts[choose(t, s, st)]++
				due += 100 / float64(100+s.Rules[0].Weights[0])
			}
			if off := math.Abs(due - float64(counts[1])); off >= 1 {
				t.Fatalf("after %d edits: off by %.3f", k+1, off)
			}
		}
		s, st = next, other
		split.Prune(st)
	}
}

// Two revisions with ramps of their own side by side.
func TestRampsOfAllRevisionsCount(t *testing.T) {
	splitWith := func(to int) *split.Split {
		s := smooth(3, 1, 0)
		s.Ramp = &split.Ramp{Backend: 2, To: to, Start: noon, Duration: time.Hour}
		return s
	}
	one, two := splitWith(10000), splitWith(2000)
	first := split.NewState(one)
	second := first.For(two)
	owed := make([]float64, 3)
	for k := range 3600 {
		s, st := one, first
		if k%3 == 0 {
			s, st = two, second
		}
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

// A revision that goes on to choose after it was forgotten chooses as before.
func TestForgottenRevisionStillChooses(t *testing.T) {
	old := named(map[string]int{"a": 3, "b": 1})
	st := split.NewState(old)
	count(t, old, st, 7)
	s := named(map[string]int{"c": 1, "d": 1})
	next := st.For(s)
	count(t, s, next, 5)
	split.Prune(next)
	if got := fmt.Sprint(count(t, old, st, 400), count(t, s, next, 400)); got != "[300 100] [200 200]" {
		t.Errorf("chose %s", got)
	}
}

// Many choose by any of the revisions that are in use, some backends being out for
// some of them, while others come and go: in the end each backend has its shares.
func TestManyChooseWhileRevisionsComeAndGo(t *testing.T) {
	random := seeded(7)
	edit := func() *split.Split {
		s := smooth(1+random.IntN(400), 1+random.IntN(400), 1+random.IntN(9), 1)
		s.OnUnavailable = split.Redistribute
		return s
	}
	first := edit()
	var current atomic.Pointer[[]revision]
	current.Store(&[]revision{{first, split.NewState(first)}})
	const goroutines, choices = 4, 3000
	owed := make([][]float64, goroutines)
	var choosers sync.WaitGroup
	for g := range goroutines {
		owed[g] = make([]float64, 4)
		choosers.Go(func() {
			for k := range choices {
				live := *current.Load()
				one := live[k%len(live)]
				gone := split.Set(0)
				if k/500%2 == 1 {
					gone = set(g % 4)
				}
				d, err := split.Choose(one.s, one.st, &split.Facts{Unhealthy: gone}, func(int, bool) (bool, error) { return true, nil })
				if err != nil {
					t.Error(err)
					return
				}
				total := 0.0
				for i, b := range one.s.Backends {
					if !gone.Has(i) {
						total += float64(b.Weight)
					}
				}
				for i, b := range one.s.Backends {
					if !gone.Has(i) {
						owed[g][i] += float64(b.Weight) / total
					}
				}
				owed[g][d.Backend]--
			}
		})
	}
	done := make(chan struct{})
	go func() { choosers.Wait(); close(done) }()
	for editing := true; editing; {
		select {
		case <-done:
			editing = false
		default:
			live := *current.Load()
			s := edit()
			next := append(slices.Clone(live), revision{s, live[len(live)-1].st.For(s)})
			if len(next) > 3 {
				next = next[1:]
			}
			current.Store(&next)
			var states []*split.State
			for _, r := range next {
				states = append(states, r.st)
			}
			split.Prune(states...)
			runtime.Gosched()
		}
	}
	for i := range 4 {
		off := owed[0][i] + owed[1][i] + owed[2][i] + owed[3][i]
		if math.Abs(off) >= 2 {
			t.Errorf("backend %d is off by %.3f", i, off)
		}
	}
}
