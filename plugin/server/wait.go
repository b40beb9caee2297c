package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"kong-traffic-split/kong/wire"
)

// What a connection waits for has an end, but for the next call: Kong's pool keeps idle
// connections as long as it wants to. It never makes one without a call for it.
const (
	// frameTime is how long a call may take to arrive once its first byte is there, and
	// that one once there is a connection. Kong sends all of it at once; a worker may be
	// held up in the middle.
	frameTime = 10 * time.Second
	// stallTime is how long the other side may take to reply to a call of its PDK, or to
	// read what it is sent. Kong gives a plugin server the same time.
	stallTime = time.Minute
	// bodyTime is how long a client may take to send its body, where Kong is asked for that.
	// Kong itself sets no limit but from one read to the next (client_body_timeout), and to
	// end the connection would make an error of a slow upload.
	bodyTime = time.Hour
	// watchPause is between two looks at who is overdue.
	watchPause = time.Second
	// workTime is how long a call may be worked on, without what it waits for, until the
	// server is taken to hang: what takes moments takes a while on a machine that is busy
	// with much else, and a call that processes have died with waits for its turn.
	workTime = 10 * time.Second
)

// limitOf returns how long the reply to a method may take. What an earlier process has asked
// for may be a body.
func limitOf(method string) time.Duration {
	if method == wire.RawBody || method == earlier {
		return bodyTime
	}
	return stallTime
}

// errStalled ends a connection whose other side has kept this one waiting.
var errStalled = errors.New("the other side keeps the server waiting")

// wait does what may have to wait for the other side, for limit at most, and then fails.
// Other calls that processes have died with may be tried meanwhile. To count ticks of the
// server's costs less than a deadline of the socket's each time, and is exact to one.
func (c *conn) wait(limit time.Duration, do func() error) error {
	c.rest()
	if limit == bodyTime {
		c.awaitsBody.Store(true)
		defer c.awaitsBody.Store(false)
	}
	c.workedOn.Store(0)
	c.due.Store(c.server.ticks.Load() + int64(limit/watchPause) + 1)
	err := do()
	c.due.Store(0)
	if c.attempt.call != nil {
		c.workedOn.Store(c.server.ticks.Load() + 1)
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && c.stalled.Load() {
		return fmt.Errorf("%w, for %v", errStalled, limit)
	}
	return err
}

// onlyBodies reports whether there are connections, and each has an event in flight that waits
// for the body of a client.
func (s *Server) onlyBodies() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if !c.awaitsBody.Load() {
			return false
		}
	}
	return len(s.conns) > 0
}

// endStalled ends the connections that have waited for too long. It is called once each
// watchPause.
func (s *Server) endStalled() {
	now := s.ticks.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if due := c.due.Load(); due != 0 && due <= now {
			c.stalled.Store(true)
			_ = c.sock.SetDeadline(time.Unix(1, 0)) // long past
		}
	}
}

// hanging returns an error where calls are worked on for longer than workTime: whatever
// holds them up, a lock, a loop or a log that nobody reads, holds up others too. Ticks are
// counted as in wait; none passes while this process or its machine is stopped.
func (s *Server) hanging() error {
	since := s.ticks.Load() - int64(workTime/watchPause)
	hanging := 0
	s.mu.Lock()
	for c := range s.conns {
		if began := c.workedOn.Load(); began != 0 && began <= since {
			hanging++
		}
	}
	s.mu.Unlock()
	if hanging == 0 {
		return nil
	}
	return fmt.Errorf("the server hangs: calls that are worked on for more than %v: %d", workTime, hanging)
}

// every does something each pause until ctx is done.
func every(ctx context.Context, pause time.Duration, do func()) {
	ticks := time.NewTicker(pause)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}
