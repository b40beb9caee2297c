//go:build linux

package keeper

import (
	"bytes"
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
	k.askEarly()
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
	p, err := spawn(exe, k.Args, k.slots, k.happens)
	if err != nil {
		return nil, err
	}
	k.after(readyTime, func() { k.happens(event{from: p, late: true}) })
	for _, key := range k.State.Keys("") {
		p.post(message{kind: note, text: noteText(key, k.State.Get(key))})
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

// told does what a child asks for.
func (k *keeper) told(p *process, m message) error {
	switch m.kind {
	case ready:
		return k.isReady(p, m.number)
	case closed:
		if h := k.held[int(m.number)]; h != nil && h.owner == p {
			k.forget(int(m.number))
		}
	case missed:
		k.missed(p, int(m.number))
	case note:
		if p.ready {
			k.noted(p, m.text)
		} else { // it may never be, and then another one goes on from what was there before
			p.unready = append(p.unready, m.text)
		}
	}
	return nil
}

// noted takes a note of p, for the children after it.
func (k *keeper) noted(p *process, text []byte) {
	key, value, err := noteOf(text)
	if err != nil {
		k.Log.Error("the serving process has sent what it should not", "error", err)
		return
	}
	if was := k.State.Get(key); k.own != nil && ((was == nil) != (value == nil) || !bytes.Equal(was, value)) {
		k.own[key] = true
	}
	k.State.Set(key, value)
	if k.next != nil && p != k.next {
		k.next.post(message{kind: note, text: text})
	}
}

// tell tells the children what is saved under key now.
func (k *keeper) tell(key string) {
	for _, p := range []*process{k.serving, k.next} {
		if p != nil {
			p.post(message{kind: note, text: noteText(key, k.State.Get(key))})
		}
	}
}

// isReady goes on with what a child's readiness was waited for: listening, or
// the end of the child before it.
func (k *keeper) isReady(p *process, spoken uint32) error {
	if spoken != version {
		k.Log.Error("the new executable cannot take over, restart the server instead; the old one goes on",
			"its protocol", spoken, "the keeper's", version)
		p.signal(syscall.SIGKILL)
		return nil
	}
	if p.overdue { // it is being killed
		return nil
	}
	p.ready = true
	k.servedAt = time.Now()
	for _, text := range p.unready {
		k.noted(p, text)
	}
	p.unready = nil
	switch {
	case k.ending:
	case p == k.next && k.serving == nil:
		k.takeOver()
	case p == k.next:
		k.replace()
	case k.socket == nil:
		socket, err := k.Listen()
		if err != nil { // the child's end is this one's
			k.exit = err
			p.replaced = true
			k.end(syscall.SIGTERM)
			return nil
		}
		k.socket = socket
		go k.accept()
		k.inherit()
	}
	return nil
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
