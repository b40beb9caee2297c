//go:build linux

package keeper

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// errKilled is where a process was killed.
var errKilled = errors.New("killed")

// A kept is a connection as the keeper has it: a descriptor and a slot.
type kept struct {
	fd    int
	child *Child
}

// newKept returns a connection, and Kong's end of it.
func newKept(t fataler, memory *slots) (*kept, *net.UnixConn) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	kong, err := connOf(pair[1])
	if err != nil {
		t.Fatal(err)
	}
	memory.slot(0).clear()
	return &kept{pair[0], &Child{slots: memory}}, kong
}

type fataler interface{ Fatal(...any) }

// take is a process that takes the connection up.
func (k *kept) take(t fataler) *Conn {
	fd, err := unix.FcntlInt(uintptr(k.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConn(k.child, fd, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func frameOf(text string) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(text))), text...)
}

func readFrame(r io.Reader) (string, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	body := make([]byte, binary.LittleEndian.Uint16(head))
	_, err := io.ReadFull(r, body)
	return string(body), err
}

// kong is a model of Kong's side of a connection. It makes a call, replies to
// each question that the other side asks in between, and makes the next call when
// that is answered. What it writes arrives in pieces of any size.
type kong struct {
	t      *rapid.T
	sock   *net.UnixConn
	in     []byte // what has come, and is no whole frame
	out    []byte // what has not been written yet
	number int    // of the call in flight
	calls  int    // how many there are to be
}

func (k *kong) call() {
	k.number++
	if k.number <= k.calls {
		padding := rapid.SampledFrom([]int{0, 0, 1, 30, 300}).Draw(k.t, "padding")
		k.out = append(k.out, frameOf(fmt.Sprintf("call %d %s", k.number, strings.Repeat("x", padding)))...)
	}
}

// turn lets Kong read what has come, and write a piece of what it has to say, so
// that one who waits for something gets it.
func (k *kong) turn() {
	buf := make([]byte, 64<<10)
	raw, err := k.sock.SyscallConn()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		n, err := unix.Read(int(fd), buf)
		if err == nil {
			k.in = append(k.in, buf[:n]...)
		} else if !errors.Is(err, unix.EAGAIN) {
			k.t.Fatalf("Kong reads: %v", err)
		}
	}); err != nil {
		k.t.Fatal(err)
	}
	for len(k.in) >= 2 && len(k.in) >= 2+int(binary.LittleEndian.Uint16(k.in)) {
		end := 2 + int(binary.LittleEndian.Uint16(k.in))
		k.frame(string(k.in[2:end]))
		k.in = k.in[end:]
	}
	n := len(k.out)
	if n > 1 {
		n = rapid.IntRange(1, n).Draw(k.t, "piece")
	}
	if _, err := k.sock.Write(k.out[:n]); err != nil {
		k.t.Fatal(err)
	}
	k.out = k.out[n:]
}

func (k *kong) frame(text string) {
	var number, nonce int
	switch {
	case matches(text, "ask %d %d", &number, &nonce):
		k.out = append(k.out, frameOf(fmt.Sprintf("reply %d", nonce))...)
	case matches(text, "answer %d", &number):
		defer k.call()
	default:
		k.t.Fatalf("Kong gets %q", text)
	}
	if number != k.number {
		k.t.Fatalf("Kong gets %q in call %d", text, k.number)
	}
}

func matches(text, format string, into ...any) bool {
	n, err := fmt.Sscanf(text, format, into...)
	return err == nil && n == len(into)
}

// serving is the process that serves: it does what plugin/server does.
type serving struct {
	t     *rapid.T
	c     *Conn
	r     *bufio.Reader
	kong  *kong
	owed  int
	again int
	nonce *int // of questions, never the same one twice
}

// newServing takes up a connection, and dies before or after the steps-th system
// call, or between two. It never dies where steps is negative.
func newServing(t *rapid.T, c *Conn, k *kong, nonce *int, steps int, after bool) *serving {
	s := &serving{t: t, c: c, kong: k, nonce: nonce}
	s.owed, s.again, _ = c.Resumed()
	s.r = bufio.NewReaderSize(c, rapid.SampledFrom([]int{16, 64, 4096}).Draw(t, "buffer"))
	mortal := func(call func(uintptr) bool) func(uintptr) bool {
		return func(fd uintptr) bool {
			k.turn()
			steps--
			if steps == 0 && !after {
				panic(errKilled)
			}
			done := call(fd)
			if steps == 0 && after {
				panic(errKilled) // what the kernel has done is not recorded
			}
			if !done && len(k.out) == 0 {
				t.Fatal("the process waits for what never comes")
			}
			return done
		}
	}
	c.receive, c.transmit = mortal(c.receive), mortal(c.transmit)
	return s
}

