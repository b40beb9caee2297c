//go:build linux

package keeper

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxAgain is how many replies Kong may owe within one exchange, so that they
// and the last calls' can be counted at its end.
const maxAgain = 1 << 15

// A Conn is a connection in the child. What is read from it stays in the journal
// until Finish or Mark, so that the next child can read it again.
//
// One goroutine at a time reads and writes; deadlines, CloseWrite and Close may
// be used by others.
type Conn struct {
	*net.UnixConn
	raw    syscall.RawConn
	child  *Child
	number int // of the slot
	slot   *slot

	resumed mark   // where the exchange was when this process got it
	replay  []byte // of the journal, what is to be read again

	receive, transmit func(fd uintptr) bool // made once, as they would be allocated each time
	errno             syscall.Errno         // of the last one of them
	moved             int                   // bytes
	out               []byte                // what transmit sends
}

// newConn takes up a connection.
func newConn(child *Child, fd, number int) (*Conn, error) {
	unixSock, err := connOf(fd)
	if err != nil {
		return nil, err
	}
	raw, err := unixSock.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, unixSock.Close())
	}
	c := &Conn{UnixConn: unixSock, raw: raw, child: child, number: number, slot: child.slots.slot(number)}
	c.resumed = unpack(c.slot.mark.Load())
	c.replay = c.slot.journal[c.resumed.start:c.resumed.end]
	c.receive = func(fd uintptr) bool { return c.move(unix.SYS_RECVMMSG, fd, &c.slot.receive) }
	c.transmit = func(fd uintptr) bool { return c.move(unix.SYS_SENDMMSG, fd, &c.slot.send) }
	return c, nil
}

// connOf is the connection of a descriptor, which it closes: the connection has
// another one.
func connOf(fd int) (*net.UnixConn, error) {
	if fd == 0 { // too many open files
		return nil, errors.New("the descriptor is missing")
	}
	file := os.NewFile(uintptr(fd), "connection")
	defer file.Close()
	sock, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	unixSock, ok := sock.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("a connection that is none of a Unix socket"), sock.Close())
	}
	return unixSock, nil
}

// move does a system call that moves bytes, and returns false when it would have
// had to wait.
func (c *Conn) move(number, fd uintptr, m *call) bool {
	for {
		_, _, c.errno = syscall.Syscall6(number, fd, uintptr(unsafe.Pointer(m)), 1, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if c.errno != syscall.EINTR {
			break
		}
	}
	c.moved = int(m.bytes())
	return c.errno != syscall.EAGAIN
}

// Resumed says where the exchange was when this process got the connection: so
// many replies are to be dropped before the next call is read, and so many after
// it; and so many processes have died with that call in hand.
func (c *Conn) Resumed() (owed, again, tries int) {
	return int(c.resumed.owed), int(c.resumed.again), int(c.slot.tries.Load())
}

// Heard reports whether anything was read, by an earlier process too.
func (c *Conn) Heard() bool { return c.slot.spare.Load() != unheard }

// Try notes that the call that is in hand is tried now, where processes have died
// with it in hand. The death of this one counts as well only from then on.
func (c *Conn) Try() { c.slot.spare.Store(0) }

// Spare notes that such a call waits for Kong: the death of this process does not count
// until it is tried again.
func (c *Conn) Spare() { c.slot.spare.Store(1) }

// Read reads what the journal has from before, and then from the socket.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.replay) > 0 || len(p) == 0 {
		n := copy(p, c.replay)
		c.replay = c.replay[n:]
		return n, nil
	}
	s := c.slot
	m := unpack(s.mark.Load())
	s.receive.setBytes(0)
	if m.start == m.end {
		m.start, m.end = 0, 0
		s.at.Store(0)
		s.mark.Store(m.word())
	}
	s.at.Store(uint32(m.end))
	room := s.journal[m.end:]
	if len(room) == 0 {
		s.lost.Store(1) // until Finish finds everything read
		return c.UnixConn.Read(p)
	}
	room = room[:min(len(room), len(p))]
	s.receive.point(room)
	if err := c.do(c.raw.Read, c.receive); err != nil {
		return 0, err
	}
	if c.moved == 0 {
		return 0, io.EOF
	}
	if s.spare.Load() == unheard {
		s.spare.Store(0)
	}
	m.end += uint16(c.moved)
	s.mark.Store(m.word())
	return copy(p, room[:c.moved]), nil
}

// do waits until move is done.
func (c *Conn) do(wait func(func(uintptr) bool) error, move func(uintptr) bool) error {
	if err := wait(move); err != nil {
		return err
	}
	if c.errno != 0 {
		return os.NewSyscallError("keeper", c.errno)
	}
	return nil
}

// Write is for what is not part of an exchange: it leaves the journal as it is.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.transfer(p, unpack(c.slot.mark.Load())); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Send sends calls in the middle of an exchange, to which Kong then owes so many
// replies more.
func (c *Conn) Send(p []byte, calls int) error {
	m := unpack(c.slot.mark.Load())
	if int(m.again)+calls > maxAgain {
		c.slot.lost.Store(1)
	} else {
		m.again += uint16(calls)
	}
	return c.transfer(p, m)
}

// Finish sends the end of an exchange. All that was read is done with, but for
// the last unread bytes; Kong owes so many replies, which come before its next
// call.
func (c *Conn) Finish(p []byte, owed, unread int) error {
	m := c.done(unread)
	m.owed, m.again = uint16(owed), 0
	return c.transfer(p, m)
}

// Mark notes that the replies that Kong owed before its next call are done with,
// and all that was read but for the last unread bytes.
func (c *Conn) Mark(unread int) {
	m := c.done(unread)
	m.owed = 0
	c.slot.mark.Store(m.word())
}

// done is the mark when all that was read is done with but for the last unread
// bytes.
func (c *Conn) done(unread int) mark {
	m := unpack(c.slot.mark.Load())
	unread += len(c.replay)
	// A journal that was too small begins again when everything is read.
	if unread == 0 || c.slot.lost.Load() == 0 {
		m.start = m.end - uint16(unread)
	}
	return m
}

// transfer sends all of p, upon which the mark is m.
func (c *Conn) transfer(p []byte, m mark) error {
	s := c.slot
	s.send.setBytes(0)
	s.next = m.word()
	s.total.Store(uint32(len(p)))
	for c.out = p; len(c.out) > 0; c.out = c.out[c.moved:] {
		s.send.point(c.out)
		if err := c.do(c.raw.Write, c.transmit); err != nil {
			return err
		}
		if c.moved < len(c.out) { // the peer reads slowly: what is out cannot be taken back
			s.lost.Store(1)
		}
	}
	c.out = nil
	s.complete(m)
	return nil
}

// Close ends the connection, for Kong too, unless it is to go on in the next
// child.
func (c *Conn) Close() error {
	if c.child.handingOver.Load() {
		return c.UnixConn.Close()
	}
	// The keeper has a duplicate, so closing alone would not end anything.
	_ = c.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	err := c.UnixConn.Close()
	if err == nil {
		c.child.closed(c.number)
	}
	return err
}
