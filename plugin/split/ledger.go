package split

import (
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// maxSchedule is the longest schedule that is kept, in choices and so in bytes.
	// Weights whose sum, divided by their common divisor, is above it are dealt out
	// step by step for good. At this length a thousand ledgers need 16 MiB at most.
	maxSchedule = 1 << 14
	// settled is how many choices by the same stage are made before they are written
	// down, where there was another stage before: two that take turns never are.
	settled = 16
	// maxAway is for how many backends that the stage does not have a ledger keeps
	// what they are owed.
	maxAway = 4 * MaxBackends
)

// ledger is what each backend, by its name, is owed, over all the choices that were
// made from it: by whichever revision of a split, at whichever share of a ramp, and
// whichever backends could not be used then. Each choice is by one [stage] and adds
// that one's shares to what its backends are owed; those that it does not have keep
// theirs.
//
// While one stage makes all the choices, its first period is written down; once that
// ends where it began, with every backend owed the same as before, all that follows
// is repetition: choices are read off the schedule from then on, by one atomic
// counter and without a lock. (A tally that has inherited from other weights may need
// a period or two until it repeats itself.)
//
// It is safe for concurrent use.
type ledger struct {
	schedule atomic.Pointer[schedule] // of stage; nil until one period repeats itself

	mu    sync.Mutex // guards what follows; tally and start are constant while there is a schedule
	stage *stage     // the latest that a choice was made by; nil: there was none
	tally tally      // its backends in their order, then those of other stages
	names []string   // of the backends in tally
	spare []lane     // for the next tally
	was   []int      // for inherit

	choices int     // since the stage began, up to settled
	start   []int64 // what was owed when written began
	written []uint8 // what the tally has chosen since; nil: it is not written down
}

// schedule is a period of choices.
type schedule struct {
	stage *stage
	order []uint8
	turns atomic.Uint64 // choices made from it; closed and above where another stage goes on
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

// instead takes back choice i of the stage was, as if it had not been made, and makes
// one by another stage of the same backends. What backend i was owed falls to those of
// that stage: for all that is known it could not be used all the while.
func (l *ledger) instead(was *stage, i int, g *stage) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(was)
	l.close()
	l.tally.undo(i)
	l.turn(g)
	l.tally.forgive(i)
	l.begin(0)
	return l.choose(g)
}

// next is the next choice of the schedule; -1 where it is not one of that stage, or
// closed, or nil.
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
	l.turn(g)
	if i := l.schedule.Load().next(g); i >= 0 {
		return i
	}
	i := l.tally.next()
	l.write(i)
	return i
}

// turn goes on to another stage. Every choice counts: one that comes upon the closed
// schedule waits, and is made after it. The caller holds mu.
func (l *ledger) turn(g *stage) {
	if l.stage == g {
		return
	}
	l.close()
	l.place(g)
	next := newTally(l.spare, len(l.names), g.weights)
	next.inherit(&l.tally, l.was)
	l.spare, l.tally = l.tally.lanes, next
	choices := 0
	if l.stage == nil {
		choices = settled
	}
	l.stage = g
	l.begin(choices)
}

// close puts an end to the schedule, if there is one. The caller holds mu.
func (l *ledger) close() {
	if s := l.schedule.Load(); s != nil {
		turns := s.turns.Add(closed) - closed
		l.tally.replay(s.order[:turns%uint64(len(s.order))])
		l.schedule.Store(nil)
	}
}

// place puts the names of the stage's backends first, in their order, and into was
// where each was before, or -1. Where there are too many others, those go that were
// not chosen from for longest. The caller holds mu.
func (l *ledger) place(g *stage) {
	n := len(g.names)
	l.was = l.was[:0]
	if len(l.names) >= n && slices.Equal(l.names[:n], g.names) {
		for i := range l.names {
			l.was = append(l.was, i)
		}
		return
	}
	names := slices.Clone(g.names)
	for _, name := range names {
		l.was = append(l.was, slices.Index(l.names, name))
	}
	for i, name := range l.names {
		if len(names) < n+maxAway && !slices.Contains(g.names, name) {
			names, l.was = append(names, name), append(l.was, i)
		}
	}
	l.names = names
}

// begin counts the choices of the stage from here. The caller holds mu.
func (l *ledger) begin(choices int) {
	l.choices, l.written = choices, nil
	if choices < settled || l.tally.period > maxSchedule {
		return
	}
	l.written = make([]uint8, 0, l.tally.period)
	l.start = l.tally.owed(l.start[:0])
}

// write takes note of a choice of the tally, and at the end of a period sees whether
// what was written can serve as the schedule. The caller holds mu.
func (l *ledger) write(i int) {
	if l.choices < settled {
		l.begin(l.choices + 1)
		return
	}
	if l.written == nil {
		return
	}
	l.written = append(l.written, uint8(i))
	if int64(len(l.written)) < l.tally.period {
		return
	}
	if l.repeats() {
		l.schedule.Store(&schedule{stage: l.stage, order: l.written})
		return
	}
	l.start = l.tally.owed(l.start[:0])
	l.written = l.written[:0]
}

// repeats reports whether every backend is owed what it was at the start. The caller
// holds mu.
func (l *ledger) repeats() bool {
	for i := range l.tally.lanes {
		if l.tally.lanes[i].owed != l.start[i] {
			return false
		}
	}
	return true
}

// prune forgets the backends that nobody has any more. What they were owed falls to
// the others by the weights of a stage.
func (l *ledger) prune(g *stage, has func(name string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.ContainsFunc(l.names, func(name string) bool { return !has(name) }) {
		return
	}
	l.turn(g)
	l.close()
	names, lanes := l.names[:0:0], l.tally.lanes[:0]
	var owed int64
	for i, name := range l.names {
		if has(name) {
			names, lanes = append(names, name), append(lanes, l.tally.lanes[i])
		} else {
			owed += l.tally.lanes[i].owed
		}
	}
	l.names, l.tally.lanes = names, lanes
	l.tally.spreadOut(owed)
	l.begin(0)
}
