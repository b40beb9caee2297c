package server

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
)

// A call that a process has died with, which may be why, is tried again by the next one.
// After maxDeaths it is answered with an error instead. So that others are not taken for
// the one that processes die of, such calls are tried one at a time, and only the death
// of a process that works on one counts: not while it waits for Kong's replies.
const (
	// maxDeaths is how many processes may die with a call in flight, before the next
	// one answers it with an error.
	maxDeaths = 10
	// turnTime is how long one such call may be worked on until the next one may be, too.
	turnTime = time.Second
	// turnWait is how long one waits for its turn at most.
	turnWait = 5 * time.Second
	// maxKept is the most bytes of an exchange, in frames, that another process is sure to
	// find in the connection's journal, which plugin/server/keeper has room for. Kong
	// repeats a call with more on another connection, so State has how many processes have
	// died with it; and with each call with which one has, as that may follow.
	maxKept = 48 << 10
)

// tooDeadly returns why a call that so many processes have died of is refused; nil where
// it is to be tried.
func tooDeadly(deaths int) error {
	if deaths < maxDeaths {
		return nil
	}
	return fmt.Errorf("%d processes have died with this call in flight, and it is not tried again", deaths)
}

// An attempt is the work on a call that is in flight.
type attempt struct {
	call *pb.RpcCall // nil: none is
	turn *turn       // nil: it has had none, or needs none
	// resting says that it waits for the other side, in its turn still or not.
	resting bool
	// key is under which State has the deaths with it; empty: the journal has them.
	key     string
	counted bool // there, for the case that this process dies
	refused bool // too many have died with it
}

// begin begins to work on a call.
func (c *conn) begin(call *pb.RpcCall) {
	c.attempt = attempt{call: call}
	c.workedOn.Store(c.server.ticks.Load() + 1)
	_ = c.resume() // what handles the call asks c.deaths
}

// resume begins to work on the call in flight, or goes on: when its turn has come, where
// processes have died with it. It returns an error, once, when they were too many.
func (c *conn) resume() error {
	a := &c.attempt
	if a.call == nil || a.refused || a.turn != nil && !a.resting {
		return nil
	}
	if a.resting = false; a.turn != nil && a.turn.over.Load() {
		a.turn = nil
	}
	c.count()
	if err := tooDeadly(c.deaths); err != nil {
		a.refused = true
		return err
	}
	if c.deaths > 0 {
		if a.turn == nil {
			a.turn = c.server.turns.take()
		}
		c.sock.Try()
	}
	if a.key != "" && !a.counted {
		a.counted = true
		c.server.trials.count(a.key, +1, c.server.State)
	}
	return nil
}

// count finds out how many processes have died with the call in flight where its journal
// may not have it, or not for long: there is what was replied to each of them. An event
// is known by these replies, so it is nothing before they are there.
func (c *conn) count() {
	a, trials := &c.attempt, &c.server.trials
	if a.key != "" {
		return
	}
	// A short one never fills the journal, in all its tries; and by its content it would
	// be one with many others, which processes do not die of.
	counts := c.size > maxKept || c.deaths > 0 && c.size > maxKept/maxDeaths
	isAsked := len(c.replies) > 0 || len(c.reply) > 0
	if !counts && !trials.any(c.server.State) || a.call.GetCmdHandleEvent() != nil && !isAsked {
		return
	}
	if key := c.deathsKey(); counts || trials.known(key, c.server.State) {
		a.key = key
		c.deaths = trials.join(key, c.deaths, c.server.State)
	}
}

// rest pauses the work on the call in flight while it waits for the other side. Its turn
// goes on meanwhile, as long as turns do: who comes next could be taken for it otherwise.
func (c *conn) rest() {
	a := &c.attempt
	if a.turn == nil || a.resting {
		return
	}
	a.resting = true
	c.sock.Spare()
	if a.counted {
		a.counted = false
		c.server.trials.count(a.key, -1, c.server.State)
	}
}

// end ends the work on the call in flight: this process has not died of it.
func (c *conn) end() {
	a := &c.attempt
	if a.turn != nil {
		a.turn.end()
	}
	if a.key != "" {
		c.server.trials.leave(a.key, a.counted, c.server.State)
	}
	*a = attempt{}
	c.workedOn.Store(0)
}

// deathsKey is the key of the call in flight, the same when Kong repeats it: its number is
// another one then.
func (c *conn) deathsKey() string {
	call := proto.Clone(c.attempt.call).(*pb.RpcCall)
	call.Sequence = 0
	text, _ := proto.Marshal(call) // what was decoded can be encoded
	sum := sha256.New()
	sum.Write(text)
	sum.Write(c.replies)
	sum.Write(c.reply)
	return deathsPrefix + hex.EncodeToString(sum.Sum(nil)[:16])
}

// turns are for calls that processes have died with: one at a time has its turn, and there
// is a value then. Nothing is locked meanwhile.
type turns chan struct{}

// A turn ends by itself after turnTime.
type turn struct {
	over atomic.Bool
	end  func()
}

// take waits until it is nobody's turn, for turnWait at most: somebody else's has lasted
// for too long then.
func (t turns) take() *turn {
	mine := &turn{end: func() {}}
	select {
	case t <- struct{}{}:
		mine.end = sync.OnceFunc(func() {
			mine.over.Store(true)
			<-t
		})
		time.AfterFunc(turnTime, mine.end)
	case <-time.After(turnWait):
	}
	return mine
}
