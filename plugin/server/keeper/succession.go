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

// A keeper may be succeeded by another one, as when Kong reloads and starts another
// plugin server before it stops the present one. The new server puts a socket of its own
// in the place of the other one's, and asks the keeper there, on a second socket for that
// purpose, for its connections and saved state. The former keeper is not needed after
// that; see [ErrSucceeded].

// askTime is how long a keeper waits for a question or an answer of another one, which
// may be busy, or hang.
const askTime = 5 * time.Second

// inheritTime is how long a keeper waits for the next message of the one that hands over
// to it: that one first waits for what is in flight, for handOverTime.
const inheritTime = 10 * time.Second

// dialFormer connects to the keeper that this one succeeds.
func (k *keeper) dialFormer() (*link, error) {
	l, _, err := dialKeeper(k.Succession)
	if errors.Is(err, ErrUntrusted) {
		k.Log.Error("connections and saved state are not asked for", "error", err)
	}
	return l, err
}

// askEarly asks the former keeper, if there is one that answers, for the values that the
// first child needs before it is ready. All others are asked for only then, as they still
// change until then. Each early one is asked for on a connection of its own; after one
// that is not answered by the deadline no other is asked for.
func (k *keeper) askEarly(deadline time.Time) {
	for _, key := range k.Early {
		if !k.askFor(key, deadline) {
			return
		}
	}
}

// askFor asks the former keeper for the value of a key, and reports whether it has
// answered.
func (k *keeper) askFor(key string, deadline time.Time) bool {
	if k.Succession == "" {
		return false
	}
	former, err := k.dialFormer()
	if err != nil {
		return false
	}
	defer former.sock.Close()
	_ = former.sock.SetDeadline(deadline)
	err = former.send(message{kind: ask, key: key})
	var answer message
	if err == nil {
		answer, err = former.receive()
	}
	switch {
	case err == nil && answer.kind == savedValue:
		k.inherit(answer)
		return true
	case !errors.Is(err, io.EOF): // an older executable ends the connection
		k.Log.Warn("the former server does not send its saved state", "key", key, "error", err)
	}
	return false
}

// succeedFormer asks the former keeper, if there is one that answers, for its connections
// and saved state, and opens this keeper's own socket for successors. A keeper can do
// without both: the former one's connections end then.
func (k *keeper) succeedFormer() {
	if k.Succession == "" {
		k.changed = nil
		return
	}
	former, err := k.dialFormer()
	if err == nil {
		go k.receiveAll(former)
	} else {
		k.changed = nil
	}
	if k.succession, err = k.ListenSuccession(); err != nil {
		k.Log.Warn("a server that takes over from this one will not get its connections", "error", err)
		return
	}
	go k.acceptSuccessors()
}

// acceptSuccessors takes the requests of other servers. It runs on a goroutine of its own.
func (k *keeper) acceptSuccessors() {
	for {
		sock, err := k.succession.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // such as too many open files
			time.Sleep(acceptPause)
			continue
		}
		go func() {
			l := &link{sock: sock.(*net.UnixConn)}
			pid, err := trust(l.sock, os.Geteuid())
			if err != nil {
				k.warn("a process that asks for connections and saved state does not get them", "error", err)
				_ = sock.Close()
				return
			}
			_ = sock.SetDeadline(time.Now().Add(askTime))
			request, err := l.receive()
			known := request.kind == handOver || request.kind == ask || request.kind == standBy
			if err != nil || !known || !k.do(func() { k.handleRequest(l, pid, request) }) {
				_ = sock.Close()
			}
		}()
	}
}

// handleRequest does what another server, of the process pid, asks for.
func (k *keeper) handleRequest(l *link, pid int, request message) {
	switch request.kind {
	case handOver:
		k.beginSuccession(l, request.number)
	case standBy:
		k.addStandby(l, pid)
	case ask:
		answer := k.savedValue(request.key)
		go func() {
			defer l.sock.Close()
			_ = l.send(answer) // an error: the other server is dead
		}()
	}
}

