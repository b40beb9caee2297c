//go:build linux

package keeper

import (
	"reflect"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// newTestSlots makes slots that go with the test.
func newTestSlots(t testing.TB) *slots {
	t.Helper()
	s, err := newSlots()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Munmap(s.mem)
		_ = s.file.Close()
	})
	return s
}

func marks() *rapid.Generator[mark] {
	return rapid.Custom(func(t *rapid.T) mark {
		end := rapid.Uint16Range(0, journalSize).Draw(t, "end")
		return mark{
			start: rapid.Uint16Range(0, end).Draw(t, "start"), end: end,
			owed: rapid.Uint16().Draw(t, "owed"), expected: rapid.Uint16().Draw(t, "again"),
		}
	})
}

func TestAMarkIsOneWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := marks().Draw(t, "mark")
		if got := unpack(m.word()); got != m {
			t.Errorf("%+v becomes %+v", m, got)
		}
	})
}

// What the kernel reads and writes is where it looks for it, and a slot is no
// longer than its memory.
func TestASlotIsLaidOutAsTheKernelHasIt(t *testing.T) {
	var theirs struct {
		hdr    unix.Msghdr
		length uint32
	}
	for name, sizes := range map[string][2]uintptr{
		"msghdr":        {unsafe.Sizeof(msghdr{}), unsafe.Sizeof(theirs.hdr)},
		"msg_iov":       {unsafe.Offsetof(msghdr{}.vec), unsafe.Offsetof(theirs.hdr.Iov)},
		"msg_iovlen":    {unsafe.Offsetof(msghdr{}.vecs), unsafe.Offsetof(theirs.hdr.Iovlen)},
		"msg_control":   {unsafe.Offsetof(msghdr{}.control), unsafe.Offsetof(theirs.hdr.Control)},
		"msg_flags":     {unsafe.Offsetof(msghdr{}.flags), unsafe.Offsetof(theirs.hdr.Flags)},
		"msg_len":       {unsafe.Offsetof(call{}.moved), unsafe.Offsetof(theirs.length)},
		"iovec":         {unsafe.Sizeof(call{}.vec), unsafe.Sizeof(unix.Iovec{})},
		"iovec.iov_len": {unsafe.Offsetof(call{}.vec.length), unsafe.Offsetof(unix.Iovec{}.Len)},
	} {
		if sizes[0] != sizes[1] {
			t.Errorf("%s: %d, and the kernel's %d", name, sizes[0], sizes[1])
		}
	}
	if size := unsafe.Sizeof(slot{}); size > slotSize {
		t.Errorf("a slot has %d bytes of %d", size, slotSize)
	}
}

// A pointer of another process, or to what was freed, ends the process that
// stores another in its place while the garbage collector runs.
func TestASlotHasNoPointers(t *testing.T) {
	var check func(name string, of reflect.Type)
	check = func(name string, of reflect.Type) {
		switch kind := of.Kind(); kind {
		case reflect.Struct:
			for i := range of.NumField() {
				check(name+"."+of.Field(i).Name, of.Field(i).Type)
			}
		case reflect.Array:
			check(name, of.Elem())
		default:
			if kind > reflect.Float64 {
				t.Errorf("%s is a %s", name, of)
			}
		}
	}
	check("slot", reflect.TypeFor[slot]())
}

