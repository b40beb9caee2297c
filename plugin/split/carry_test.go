package split_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"kong-traffic-split/plugin/split"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A trial is a split whose weights change between choices, with the sum of every
// backend's shares beside the number of its choices.
type trial struct {
	s     *split.Split
	st    *split.State
	owed  map[string]float64 // shares less choices, by name
	worst float64            // the largest amount by which a choice left a backend off
}

func newTrial(s *split.Split) *trial {
	tr := &trial{s: s, st: split.NewState(s), owed: map[string]float64{}}
	for _, b := range s.Backends {
		tr.owed[b.Name] = 0
	}
	return tr
}

// change goes on with s. What backends were owed that are gone falls to the
// others by weight.
func (tr *trial) change(s *split.Split) {
	was := tr.owed
	tr.s, tr.st, tr.owed = s, tr.st.For(s), map[string]float64{}
	split.Prune(tr.st)
	rest, total := 0.0, 0.0
	for _, b := range s.Backends {
		tr.owed[b.Name] = was[b.Name]
		rest -= was[b.Name]
		total += float64(b.Weight)
	}
	for _, b := range s.Backends {
		if total > 0 {
			tr.owed[b.Name] += rest * float64(b.Weight) / total
		}
	}
}

// weigh goes on with the same backends and these weights.
func (tr *trial) weigh(weights []int) { tr.change(smooth(weights...)) }

func (tr *trial) choose(t rapid.TB) int {
	t.Helper()
	total := 0
	for _, b := range tr.s.Backends {
		total += b.Weight
	}
	for _, b := range tr.s.Backends {
		tr.owed[b.Name] += float64(b.Weight) / float64(total)
	}
	i := choose(t, tr.s, tr.st)
	if tr.s.Backends[i].Weight == 0 {
		t.Fatalf("chose %q, whose weight is 0", tr.s.Backends[i].Name)
	}
	tr.owed[tr.s.Backends[i].Name]--
	for _, owed := range tr.owed {
		tr.worst = max(tr.worst, math.Abs(owed))
	}
	return i
}

// named returns the split with these names in order of the alphabet.
func named(weights map[string]int) *split.Split {
	s := smooth()
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		s.Backends = append(s.Backends, split.Backend{Name: name, Weight: weights[name]})
	}
	return s
}

func TestEqualWeightsKeepTheState(t *testing.T) {
	s := smooth(2, 1)
	st := split.NewState(s)
	other := smooth(2, 1)
	other.Algorithm, other.OnUnavailable, other.Revision = split.Random, split.Redistribute, "r2"
	for name, same := range map[string]*split.Split{"itself": s, "all but the backends": other, "proportion": smooth(200, 100)} {
		if !st.Fits(same) || st.For(same) != st {
			t.Errorf("%s: not the same state", name)
		}
	}
	renamed := smooth(2, 1)
	renamed.Backends[1].Name = "x"
	swapped := smooth(2, 1)
	slices.Reverse(swapped.Backends)
	for name, not := range map[string]*split.Split{"weights": smooth(1, 2), "a name": renamed, "order": swapped, "one more": smooth(2, 1, 0)} {
		if st.Fits(not) || st.For(not) == st {
			t.Errorf("%s: the same state", name)
		}
	}
}

// At 1 : 1 the first choice is "0", so "1" is owed one half.
func TestChangedWeightsGoOnWithWhatIsOwed(t *testing.T) {
	tests := []struct {
		name string
		to   map[string]int
		want string // the names chosen from there on
	}{
		{"other weights, the same turn", map[string]int{"0": 501, "1": 499}, "1010"},
		{"less weight", map[string]int{"0": 2, "1": 1}, "100100"},
		{"a new one is owed nothing", map[string]int{"0": 2, "1": 2, "2": 2}, "120120"},
		{"what one that is gone was owed falls to both", map[string]int{"0": 2, "2": 2}, "2020"},
		{"weight 0", map[string]int{"0": 1, "1": 0}, "0000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tr := newTrial(smooth(1, 1))
			tr.choose(t)
			tr.change(named(test.to))
			got := ""
			for range test.want {
				got += tr.s.Backends[tr.choose(t)].Name
			}
			if got != test.want {
				t.Errorf("chose %s, want %s", got, test.want)
			}
		})
	}
}

