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

// maxExpected is how many replies may be expected within one exchange: with those of the
// exchange before they have to fit in a mark.
const maxExpected = 1 << 15

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
	replay  []byte // the part of the journal that is still to be read again

	receive, transmit func(fd uintptr) bool // made once, to be allocated only once
	errno             syscall.Errno         // of the last system call
	moved             int                   // bytes, by the last system call
	out               []byte                // what transmit still has to send
}

// newConn resumes the connection of a descriptor, which it closes.
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

// connOf returns the connection of a descriptor, which it closes: the connection has
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

// move does a system call that moves bytes, and returns false where it would block.
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

// Resumed returns where the exchange was when this process got the connection: owed
// replies are to be dropped before the next call is read, expected ones after it; and
// tries processes have died with that call in flight.
func (c *Conn) Resumed() (owed, expected, tries int) {
	return int(c.resumed.owed), int(c.resumed.expected), int(c.slot.tries.Load())
}

// Heard reports whether anything was read, be it by an earlier process.
func (c *Conn) Heard() bool { return c.slot.attempt.Load() != unread }

// Try marks the call in flight, with which processes have died, as tried now: only from
// then on the death of this process counts as well.
func (c *Conn) Try() { c.slot.attempt.Store(tried) }

// Spare marks such a call as waiting for Kong: the death of this process does not count
// until Try is called again.
func (c *Conn) Spare() { c.slot.attempt.Store(spared) }

// Read reads again what the journal has from an earlier process, and then from the
// socket.
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
		s.receiveAt.Store(0)
		s.mark.Store(m.word())
	}
	s.receiveAt.Store(uint32(m.end))
	room := s.journal[m.end:]
	if len(room) == 0 {
		s.lost.Store(1) // until Finish is called when everything is read
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
	if s.attempt.Load() == unread {
		s.attempt.Store(tried)
	}
	m.end += uint16(c.moved)
	s.mark.Store(m.word())
	return copy(p, room[:c.moved]), nil
}

// do has move called until it does not block any more.
func (c *Conn) do(wait func(func(uintptr) bool) error, move func(uintptr) bool) error {
	if err := wait(move); err != nil {
		return err
	}
	if c.errno != 0 {
		return os.NewSyscallError("keeper", c.errno)
	}
	return nil
}

// Write sends what is not part of an exchange: it leaves the journal as it is.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.transfer(p, unpack(c.slot.mark.Load())); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Send sends p in the middle of an exchange: so many calls, to each of which a reply is
// then expected.
func (c *Conn) Send(p []byte, calls int) error {
	m := unpack(c.slot.mark.Load())
	if int(m.expected)+calls > maxExpected {
		c.slot.lost.Store(1)
	} else {
		m.expected += uint16(calls)
	}
	return c.transfer(p, m)
}

// Finish sends the end of an exchange. The journal keeps only the last unread bytes of
// what was read; Kong owes so many replies, which come before its next call.
func (c *Conn) Finish(p []byte, owed, unread int) error {
	m := c.keepUnread(unread)
	m.owed, m.expected = uint16(owed), 0
	return c.transfer(p, m)
}

// Mark records that the replies that Kong owed before its next call have come. The
// journal keeps only the last unread bytes of what was read.
func (c *Conn) Mark(unread int) {
	m := c.keepUnread(unread)
	m.owed = 0
	c.slot.mark.Store(m.word())
}

// keepUnread returns the mark with which the journal keeps only the last unread bytes of
// what was read.
func (c *Conn) keepUnread(unread int) mark {
	m := unpack(c.slot.mark.Load())
	unread += len(c.replay)
	// A journal that was too small is used again only once everything is read.
	if unread == 0 || c.slot.lost.Load() == 0 {
		m.start = m.end - uint16(unread)
	}
	return m
}

// transfer sends all of p, and sets the mark to m when it is sent.
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
		if c.moved < len(c.out) { // the peer reads slowly, and a part that is sent cannot be sent again
			s.lost.Store(1)
		}
	}
	c.out = nil
	s.complete(m)
	return nil
}

// Close ends the connection, for Kong too, unless the next child goes on with it.
func (c *Conn) Close() error {
	if c.child.handingOver.Load() {
		return c.UnixConn.Close()
	}
	// The keeper has a duplicate, so closing alone would not end anything.
	_ = c.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	err := c.UnixConn.Close()
	if err == nil {
		c.child.sendClosed(c.number)
	}
	return err
}
