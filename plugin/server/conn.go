package server

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// keep is the largest buffer, in bytes, that a connection holds on to between
// two events.
const keep = 64 << 10

var (
	// errDraining ends a connection that the server has half-closed.
	errDraining = errors.New("the server stops")
	// errHandedOver ends a connection's part in this process.
	errHandedOver = errors.New("another process goes on with the connection")
)

// earlier stands for a call of a process before this one.
const earlier = "a call of an earlier process"

// A conn is one connection of Kong. Kong has one exchange on it at a time, so
// only the goroutine that serves it reads and writes; drain and busy may be
// called by others.
type conn struct {
	server *Server
	sock   journal
	r      *bufio.Reader
	in     []byte // the frame that was read last
	out    []byte // frames that are not sent yet
	reply  []byte // the reply that go-pdk is reading, as a frame

	// Of one exchange; reset before the next.
	call    pb.RpcCall
	ret     pb.RpcReturn
	facts   []fact // what was read before the handler asked for it
	replies []byte // to that, as frames

	// owed are the methods of calls that were sent and whose replies nobody
	// waits for, in their order: they come before anything else that Kong sends.
	owed   []string
	unsent int // calls in out, silent or not

	unheard bool // nothing was ever read from it

	again  int  // replies to an earlier process, behind the RPC call that is read next
	deaths int  // of earlier processes, with the RPC call in flight that is read next, or was read last
	fresh  bool // the RPC call that was read last came to this process first

	attempt attempt      // the work on the RPC call in flight
	size    int          // bytes of frames of its exchange that were read
	due     atomic.Int64 // until which tick of the server what is waited for has to come; 0: for ever
	stalled atomic.Bool  // it has not

	awaitsBody atomic.Bool // what is waited for is the body of a client, or may be

	// workedOn is since which tick of the server, plus one, the call in flight is worked on;
	// 0: there is none, or it waits for the other side.
	workedOn atomic.Int64

	mu       sync.Mutex
	inFlight bool // an RPC call was read and is not answered yet
	draining bool
	handOver bool // draining, for another process to go on
}

func newConn(server *Server, sock journal) *conn {
	c := &conn{server: server, sock: sock, r: bufio.NewReader(sock), unheard: !sock.Heard()}
	owed, again, tries := sock.Resumed()
	c.owe(owed)
	c.again, c.deaths = again, tries
	return c
}

// owe records that Kong owes n replies to calls of an earlier process.
func (c *conn) owe(n int) {
	for range n {
		c.owed = append(c.owed, earlier)
	}
}

// next waits for the next RPC call. The frame is valid until the next read. It
// returns io.EOF when Kong has closed the connection, and errDraining when it
// is to be closed.
func (c *conn) next() ([]byte, error) {
	if !c.setInFlight(false) {
		return nil, c.lastBytes()
	}
	c.reset()
	frame, err := c.readCall()
	if !c.setInFlight(err == nil) {
		return nil, c.lastBytes()
	}
	return frame, err
}

// readCall reads the next RPC call, for whose first byte it waits for ever, but on a new
// connection.
func (c *conn) readCall() ([]byte, error) {
	if len(c.owed) > 0 {
		if err := c.dropOwed(); err != nil {
			return nil, err
		}
		c.sock.Mark(c.r.Buffered())
	}
	if err := c.awaitCall(); err != nil {
		return nil, err
	}
	c.size = 0
	frame, err := c.readFrame(frameTime)
	c.owe(c.again)
	c.again = 0
	if c.fresh {
		c.deaths = 0
	}
	c.fresh = true
	return frame, err
}

// awaitCall waits for the first byte of a call.
func (c *conn) awaitCall() error {
	if !c.unheard {
		_, err := c.r.Peek(1)
		return err
	}
	c.unheard = false
	return c.wait(frameTime, func() error {
		_, err := c.r.Peek(1)
		return err
	})
}

// readNext reads the next frame that somebody waits for, for limit at most.
func (c *conn) readNext(limit time.Duration) ([]byte, error) {
	if err := c.dropOwed(); err != nil {
		return nil, err
	}
	return c.readFrame(limit)
}

