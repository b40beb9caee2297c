//go:build linux

package keeper

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// The life of a child: it is started, is ready, is replaced on an upgrade, and dies.

const (
	// After each of manyDeaths children that die within deathWindow the next one is
	// started at once, after more of them deathPause later.
	manyDeaths  = 30
	deathWindow = 10 * time.Second
	deathPause  = time.Second
	// After a child that has died before it was ready, or could not be started, the
	// next one is started firstPause later, and each time twice as long, up to maxPause.
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	// readyTime is how long a child may take to be ready. With the longest split files
	// that are read it takes 1.4 s, measured on 2 cores; the rest is for a machine that
	// is busy with much else, or swaps.
	readyTime = 30 * time.Second
	// unreadyTime is how long there may be no child that is ready. Then the keeper ends,
	// so that its supervisor knows, and starts it anew.
	unreadyTime = time.Minute
	// handOverTime is how long a child may take, on an upgrade, for what it has in
	// flight. What is in flight after that goes on in the next one.
	handOverTime = 2 * time.Second
)

// start starts a child, which gets all connections and saved values.
func (k *keeper) start() error {
	p, err := k.spawn(k.exe)
	if err != nil {
		return fmt.Errorf("starting the serving process: %w", err)
	}
	k.promote(p)
	return nil
}

func (k *keeper) spawn(exe *os.File) (*process, error) {
	p, err := spawn(exe, k.Args, k.slots)
	if err != nil {
		return nil, err
	}
	go p.receive(
		func(m message) { k.do(func() { k.handleMessage(p, m) }) },
		func() { k.do(func() { k.handleExit(p) }) },
	)
	k.after(readyTime, func() { k.killUnready(p) })
	for _, key := range k.State.Keys("") {
		p.post(k.savedValue(key))
	}
	p.post(message{kind: began})
	return p, nil
}

// promote makes p the child that serves.
func (k *keeper) promote(p *process) {
	k.serving = p
	for number, h := range k.held {
		k.give(number, h)
	}
}

// handleMessage does what a child asks for.
func (k *keeper) handleMessage(p *process, m message) {
	switch m.kind {
	case ready:
		k.handleReady(p, m.number)
	case closed:
		if int(m.number) == k.askSlot {
			k.endAsking(p)
		} else if h := k.held[int(m.number)]; h != nil && h.owner == p {
			k.forget(int(m.number))
		}
	case missed:
		k.handleMissed(p, int(m.number))
	case savedValue:
		if p.ready {
			k.save(p, m)
		} else { // it may never be, and then another one starts from what was saved before
			p.unsaved = append(p.unsaved, m)
		}
	}
}

// save saves a value that p has set, for the children after it.
func (k *keeper) save(p *process, m message) {
	if was := k.State.Get(m.key); k.changed != nil && ((was == nil) != (m.value == nil) || !bytes.Equal(was, m.value)) {
		k.changed[m.key] = true
	}
	k.State.Set(m.key, m.value)
	if k.next != nil && p != k.next {
		k.next.post(m)
	}
}

// savedValue is the message with what is saved under key now.
func (k *keeper) savedValue(key string) message {
	return message{kind: savedValue, key: key, value: k.State.Get(key)}
}

// sendValue sends the children what is saved under key now.
func (k *keeper) sendValue(key string) {
	for _, p := range k.children() {
		p.post(k.savedValue(key))
	}
}

// children returns the child that serves and the next one, as far as they are there.
func (k *keeper) children() []*process {
	return slices.DeleteFunc([]*process{k.serving, k.next}, func(p *process) bool { return p == nil })
}

// handleReady does what has waited for p to be ready: the keeper listens, or the child
// before p ends.
func (k *keeper) handleReady(p *process, protocol uint32) {
	if protocol != version {
		k.Log.Error("the new executable cannot take over, restart the server instead; the old one goes on",
			"child_protocol", protocol, "keeper_protocol", version)
		p.signal(syscall.SIGKILL)
		return
	}
	if p.overdue { // it is being killed
		return
	}
	p.ready = true
	k.readyAt = time.Now()
	for _, m := range p.unsaved {
		k.save(p, m)
	}
	p.unsaved = nil
	switch {
	case k.ending:
	case p == k.next && k.serving == nil:
		k.finishUpgrade()
	case p == k.next:
		k.replaceServing()
	case k.socket == nil:
		socket, err := k.Listen()
		if err != nil { // the child's end is this process's
			k.exit = err
			p.replaced = true
			k.end(syscall.SIGTERM)
			return
		}
		k.socket = socket
		go k.accept()
		k.succeedFormer()
	}
	if p == k.serving && !p.replaced {
		k.tellServing(p.cmd.Process.Pid)
	}
}

