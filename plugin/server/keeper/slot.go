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
	// maxSlots is how many connections there can be. Kong keeps 30 idle ones a worker,
	// and one for each event in flight. Slots that are not used take no memory.
	maxSlots = 4096
)

// slot is what the processes share of one connection. The child that serves the
// connection writes it, on one goroutine; the keeper reads it when that child is
// dead. After each single store the next child can resume the connection.
//
// The journal is what was read from the socket and may be needed again: replies
// that Kong owed from the exchange before, the call in flight, and replies to what the
// plugin has asked in it.
type slot struct {
	mark      atomic.Uint64 // a mark: the journal's extent, and the replies that Kong owes
	next      uint64        // the mark when the present send is complete
	total     atomic.Uint32 // bytes of the present send; 0: there is none
	receiveAt atomic.Uint32 // where the present or last receive begins in the journal
	tries     atomic.Uint32 // processes that have died with the call in flight
	attempt   atomic.Uint32 // tried, spared or unread
	lost      atomic.Uint32 // not 0: cannot be resumed

	send, receive call

	journal [journalSize]byte
}

const (
	slotHead    = 256 // bytes, at least what comes before the journal
	journalSize = slotSize - slotHead
)

// What a slot's attempt says: whether the death of the process counts as one of the call
// in flight.
const (
	tried  = iota // it does
	spared        // it does not: a process has died with the call, and this one does not try it now
	unread        // it does not: nothing was read yet
)

// clear clears all that comes before the journal: this does not compile otherwise.
const _ = slotHead - unsafe.Offsetof(slot{}.journal)

// call is the argument of recvmmsg(2) and sendmmsg(2): a struct mmsghdr, of which the
// kernel sets moved, and the one vector that it points to.
//
// The addresses are uintptr, so that the garbage collector does not see them. It looks at
// a pointer that a store overwrites, and ends the process where that is bad, as one of a
// dead process or to freed memory would be.
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

// point sets p as what is moved next. It has to be on the heap, and stay in use.
func (c *call) point(p []byte) {
	c.hdr.vec, c.hdr.vecs = uintptr(unsafe.Pointer(&c.vec)), 1
	c.vec.base, c.vec.length = uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))
}

// mark says where an exchange is. It is stored as one word, so that it changes in one
// step.
type mark struct {
	start, end uint16 // of the journal; what the last receive brought may lie behind end
	owed       uint16 // replies to earlier exchanges that come before the next call
	expected   uint16 // replies to calls of this exchange, in the journal or still to come
}

func (m mark) word() uint64 {
	return uint64(m.start) | uint64(m.end)<<16 | uint64(m.owed)<<32 | uint64(m.expected)<<48
}

func unpack(w uint64) mark {
	return mark{uint16(w), uint16(w >> 16), uint16(w >> 32), uint16(w >> 48)}
}

// settle is called when the slot's child is dead: it records in the mark what the last
// system calls did. It returns false where the connection cannot be resumed, as a message
// was sent in part or the journal was too small.
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
	if received := s.receiveAt.Load() + s.receive.bytes(); received > uint32(m.end) {
		m.end = uint16(received)
		s.mark.Store(m.word())
	}
	if m.end > m.start && s.attempt.Load() == unread { // it has died right after its first receive
		s.attempt.Store(tried)
	}
	if (m.end > m.start || m.expected > 0) && s.attempt.Load() == tried {
		s.tries.Add(1)
		s.attempt.Store(spared)
	}
	return s.lost.Load() == 0
}

// complete records that the present send is complete, and sets the mark to m.
func (s *slot) complete(m mark) {
	s.mark.Store(m.word())
	if m.expected == 0 { // the end of an exchange
		s.tries.Store(0)
		s.attempt.Store(tried)
		if m.start == m.end {
			s.lost.Store(0)
		}
	}
	s.total.Store(0)
}

// clear makes a slot ready for a new connection.
func (s *slot) clear() {
	*(*[slotHead]byte)(unsafe.Pointer(s)) = [slotHead]byte{}
	s.attempt.Store(unread)
}

// slots is the memory that the keeper shares with its children.
type slots struct {
	file *os.File
	mem  []byte
}

// newSlots makes the memory, which is in no file system and is freed with the last
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

// openSlots maps the memory in file.
func openSlots(file *os.File) (*slots, error) {
	mem, err := unix.Mmap(int(file.Fd()), 0, maxSlots*slotSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("memory to share with the serving process: %w", err)
	}
	return &slots{file, mem}, nil
}

func (s *slots) slot(i int) *slot { return (*slot)(unsafe.Pointer(&s.mem[i*slotSize])) }

// free gives the memory back, when no child uses it any more. It stays mapped: a
// connection may still be ending.
func (s *slots) free() {
	_ = s.file.Close()
	_ = unix.Madvise(s.mem, unix.MADV_REMOVE)
}

// release gives back the memory of slot i.
func (s *slots) release(i int) {
	// After an error it is in use until the slot is used again, no more.
	_ = unix.Madvise(s.mem[i*slotSize:(i+1)*slotSize], unix.MADV_REMOVE)
}
