//go:build linux

package keeper

import (
	"syscall"
	"time"
)

// The end of a keeper: it is told to stop, lets another server take over where one stands
// by or is expected (standby.go), has its children end, and ends what is left.

const (
	// stopTime is how long the children may take to end once they are told to: more than a
	// server takes that cuts off what is left after its drain, and less than the 10 s after
	// which Docker kills.
	stopTime = 9500 * time.Millisecond
	// closeTime is how long Kong has, at the end, to see that connections end.
	closeTime = time.Second
)

// stop begins to end, because of signal s: as soon as a server that stands by has taken
// over, where there is one. A second signal does not wait for that.
func (k *keeper) stop(s syscall.Signal) {
	if k.Stopping != nil {
		k.Stopping()
	}
	if k.stopping || !k.isSettled() || len(k.standbys) == 0 && k.Linger == 0 {
		k.end(s)
		return
	}
	k.stopping, k.stopSignal = true, s
	if len(k.standbys) == 0 {
		k.after(k.Linger, k.endLingering)
		return
	}
	k.offerTurn()
}

// endLingering ends without another server, as none has come in time.
func (k *keeper) endLingering() {
	if k.offered == nil && k.successor == nil && !k.ending {
		k.end(k.stopSignal)
	}
}

// end has the children end, and with the last of them this process.
func (k *keeper) end(s syscall.Signal) {
	if !k.ending {
		k.after(stopTime, k.killLate)
	}
	k.ending = true
	for _, p := range k.children() {
		p.signal(s)
	}
	// Connections that waited when a successor has put its socket in the place of this one
	// are accepted to the last: they would be reset.
	if k.socket != nil && k.successor == nil {
		_ = k.socket.Close()
	}
	if k.succession != nil {
		_ = k.succession.Close()
	}
}

// killLate kills the children that have not ended in time.
func (k *keeper) killLate() {
	for _, p := range k.children() {
		k.Log.Error("a serving process does not end, and is killed", "pid", p.cmd.Process.Pid, "timeout", stopTime)
		p.stopTimedOut = true
		p.signal(syscall.SIGKILL)
	}
}

// close releases everything, at the end.
func (k *keeper) close() {
	if k.socket != nil {
		_ = k.socket.Close()
	}
	if k.succession != nil {
		_ = k.succession.Close()
	}
	for _, l := range k.standbys {
		_ = l.sock.Close()
	}
	for number := range k.held {
		k.finish(number)
	}
	ended := make(chan struct{})
	go func() {
		k.ends.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(closeTime):
	}
}