// Each edit comes long before the turn of a small share.
func TestSmallShareIsNotStarvedByEdits(t *testing.T) {
	tr := newTrial(smooth(999, 1))
	counts := make([]int, 2)
	for k := range 20_000 {
		tr.weigh([]int{998 + k%2, 1})
		counts[tr.choose(t)]++
	}
	if diff := cmp.Diff([]int{19_980, 20}, counts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A backend whose weight goes to 0 each time it is about to be next gets its turns
// all the same.
func TestBackendIsNotStarvedByWeightsThatGoTo0(t *testing.T) {
	tr := newTrial(smooth(9, 1))
	got, share := 0, 0.0
	for range 20_000 {
		if tr.owed["1"] > 0.5 && tr.s.Backends[1].Weight > 0 {
			tr.weigh([]int{9, 0})
		} else {
			tr.weigh([]int{9, 1})
			share += 0.1
		}
		got += tr.choose(t)
	}
	if off := float64(got) - share; math.Abs(off) > 1 {
		t.Errorf("%d choices, the sum of its shares is %.1f", got, share)
	}
}

// All weights may be 0 for a while, and backends go in the meantime.
func TestAllWeights0KeepsWhatIsOwed(t *testing.T) {
	tr := newTrial(smooth(1, 1, 1))
	if i := tr.choose(t); i != 0 {
		t.Fatalf("first choice is %d", i)
	}
	tr.weigh([]int{0, 0, 0})
	if _, err := split.Decide(tr.s, tr.st, &split.Facts{}); err == nil {
		t.Fatal("chose a backend of weight 0")
	}
	tr.weigh([]int{0, 0})
	tr.weigh([]int{1, 1})
	if i := tr.choose(t); i != 1 {
		t.Errorf("chose %d, which had the last turn", i)
	}
}

// What is redistributed goes on too: 8 : 1, through an edit after every choice
// that moves the backends to other places as well.
func TestRedistributionGoesOnThroughEdits(t *testing.T) {
	edit := func(k int) (s *split.Split, down int) {
		s = smooth(1000, 800+k%2, 100)
		for spare := range k % 50 {
			s.Backends = slices.Insert(s.Backends, 0, split.Backend{Name: fmt.Sprint("spare ", spare)})
		}
		s.OnUnavailable = split.Redistribute
		return s, k % 50
	}
	s, _ := edit(0)
	st := split.NewState(s)
	got := map[string]int{}
	for k := range 9000 {
		s, down := edit(k)
		st = st.For(s)
		got[s.Backends[choose(t, s, st, down)].Name]++
	}
	if len(got) != 2 || got["2"] < 998 || got["2"] > 1001 {
		t.Errorf("got %v, want 8000 : 1000 of the two that are left", got)
	}
}

// Any backends may come, go and change their weights.
func TestCountsFollowTheSumOfShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		splits := rapid.Custom(func(t *rapid.T) *split.Split {
			weight := rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(0, split.MaxWeight))
			name := rapid.StringMatching(`[a-f]`)
			weights := rapid.MapOfN(name, weight, 1, 4).Draw(t, "weights")
			s := named(weights)
			slices.SortFunc(s.Backends, func(a, b split.Backend) int { return a.Weight - b.Weight })
			if s.Backends[len(s.Backends)-1].Weight == 0 {
				s.Backends[0].Weight = 1
			}
			return s
		})
		tr := newTrial(splits.Draw(t, "split"))
		for range rapid.IntRange(1, 60).Draw(t, "changes") {
			for range rapid.IntRange(0, 9).Draw(t, "choices") {
				tr.choose(t)
			}
			tr.change(splits.Draw(t, "split"))
		}
		if tr.worst > 2 {
			t.Fatalf("off by %.3f", tr.worst)
		}
	})
}
