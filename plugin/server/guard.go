package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Kong repeats an event whose connection ends, without end. So an event must not
// go on ending it: neither by what the server does with the connection, nor by
// the death of the process.
const (
	// maxEnds is how many events of an instance in a row may end with the
	// connection, before the next ones are answered with an error.
	maxEnds = 3
	// barredFor is how long they are, before one is tried again.
	barredFor = 10 * time.Second
)

// A guard counts an instance's events that end the connection. Its zero value is
// ready, and safe for concurrent use.
type guard struct {
	ends atomic.Int32 // in a row

	mu     sync.Mutex
	last   time.Time
	reason error // of the last one
}

// bars returns why an event at now is not to be tried, nil where it is.
func (g *guard) bars(now time.Time) error {
	ends := g.ends.Load()
	if ends < maxEnds {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.last) >= barredFor {
		return nil
	}
	return fmt.Errorf("%d events in a row have ended the connection, which Kong repeats; the next one is tried %v after the last: %w",
		ends, barredFor, g.reason)
}

// succeeded records an event whose exchange has ended as it should.
func (g *guard) succeeded() {
	if g.ends.Load() != 0 {
		g.ends.Store(0)
	}
}

// failed records what has ended the connection in an event.
func (g *guard) failed(err error, now time.Time) {
	if errors.Is(err, errStalled) || byKong(err) { // a worker that hangs does so with all that it has in flight
		return
	}
	g.mu.Lock()
	g.last, g.reason = now, err
	g.mu.Unlock()
	g.ends.Add(1)
}

// byKong reports whether it is Kong that has ended a connection, so that it does
// not repeat anything.
func byKong(err error) bool {
	for _, known := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded, syscall.EPIPE, syscall.ECONNRESET,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
