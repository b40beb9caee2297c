//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"kong-traffic-split/plugin/state"
)

// childEnv is set for a child, whose files the keeper has opened.
const childEnv = "TRAFFIC_SPLIT_KEEPER"

// The files of a child.
const (
	linkFile  = 3
	slotsFile = 4
	exeFile   = 5 // which it is started from
)

// A Child is the child's side of its keeper: a listener whose connections are those that
// the keeper accepts, or has from a child before, and a [state.Store]. Its methods may
// be called by several goroutines at once.
type Child struct {
	state.Memory // what this child and those before it have saved

	link  *link
	slots *slots
	conns chan net.Conn
	begun chan struct{} // closed: all values that were saved before have come

	handingOver atomic.Bool
	stopped     chan struct{} // no connection comes any more
	reason      error         // why, once stopped is closed
	stop        sync.Once

	changed atomic.Pointer[func(key string)] // nil: nobody wants to know
}

// Inherited returns this process's Child, or nil where no keeper has started it. It is to
// be called once, before any file is opened.
func Inherited() (*Child, error) {
	if os.Getenv(childEnv) == "" {
		return nil, nil
	}
	_ = os.Unsetenv(childEnv) // not for processes that this one may start
	// Otherwise its name would be the number of the descriptor that it was started from.
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
	c, err := openChild(linkFile, slotsFile)
	if err != nil {
		return nil, fmt.Errorf("what the keeper has handed down: %w", err)
	}
	return c, nil
}

func openChild(linkFile, slotsFile int) (*Child, error) {
	l, err := newLink(linkFile)
	if err != nil {
		return nil, err
	}
	memory, err := openSlots(os.NewFile(uintptr(slotsFile), "slots"))
	if err != nil {
		return nil, err
	}
	c := &Child{
		link: l, slots: memory, conns: make(chan net.Conn), begun: make(chan struct{}), stopped: make(chan struct{}),
	}
	go c.receive()
	select {
	case <-c.begun:
		return c, nil
	case <-c.stopped:
		return nil, c.reason
	}
}

// Ready tells the keeper that this process can serve.
func (c *Child) Ready() error { return c.link.send(message{kind: ready, number: version}) }

// Accept waits for the next connection. When this child is to end because
// another one goes on, the error has a method HandOver() bool that returns true;
// no connection must be ended then. An error without it says that the keeper is
// dead.
func (c *Child) Accept() (net.Conn, error) {
	select {
	case sock := <-c.conns:
		return sock, nil
	case <-c.stopped:
		return nil, c.reason
	}
}

// Close ends Accept. The socket is the keeper's.
func (c *Child) Close() error {
	c.end(net.ErrClosed)
	return nil
}

// Addr is that of the keeper's socket, which the child does not know.
func (c *Child) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

func (c *Child) end(reason error) {
	c.stop.Do(func() {
		c.reason = reason
		close(c.stopped)
	})
}

// errHandOver ends a child whose connections go on in another one.
type errHandOver struct{}

func (errHandOver) Error() string  { return "another process goes on with the connections" }
func (errHandOver) HandOver() bool { return true }

// receive handles the keeper's messages until that is dead.
func (c *Child) receive() {
	for {
		m, err := c.link.receive()
		if errors.Is(err, errMissed) { // the keeper logs it, and gives the connection again
			_ = c.link.send(message{kind: missed, number: m.number})
			continue
		}
		if err != nil {
			c.end(fmt.Errorf("the keeper is gone: %w", err))
			return
		}
		c.handle(m)
	}
}

func (c *Child) handle(m message) {
	switch m.kind {
	case began:
		close(c.begun)
	case savedValue:
		c.Memory.Set(m.key, m.value)
		if changed := c.changed.Load(); changed != nil {
			(*changed)(m.key)
		}
	case handOver:
		c.handingOver.Store(true)
		c.end(errHandOver{})
	case conn:
		if m.number >= maxSlots {
			return
		}
		sock, err := newConn(c, m.fd, int(m.number))
		if err != nil { // there is no descriptor left, as above
			_ = c.link.send(message{kind: missed, number: m.number})
			return
		}
		select {
		case c.conns <- sock:
		case <-c.stopped: // another child goes on with it, or the keeper ends it
		}
	}
}

// sendClosed tells the keeper that a connection has ended. An error says that the keeper
// is dead.
func (c *Child) sendClosed(number int) {
	_ = c.link.send(message{kind: closed, number: uint32(number)})
}

// Set saves value under key, for this child and those after it; nil deletes. The value
// must not be changed after that. What was saved before an answer was sent on a
// connection, the child that goes on with that connection has.
func (c *Child) Set(key string, value []byte) {
	c.Memory.Set(key, value)
	_ = c.link.send(message{kind: savedValue, key: key, value: value}) // an error: the keeper is dead
}

// Notify has changed called for each value that another process saves from now on, such
// as the child that serves until this one takes over. No further message is handled
// before it returns.
func (c *Child) Notify(changed func(key string)) { c.changed.Store(&changed) }