// tellServing says which process serves.
func (k *keeper) tellServing(pid int) {
	if k.Serving != nil && k.socket != nil && !k.ending {
		k.Serving(pid)
	}
}

// killUnready kills p, which has had its time to be ready, unless it is.
func (k *keeper) killUnready(p *process) {
	if p.ready || !slices.Contains(k.children(), p) {
		return
	}
	k.Log.Error("a serving process is not ready in time, and is killed", "pid", p.cmd.Process.Pid, "timeout", readyTime)
	p.overdue = true
	p.signal(syscall.SIGKILL)
}

// upgrade starts a child of the executable that is now at the keeper's path.
func (k *keeper) upgrade() {
	if !k.isSettled() {
		k.Log.Warn("an upgrade is asked for at a bad moment, ask again", "upgrading", k.next != nil, "ending", k.ending)
		return
	}
	exe, err := os.Open(k.path)
	if err == nil {
		if k.next, err = k.spawn(exe); err != nil {
			_ = exe.Close()
		}
	}
	if err != nil {
		k.Log.Error("the upgrade fails, the old executable goes on", "path", k.path, "error", err)
		return
	}
	k.Log.Info("upgrading", "path", k.path, "pid", k.next.cmd.Process.Pid)
}

// replaceServing has the child that serves leave everything to another one.
func (k *keeper) replaceServing() {
	old := k.serving
	old.replaced = true
	k.afterFunc(handOverTime, func() { old.signal(syscall.SIGKILL) })
	old.post(message{kind: handOver})
}

// finishUpgrade makes the child of the new executable the one that serves.
func (k *keeper) finishUpgrade() {
	_ = k.exe.Close()
	k.exe = k.next.exe
	k.promote(k.next)
	k.next = nil
	k.Log.Info("upgraded", "pid", k.serving.cmd.Process.Pid)
}

// isSettled reports whether a child serves on the socket, and none is about to be replaced
// or to end.
func (k *keeper) isSettled() bool {
	return k.socket != nil && k.serving != nil && k.next == nil && k.successor == nil && !k.ending
}

// handleExit goes on without p, which is dead.
func (k *keeper) handleExit(p *process) {
	status := p.cmd.ProcessState
	if p.ready {
		k.readyAt = time.Now()
	}
	if p.stopTimedOut {
		k.exit = fmt.Errorf("process %d had not ended %v after the stop, and was killed", p.cmd.Process.Pid, stopTime)
	}
	switch {
	case p == k.next:
		k.next = nil
		_ = p.exe.Close()
		if !k.ending {
			k.Log.Error("the upgrade fails, the old executable goes on", "exit_status", status.String())
		}
		return
	case k.socket == nil && p.overdue && !k.ending:
		k.exit = fmt.Errorf("the serving process was not ready within %v", readyTime)
	case k.ending || k.socket == nil:
		// A child that is not ready ends of the signal, and one that is replaced may
		// have been killed.
		if !status.Success() && (p.ready || !k.ending) && !p.replaced && !p.stopTimedOut {
			k.exit = &exec.ExitError{ProcessState: status}
		}
	case k.successor != nil:
	case k.next == nil || !k.next.ready:
		k.Log.Error("the serving process has died, another one goes on", "exit_status", status.String())
		k.countDeath(p)
		k.setPause(p)
		k.tellServing(0)
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
	if k.next != nil && k.next.ready {
		k.finishUpgrade()
		k.tellServing(k.serving.cmd.Process.Pid)
	}
}

// countDeath counts p, which is dead and was to go on.
func (k *keeper) countDeath(p *process) {
	d := DeathsOf(k.State)
	if d.Last = time.Now(); p.hung {
		d.Hung++
	} else {
		d.Died++
	}
	value, _ := json.Marshal(d) // numbers and a time always encode
	if k.changed != nil {
		k.changed[deathsKey] = true
	}
	k.State.Set(deathsKey, value)
	k.sendValue(deathsKey)
}

// setPause sets how long to wait until the child after p, which is dead, is started.
func (k *keeper) setPause(p *process) {
	if !p.ready {
		k.backOff()
		return
	}
	k.pause = 0
	now := time.Now()
	k.deaths = slices.DeleteFunc(append(k.deaths, now), func(t time.Time) bool { return now.Sub(t) > deathWindow })
	if len(k.deaths) > manyDeaths {
		k.pause = deathPause
	}
}

func (k *keeper) backOff() { k.pause = min(max(2*k.pause, firstPause), maxPause) }