// The moments at which a process can die: between any two stores of Read and
// transfer, and between a system call and the next store.
func TestSettle(t *testing.T) {
	idle := mark{start: 40, end: 40, owed: 2}
	inFlight := mark{start: 0, end: 40, expected: 3}
	finished := mark{start: 40, end: 40, owed: 4}
	type state struct {
		mark, next     mark
		total, sent    uint32
		at, received   uint32
		tries, isLost  uint32
		want           mark
		triesAfter     uint32
		cannotBeTaken  bool
		lostAfterwards uint32
	}
	for name, s := range map[string]state{
		"nothing was ever done": {},
		"idle, after a receive": {mark: idle, at: 30, received: 10, want: idle},
		"before a receive, its count is reset": {
			mark: idle, at: 30, want: idle,
		},
		"before a receive, the journal begins again": {
			mark: idle, at: 0, want: idle,
		},
		"a receive at the journal's beginning": {
			at: 0, received: 7, want: mark{end: 7}, triesAfter: 1,
		},
		"a receive that is not recorded": {
			mark: idle, at: 40, received: 9, want: mark{start: 40, end: 49, owed: 2}, triesAfter: 1,
		},
		"a receive that is recorded": {
			mark: mark{start: 40, end: 49}, at: 40, received: 9, want: mark{start: 40, end: 49}, triesAfter: 1,
		},
		"a receive up to the journal's end": {
			mark: mark{end: 1}, at: 1, received: journalSize - 1, want: mark{end: journalSize}, triesAfter: 1,
		},
		"a call in flight, for the third time": {
			mark: inFlight, at: 30, received: 10, tries: 2, want: inFlight, triesAfter: 3,
		},
		"a send that has not begun": {
			mark: inFlight, next: finished, total: 100, at: 30, received: 10, want: inFlight, triesAfter: 1,
		},
		"a send that is prepared, and not announced": {
			mark: inFlight, next: finished, at: 30, received: 10, want: inFlight, triesAfter: 1,
		},
		"a last send that is done, and not recorded": {
			mark: inFlight, next: finished, total: 100, sent: 100, at: 30, received: 10, tries: 2, want: finished,
		},
		"a last send that is recorded": {
			mark: finished, next: finished, total: 100, sent: 100, at: 30, received: 10, tries: 2, want: finished,
		},
		"a send in the middle that is done, and not recorded": {
			mark: mark{end: 40}, next: inFlight, total: 100, sent: 100, at: 30, received: 10, tries: 2, want: inFlight, triesAfter: 3,
		},
		"a send of which a part is out, and not recorded": {
			mark: inFlight, next: finished, total: 100, sent: 60, at: 30, received: 10,
			want: inFlight, triesAfter: 1, cannotBeTaken: true, lostAfterwards: 1,
		},
		"a send in two parts, before the second": {
			mark: inFlight, next: finished, total: 100, sent: 60, isLost: 1, at: 30, received: 10,
			want: inFlight, triesAfter: 1, cannotBeTaken: true, lostAfterwards: 1,
		},
		"a send in two parts, after the second": {
			mark: inFlight, next: finished, total: 100, sent: 40, isLost: 1, at: 30, received: 10,
			want: inFlight, triesAfter: 1, cannotBeTaken: true, lostAfterwards: 1,
		},
		"a journal that was too small": {
			mark: mark{end: journalSize}, at: journalSize, isLost: 1,
			want: mark{end: journalSize}, triesAfter: 1, cannotBeTaken: true, lostAfterwards: 1,
		},
		"a journal that was too small, and the answer is out": {
			mark: mark{end: journalSize}, next: mark{start: journalSize, end: journalSize}, total: 9, sent: 9,
			at: journalSize, isLost: 1, want: mark{start: journalSize, end: journalSize},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := &slot{}
			got.mark.Store(s.mark.word())
			got.next = s.next.word()
			got.total.Store(s.total)
			got.send.setBytes(s.sent)
			got.receiveAt.Store(s.at)
			got.receive.setBytes(s.received)
			got.tries.Store(s.tries)
			got.lost.Store(s.isLost)
			for range 2 { // a process that dies before it has done anything changes nothing
				if taken := got.settle(); taken == s.cannotBeTaken {
					t.Errorf("it can be taken up: %v", taken)
				}
				if m := unpack(got.mark.Load()); m != s.want {
					t.Errorf("the mark is %+v, want %+v", m, s.want)
				}
				if got.tries.Load() != s.triesAfter || got.lost.Load() != s.lostAfterwards {
					t.Errorf("tries %d, lost %d, want %d, %d", got.tries.Load(), got.lost.Load(), s.triesAfter, s.lostAfterwards)
				}
			}
		})
	}
}

func TestClearLeavesNothing(t *testing.T) {
	memory := newTestSlots(t)
	s := memory.slot(maxSlots - 1)
	s.mark.Store(^uint64(0))
	s.lost.Store(1)
	s.tries.Store(9)
	s.total.Store(9)
	s.send.setBytes(3)
	s.receive.setBytes(7)
	s.clear()
	if !s.settle() || s.mark.Load() != 0 || s.tries.Load() != 0 {
		t.Errorf("a cleared slot has mark %x, %d tries", s.mark.Load(), s.tries.Load())
	}
	s.journal[journalSize-1] = 1
	memory.release(maxSlots - 1)
	if s.journal[journalSize-1] != 0 {
		t.Error("the memory is not given back")
	}
}
