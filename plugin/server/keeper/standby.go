//go:build linux

package keeper

import (
	"errors"
	"slices"
	"time"
)

// A server that finds another one at work on its socket stands by: it registers with the
// keeper of that one, which, when it is to end, first lets the server that has registered
// first take over. So no request finds the socket without a server.

const (
	// turnTime is how long a server that stands by may take to take over, while the one
	// that is to end goes on: it starts a child, which reads split files.
	turnTime = 5 * time.Second
	// maxStandbys is how many servers may stand by.
	maxStandbys = 16
)

// Register tells the keeper whose socket for successors is at path that this process
// stands by. The caller closes the result, once it has taken over or does not want to any
// more.
func Register(path string) (*StandBy, error) {
	l, pid, err := dialKeeper(path)
	if err != nil {
		return nil, err
	}
	if err := l.send(message{kind: standBy}); err != nil {
		return nil, errors.Join(err, l.sock.Close())
	}
	called, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		if m, err := l.receive(); err != nil || m.kind != turn {
			return
		}
		close(called)
		_, _ = l.receive() // its end
	}()
	return &StandBy{PID: pid, Turn: called, Gone: gone, sock: l.sock}, nil
}

// addStandby registers another server, of the process pid, which stands by.
func (k *keeper) addStandby(l *link, pid int) {
	if len(k.standbys) == maxStandbys || k.offered != nil || k.successor != nil || k.ending {
		_ = l.sock.Close()
		return
	}
	_ = l.sock.SetDeadline(time.Time{})
	k.standbys = append(k.standbys, l)
	go func() {
		_, _ = l.receive() // its end, as it has nothing to say
		k.do(func() { k.removeStandby(l) })
	}()
	k.Log.Info("another server stands by, and takes over when this one ends", "pid", pid)
	if k.stopping { // it has waited for this one
		k.offerTurn()
	}
}

// removeStandby forgets a server that does not stand by any more.
func (k *keeper) removeStandby(l *link) {
	_ = l.sock.Close()
	if i := slices.Index(k.standbys, l); i >= 0 {
		k.standbys = slices.Delete(k.standbys, i, i+1)
	}
	if l == k.offered {
		k.offered = nil
		if k.successor == nil && !k.ending {
			k.offerNext()
		}
	}
}

// offerTurn lets one of the servers that stand by take over, within turnTime.
func (k *keeper) offerTurn() {
	k.after(turnTime, k.endTurn)
	k.offerNext()
}

// offerNext lets the next server that stands by take over, or ends where there is none.
func (k *keeper) offerNext() {
	for len(k.standbys) > 0 {
		l := k.standbys[0]
		k.standbys = k.standbys[1:]
		_ = l.sock.SetWriteDeadline(time.Now().Add(time.Second))
		if l.send(message{kind: turn}) == nil {
			k.offered = l
			return
		}
		_ = l.sock.Close()
	}
	k.end(k.stopSignal)
}

// endTurn ends without the server that has not taken over in time.
func (k *keeper) endTurn() {
	if k.ending || k.successor != nil {
		return
	}
	k.Log.Warn("the server that stands by has not taken over in time, and this one ends without it", "timeout", turnTime)
	k.end(k.stopSignal)
}
