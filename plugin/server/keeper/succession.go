//go:build linux

package keeper

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A keeper may be succeeded by another one, as it is when Kong reloads and starts
// the plugin server anew before it stops the old one: the new one has taken the
// socket over then, and asks the old one, on a socket for that purpose, for its
// connections. The old one has nothing to do from then on, and waits to be ended.

// askTime is how long a keeper waits for what another one asks or answers: that one
// may be busy, or hang.
const askTime = 5 * time.Second

// succession is where successors ask.
type succession struct {
	*net.UnixListener
	path string
	own  os.FileInfo
}

// listenForSuccessors opens the socket at path, which is for this user alone.
func listenForSuccessors(path string) (*succession, error) {
	if there, err := os.Lstat(path); err == nil && there.Mode().Type() == os.ModeSocket {
		_ = os.Remove(path) // of a keeper that is dead, or of the one that is succeeded now
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(path))
	}
	own, err := os.Lstat(path)
	return &succession{l, path, own}, err
}

// Close removes the socket, unless a successor has put its own there.
func (s *succession) Close() error {
	if there, err := os.Lstat(s.path); err == nil && os.SameFile(there, s.own) {
		_ = os.Remove(s.path)
	}
	return s.UnixListener.Close()
}

// before is a link to the keeper before this one.
func (k *keeper) before() (*link, error) {
	sock, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: k.Succession, Net: "unix"})
	return &link{sock: sock}, err
}

// askEarly asks the keeper before this one, if there is one that answers, for the
// values that the first child needs: the others come when that is ready, as they still
// change until then. Each is asked for on a connection of its own; one that is not
// answered is the last.
func (k *keeper) askEarly() {
	deadline := time.Now().Add(askTime)
	for _, key := range k.Early {
		if !k.askFor(key, deadline) {
			return
		}
	}
}

// askFor asks the keeper before this one for the value of a key, and reports whether it
// has answered.
func (k *keeper) askFor(key string, deadline time.Time) bool {
	if k.Succession == "" {
		return false
	}
	before, err := k.before()
	if err != nil {
		return false
	}
	defer before.sock.Close()
	_ = before.sock.SetDeadline(deadline)
	err = before.send(message{kind: ask, text: []byte(key)})
	var answer message
	if err == nil {
		answer, err = before.receive()
	}
	switch {
	case err == nil && answer.kind == note:
		k.bequeathed(answer.text)
		return true
	case !errors.Is(err, io.EOF): // which is an older executable's answer
		k.Log.Warn("the server before this one does not say what it has noted", "key", key, "error", err)
	}
	return false
}

// inherit opens this keeper's own socket for successors and asks the keeper before
// it, if there is one that answers, for its connections. Without that a keeper can
// do: the connections of the one before end then.
func (k *keeper) inherit() {
	if k.Succession == "" {
		k.own = nil
		return
	}
	before, err := k.before()
	if err == nil {
		go k.succeed(before)
	} else {
		k.own = nil
	}
	if k.succession, err = listenForSuccessors(k.Succession); err != nil {
		k.Log.Warn("a server that takes this one's place will not get its connections", "error", err)
		return
	}
	go k.awaitSuccessors()
}

// awaitSuccessors accepts those who ask.
func (k *keeper) awaitSuccessors() {
	for {
		sock, err := k.succession.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // it passes
			time.Sleep(acceptPause)
			continue
		}
		go func() {
			l := &link{sock: sock}
			_ = sock.SetDeadline(time.Now().Add(askTime))
			if asked, err := l.receive(); err != nil || asked.kind != handOver && asked.kind != ask {
				_ = sock.Close()
			} else {
				k.events <- event{successor: l, message: asked}
			}
		}()
	}
}

// asked does what a successor asks for.
func (k *keeper) asked(successor *link, m message) {
	if m.kind == handOver {
		k.retire(successor, m.number)
		return
	}
	answer := message{kind: note, text: noteText(string(m.text), k.State.Get(string(m.text)))}
	go func() {
		defer successor.sock.Close()
		_ = successor.send(answer) // an error is the successor's death
	}()
}

// retire begins to hand everything over to a successor.
func (k *keeper) retire(successor *link, spoken uint32) {
	if spoken != version || !k.quiet() {
		k.Log.Warn("another server cannot take the connections over", "its protocol", spoken, "this one's", version)
		_ = successor.sock.Close()
		return
	}
	k.successor = successor
	k.replace()
}

// quiet says that nothing else is under way.
func (k *keeper) quiet() bool {
	return k.serving != nil && k.next == nil && k.successor == nil && !k.ending
}

// bequeath sends the successor all that there is, when nobody has it any more.
func (k *keeper) bequeath() {
	k.retired = true
	if k.Retired != nil {
		k.Retired()
	}
	// Not before: those who had connected when the successor took the place of the
	// socket would be reset.
	_ = k.socket.Close()
	defer k.successor.sock.Close()
	_ = k.successor.sock.SetDeadline(time.Now().Add(handOverTime)) // the one from when it asked may be over
	for _, key := range k.State.Keys("") {
		// An error is the successor's death. Then Kong sees the connections end.
		_ = k.successor.send(message{kind: note, text: noteText(key, k.State.Get(key))})
	}
	for number, h := range k.held {
		fd, err := unix.FcntlInt(uintptr(h.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			err = k.successor.send(message{kind: conn, text: k.slots.slot(number).bytes(), fd: fd})
		}
		if err != nil {
			k.finish(number)
		} else {
			k.forget(number)
		}
	}
	k.Log.Info("another server has taken the connections over; this one is no longer needed")
}

// succeed asks the keeper before this one for all that it has. It runs on a
// goroutine of its own.
func (k *keeper) succeed(before *link) {
	defer func() { k.events <- event{inherited: true} }()
	defer before.sock.Close()
	if before.send(message{kind: handOver, number: version}) != nil {
		return
	}
	for {
		m, err := before.receive()
		switch {
		case err != nil:
			m.drop()
			return
		case m.kind == note:
			k.events <- event{bequeathed: m.text}
		case m.kind == conn && m.fd != 0:
			number := <-k.free
			k.slots.slot(number).set(m.text)
			k.events <- event{accepted: m.fd, number: number}
		}
	}
}

// bequeathed takes a value of the keeper before this one, unless a child of this one
// has a newer one: what has befallen a split under both is only known as the newer one
// has it. Those that were there before the first child, from a file, are older.
func (k *keeper) bequeathed(text []byte) {
	key, value, err := noteOf(text)
	if k.own[key] || value == nil || err != nil {
		return
	}
	k.State.Set(key, value)
	k.tell(key)
}

// bytes are what of a slot at rest another keeper has to know.
func (s *slot) bytes() []byte {
	length := slotHead + int(unpack(s.mark.Load()).end)
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(s)), slotSize)[:length]...)
}

// set makes a slot what bytes has said of another one.
func (s *slot) set(text []byte) {
	s.clear()
	copy(unsafe.Slice((*byte)(unsafe.Pointer(s)), slotSize), text)
}
