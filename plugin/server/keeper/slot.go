//go:build linux

package keeper

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	slotSize = 64 << 10
	// maxSlots is how many connections can be taken up by a next child. Kong
	// keeps 30 idle ones a worker, and one for each event in hand. Memory that
	// is not used takes no room.
	maxSlots = 4096
)

// slot is what the processes share of one connection. The child that serves the
// connection writes it, on one goroutine; the keeper reads it when that child is
// dead. Each store leaves it in a state that can be taken up.
//
// The journal is what was read from the socket and may be needed again: replies
// that Kong owed from the exchange before, the call that is in hand, and replies
// to what the plugin asked in it.
type slot struct {
	mark  atomic.Uint64 // a mark: the journal's extent, and the replies that Kong owes
	next  uint64        // the mark when the send under way is complete
	total atomic.Uint32 // bytes of the send under way; 0: none
	at    atomic.Uint32 // where the receive under way, or the last one, begins in the journal
	tries atomic.Uint32 // processes that have died with the present call in hand
	spare atomic.Uint32 // not 0: one has, and the next one does not try the call at the moment; or unheard
	lost  atomic.Uint32 // not 0: cannot be taken up

	send, receive call

	journal [journalSize]byte
}

const (
	slotHead    = 256 // bytes, at least what comes before the journal
	journalSize = slotSize - slotHead
)

// unheard is what spare is until anything is read: so there is no call to die of.
const unheard = 2

// The journal begins within what clear clears.
const _ = slotHead - unsafe.Offsetof(slot{}.journal)

// call is what recvmmsg(2) and sendmmsg(2) are called with: a struct mmsghdr, of
// which the kernel sets moved, and the one vector that it points to.
//
// The addresses are none to the garbage collector. As pointers, what a dead
// process left there, or memory that was freed since, would be bad ones to it,
// when it looks at what a store overwrites; and of bad ones it ends the process.
type call struct {
	hdr   msghdr
	moved uint32
	vec   struct{ base, length uintptr }
}

// msghdr is struct msghdr of recvmsg(2).
type msghdr struct {
	name                uintptr
	nameLength          uint32
	vec, vecs           uintptr
	control, controlLen uintptr
	flags               int32
}

func (c *call) bytes() uint32     { return atomic.LoadUint32(&c.moved) }
func (c *call) setBytes(n uint32) { atomic.StoreUint32(&c.moved, n) }

// point makes p, which has to be on the heap and stay in use, what is moved next.
func (c *call) point(p []byte) {
	c.hdr.vec, c.hdr.vecs = uintptr(unsafe.Pointer(&c.vec)), 1
	c.vec.base, c.vec.length = uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))
}

// mark says, in one word so that it changes in one step, where an exchange is.
type mark struct {
	start, end uint16 // of the journal; behind end there may be what the last receive brought
	owed       uint16 // replies to earlier exchanges that come before the next call
	again      uint16 // replies to calls of this exchange, in the journal or still to come
}

func (m mark) word() uint64 {
	return uint64(m.start) | uint64(m.end)<<16 | uint64(m.owed)<<32 | uint64(m.again)<<48
}

func unpack(w uint64) mark {
	return mark{uint16(w), uint16(w >> 16), uint16(w >> 32), uint16(w >> 48)}
}

// settle brings a slot whose child is dead to rest: what the last system calls
// did is noted in the mark. It returns false when the connection cannot be taken
// up, as a message was sent in part or the journal was too small.
func (s *slot) settle() bool {
	if total := s.total.Load(); total > 0 {
		switch s.send.bytes() {
		case total:
			s.complete(unpack(s.next))
		case 0:
		default:
			s.lost.Store(1)
		}
		s.total.Store(0)
	}
	m := unpack(s.mark.Load())
	if received := s.at.Load() + s.receive.bytes(); received > uint32(m.end) {
		m.end = uint16(received)
		s.mark.Store(m.word())
	}
	if m.end > m.start && s.spare.Load() == unheard { // it has died just then
		s.spare.Store(0)
	}
	if (m.end > m.start || m.again > 0) && s.spare.Load() == 0 {
		s.tries.Add(1)
		s.spare.Store(1)
	}
	return s.lost.Load() == 0
}

// complete notes that the send under way is done, upon which the mark is m.
func (s *slot) complete(m mark) {
	s.mark.Store(m.word())
	if m.again == 0 { // the end of an exchange
		s.tries.Store(0)
		s.spare.Store(0)
		if m.start == m.end {
			s.lost.Store(0)
		}
	}
	s.total.Store(0)
}

// clear makes a slot ready for a new connection.
func (s *slot) clear() {
	*(*[slotHead]byte)(unsafe.Pointer(s)) = [slotHead]byte{}
	s.spare.Store(unheard)
}

// slots is the memory that the keeper shares with its children.
type slots struct {
	file *os.File
	mem  []byte
}

// newSlots makes the memory, which is in no file system and goes with the last
// process that has it.
func newSlots() (*slots, error) {
	fd, err := unix.MemfdCreate("keeper", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory to share with the serving process: %w", err)
	}
	file := os.NewFile(uintptr(fd), "keeper")
	if err := file.Truncate(maxSlots * slotSize); err != nil {
		return nil, fmt.Errorf("memory to share with the serving process, %d MiB that are hardly used, "+
			"and that a limit on the size of files (ulimit -f) has to allow: %w", maxSlots*slotSize>>20, err)
	}
	return openSlots(file)
}

// openSlots maps the memory that another process has made.
func openSlots(file *os.File) (*slots, error) {
	mem, err := unix.Mmap(int(file.Fd()), 0, maxSlots*slotSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("memory to share with the serving process: %w", err)
	}
	return &slots{file, mem}, nil
}

func (s *slots) slot(i int) *slot { return (*slot)(unsafe.Pointer(&s.mem[i*slotSize])) }

// free gives the memory back, when no child is left that uses it. Its addresses stay
// taken: a connection may still be on its way to its end.
func (s *slots) free() {
	_ = s.file.Close()
	_ = unix.Madvise(s.mem, unix.MADV_REMOVE)
}

// release gives back the memory of slot i.
func (s *slots) release(i int) {
	// An error leaves it in use until the slot is used again, that is all.
	_ = unix.Madvise(s.mem[i*slotSize:(i+1)*slotSize], unix.MADV_REMOVE)
}
