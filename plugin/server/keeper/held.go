//go:build linux

package keeper

import (
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// acceptPause is the wait after an accept that failed for a reason that may pass, such
	// as too many open files.
	acceptPause = 50 * time.Millisecond
	// linger is how long Kong may take to close a connection that was ended. What a worker
	// that is held up sends later than that is lost.
	linger = 3 * time.Second
)

// ownFiles is how many files a process opens beside connections, at most.
const ownFiles = 32

// mostConnections returns how many connections are held at the same time; others wait
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
	owner *process // the child that it was given to; nil: none yet
}

// give hands a connection to the child that serves.
func (k *keeper) give(number int, h *held) {
	h.owner = k.serving
	if h.owner == nil {
		return
	}
	fd, err := duplicateOf(h.fd)
	if err != nil {
		k.Log.Error("a connection cannot be handed over", "error", err)
		k.finish(number)
		return
	}
	h.owner.post(message{kind: conn, number: uint32(number), fd: fd})
}

// addConn takes a connection, which has a slot already.
func (k *keeper) addConn(fd, number int) {
	h := &held{fd: fd}
	k.held[number] = h
	k.give(number, h)
}

// accept accepts connections until the socket is closed, each when a slot is
// free for it.
func (k *keeper) accept() {
	for {
		if len(k.freeSlots) == 0 {
			k.warn("all places for connections are taken, others have to wait; does the process need more open files (ulimit -n)?", "places", cap(k.freeSlots))
		}
		number := <-k.freeSlots
		fd, err := k.acceptFrom(k.socket)
		switch {
		case err == nil:
			k.slots.slot(number).clear()
			if !k.do(func() { k.addConn(fd, number) }) {
				k.drainFile(fd) // closed at once, Kong would see a reset
				return
			}
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		k.freeSlots <- number
		k.warn("a connection cannot be accepted, trying again", "error", err)
		time.Sleep(acceptPause)
	}
}

// warn logs what may happen again and again, each text once a minute at most. Several
// goroutines may call it at once.
func (k *keeper) warn(text string, args ...any) {
	k.mu.Lock()
	now := time.Now()
	due := now.Sub(k.warned[text]) > time.Minute
	if due {
		k.warned[text] = now
	}
	k.mu.Unlock()
	if due {
		k.Log.Warn(text, args...)
	}
}

// acceptFrom accepts a connection, and returns a descriptor of it.
func (k *keeper) acceptFrom(l net.Listener) (int, error) {
	sock, err := l.Accept()
	if err != nil {
		return 0, err
	}
	unixSock := sock.(*net.UnixConn)
	fd, err := descriptor(unixSock)
	if err != nil { // nothing was read of what Kong has sent, so it sends that again on another connection
		k.ends.Go(func() { drain(unixSock) })
		return 0, err
	}
	return fd, sock.Close()
}

// descriptor returns a duplicate of sock's descriptor.
func descriptor(sock *net.UnixConn) (int, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return 0, err
	}
	var duplicate int
	if e := raw.Control(func(fd uintptr) { duplicate, err = duplicateOf(int(fd)) }); e != nil {
		return 0, e
	}
	return duplicate, err
}

// duplicateOf returns another descriptor of the file that fd refers to. It is above those
// of the standard files, which a process may have been started without: a message's
// descriptor 0 means that there is none.
func duplicateOf(fd int) (int, error) {
	duplicate, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return 0, os.NewSyscallError("dup", err)
	}
	return duplicate, nil
}

// missedPause is the wait before a connection is given again to a process that could
// open no more files when it came.
const missedPause = 100 * time.Millisecond

// handleMissed gives a connection again, a moment later, which p had no descriptor left
// for.
func (k *keeper) handleMissed(p *process, number int) {
	if number == k.askSlot { // whoever says so lives
		p.unanswered = 0
		k.endAsking(p)
	} else if h := k.held[number]; h != nil && h.owner == p {
		k.after(missedPause, func() {
			if k.held[number] == h && h.owner == p {
				k.give(number, h)
			}
		})
	} else {
		return
	}
	k.warn("the serving process has too many open files, and a connection has to wait: raise its limit (ulimit -n, LimitNOFILE)",
		"pid", p.cmd.Process.Pid)
}

// forget closes the keeper's duplicate of a connection.
func (k *keeper) forget(number int) {
	_ = unix.Close(k.held[number].fd)
	delete(k.held, number)
	k.slots.release(number)
	k.freeSlots <- number
}

// finish ends a connection that nobody can go on with. Kong sees its end, and
// not a reset: then it repeats what was in flight on another one.
func (k *keeper) finish(number int) {
	fd := k.held[number].fd
	delete(k.held, number)
	k.ends.Go(func() {
		k.drainFile(fd)
		k.slots.release(number)
		k.freeSlots <- number
	})
}

// drainFile ends the connection of a descriptor, and closes it.
func (k *keeper) drainFile(fd int) {
	sock, err := connOf(fd)
	if err != nil {
		k.warn("a connection is ended at once, and a request on it may fail", "error", err)
		return
	}
	drain(sock)
}

// drain ends a connection and discards what still comes until Kong has closed it.
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
