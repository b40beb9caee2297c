//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A keeper may be succeeded by another one, as it is when Kong reloads and starts
// the plugin server anew before it stops the old one: the new one has taken the
// socket over then, and asks the old one, on a socket for that purpose, for its
// connections. The old one has nothing to do from then on; see [ErrSucceeded].

// askTime is how long a keeper waits for what another one asks or answers: that one
// may be busy, or hang.
const askTime = 5 * time.Second

// inheritTime is how long a keeper waits for the next thing that the one before it hands
// over: that one waits for what is in flight first, for handOverTime.
const inheritTime = 10 * time.Second

// succession is where successors ask.
type succession struct {
	*net.UnixListener
	path string
	own  os.FileInfo
}

// listenForSuccessors opens the socket at path, which is for this user alone.
func listenForSuccessors(path string) (*succession, error) {
	// A socket that is there is of a keeper that is dead, or of the one that is succeeded.
	if there, err := os.Lstat(path); err == nil && there.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("%s: something else than a socket is there; remove it", path)
	}
	// In a folder that nobody else can enter, until it has its mode.
	private, err := os.MkdirTemp(filepath.Dir(path), ".")
	if err != nil {
		return nil, err
	}
	defer os.Remove(private)
	temp := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(temp, 0o600)
	var own os.FileInfo
	if err == nil {
		own, err = os.Lstat(temp)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(temp))
	}
	return &succession{l, path, own}, nil
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
	l, _, err := dialKeeper(k.Succession)
	if Untrusted(err) {
		k.Log.Error("connections and saved state are not asked for", "error", err)
	}
	return l, err
}

// askEarly asks the keeper before this one, if there is one that answers, for the
// values that the first child needs: the others come when that is ready, as they still
// change until then. Each is asked for on a connection of its own; one that is not
// answered by the deadline is the last.
func (k *keeper) askEarly(deadline time.Time) {
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
			if _, err := trust(sock, os.Geteuid()); err != nil {
				k.warn("who asks for connections and saved state does not get them", "error", err)
				_ = sock.Close()
				return
			}
			_ = sock.SetDeadline(time.Now().Add(askTime))
			asked, err := l.receive()
			known := asked.kind == handOver || asked.kind == ask || asked.kind == standBy
			if err != nil || !known || !k.happens(event{successor: l, message: asked}) {
				_ = sock.Close()
			}
		}()
	}
}

// asked does what a successor asks for.
func (k *keeper) asked(successor *link, m message) {
	switch m.kind {
	case handOver:
		k.retire(successor, m.number)
		return
	case standBy:
		k.standsBy(successor)
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
	_ = k.successor.sock.SetDeadline(time.Now().Add(handOverTime)) // the one from when it asked may be over
	for _, key := range k.State.Keys("") {
		// An error is the successor's death. Then Kong sees the connections end.
		_ = k.successor.send(message{kind: note, text: noteText(key, k.State.Get(key))})
	}
	sent := map[uint32]int{} // descriptors of connections, by slot
	for number, h := range k.held {
		fd, err := duplicateOf(h.fd)
		if err == nil {
			err = k.successor.send(message{kind: conn, number: uint32(number), text: k.slots.slot(number).bytes(), fd: fd})
		}
		if err != nil {
			k.warn("a connection cannot be handed over, and ends", "error", err)
			k.finish(number)
			continue
		}
		sent[uint32(number)] = h.fd
		delete(k.held, number)
	}
	_ = k.successor.sock.CloseWrite()
	k.ends.Go(func() { k.awaitReceipt(k.successor, sent) })
	k.Log.Info("another server has taken over, with all connections; this one is no longer needed")
}

// awaitReceipt lets go of connections that were sent to a successor when that one has
// them, and ends those that have come there without their descriptors.
func (k *keeper) awaitReceipt(successor *link, sent map[uint32]int) {
	defer successor.sock.Close()
	for {
		m, err := successor.receive()
		if err != nil { // its end, or its time is over
			break
		}
		if fd, ok := sent[m.number]; ok && m.kind == missed {
			delete(sent, m.number)
			k.ends.Go(func() { k.drainFile(fd) })
		}
	}
	for _, fd := range sent {
		_ = unix.Close(fd)
	}
}

// succeed asks the keeper before this one for all that it has. It runs on a
// goroutine of its own.
func (k *keeper) succeed(before *link) {
	defer k.happens(event{inherited: true})
	defer before.sock.Close()
	_ = before.sock.SetDeadline(time.Now().Add(inheritTime))
	if before.send(message{kind: handOver, number: version}) != nil {
		return
	}
	for {
		m, err := before.receive()
		switch {
		case errors.Is(err, errMissed): // that one ends it
			k.warn("a connection of the server before this one ends", "error", err)
			_ = before.send(message{kind: missed, number: m.number})
		case errors.Is(err, os.ErrDeadlineExceeded):
			k.Log.Warn("the server before this one does not hand its connections over, and should be stopped", "its time", inheritTime)
			return
		case err != nil:
			m.drop()
			return
		case m.kind == note:
			k.happens(event{bequeathed: m.text})
		case m.kind == conn:
			k.takeUp(m)
		}
		_ = before.sock.SetDeadline(time.Now().Add(inheritTime))
	}
}

// takeUp takes a connection of the keeper before this one, when there is a place for it.
func (k *keeper) takeUp(m message) {
	select {
	case number := <-k.free:
		k.slots.slot(number).set(m.text)
		if k.happens(event{accepted: m.fd, number: number}) {
			return
		}
	case <-k.over:
	}
	m.drop()
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
