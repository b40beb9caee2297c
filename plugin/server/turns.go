package server

import (
	"sync"
	"time"
)

// turns are for calls that processes have died with: one at a time has its turn. The
// zero value is ready, and safe for concurrent use. Nothing is locked meanwhile.
type turns struct {
	mu  sync.Mutex
	now *turn // nil: it is nobody's
}

// A turn ends by itself after turnTime.
type turn struct {
	over  chan struct{} // closed then
	timer *time.Timer
}

// isOver reports whether a turn has ended.
func (t *turn) isOver() bool {
	select {
	case <-t.over:
		return true
	default:
		return false
	}
}

// take waits until it is nobody's turn, for turnWait at most, and returns the next one.
func (t *turns) take() *turn {
	mine := &turn{over: make(chan struct{})}
	patience := time.NewTimer(turnWait)
	defer patience.Stop()
	for {
		other := t.begin(mine)
		if other == nil {
			return mine
		}
		select {
		case <-other.over:
		case <-patience.C:
			return mine // which it is not, but somebody else's has lasted for too long
		}
	}
}

// begin makes it somebody's turn, unless it is another one's, which it returns.
func (t *turns) begin(mine *turn) (other *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		t.now = mine
		mine.timer = time.AfterFunc(turnTime, func() { t.end(mine) })
	}
	if t.now == mine {
		return nil
	}
	return t.now
}

// end ends a turn, if it has not ended yet.
func (t *turns) end(mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == mine {
		t.now = nil
		mine.timer.Stop()
		close(mine.over)
	}
}
