package split

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// maxSchedule is the longest schedule that is kept, in choices and so in bytes.
	// Weights whose sum, divided by their common divisor, is above it are dealt out
	// step by step for good. At this length a thousand ledgers need 16 MiB at most.
	maxSchedule = 1 << 14
	// settled is after how many choices by the same stage a schedule is written, if
	// there was another stage before: of two that alternate none is written.
	settled = 16
	// maxAway is of how many backends that its stage does not have a ledger keeps what
	// they are owed.
	maxAway = 4 * MaxBackends
)

// ledger is what each backend, by its name, is owed over all choices: by any revision
// of a split, at any share of a ramp, with any backends unusable. Each choice is by one
// [stage] and adds that stage's shares to what its backends are owed; other backends
// keep what they are owed.
//
// While all choices are by one stage, its first period is written down. Once a period
// ends as it began, with every backend owed the same, the choices repeat: from then on
// they are read from that schedule, by one atomic counter and without a lock. (A rotation
// that has inherited from other weights may need a period or two until it repeats.)
//
// It is safe for concurrent use.
type ledger struct {
	schedule atomic.Pointer[schedule] // of stage; nil until one period repeats itself

	mu       sync.Mutex // guards what follows; rotation and start are constant while there is a schedule
	stage    *stage     // of the latest choice; nil: there was none
	rotation rotation   // its backends in their order, then those of other stages
	names    []string   // of the backends in rotation
	spare    []lane     // for the next rotation
	indexes  []int      // of names in the ledger before place

	choices int     // by the stage so far, up to settled
	start   []int64 // what each backend was owed when written began
	written []uint8 // the choices since; nil: they are not written down
}

// schedule is a period of choices.
type schedule struct {
	stage *stage
	order []uint8
	turns atomic.Uint64 // choices made from it; closed or more after another stage has begun
}

// closed is more choices than are ever made.
const closed = 1 << 63

// next makes a choice by a stage, which has a positive weight.
func (l *ledger) next(g *stage) int {
	if i := l.schedule.Load().next(g); i >= 0 {
		return i
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.choose(g)
}

// instead undoes a choice of backend i by the stage old, and makes one by g, a stage of
// the same backends. What backend i was owed falls to the backends of g, as it may have
// been unusable all the time.
func (l *ledger) instead(old *stage, i int, g *stage) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.switchTo(old)
	l.close()
	l.rotation.undo(i)
	l.switchTo(g)
	l.rotation.forgive(i)
	l.begin(0)
	return l.choose(g)
}

// next returns the next choice of the schedule; -1 if it is closed, of another stage, or
// nil.
func (s *schedule) next(g *stage) int {
	if s == nil || s.stage != g {
		return -1
	}
	turn := s.turns.Add(1) - 1
	if turn >= closed {
		return -1
	}
	return int(s.order[turn%uint64(len(s.order))])
}

// choose makes a choice by a stage. The caller holds mu.
func (l *ledger) choose(g *stage) int {
	l.switchTo(g)
	if i := l.schedule.Load().next(g); i >= 0 {
		return i
	}
	i := l.rotation.next()
	l.record(i)
	return i
}

// switchTo makes g the stage of the next choices. No choice is lost: one that finds the
// schedule closed waits for mu, and is made by the new stage. The caller holds mu.
func (l *ledger) switchTo(g *stage) {
	if l.stage == g {
		return
	}
	l.close()
	l.place(g)
	next := newRotation(l.spare, len(l.names), g.weights)
	next.inherit(&l.rotation, l.indexes)
	l.spare, l.rotation = l.rotation.lanes, next
	choices := 0
	if l.stage == nil {
		choices = settled
	}
	l.stage = g
	l.begin(choices)
}

// close ends the schedule, if there is one. The caller holds mu.
func (l *ledger) close() {
	if s := l.schedule.Load(); s != nil {
		turns := s.turns.Add(closed) - closed
		l.rotation.replay(s.order[:turns%uint64(len(s.order))])
		l.schedule.Store(nil)
	}
}

// place puts the names of the stage's backends first, in their order, and the old index
// of each name, or -1, into indexes. If there are too many others, those are dropped that
// no stage has had for longest. The caller holds mu.
func (l *ledger) place(g *stage) {
	n := len(g.names)
	l.indexes = l.indexes[:0]
	if len(l.names) >= n && slices.Equal(l.names[:n], g.names) {
		for i := range l.names {
			l.indexes = append(l.indexes, i)
		}
		return
	}
	names := slices.Clone(g.names)
	for _, name := range names {
		l.indexes = append(l.indexes, slices.Index(l.names, name))
	}
	for i, name := range l.names {
		if len(names) < n+maxAway && !slices.Contains(g.names, name) {
			names, l.indexes = append(names, name), append(l.indexes, i)
		}
	}
	l.names = names
}

// begin starts to count the choices of the stage. The caller holds mu.
func (l *ledger) begin(choices int) {
	l.choices, l.written = choices, nil
	if choices < settled || l.rotation.period > maxSchedule {
		return
	}
	l.written = make([]uint8, 0, l.rotation.period)
	l.start = l.rotation.owed(l.start[:0])
}

// record writes down a choice of the rotation, and at the end of a period makes a
// schedule of what was written if it repeats. The caller holds mu.
func (l *ledger) record(i int) {
	if l.choices < settled {
		l.begin(l.choices + 1)
		return
	}
	if l.written == nil {
		return
	}
	l.written = append(l.written, uint8(i))
	if int64(len(l.written)) < l.rotation.period {
		return
	}
	if l.repeats() {
		l.schedule.Store(&schedule{stage: l.stage, order: l.written})
		return
	}
	l.start = l.rotation.owed(l.start[:0])
	l.written = l.written[:0]
}

// repeats reports whether every backend is owed the same as at the start. The caller
// holds mu.
func (l *ledger) repeats() bool {
	for i := range l.rotation.lanes {
		if l.rotation.lanes[i].owed != l.start[i] {
			return false
		}
	}
	return true
}

// prune forgets the backends that has does not report. What they were owed falls to the
// others, by the weights of the stage.
func (l *ledger) prune(g *stage, has func(name string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.ContainsFunc(l.names, func(name string) bool { return !has(name) }) {
		return
	}
	l.switchTo(g)
	l.close()
	names, lanes := l.names[:0:0], l.rotation.lanes[:0]
	var owed int64
	for i, name := range l.names {
		if has(name) {
			names, lanes = append(names, name), append(lanes, l.rotation.lanes[i])
		} else {
			owed += l.rotation.lanes[i].owed
		}
	}
	l.names, l.rotation.lanes = names, lanes
	l.rotation.spreadOut(owed)
	l.begin(0)
}

// drift returns by how many choices the backend of names that is furthest from the sum of
// its shares is behind or ahead of that.
func (l *ledger) drift(names []string) (furthest float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stage == nil {
		return 0
	}
	t := rotation{lanes: slices.Clone(l.rotation.lanes), unit: l.rotation.unit}
	if s := l.schedule.Load(); s != nil {
		t.replay(s.order[:s.turns.Load()%uint64(len(s.order))])
	}
	for i, name := range l.names {
		if slices.Contains(names, name) {
			furthest = max(furthest, math.Abs(float64(t.lanes[i].owed)/float64(t.unit)))
		}
	}
	return furthest
}
