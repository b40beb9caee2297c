//go:build linux

package keeper

import (
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

const (
	// Each of so many children that die within a while is followed by the next at
	// once; after that the next has to wait.
	manyDeaths = 30
	while      = 10 * time.Second
	respite    = time.Second
	// After a child that has died before it was ready, or could not be started, the
	// next waits, each time twice as long.
	firstPause = 100 * time.Millisecond
	longest    = 5 * time.Second
	// readyTime is how long a child may take to be ready. With the longest split files
	// that are read it takes 1.4 s, measured on 2 cores; the rest is for a machine that
	// is busy with much else, or swaps.
	readyTime = 30 * time.Second
	// hopeTime is how long there may be no child that is ready. Then the keeper ends, so
	// that whoever supervises it knows, and starts it anew.
	hopeTime = time.Minute
)

// hopeless reports whether no child has been ready for too long.
func (k *keeper) hopeless() bool { return time.Since(k.servedAt) > hopeTime }

// overdue kills p, which has had its time to be ready, unless it is: it hangs.
func (k *keeper) overdue(p *process) {
	if p.ready || p != k.serving && p != k.next {
		return
	}
	k.Log.Error("a serving process is not ready in time, and is killed", "pid", p.cmd.Process.Pid, "its time", readyTime)
	p.overdue = true
	p.signal(syscall.SIGKILL)
}

// buried goes on without p, which is dead.
func (k *keeper) buried(p *process) {
	state := p.cmd.ProcessState
	if p.ready {
		k.servedAt = time.Now()
	}
	if p.late {
		k.exit = fmt.Errorf("process %d had not ended %v after the stop, and was killed", p.cmd.Process.Pid, stopTime)
	}
	switch {
	case p == k.next:
		k.next = nil
		_ = p.exe.Close()
		if k.ending {
			return
		}
		k.Log.Error("the upgrade fails, the old executable goes on", "the new one's end", state.String())
		return
	case k.socket == nil && p.overdue && !k.ending:
		k.exit = fmt.Errorf("the serving process was not ready within %v", readyTime)
	case k.ending || k.socket == nil:
		// One that is not ready ends of the signal, and one that has been replaced may
		// have been killed.
		if !state.Success() && (p.ready || !k.ending) && !p.replaced && !p.late {
			k.exit = &exec.ExitError{ProcessState: state}
		}
	case k.successor != nil:
	case k.next == nil || !k.next.ready:
		k.Log.Error("the serving process has died, another one goes on", "its end", state.String())
		k.hold(p)
	}
	k.serving = nil
	for number, h := range k.held {
		if h.owner != p {
			continue
		}
		h.owner = nil
		if !k.slots.slot(number).settle() {
			k.finish(number)
		}
	}
	switch {
	case k.successor != nil:
		k.bequeath()
	case k.next != nil && k.next.ready:
		k.takeOver()
	}
}

// hold finds out how long to wait for the child after p.
func (k *keeper) hold(p *process) {
	if !p.ready {
		k.backOff()
		return
	}
	k.pause = 0
	now := time.Now()
	k.deaths = slices.DeleteFunc(append(k.deaths, now), func(t time.Time) bool { return now.Sub(t) > while })
	if len(k.deaths) > manyDeaths {
		k.pause = respite
	}
}

func (k *keeper) backOff() { k.pause = min(max(2*k.pause, firstPause), longest) }