// dropOwed reads the replies that nobody waits for.
func (c *conn) dropOwed() error {
	for i, method := range c.owed {
		if _, err := c.readFrame(limitOf(method)); err != nil {
			c.owed = c.owed[i:]
			return brokenOff(method, err)
		}
	}
	c.owed = c.owed[:0]
	return nil
}

// setInFlight records whether a call is in flight, and returns false when none shall
// be taken up any more. A connection that becomes idle is then half-closed.
func (c *conn) setInFlight(inFlight bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		if c.inFlight {
			c.leave()
		}
		c.inFlight = false
		return false
	}
	c.inFlight = inFlight
	return true
}

// drain ends the connection: at once when no call is in flight, otherwise after it.
// With handOver it ends for this process only.
func (c *conn) drain(handOver bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining, c.handOver = true, handOver
	if !c.inFlight {
		c.leave()
	}
}

// leave ends a connection without a call in flight. The caller holds mu.
func (c *conn) leave() {
	if c.handOver {
		_ = c.sock.SetReadDeadline(time.Now()) // what was read of a call is in the journal
	} else {
		c.halfClose()
	}
}

// busy reports whether a call is in flight.
func (c *conn) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inFlight
}

func (c *conn) isHandedOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handOver
}

// halfClose makes Kong see the end of the connection while its own bytes can
// still arrive. Were the socket closed with bytes unread, Kong would see a reset,
// which is a 500; an end of file before the answer makes it repeat the event on
// another connection.
func (c *conn) halfClose() {
	_ = c.sock.CloseWrite()
	_ = c.sock.SetReadDeadline(time.Now().Add(linger))
}

// hangUp ends the connection in answer to a call. The process that had the call
// before this one may have asked for something already, and Kong's replies are on
// their way.
func (c *conn) hangUp() {
	c.halfClose()
	_, _ = io.Copy(io.Discard, c.r)
}

// lastBytes drops what Kong still sends on a half-closed connection, until Kong
// closes it or linger is over.
func (c *conn) lastBytes() error {
	if c.isHandedOver() {
		return errHandedOver
	}
	_, _ = io.Copy(io.Discard, c.r)
	return errDraining
}

// readFrame reads one frame into the connection's buffer, which has to be there within
// limit.
func (c *conn) readFrame(limit time.Duration) (frame []byte, err error) {
	err = c.wait(limit, func() (err error) {
		frame, err = wire.ReadFrame(c.r, c.in)
		return err
	})
	switch err {
	case nil:
		c.in = frame
		c.size += len(emptyFrame) + len(frame)
	case io.ErrUnexpectedEOF:
		err = fmt.Errorf("a frame is cut off: %w", err)
	}
	return frame, err
}

// appendReturn appends ret, as a frame, to what is not sent yet.
func (c *conn) appendReturn(ret *pb.RpcReturn) error {
	start := len(c.out)
	out, err := proto.MarshalOptions{}.MarshalAppend(append(c.out, emptyFrame...), ret)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(out[start:], uint32(len(out)-start-len(emptyFrame)))
	c.out = out
	return nil
}

// flush sends calls that are not sent yet, in one write.
func (c *conn) flush() error {
	err := c.wait(stallTime, func() error { return c.sock.Send(c.out, c.unsent) })
	c.out, c.unsent = c.out[:0], 0
	return err
}

// finish sends what is not sent yet, with which the RPC call is answered, in one
// write.
func (c *conn) finish() error {
	err := c.wait(stallTime, func() error { return c.sock.Finish(c.out, len(c.owed), c.r.Buffered()) })
	c.out, c.unsent = c.out[:0], 0
	return err
}

// reset forgets the last exchange, and lets go of buffers that one large frame has made
// large.
func (c *conn) reset() {
	c.call.Reset()
	c.ret.Reset()
	clear(c.facts)
	c.facts, c.replies, c.reply = c.facts[:0], c.replies[:0], c.reply[:0]
	for _, buf := range []*[]byte{&c.in, &c.out, &c.reply, &c.replies} {
		if cap(*buf) > keep {
			*buf = nil
		}
	}
}
