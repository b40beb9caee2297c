//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The keeper looks whether the child that serves still does: it gives it a connection, as
// Kong's are given, and asks on that, by [Options.Probe]. So the answer comes from where
// Kong's do, and not from a goroutine that lives while all others are stuck. A child that
// does not answer for HangTime hangs, for any reason: a deadlock, a stop (SIGSTOP), a disk.
// It is killed, and the next one goes on with the requests in flight, as after any death.
//
// HangTime is counted in ticks of this process, not by a clock: a machine that is suspended,
// or so busy that this process does not run either, makes no child hang.

const (
	// tickPause is between two ticks, at each of which a child is asked that has answered
	// the question before.
	tickPause = time.Second
	// dumpTime is how long a child that hangs may take to write where all its goroutines
	// are, which Go does at SIGQUIT.
	dumpTime = 2 * time.Second
)

// tick is called each tickPause, as long as the keeper does not hang itself.
func (k *keeper) tick() {
	k.after(tickPause, k.tick)
	if k.Living != nil {
		k.Living()
	}
	if p := k.serving; k.Probe != nil && k.HangTime > 0 && p != nil && p.ready && !p.replaced && !k.ending {
		k.watch(p)
	}
}

// watch asks the child that serves whether it does, or kills it where it has not answered
// for too long.
func (k *keeper) watch(p *process) {
	switch {
	case p.hung:
		k.warn("a serving process that was killed does not end: it waits for the system, such as for a disk that does not answer",
			"pid", p.cmd.Process.Pid)
		return
	case time.Duration(p.unanswered)*tickPause >= k.HangTime:
		k.killHung(p)
		return
	case p.asking > 0:
	default:
		if err := k.ask(p); err != nil { // that says nothing of the child
			k.warn("the serving process cannot be asked whether it serves, trying again", "error", err)
			return
		}
	}
	p.unanswered++
}

// ask gives p a connection, and asks on it. The question is done with once p has answered,
// seen the connection end, and said so.
func (k *keeper) ask(p *process) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socketpair: %w", err)
	}
	theirs, err := duplicateOf(pair[1])
	_ = unix.Close(pair[1])
	sock, connErr := connOf(pair[0])
	if err := errors.Join(err, connErr); err != nil {
		if connErr == nil {
			_ = sock.Close()
		}
		message{fd: theirs}.drop()
		return err
	}
	p.asking = 2
	k.slots.slot(k.askSlot).clear()
	p.post(message{kind: conn, number: uint32(k.askSlot), fd: theirs})
	go func() {
		err := k.Probe(sock) // it ends with p at the latest
		_ = sock.Close()
		k.do(func() {
			if p.problem = err; err == nil {
				p.unanswered = 0
			}
			k.endAsking(p)
		})
	}()
	return nil
}

// endAsking is called when one of what belongs to a question has come.
func (k *keeper) endAsking(p *process) {
	if p.asking--; p.asking == 0 && k.asked != nil {
		k.asked()
	}
}

// killHung has p, which hangs, write where it does, and kills it.
func (k *keeper) killHung(p *process) {
	p.hung = true
	args := []any{"pid", p.cmd.Process.Pid, "timeout", k.HangTime}
	if p.problem != nil {
		args = append(args, "error", p.problem)
	}
	k.Log.Error("the serving process hangs, and is killed; what it writes now says where", args...)
	p.signal(syscall.SIGQUIT)
	k.afterFunc(dumpTime, func() { p.signal(syscall.SIGKILL) })
}
