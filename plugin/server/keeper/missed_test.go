//go:build linux

package keeper

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// pair is two ends of a link.
func pair(t *testing.T) (one, other *link) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, end := range []**link{&one, &other} {
		if *end, err = newLink(fds[i]); err != nil {
			t.Fatal(err)
		}
		sock := (*end).sock
		t.Cleanup(func() { _ = sock.Close() })
	}
	return one, other
}

// What is sent comes as it was, be it that a value is empty or that there is none.
func TestMessagesComeAsTheyWereSent(t *testing.T) {
	one, other := pair(t)
	key := rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("k", 70_000))) // an id that a peer makes up may be long
	rapid.Check(t, func(t *rapid.T) {
		want := message{
			kind: savedValue, number: rapid.Uint32().Draw(t, "number"), key: key.Draw(t, "key"),
			value: rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOf(rapid.Byte())).Draw(t, "value"),
		}
		if err := one.send(want); err != nil {
			t.Fatal(err)
		}
		if got, err := other.receive(); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, %v, want %+v", got, err, want)
		}
	})
}

// A connection whose descriptor is lost is an error, and not whatever has the number 0.
func TestADescriptorIsMissing(t *testing.T) {
	one, other := pair(t)
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []message{{kind: conn, number: 7}, {kind: savedValue, number: 8}, {kind: conn, number: 9, fd: null}} {
		if err := one.send(m); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		number uint32
		err    error
	}{{7, errMissed}, {8, nil}, {9, nil}} {
		m, err := other.receive()
		if m.number != want.number || !errors.Is(err, want.err) || (m.fd == 0) != (want.number < 9) {
			t.Errorf("%+v, %v, want %+v", m, err, want)
		}
		m.drop()
	}
}

// Nothing is lost while the child may open no more files: what comes then waits.
func TestAChildMayOpenNoMoreFiles(t *testing.T) {
	r := run(t)
	child := r.ready()
	kong := r.dial()
	kong.send("fill")
	kong.answers("fill", child, 0)
	late := r.dial()
	late.send("call")
	r.logs("the serving process has too many open files")
	kong.send("empty")
	kong.answers("empty", child, 0)
	r.signal(syscall.SIGUSR1) // the time until it is tried again is over
	late.answers("call", child, 0)
}

// A connection that comes to a successor without its descriptor ends cleanly, so that
// Kong repeats what was in flight.
func TestASuccessorMayOpenNoMoreFiles(t *testing.T) {
	r := run(t)
	old := r.ready()
	kong, other := r.dial(), r.dial()
	for _, p := range []*peer{kong, other} {
		p.send("call")
		p.answers("call", old, 0)
	}
	l, _, err := dialKeeper(r.path + ".next")
	if err != nil {
		t.Fatal(err)
	}
	defer l.sock.Close()
	if err := l.send(message{kind: handOver, number: version}); err != nil {
		t.Fatal(err)
	}
	var conns []message
	for {
		m, err := l.receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.kind == conn {
			conns = append(conns, m)
		}
	}
	if len(conns) != 2 {
		t.Fatalf("%d connections are handed over", len(conns))
	}
	for _, m := range conns { // as if they had not come
		m.drop()
		if err := l.send(message{kind: missed, number: m.number}); err != nil {
			t.Fatal(err)
		}
	}
	kong.ended()
	other.ended()
	_ = l.sock.Close()
	if code := r.ends(); code != exitSucceeded {
		t.Errorf("it ends with %d", code)
	}
}

// And a keeper that misses one says so to the one before it.
func TestAKeeperMissesAConnection(t *testing.T) {
	one, other := pair(t)
	k := &keeper{calls: make(chan func(), 1), done: make(chan struct{}), warned: map[string]time.Time{}}
	k.Log = slog.New(slog.DiscardHandler)
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.receiveAll(one)
	}()
	if m, err := other.receive(); err != nil || m.kind != handOver {
		t.Fatal(m, err)
	}
	if err := other.send(message{kind: conn, number: 5}); err != nil {
		t.Fatal(err)
	}
	if m, err := other.receive(); err != nil || m.kind != missed || m.number != 5 {
		t.Errorf("it says %+v, %v", m, err)
	}
	_ = other.sock.Close()
	<-done
}

// Kong sees at once that a connection that cannot be served is ended, and not a reset:
// what it has sent is still read.
func TestAConnectionThatIsEndedReadsOn(t *testing.T) {
	one, other := pair(t)
	kong, ended := other.sock, make(chan struct{})
	if _, err := io.WriteString(kong, "a call"); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(ended)
		drain(one.sock)
	}()
	if n, err := kong.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Kong reads %d bytes, %v", n, err)
	}
	if _, err := io.WriteString(kong, "the rest of it"); err != nil {
		t.Errorf("Kong writes on: %v", err)
	}
	_ = kong.Close()
	<-ended
}

// Nor is one reset that is accepted when the keeper is at its end.
func TestAConnectionThatIsAcceptedTooLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	k := &keeper{slots: newTestSlots(t), socket: l, freeSlots: make(chan int, 1), done: make(chan struct{})}
	k.freeSlots <- 0
	close(k.done)
	kong, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(kong, "a call"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.accept()
	}()
	if n, err := kong.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Kong reads %d bytes, %v", n, err)
	}
	_ = kong.Close()
	<-ended
}