func (s *serving) check(err error) {
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *serving) frame() string {
	text, err := readFrame(s.r)
	s.check(err)
	return text
}

func (s *serving) dropOwed() {
	for ; s.owed > 0; s.owed-- {
		var nonce int
		if text := s.frame(); !matches(text, "reply %d", &nonce) {
			s.t.Fatalf("instead of a reply that is owed comes %q", text)
		}
	}
}

// call answers one call.
func (s *serving) call() {
	if s.owed > 0 {
		s.dropOwed()
		s.c.Mark(s.r.Buffered())
	}
	var number int
	if text := s.frame(); !matches(text, "call %d", &number) || number != s.kong.number {
		s.t.Fatalf("in call %d comes %q", s.kong.number, text)
	}
	s.owed, s.again = s.again, 0
	var out []byte
	unsent := 0
	for _, waits := range rapid.SliceOfN(rapid.Bool(), 0, 4).Draw(s.t, "questions") {
		*s.nonce++
		out = append(out, frameOf(fmt.Sprintf("ask %d %d", number, *s.nonce))...)
		unsent++
		if !waits {
			s.owed++
			continue
		}
		s.check(s.c.Send(out, unsent))
		out, unsent = nil, 0
		s.dropOwed()
		if text, want := s.frame(), fmt.Sprintf("reply %d", *s.nonce); text != want {
			s.t.Fatalf("the reply is %q, want %q", text, want)
		}
	}
	out = append(out, frameOf(fmt.Sprintf("answer %d", number))...)
	s.check(s.c.Finish(out, s.owed, s.r.Buffered()))
}

// serve answers calls until there are none, and reports whether it was killed.
func (s *serving) serve() (killed bool) {
	defer func() {
		if v := recover(); v != nil {
			if v != any(errKilled) {
				panic(v)
			}
			killed = true
		}
	}()
	for s.kong.turn(); s.kong.number <= s.kong.calls; s.kong.turn() {
		s.call()
	}
	return false
}

// Processes die before and after each system call, also while they read again
// what another one had read. Each call is answered once, each reply is taken for
// that of its question, and nothing is lost.
func TestAConnectionOutlivesItsProcesses(t *testing.T) {
	memory := newTestSlots(t)
	rapid.Check(t, func(t *rapid.T) {
		kept, sock := newKept(t, memory)
		defer sock.Close()
		defer unix.Close(kept.fd)
		k := &kong{t: t, sock: sock, calls: rapid.IntRange(1, 6).Draw(t, "calls")}
		k.call()
		nonce := 0
		for _, steps := range append(rapid.SliceOfN(rapid.IntRange(1, 12), 0, 8).Draw(t, "deaths"), -1) {
			c := kept.take(t)
			killed := newServing(t, c, k, &nonce, steps, rapid.Bool().Draw(t, "after")).serve()
			_ = c.UnixConn.Close()
			if !killed {
				break
			}
			if !memory.slot(0).settle() {
				t.Fatal("the connection cannot be taken up")
			}
		}
		if k.number != k.calls+1 {
			t.Errorf("Kong has got %d answers of %d", k.number-1, k.calls)
		}
	})
}

// kongs is a connection that is taken up, and Kong's end of it.
func kongs(t *testing.T) (*kept, *Conn, *net.UnixConn) {
	t.Helper()
	kept, kong := newKept(t, newTestSlots(t))
	c := kept.take(t)
	t.Cleanup(func() {
		_ = c.UnixConn.Close()
		_ = kong.Close()
		_ = unix.Close(kept.fd)
	})
	return kept, c, kong
}

func write(t *testing.T, w io.Writer, p []byte) {
	t.Helper()
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
}

func TestDeathsAreCountedOfTheCallInFlight(t *testing.T) {
	kept, c, kong := kongs(t)
	s := c.slot
	buf := make([]byte, 100)
	for want := range 3 {
		if _, _, tries := c.Resumed(); tries != want {
			t.Errorf("%d deaths, want %d", tries, want)
		}
		if want == 0 {
			write(t, kong, []byte("call"))
		}
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != "call" {
			t.Fatalf("%q, %v", buf[:n], err)
		}
		c.Try()
		_ = c.UnixConn.Close()
		s.settle()
		s.settle() // of a process that has not come to it
		c = kept.take(t)
		c.Try()
		c.Spare()
		s.settle() // of one that has waited for Kong
	}
	if _, err := c.Read(buf); err != nil {
		t.Fatal(err)
	}
	if err := c.Finish([]byte("answer"), 0, 0); err != nil {
		t.Fatal(err)
	}
	_ = c.UnixConn.Close()
	if !s.settle() || s.tries.Load() != 0 {
		t.Errorf("after the answer, %d deaths", s.tries.Load())
	}
}

