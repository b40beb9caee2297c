package split_test

import (
	"math"
	"strconv"
	"testing"

	"kong-traffic-split/plugin/split"

	"pgregory.net/rapid"
)

// byPath returns a split that goes by the path.
func byPath(weights ...int) *split.Split {
	s := smooth(weights...)
	s.HashOn = []split.Key{{On: split.OnPath}}
	return s
}

// place is the backend of a key.
func place(t rapid.TB, s *split.Split, st *split.State, key string) int {
	t.Helper()
	d, err := split.Decide(s, st, &split.Facts{Path: key})
	if err != nil || d.Reason != split.ByHash {
		t.Fatalf("%q: by %s to %d (%v)", key, d.Reason, d.Backend, err)
	}
	return d.Backend
}

const manyKeys = 100_000

func TestKeysShareByWeight(t *testing.T) {
	for _, weights := range [][]int{{9, 1}, {0, 5, 3, 2}} {
		s := byPath(weights...)
		st := split.NewState(s)
		counts := make([]int, len(weights))
		for k := range manyKeys {
			counts[place(t, s, st, "/"+strconv.Itoa(k))]++
		}
		for i, w := range weights {
			share := float64(w) / float64(sum(weights))
			if got := float64(counts[i]) / manyKeys; math.Abs(got-share) > 0.01 || w == 0 && got > 0 {
				t.Errorf("weights %v: backend %d has %.4f of the keys, its share is %.4f", weights, i, got, share)
			}
		}
	}
}

// As many keys move as the share grows, and all to the one that grows.
func TestGrowingWeightMovesItsShareOfKeys(t *testing.T) {
	for _, test := range []struct{ before, after []int }{
		{[]int{9, 1, 10}, []int{9, 3, 10}},
		{[]int{3, 0, 4, 5}, []int{3, 4, 4, 5}},
	} {
		one, other := byPath(test.before...), byPath(test.after...)
		stOne, stOther := split.NewState(one), split.NewState(other)
		moved := 0
		for k := range manyKeys {
			key := "/" + strconv.Itoa(k)
			before, is := place(t, one, stOne, key), place(t, other, stOther, key)
			if before == is {
				continue
			}
			moved++
			if is != 1 {
				t.Fatalf("%v to %v: %s moved from %d to %d", test.before, test.after, key, before, is)
			}
		}
		grown := float64(test.after[1])/float64(sum(test.after)) - float64(test.before[1])/float64(sum(test.before))
		if got := float64(moved) / manyKeys; math.Abs(got-grown) > 0.005 {
			t.Errorf("%v to %v: %.4f of the keys moved, the share grew by %.4f", test.before, test.after, got, grown)
		}
	}
}

// No key moves but to a backend that grows, or from one that goes, whatever the
// others and their order are.
func TestKeysMoveOnlyWhereWeightsChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := weights(t, 8)
		grows := rapid.IntRange(0, len(before)-1).Draw(t, "grows")
		one, other, gone := byPath(before...), byPath(before...), byPath(before...)
		other.Backends[grows].Weight = rapid.IntRange(before[grows], split.MaxWeight).Draw(t, "to")
		if other.Backends[grows].Weight == 0 {
			t.Skip("does not grow")
		}
		gone.OnUnavailable = split.Redistribute
		for k := range 50 {
			key := "/" + strconv.Itoa(k)
			before := place(t, one, split.NewState(one), key)
			if is := place(t, other, split.NewState(other), key); is != before && is != grows {
				t.Fatalf("%s moved from %d to %d", key, before, is)
			}
			d, err := split.Decide(gone, split.NewState(gone), &split.Facts{Path: key, Down: set(grows)})
			if err == nil && (d.Backend == grows || before != grows && d.Backend != before || d.Reason != split.ByHash) {
				t.Fatalf("%s is at %d instead of %d, by %s", key, d.Backend, before, d.Reason)
			}
		}
	})
}

// The first key that is there counts; without any the weights do.
func TestKeyFallsBack(t *testing.T) {
	s := smooth(1, 1, 1, 1)
	s.HashOn = []split.Key{
		{On: split.OnHeader, Name: "X-User"},
		{On: split.OnCookie, Name: "uid"},
		{On: split.OnIP},
		{On: split.OnURICapture, Name: "tenant"},
	}
	st := split.NewState(s)
	decide := func(f split.Facts) (int, split.Reason) {
		d, err := split.Decide(s, st, &f)
		if err != nil {
			t.Fatal(err)
		}
		return d.Backend, d.Reason
	}
	header := []split.Header{{Name: "x-user", Value: "ann"}}
	first, reason := decide(split.Facts{Headers: header, Cookies: "uid=bob"})
	if reason != split.ByHash {
		t.Errorf("with both by %s", reason)
	}
	if got, _ := decide(split.Facts{Headers: header}); got != first {
		t.Errorf("with the header alone %d, with both %d", got, first)
	}
	if got, reason := decide(split.Facts{Cookies: "uid=ann"}); got != first || reason != split.ByHash {
		t.Errorf("the same text in the cookie: %d by %s, want %d by hash", got, reason, first)
	}
	for _, none := range []split.Facts{{}, {Cookies: "uid="}, {Headers: []split.Header{{Name: "X-User"}}}} {
		if _, reason := decide(none); reason != split.ByWeight {
			t.Errorf("%+v: by %s", none, reason)
		}
	}
}
