package server

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"kong-traffic-split/plugin/state"
)

func nothingTaken(int32) bool { return false }

func TestIDsGoOnWhereTheyWere(t *testing.T) {
	for _, tt := range []struct {
		name  string
		saved map[string]string
		want  int32
	}{
		{"nothing is saved", nil, firstID + 43},
		{"by a process of the same keeper", map[string]string{treeIDs: "2000000", ReservedIDs: "2000000"}, 2000001},
		{"by a process of another keeper", map[string]string{ReservedIDs: "2000000"}, 2000001 + 1<<20 + 42},
		{"at the end", map[string]string{treeIDs: "2147483647"}, firstID},
		{"near the end", map[string]string{ReservedIDs: "2147483647"}, firstID + 1<<20 + 42},
		{"no number", map[string]string{ReservedIDs: "x"}, firstID + 43},
		{"an empty value", map[string]string{ReservedIDs: ""}, firstID + 43},
		{"a number of Kong's", map[string]string{treeIDs: "1048576", ReservedIDs: "-3"}, firstID + 43},
		{"a number that is none of 32 bits", map[string]string{ReservedIDs: "2147483648"}, firstID + 43},
	} {
		t.Run(tt.name, func(t *testing.T) {
			saved := new(state.Memory)
			for key, value := range tt.saved {
				saved.Set(key, []byte(value))
			}
			n := &ids{random: func(int32) int32 { return 42 }}
			if got := n.next(saved, nothingTaken); got != tt.want {
				t.Errorf("the first id is %d, want %d", got, tt.want)
			}
		})
	}
}

// A reserving store sees what is reserved.
type reserving struct {
	state.Memory
	sets int
}

func (s *reserving) Set(key string, value []byte) {
	s.sets++
	s.Memory.Set(key, value)
}

// An id that was given out is reserved: so whoever comes next begins behind it. That
// costs little.
func TestIDsAreReservedBeforeTheyAreGivenOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.OneOf(rapid.Int32Range(0, lastID-firstID), rapid.Int32Range(lastID-firstID-3*blockSize, lastID-firstID)).Draw(t, "start")
		known := rapid.SliceOf(rapid.Int64Range(0, 20)).Draw(t, "taken")
		saved := new(reserving)
		process := func() *ids { return &ids{random: func(int32) int32 { return start }} }
		n := process()
		before := int64(0) // ids from the start
		for range rapid.IntRange(1, 4).Draw(t, "processes") {
			given := rapid.IntRange(0, 2*blockSize).Draw(t, "given")
			taken := func(id int32) bool {
				return slices.ContainsFunc(known, func(n int64) bool { return id == idAfter(firstID+start, before+n) })
			}
			for range given {
				id := n.next(saved, taken)
				forward := int64(id) - (firstID + int64(start))
				if forward <= 0 {
					forward += lastID - firstID + 1
				}
				if id < firstID || taken(id) || forward <= before || forward > before+2*blockSize {
					t.Fatalf("id %d is %d behind the start, after the one that is %d", id, forward, before)
				}
				before = forward
			}
			n = process()
		}
		if most := 2 * (int(before)/blockSize + 5); saved.sets > most {
			t.Errorf("%d values were saved for %d ids, and %d are enough", saved.sets, before, most)
		}
	})
}

// Instances are started again in the order in which they were started first, wherever
// the counter has come round.
func TestTheAgeOfIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		reserved := rapid.Int32Range(firstID, lastID).Draw(t, "reserved")
		var want []int32
		for _, ago := range []int64{1 << 30, 5000, blockSize, 20, 3, 0} {
			want = append(want, idAfter(reserved, lastID-firstID+1-ago))
		}
		want = append([]int32{1, 44, 1 << 20}, want...)
		got := rapid.Permutation(want).Draw(t, "shuffled")
		sortByAge(got, reserved)
		if !slices.Equal(got, want) {
			t.Errorf("with %d reserved the order is %v, want %v", reserved, got, want)
		}
	})
}