// beginSuccession has the child that serves leave its connections to a successor.
func (k *keeper) beginSuccession(successor *link, protocol uint32) {
	if protocol != version || !k.isSettled() {
		k.Log.Warn("another server cannot take over the connections",
			"successor_protocol", protocol, "keeper_protocol", version, "settled", k.isSettled())
		_ = successor.sock.Close()
		return
	}
	k.successor = successor
	k.replaceServing()
}

// retire sends the successor all connections and saved state, when no child has them any
// more.
func (k *keeper) retire() {
	if k.Retired != nil {
		k.Retired()
	}
	_ = k.successor.sock.SetDeadline(time.Now().Add(handOverTime)) // the one that was set for its request may be over
	for _, key := range k.State.Keys("") {
		// An error: the successor is dead. Then Kong sees the connections end.
		_ = k.successor.send(k.savedValue(key))
	}
	sent := map[uint32]int{} // descriptors of connections, by slot
	for number, h := range k.held {
		fd, err := duplicateOf(h.fd)
		if err == nil {
			err = k.successor.send(message{kind: conn, number: uint32(number), value: k.slots.slot(number).bytes(), fd: fd})
		}
		if err != nil {
			k.warn("a connection cannot be handed over, and ends", "error", err)
			continue // what is still held ends with this keeper
		}
		sent[uint32(number)] = h.fd
		delete(k.held, number)
	}
	_ = k.successor.sock.CloseWrite()
	k.ends.Go(func() { k.awaitReceipt(k.successor, sent) })
	k.Log.Info("another server has taken over, with all connections; this one is no longer needed")
}

// awaitReceipt closes the connections that were sent to a successor once it has received
// them, and ends those that have come there without their descriptors. It runs on a
// goroutine of its own.
func (k *keeper) awaitReceipt(successor *link, sent map[uint32]int) {
	defer successor.sock.Close()
	for {
		m, err := successor.receive()
		if err != nil { // its end, or the deadline
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

// receiveAll receives all connections and saved state of the former keeper. It runs on a
// goroutine of its own.
func (k *keeper) receiveAll(former *link) {
	defer k.do(func() { k.changed = nil })
	defer former.sock.Close()
	_ = former.sock.SetDeadline(time.Now().Add(inheritTime))
	if former.send(message{kind: handOver, number: version}) != nil {
		return
	}
	values, conns := 0, 0
	for {
		m, err := former.receive()
		switch {
		case errors.Is(err, errMissed): // the former keeper ends it
			k.warn("a connection of the former server ends", "error", err)
			_ = former.send(message{kind: missed, number: m.number})
		case errors.Is(err, os.ErrDeadlineExceeded):
			k.Log.Warn("the former server does not hand its connections over, and should be stopped", "timeout", inheritTime)
			return
		case err != nil:
			m.drop()
			k.Log.Info("this server has taken over from the former one", "saved_values", values, "connections", conns)
			return
		case m.kind == savedValue:
			values++
			k.do(func() { k.inherit(m) })
		case m.kind == conn:
			conns++
			k.receiveConn(m)
		}
		_ = former.sock.SetDeadline(time.Now().Add(inheritTime))
	}
}

// receiveConn takes a connection of the former keeper, as soon as a slot is free.
func (k *keeper) receiveConn(m message) {
	select {
	case number := <-k.freeSlots:
		k.slots.slot(number).set(m.value)
		if k.do(func() { k.addConn(m.fd, number) }) {
			return
		}
	case <-k.done:
	}
	m.drop()
}

// inherit saves a value of the former keeper, unless a child of this one has changed it
// since: the newer one counts. Values from a file, which were there before the first
// child, are older.
func (k *keeper) inherit(m message) {
	if k.changed[m.key] || m.value == nil {
		return
	}
	k.State.Set(m.key, m.value)
	k.sendValue(m.key)
}

// bytes returns a copy of the part of a settled slot that another keeper needs.
func (s *slot) bytes() []byte {
	length := slotHead + int(unpack(s.mark.Load()).end)
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(s)), slotSize)[:length]...)
}

// set sets a slot to what bytes has returned of another one.
func (s *slot) set(text []byte) {
	s.clear()
	copy(unsafe.Slice((*byte)(unsafe.Pointer(s)), slotSize), text)
}
