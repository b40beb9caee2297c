package split

import (
	"sync"
	"sync/atomic"
)

// maxSchedule is the longest schedule that is kept, in choices and so in bytes.
// Weights whose sum, divided by their common divisor, is above it are dealt out
// step by step for good. At this length a thousand splits need 16 MiB at most.
const maxSchedule = 1 << 14

// rotation makes choices from a tally. It writes the first period down; once that
// ends where it began, with every backend owed the same as before, all that
// follows is repetition: the rotation is read off the schedule from then on, by
// one atomic counter and without a lock. (A tally that has inherited from other
// weights may need a period or two until it repeats itself.)
//
// It is safe for concurrent use.
type rotation struct {
	schedule atomic.Pointer[schedule] // nil until one period repeats itself

	mu    sync.Mutex // guards what follows; tally and start are constant while there is a schedule
	tally tally
	start []int64 // what was owed when written began
	// written is what the tally chose since start. Its capacity, fixed from the
	// start so that no choice allocates, is the period, or 0 where that is too long.
	written []uint8
}

// schedule is a period of choices.
type schedule struct {
	order []uint8
	turns atomic.Uint64 // choices made from it; closed and above where there are other weights now
}

// closed is more choices than are ever made.
const closed = 1 << 63

// newRotation takes the tally over.
func newRotation(t tally) *rotation {
	r := &rotation{}
	r.begin(t)
	return r
}

// begin takes the tally over, as if no choice had been made before. The caller holds
// mu.
func (r *rotation) begin(t tally) {
	r.tally, r.start, r.written = t, nil, nil
	if t.period <= maxSchedule {
		r.written = make([]uint8, 0, t.period)
		r.start = t.owed(nil)
	}
}

// next makes a choice. At least one weight must be positive.
func (r *rotation) next() int {
	if i := r.schedule.Load().next(); i >= 0 {
		return i
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.schedule.Load().next(); i >= 0 {
		return i
	}
	i := r.tally.next()
	r.write(i)
	return i
}

// next is the next choice of the schedule; -1 where there is none, or it is closed.
func (s *schedule) next() int {
	if s == nil {
		return -1
	}
	turn := s.turns.Add(1) - 1
	if turn >= closed {
		return -1
	}
	return int(s.order[turn%uint64(len(s.order))])
}

// write notes a choice of the tally, and at the end of a period sees whether what
// was written can serve as the schedule. The caller holds mu.
func (r *rotation) write(i int) {
	if cap(r.written) == 0 {
		return
	}
	r.written = append(r.written, uint8(i))
	if len(r.written) < cap(r.written) {
		return
	}
	if r.repeats() {
		r.schedule.Store(&schedule{order: r.written})
		return
	}
	r.start = r.tally.owed(r.start[:0])
	r.written = r.written[:0]
}

// repeats says whether every backend is owed what it was at the start. The caller
// holds mu.
func (r *rotation) repeats() bool {
	for i := range r.tally.lanes {
		if r.tally.lanes[i].owed != r.start[i] {
			return false
		}
	}
	return true
}

// snapshot returns a tally in which everything is as after the choices that were
// made so far.
func (r *rotation) snapshot() tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tally.clone()
	if s := r.schedule.Load(); s != nil {
		t.replay(s.order[:s.turns.Load()%uint64(len(s.order))])
	}
	return t
}

// change goes on with other weights of the same backends. Every choice counts: one
// that comes upon the closed schedule waits, and is made by the new weights.
func (r *rotation) change(weights []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.schedule.Load(); s != nil {
		turns := s.turns.Add(closed) - closed
		r.tally.replay(s.order[:turns%uint64(len(s.order))])
		r.schedule.Store(nil)
	}
	r.begin(heir(weights, r.tally, inPlace(len(weights))))
}