// More than the journal holds is read as well; only such a call cannot be gone on
// with.
func TestACallThatIsLongerThanTheJournal(t *testing.T) {
	_, c, kong := kongs(t)
	call := bytes.Repeat([]byte("0123456789"), 3*journalSize/10)
	go func() { _, _ = kong.Write(call) }()
	got := make([]byte, len(call))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, call) {
		t.Fatalf("read otherwise than written; %v", err)
	}
	if c.slot.lost.Load() == 0 {
		t.Error("it would be taken up")
	}
	for _, text := range []string{"answer", "another"} {
		if err := c.Finish([]byte(text), 0, 0); err != nil {
			t.Fatal(err)
		}
		if !c.slot.settle() {
			t.Fatalf("after %s it cannot be taken up", text)
		}
		write(t, kong, []byte("call"))
		if n, err := c.Read(got); err != nil || string(got[:n]) != "call" {
			t.Fatalf("then comes %q, %v", got[:n], err)
		}
	}
}

// What is out in part cannot be sent again, nor the rest by another process.
func TestASendInParts(t *testing.T) {
	_, c, kong := kongs(t)
	if err := c.SetWriteBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	write(t, kong, []byte("call"))
	if _, err := c.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	answer := bytes.Repeat([]byte("0123456789"), 10<<10)
	parts := 0
	transmit := c.transmit
	c.transmit = func(fd uintptr) bool {
		done := transmit(fd)
		if done && c.moved < len(c.out) {
			parts++
			dead := new(slot)
			dead.total.Store(c.slot.total.Load())
			dead.send.setBytes(c.slot.send.bytes())
			dead.lost.Store(c.slot.lost.Load())
			if dead.settle() {
				t.Error("a process would go on in the middle of a message")
			}
		}
		return done
	}
	sent := make(chan error, 1)
	go func() { sent <- c.Finish(answer, 0, 0) }()
	got := make([]byte, len(answer))
	if _, err := io.ReadFull(kong, got); err != nil || !bytes.Equal(got, answer) {
		t.Errorf("read otherwise than written; %v", err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if parts == 0 || !c.slot.settle() {
		t.Errorf("%d parts; after them it can be taken up: %v", parts, c.slot.settle())
	}
}

func TestManyRepliesAreNotMiscounted(t *testing.T) {
	_, c, kong := kongs(t)
	go func() { _, _ = io.Copy(io.Discard, kong) }()
	for range 2 {
		if err := c.Send([]byte("ask"), maxExpected); err != nil {
			t.Fatal(err)
		}
	}
	if c.slot.settle() {
		t.Error("it can be taken up")
	}
}

func TestTheEndsOfAConnection(t *testing.T) {
	_, c, kong := kongs(t)
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Errorf("a read of nothing: %d, %v", n, err)
	}
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	var late net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("after the deadline: %v", err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := kong.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after Kong's end: %v", err)
	}
	if err := c.Finish([]byte("answer"), 0, 0); !errors.Is(err, unix.EPIPE) {
		t.Errorf("a write after Kong's end: %v", err)
	}
}

// A connection is new until something is read from it: to the processes after the first
// one as well, and where one dies as soon as something is there.
func TestAConnectionIsNewUntilSomethingIsRead(t *testing.T) {
	for name, test := range map[string]struct {
		reads func(c *Conn)
		heard bool
		tries int // that have died of what was read
	}{
		"nothing":             {func(*Conn) {}, false, 0},
		"a byte":              {func(c *Conn) { _, _ = c.Read(make([]byte, 1)) }, true, 1},
		"and dies of it":      {func(c *Conn) { c.slot.journal[0], c.slot.receive.moved = 'x', 1 }, true, 1},
		"a call, answered":    {func(c *Conn) { _, _ = c.Read(make([]byte, 1)); _ = c.Finish([]byte("y"), 0, 0) }, true, 0},
		"a byte, and is idle": {func(c *Conn) { _, _ = c.Read(make([]byte, 1)); c.Mark(0); c.slot.receive.setBytes(0) }, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k, kong := newKept(t, newTestSlots(t))
			t.Cleanup(func() { _, _ = kong.Close(), unix.Close(k.fd) })
			if _, err := kong.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			first := k.take(t)
			if first.Heard() {
				t.Error("something was read from a new connection")
			}
			test.reads(first)
			_ = first.UnixConn.Close()
			first.slot.settle()
			next := k.take(t)
			defer next.UnixConn.Close()
			if _, _, tries := next.Resumed(); next.Heard() != test.heard || tries != test.tries {
				t.Errorf("the next process is told %t and %d, want %t and %d", next.Heard(), tries, test.heard, test.tries)
			}
		})
	}
}
