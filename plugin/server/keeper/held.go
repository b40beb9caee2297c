//go:build linux

package keeper

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// acceptPause is the wait after an accept that failed for a reason that
	// passes, such as too many open files.
	acceptPause = 50 * time.Millisecond
	// linger is how long a connection that was ended may take to be closed by Kong. What
	// a worker that is held up sends later than that is lost.
	linger = 3 * time.Second
)

// ownFiles is how many files a process needs beside connections, at most.
const ownFiles = 32

// mostConnections is how many connections are held at the same time; others wait
// until they are accepted. With more, a process would have too many open files: a
// connection takes two while it is handed over.
func mostConnections() (int, error) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	return int(min(max(files.Cur, ownFiles+2)-ownFiles, 2*maxSlots) / 2), nil
}

// held is the keeper's duplicate of a connection.
type held struct {
	fd    int
	owner *process // whom it was given to; nil: nobody yet
}

// give hands a connection to the child that serves.
func (k *keeper) give(number int, h *held) {
	h.owner = k.serving
	if h.owner == nil {
		return
	}
	fd, err := unix.FcntlInt(uintptr(h.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		k.Log.Error("a connection cannot be handed over", "error", err)
		k.finish(number)
		return
	}
	h.owner.post(message{kind: conn, number: uint32(number), fd: fd})
}

func (k *keeper) accepted(fd, number int) {
	h := &held{fd: fd}
	k.held[number] = h
	if k.retired { // the successor has all that there was
		k.finish(number)
		return
	}
	k.give(number, h)
}

// accept accepts connections until the socket is closed, each when a slot is
// free for it.
func (k *keeper) accept() {
	warned := map[string]time.Time{} // of each text, when
	warn := func(text string, args ...any) {
		if now := time.Now(); now.Sub(warned[text]) > time.Minute {
			warned[text] = now
			k.Log.Warn(text, args...)
		}
	}
	for {
		if len(k.free) == 0 {
			warn("all places for connections are taken, others have to wait; does the process need more open files (ulimit -n)?", "places", cap(k.free))
		}
		number := <-k.free
		fd, err := accept(k.socket)
		switch {
		case err == nil:
			k.slots.slot(number).clear()
			k.events <- event{accepted: fd, number: number}
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		k.free <- number
		warn("a connection cannot be accepted, trying again", "error", err)
		time.Sleep(acceptPause)
	}
}

// accept accepts a connection, and returns a descriptor of it.
func accept(l net.Listener) (int, error) {
	sock, err := l.Accept()
	if err != nil {
		return 0, err
	}
	defer sock.Close()
	raw, err := sock.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var duplicate int
	if e := raw.Control(func(fd uintptr) { duplicate, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return 0, e
	}
	return duplicate, err
}

// forget drops the keeper's part in a connection.
func (k *keeper) forget(number int) {
	_ = unix.Close(k.held[number].fd)
	delete(k.held, number)
	k.slots.release(number)
	k.free <- number
}

// finish ends a connection that nobody can go on with. Kong sees its end, and
// not a reset: then it repeats what was in hand on another one.
func (k *keeper) finish(number int) {
	fd := k.held[number].fd
	delete(k.held, number)
	k.ends.Go(func() {
		if sock, err := connOf(fd); err == nil {
			drain(sock)
		}
		k.slots.release(number)
		k.free <- number
	})
}

// drain ends a connection and drops what still comes until Kong has closed it.
func drain(sock *net.UnixConn) {
	defer sock.Close()
	_ = sock.CloseWrite()
	_ = sock.SetReadDeadline(time.Now().Add(linger))
	buf := make([]byte, 4<<10)
	for {
		if _, err := sock.Read(buf); err != nil {
			return
		}
	}
}
