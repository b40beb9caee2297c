//go:build linux

package keeper

import (
	"syscall"
	"time"
)

// end has the children end, and with the last of them this process.
func (k *keeper) end(s syscall.Signal) {
	if !k.ending {
		k.after(stopTime, func() { k.happens(event{overtime: true}) })
	}
	k.ending = true
	k.serving.signal(s)
	k.next.signal(s)
	if k.socket != nil && k.successor == nil { // who has it closed then
		_ = k.socket.Close()
	}
	if k.succession != nil {
		_ = k.succession.Close()
	}
}

// stopTime is how long the children may take to end once they are told to: more than a
// server takes that cuts off what is left after its drain, and less than the 10 s after
// which Docker kills.
const stopTime = 9500 * time.Millisecond

// killLate kills the children that have not ended in time: they hang.
func (k *keeper) killLate() {
	for _, p := range []*process{k.serving, k.next} {
		if p == nil {
			continue
		}
		k.Log.Error("a serving process does not end, and is killed", "pid", p.cmd.Process.Pid, "its time", stopTime)
		p.late = true
		p.signal(syscall.SIGKILL)
	}
}

// endTime is how long Kong has, at the end, to see that connections end.
const endTime = time.Second

// close lets go of everything, at the end.
func (k *keeper) close() {
	if k.socket != nil {
		_ = k.socket.Close()
	}
	if k.succession != nil {
		_ = k.succession.Close()
	}
	for _, l := range k.waiting {
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
	case <-time.After(endTime):
	}
}
