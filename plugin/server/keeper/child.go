//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// childEnv is set for a child, whose files the keeper has opened.
const childEnv = "TRAFFIC_SPLIT_KEEPER"

// The files of a child.
const (
	linkFile  = 3
	slotsFile = 4
	exeFile   = 5 // which it is started from
)

// A Child is what a child has of its keeper: a listener whose connections are
// those that the keeper accepts, or has from a child before, and the notes. Its
// methods may be called by several goroutines at once.
type Child struct {
	link  *link
	slots *slots
	conns chan net.Conn

	handingOver atomic.Bool
	stopped     chan struct{} // no connection comes any more
	reason      error         // of that, once stopped is closed
	stop        sync.Once

	mu    sync.Mutex
	notes map[string][]byte
	noted func(key string) // nil: nobody wants to know
}

// Inherited returns what this process has of its keeper, or nil when it was not
// started by one.
func Inherited() (*Child, error) {
	if os.Getenv(childEnv) == "" {
		return nil, nil
	}
	_ = os.Unsetenv(childEnv) // not for processes that this one may start
	// Started by a descriptor, it would have that one's number for a name.
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
		link: l, slots: memory, conns: make(chan net.Conn),
		stopped: make(chan struct{}), notes: map[string][]byte{},
	}
	for {
		m, err := l.receive()
		if err != nil && !errors.Is(err, errMissed) { // no connection comes before it has begun
			return nil, err
		}
		if m.kind == began {
			break
		}
		c.take(m)
	}
	go c.receive()
	return c, nil
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

// receive takes what the keeper says until it is dead.
func (c *Child) receive() {
	for {
		m, err := c.link.receive()
		if errors.Is(err, errMissed) { // the keeper says so, and tries again
			_ = c.link.send(message{kind: missed, number: m.number})
			continue
		}
		if err != nil {
			c.end(fmt.Errorf("the keeper is gone: %w", err))
			return
		}
		c.take(m)
	}
}

func (c *Child) take(m message) {
	switch m.kind {
	case note:
		if key, value, err := noteOf(m.text); err == nil {
			if noted := c.keep(key, value); noted != nil {
				noted(key)
			}
		}
	case handOver:
		c.handingOver.Store(true)
		c.end(errHandOver{})
	case conn:
		if m.number >= maxSlots {
			return
		}
		sock, err := newConn(c, m.fd, int(m.number))
		if err != nil { // for want of descriptors, as above
			_ = c.link.send(message{kind: missed, number: m.number})
			return
		}
		select {
		case c.conns <- sock:
		case <-c.stopped: // it goes on in another child, or the keeper ends it
		}
	}
}

// closed tells the keeper, which may be dead, that a connection has ended.
func (c *Child) closed(number int) { _ = c.link.send(message{kind: closed, number: uint32(number)}) }

// Get returns what was noted under key, by this child or one before it; nil where
// nothing was.
func (c *Child) Get(key string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.notes[key]
}

// Keys lists the keys that begin with prefix, in order.
func (c *Child) Keys(prefix string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var keys []string
	for key := range c.notes {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Set notes value under key, for this child and those after it. A nil value
// deletes the note. The value is not changed after that. What was noted before a
// connection's answer was sent is there for the child that goes on with it.
func (c *Child) Set(key string, value []byte) {
	c.keep(key, value)
	_ = c.link.send(message{kind: note, text: noteText(key, value)}) // or the keeper is dead
}

// Notify has noted called for each note that another process has made from now on:
// the one that goes on until this one takes over. It must not wait for such a note.
func (c *Child) Notify(noted func(key string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noted = noted
}

// keep keeps a note, and returns whom to tell of one of another process.
func (c *Child) keep(key string, value []byte) (noted func(key string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if value == nil {
		delete(c.notes, key)
	} else {
		c.notes[key] = value
	}
	return c.noted
}
