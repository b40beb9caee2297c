//go:build linux

package keeper

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"kong-traffic-split/plugin/state"
)

// Supported reports whether this system has what a keeper needs.
const Supported = true

// A keeper is the parent process. Only the goroutine of Run uses its fields, but for
// those that say otherwise; all others hand it functions, with do.
type keeper struct {
	Options
	slots *slots
	calls chan func()
	done  chan struct{} // closed: no function is called any more

	mu     sync.Mutex           // guards warned
	warned map[string]time.Time // when each text was logged last by warn

	held    map[int]*held // connections, by slot
	askSlot int           // of the connection on which a child is asked whether it serves
	// freeSlots is used by several goroutines.
	freeSlots chan int
	// changed are the keys that the children have changed, as long as older values may
	// come from the keeper before this one; nil: no more come.
	changed map[string]bool

	ends sync.WaitGroup // of connections that are being ended

	serving *process // has the connections; nil between two children
	next    *process // is to replace it on an upgrade
	socket  net.Listener
	path    string        // of the executable
	exe     *os.File      // the executable of the child that serves
	readyAt time.Time     // when a child was ready last
	deaths  []time.Time   // of children that were ready, in the last deathWindow
	pause   time.Duration // before the next child
	ending  bool          // the children are told to end
	exit    error         // of the last child, once ending

	succession net.Listener // nil: nobody can succeed this keeper
	successor  *link        // a server that takes over

	standbys   []*link        // servers that stand by
	offered    *link          // one of them, which is to take over now
	stopping   bool           // ends once another server has taken over
	stopSignal syscall.Signal // the signal because of which it is stopping
}

// Run runs a keeper: it starts children of this executable until the process is
// told to end by SIGTERM or SIGINT, which it passes on. It returns the last
// child's error, an *exec.ExitError, or why it could not go on; [ErrSucceeded] where
// another server has taken over, upon which it can be called again. It does not start
// another child after a first one that ends before it is ready.
func Run(o Options) error {
	most, err := mostConnections()
	if err != nil {
		return err
	}
	k := &keeper{
		Options: o, calls: make(chan func()), done: make(chan struct{}), held: map[int]*held{},
		freeSlots: make(chan int, most), changed: map[string]bool{}, warned: map[string]time.Time{},
	}
	if k.afterFunc == nil {
		k.afterFunc = time.AfterFunc
	}
	if k.State == nil {
		k.State = new(state.Memory)
	}
	k.askSlot = most - 1
	for i := range k.askSlot {
		k.freeSlots <- i
	}
	if k.slots, err = newSlots(); err != nil {
		return err
	}
	// A symbolic link stays one: on an upgrade, what it leads to then is started.
	if k.path, err = exec.LookPath(o.Args[0]); err != nil { // called by a name that is no path
		k.path, err = os.Executable()
	}
	if err == nil {
		k.path, err = filepath.Abs(k.path)
	}
	if err != nil {
		return fmt.Errorf("the path of this executable: %w", err)
	}
	if k.exe, err = os.Open("/proc/self/exe"); err != nil {
		return fmt.Errorf("this executable: %w", err)
	}
	if k.Signals == nil {
		signals := make(chan os.Signal, 8)
		// Caught to the very end of the process, so that a second one makes it no failure.
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2)
		k.Signals = signals
	}
	k.readyAt = time.Now()
	defer k.slots.free()
	defer k.exe.Close()
	defer close(k.done)
	return k.run()
}

// after has f called on the goroutine of Run after d.
func (k *keeper) after(d time.Duration, f func()) { k.afterFunc(d, func() { k.do(f) }) }

// do has f called on the goroutine of Run, or not at all when the keeper is at its end.
// It reports whether f is called. Any other goroutine may call it.
func (k *keeper) do(f func()) bool {
	select {
	case k.calls <- f:
		return true
	case <-k.done:
		return false
	}
}

func (k *keeper) run() error {
	defer k.close()
	k.after(tickPause, k.tick)
	k.askEarly(time.Now().Add(askTime))
	if err := k.start(); err != nil {
		return err
	}
	var restart <-chan time.Time
	for {
		select {
		case f := <-k.calls:
			f()
		case <-restart:
			restart = nil
			if k.serving != nil { // the next one, of an upgrade
				break
			}
			if err := k.start(); err != nil {
				k.Log.Error("a serving process cannot be started, trying again", "error", err)
				k.backOff()
			}
		case key := <-k.Changes:
			k.sendValue(key)
		case s := <-k.Signals:
			k.handleSignal(s)
		}
		switch {
		case k.serving != nil:
		case k.successor != nil:
			k.retire()
			if k.ending || k.stopping {
				return k.exit
			}
			return ErrSucceeded
		case k.ending && k.next != nil:
		case k.ending, k.socket == nil:
			return k.exit
		case time.Since(k.readyAt) > unreadyTime:
			return fmt.Errorf("no serving process has been ready for %v: the lines before this one say why", unreadyTime)
		case restart == nil:
			restart = time.After(k.pause)
		}
	}
}

// handleSignal does what a signal asks for.
func (k *keeper) handleSignal(s os.Signal) {
	switch s {
	case syscall.SIGHUP:
		for _, p := range k.children() {
			if p.ready { // before, the signal would end it, and it has read nothing yet
				p.signal(s)
			}
		}
	case syscall.SIGUSR2:
		k.upgrade()
	default:
		k.stop(s.(syscall.Signal))
	}
}
