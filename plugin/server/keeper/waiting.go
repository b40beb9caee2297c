//go:build linux

package keeper

import (
	"slices"
	"syscall"
	"time"
)

// Who finds a server at work on its socket stands by; see [StandBy]. It has told the
// keeper of that one, which, when it is to end, lets the first of them take over before
// it does: so no request finds nobody there.

const (
	// turnTime is how long one that stands by may take to take over, while the server that
	// is to end goes on: it starts a child, which reads split files.
	turnTime = 5 * time.Second
	// maxWaiting is how many may stand by.
	maxWaiting = 16
)

// standsBy notes that another server stands by.
func (k *keeper) standsBy(l *link) {
	if len(k.waiting) == maxWaiting || k.stopping && !k.lingering || k.successor != nil {
		_ = l.sock.Close()
		return
	}
	_ = l.sock.SetDeadline(time.Time{})
	k.waiting = append(k.waiting, l)
	go func() {
		_, _ = l.receive() // its end, as it has nothing to say
		k.happens(event{left: l})
	}()
	pid := 0
	if peer, err := peerOf(l.sock); err == nil {
		pid = int(peer.Pid)
	}
	k.Log.Info("another server stands by, and takes over when this one ends", "pid", pid)
	if k.lingering {
		k.lingering = false
		k.after(turnTime, func() { k.happens(event{turnOver: true}) })
		k.offer()
	}
}

// left forgets one that has stood by.
func (k *keeper) left(l *link) {
	_ = l.sock.Close()
	if i := slices.Index(k.waiting, l); i >= 0 {
		k.waiting = slices.Delete(k.waiting, i, i+1)
	}
	if l == k.offered {
		k.offered = nil
		if k.successor == nil && !k.ending {
			k.offer()
		}
	}
}

// stop begins to end, at s: with a server that stands by, as soon as that one has taken
// over. A second signal does not wait for that.
func (k *keeper) stop(s syscall.Signal) {
	if k.stopping || !k.quiet() || k.socket == nil || len(k.waiting) == 0 && k.Linger == 0 {
		k.end(s)
		return
	}
	k.stopping, k.stopSignal = true, s
	if len(k.waiting) == 0 {
		k.lingering = true
		k.after(k.Linger, func() { k.happens(event{lingered: true}) })
		return
	}
	k.after(turnTime, func() { k.happens(event{turnOver: true}) })
	k.offer()
}

// lingered ends without another server, as none has come.
func (k *keeper) lingered() {
	if k.lingering && k.successor == nil && !k.ending {
		k.end(k.stopSignal)
	}
}

// offer lets the next one that stands by take over, or ends where there is none.
func (k *keeper) offer() {
	for len(k.waiting) > 0 {
		l := k.waiting[0]
		k.waiting = k.waiting[1:]
		_ = l.sock.SetWriteDeadline(time.Now().Add(time.Second))
		if l.send(message{kind: turn}) == nil {
			k.offered = l
			return
		}
		_ = l.sock.Close()
	}
	k.end(k.stopSignal)
}

// turnOver ends without whoever has not taken over in time.
func (k *keeper) turnOver() {
	if k.ending || k.successor != nil {
		return
	}
	k.Log.Warn("the server that stands by has not taken over in time, and this one ends without it", "its time", turnTime)
	k.end(k.stopSignal)
}
