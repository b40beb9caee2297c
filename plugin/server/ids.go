package server

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"

	"kong-traffic-split/plugin/state"
)

// Kong uses an instance by the id that the answer to its start has had: until it closes
// it, starts it again, or is told that there is none. It does not close those of rows
// that were deleted, and knows nothing of what becomes of this process. An id that is
// given to another row meanwhile sends requests to backends that are not theirs, without
// an error. So ids are a counter that only goes forward, whatever is closed or swept.
//
// Kong's own number of a config, __seq__, is none for this: each of its workers counts
// from 1, and so do its two subsystems, http and stream.
const (
	// firstID and lastID are the least and the largest id; the one follows upon the
	// other. Servers before this one have given out Kong's own numbers, which are small.
	firstID, lastID = 1<<20 + 1, math.MaxInt32
	// blockSize is how many ids are reserved at a time.
	blockSize = 1 << 10
	// treeGap is how many ids the first process of a tree leaves out, at least, behind the
	// last one that it knows to be reserved. The last reservations may be missing, in a
	// file that is written in the background; and a server that this one succeeds gives
	// out ids until it has handed over its connections. 10,000 rows at 4 workers take
	// 40,000 ids at each of Kong's reloads: 26 reloads may be missing.
	treeGap = 1 << 20
	// treeRange is how many more it leaves out at random, at most. A file may be much
	// older, where its disk is full, and the same that a tree before has begun with.
	treeRange = 1 << 30
)

const (
	// ReservedIDs is the key under which State has the last id that is reserved. It
	// belongs into a file, if State has one, and a process that takes over from another
	// server needs it before it is ready.
	//
	// Where it is not older than treeGap ids, no id that a server has given out is given
	// to another row until the counter has come round. Where it is older or missing, ids
	// begin at random: if Kong still holds h ids, and n are given out until it has new
	// ones, the probability that one of them is the same is (h+n)/2³⁰ at most. With 1,000
	// rows at 4 workers that is 8,000/2³⁰, or 1 in 134,000 for each such start; with 10,000
	// rows 1 in 13,400.
	ReservedIDs = "ids/reserved"
	// treeIDs is the key of the same, for the next processes of the same keeper only:
	// they have it as it was last, and leave out nothing.
	treeIDs = "tree/ids"
)

// ids are the ids of instances. The zero value is ready, and safe for concurrent use.
type ids struct {
	mu   sync.Mutex
	last int32 // that was given out; 0: none by this process
	end  int32 // the last one that is reserved

	random func(below int32) int32 // nil: [rand.Int32N]
}

// next returns the next id that is not taken. It is reserved before that: who asks at
// the same time waits until saved has the end of the block.
func (n *ids) next(saved state.Store, taken func(id int32) bool) int32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last == 0 {
		n.last = n.start(saved)
		n.end = n.last
	}
	for {
		if n.last == n.end {
			n.end = idAfter(n.end, blockSize)
			text := strconv.AppendInt(nil, int64(n.end), 10)
			saved.Set(treeIDs, text)
			saved.Set(ReservedIDs, text)
		}
		n.last = idAfter(n.last, 1)
		if !taken(n.last) {
			return n.last
		}
	}
}

// start returns the id behind which this process begins.
func (n *ids) start(saved state.Store) int32 {
	if id, ok := savedID(saved, treeIDs); ok {
		return id
	}
	random := n.random
	if random == nil {
		random = rand.Int32N
	}
	if id, ok := savedID(saved, ReservedIDs); ok {
		return idAfter(id, treeGap+int64(random(treeRange)))
	}
	return firstID + random(lastID-firstID+1)
}

// savedID is the id that is saved under key, if there is one.
func savedID(saved state.Store, key string) (int32, bool) {
	id, err := strconv.ParseInt(string(saved.Get(key)), 10, 32)
	return int32(id), err == nil && id >= firstID
}

// idAfter is the id n after id.
func idAfter(id int32, n int64) int32 {
	const all = lastID - firstID + 1
	return int32((int64(id)-firstID+n)%all + firstID)
}

// sortByAge orders ids by when they were given out, the oldest first, where reserved is
// the last one that is reserved. Those of servers before this one, which are Kong's own
// numbers, are the oldest.
func sortByAge(given []int32, reserved int32) {
	age := func(id int32) int64 {
		if id < firstID {
			return int64(id) - firstID
		}
		return int64(idAfter(id, lastID-int64(reserved)))
	}
	slices.SortFunc(given, func(a, b int32) int { return cmp.Compare(age(a), age(b)) })
}
