package keeper

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"kong-traffic-split/plugin/state"
)

// Options configure a keeper.
type Options struct {
	// Args are the command line of the children, the same as the keeper's own.
	Args []string
	// Listen opens the socket. It is called once, when the first child is ready.
	Listen func() (net.Listener, error)
	// Succession is the path of a socket on which a server that takes over from this one
	// asks for connections and saved state. Empty: there is no such socket.
	Succession string
	// ListenSuccession opens that socket, for this user alone, in the place of the one that
	// is there. It is called once, after Listen. Nil where there is none.
	ListenSuccession func() (net.Listener, error)
	// Early are the keys of saved values that the first child needs before it is ready;
	// they come from the server that is taken over from, if there is one.
	Early []string
	// State has what the children save; its methods must not block. Nil: it ends with this
	// process.
	State state.Store
	// Changes are keys of State whose values something else than a child has changed;
	// the children get the new values. Nil: there are none.
	Changes <-chan string
	// Retired is called when another server has taken over, which saves the state from
	// then on. It must not block. May be nil.
	Retired func()
	// Linger is how long a keeper that is told to end goes on where no other server stands
	// by yet: one may be started a moment later. It ends as soon as that one has taken
	// over, or when it is told to end again.
	Linger time.Duration
	// Probe asks the process at the other end of a connection whether it serves, as Kong
	// would ask it something, and waits for the answer or the connection's end. Nil: a child
	// that hangs is not noticed.
	Probe func(net.Conn) error
	// HangTime is how long a child that serves may leave that unanswered until it is killed.
	// Kong waits for an answer for a minute. 0: for ever.
	HangTime time.Duration
	// Serving is called whenever another child, of the process pid, serves on the socket;
	// and with 0 when one that was to go on has died, until the next one serves. Stopping is
	// called when the keeper is told to end, and Living once each second, as long as the
	// keeper itself works. They must not block, and may be nil.
	Serving  func(pid int)
	Stopping func()
	Living   func()
	// Signals are those that the process gets: SIGTERM, SIGINT, SIGHUP and SIGUSR2. Nil:
	// Run has them caught.
	Signals <-chan os.Signal
	Log     *slog.Logger

	afterFunc func(time.Duration, func()) *time.Timer // nil: time.AfterFunc
	asked     func()                                  // called when a question is done with; nil: nobody wants to know
}

var (
	// ErrSucceeded is that another server has taken over.
	ErrSucceeded = errors.New("another server has taken over")
	// ErrUntrusted is that a process of another user listens where a keeper would.
	ErrUntrusted = errors.New("is not trusted")
)

// A StandBy is the place of a process that waits to take over from the keeper at work.
type StandBy struct {
	// PID is the keeper's.
	PID int
	// Turn is closed when the keeper is about to end, and this process is to take over
	// before it does.
	Turn <-chan struct{}
	// Gone is closed when nothing more comes from that keeper.
	Gone <-chan struct{}

	sock io.Closer
}

// Close gives the place up.
func (s *StandBy) Close() error { return s.sock.Close() }
