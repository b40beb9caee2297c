//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"log/slog"
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

// Supported says whether this system has what a keeper needs.
const Supported = true

// Options are what a keeper needs to know.
type Options struct {
	// Args are the command line of the children, the same as the keeper's own.
	Args []string
	// Listen opens the socket. It is called once, when the first child is ready.
	Listen func() (net.Listener, error)
	// Succession is the path of a socket on which a server that has taken the other
	// one over asks for the connections. Empty: none can.
	Succession string
	// Early are the keys of values that the first child needs before it is ready, of
	// the server that is taken over, if there is one.
	Early []string
	// State has what the children save; it must never wait. Nil: it ends with this
	// process.
	State state.Store
	// Changes are keys of State whose values something else than a child has changed;
	// the children are told. Nil: there are none.
	Changes <-chan string
	// Retired is called when another server has taken this one over, which saves what
	// there is to be saved from then on. It must not wait. Nil: nobody wants to know.
	Retired func()
	// Linger is how long a keeper that is told to end goes on where nobody stands by yet:
	// whoever tells it may start another server a moment later. It ends as soon as that
	// one has taken over, or it is told to end again.
	Linger time.Duration
	// Signals are what the process is told: SIGTERM, SIGINT, SIGHUP and SIGUSR2. Nil: Run
	// has them caught.
	Signals <-chan os.Signal
	Log     *slog.Logger

	after func(time.Duration, func()) *time.Timer // nil: time.AfterFunc
}

// A keeper is the parent process. All is done on the goroutine of Run.
type keeper struct {
	Options
	slots  *slots
	events chan event

	mu     sync.Mutex
	warned map[string]time.Time // of each text of warn, when

	held map[int]*held // connections, by slot
	free chan int      // slots
	// own are the keys that the children have changed, as long as the keeper before this
	// one may have values to bequeath, which are older; nil: it has no more.
	own map[string]bool

	ends sync.WaitGroup // of connections that nobody goes on with

	serving *process // has the connections; nil between two children
	next    *process // is to take them over
	socket  net.Listener
	path    string        // of the executable
	exe     *os.File      // the executable of the child that serves
	deaths  []time.Time   // of children that were ready, a while back at most
	pause   time.Duration // before the next child
	ending  bool
	exit    error // of the last child, once ending

	succession *succession // nil: nobody can succeed this keeper
	successor  *link       // who is about to
	retired    bool        // and has

	waiting    []*link        // who stands by
	offered    *link          // one of them, which is to take over now
	stopping   bool           // to end once that one has
	lingering  bool           // stopping, and nobody is there yet
	stopSignal syscall.Signal // why

	servedAt time.Time     // when a child was ready last
	over     chan struct{} // closed: nobody takes an event any more
}

// ErrSucceeded is that another server has taken this one's place, with all that it had.
var ErrSucceeded = errors.New("another server has taken over")

// event is what happens to a keeper.
type event struct {
	from    *process // a child that has said message, has died, or had time to be ready
	message message
	died    bool
	late    bool

	overtime bool // the children had their time to end

	accepted int   // the descriptor of a new connection, or
	missed   *held // one that has to be given again, and
	number   int   // its slot

	left     *link // who stood by, and does not any more
	turnOver bool  // who was to take over had its time
	lingered bool  // nobody has come in the time that there was for it

	successor  *link  // a server that has said message, to take this one's place
	bequeathed []byte // the text of a note of the keeper before this one
	inherited  bool   // nothing more comes from that one
}

// Run is the keeper: it starts children of this executable until the process is
// told to end by SIGTERM or SIGINT, which it passes on. It returns the last
// child's error, an *exec.ExitError, or why it could not go on; [ErrSucceeded] where
// another server has taken over, upon which it can be called again. A first child that
// ends before it was ready is the last one.
func Run(o Options) error {
	most, err := mostConnections()
	if err != nil {
		return err
	}
	k := &keeper{
		Options: o, events: make(chan event), held: map[int]*held{},
		free: make(chan int, most), own: map[string]bool{}, warned: map[string]time.Time{},
		over: make(chan struct{}),
	}
	if k.after == nil {
		k.after = time.AfterFunc
	}
	if k.State == nil {
		k.State = new(state.Memory)
	}
	for i := range most {
		k.free <- i
	}
	if k.slots, err = newSlots(); err != nil {
		return err
	}
	// A symbolic link stays one: where it leads on an upgrade counts.
	if k.path, err = exec.LookPath(o.Args[0]); err != nil { // called by a name that is none
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
	k.servedAt = time.Now()
	defer k.slots.free()
	defer k.exe.Close()
	defer close(k.over)
	return k.run(k.Signals)
}

// happens has an event taken, or drops it when the keeper is at its end. It reports
// whether it was taken.
func (k *keeper) happens(e event) bool {
	select {
	case k.events <- e:
		return true
	case <-k.over:
		return false
	}
}

func (k *keeper) run(signals <-chan os.Signal) error {
	k.askEarly(time.Now().Add(askTime))
	if err := k.start(); err != nil {
		return err
	}
	var restart <-chan time.Time
	for {
		select {
		case e := <-k.events:
			switch {
			case e.accepted != 0:
				k.accepted(e.accepted, e.number)
			case e.missed != nil:
				k.giveAgain(e.number, e.missed)
			case e.overtime:
				k.killLate()
			case e.left != nil:
				k.left(e.left)
			case e.turnOver:
				k.turnOver()
			case e.lingered:
				k.lingered()
			case e.successor != nil:
				k.asked(e.successor, e.message)
			case e.bequeathed != nil:
				k.bequeathed(e.bequeathed)
			case e.inherited:
				k.own = nil
			case e.late:
				k.overdue(e.from)
			case !e.died:
				if err := k.told(e.from, e.message); err != nil {
					return err
				}
			default:
				k.buried(e.from)
			}
		case <-restart:
			restart = nil
			if k.serving != nil { // one that was to take over has done so
				break
			}
			if err := k.start(); err != nil {
				k.Log.Error("a serving process cannot be started, trying again", "error", err)
				k.backOff()
			}
		case key := <-k.Changes:
			k.tell(key)
		case s := <-signals:
			k.signal(s)
		}
		switch {
		case k.serving != nil:
		case k.ending && k.next != nil:
		case k.ending, k.socket == nil:
			k.close()
			return k.exit
		case k.retired:
			k.close()
			if k.stopping {
				return nil
			}
			return ErrSucceeded
		case k.hopeless():
			k.close()
			return fmt.Errorf("no serving process has been ready for %v: the lines before this one say why", hopeTime)
		case restart == nil:
			restart = time.After(k.pause)
		}
	}
}

// signal does what a signal asks for.
func (k *keeper) signal(s os.Signal) {
	switch s {
	case syscall.SIGHUP:
		for _, p := range []*process{k.serving, k.next} {
			if p != nil && p.ready { // before, it would end of it, and has read nothing yet
				p.signal(s)
			}
		}
	case syscall.SIGUSR2:
		k.upgrade()
	default:
		k.stop(s.(syscall.Signal))
	}
}
