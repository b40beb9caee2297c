// Package server is the plugin server: it owns the socket, the frames, the
// instances and their life cycle, the dump, and the connection under go-pdk. It
// takes the place of go-pdk's own server package and knows a plugin only by
// the types Plugin and Instance.
//
// What Kong is promised: a request is always answered. A config that cannot be
// used, an error or a panic in a handler is that request's response, and never
// the end of the connection, which Kong would answer with the same event again,
// without end, nor the end of the process.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	pdk "github.com/Kong/go-pdk"

	"kong-traffic-split/plugin/state"
)

// A Plugin is what the server runs.
type Plugin struct {
	// Name is the plugin's name, as Kong's `plugins` and a plugin row have it.
	Name string
	// Version is the plugin's version, for people.
	Version string
	// Priority is the plugin's place among Kong's plugins; higher is earlier.
	Priority int
	// Phases are the phases that Kong shall call the plugin in, by Kong's
	// names. An event of any other phase is answered without a call of Handle.
	Phases []string
	// Schema is the plugin's schema in Kong's form: {"name":…,"fields":[…]}.
	Schema json.RawMessage
	// Start makes an instance from a plugin row's config, the JSON that Kong
	// sends. The bytes belong to the instance. An error is kept: each request
	// on that instance is answered with 500, and the reason is logged. It may
	// be called by several goroutines at once.
	Start func(config []byte) (Instance, error)
}

// An Instance is a Plugin with the config of one plugin row.
type Instance interface {
	// Handle runs one phase of one request, which came at now. Several goroutines call it at
	// once, each with a kong of its own, even while and after Close runs. kong
	// is for that goroutine alone, until Handle returns.
	//
	// An error ends the request. Where it, or an error that it wraps, has the
	// methods `Status() int` and `Message() string`, these are the response's
	// status and message; otherwise it is 500 and a general message. The
	// reason, Error(), goes to Kong's error log, once a minute at most for the
	// same one of the same row. In a phase that can no longer answer (log, certificate) the
	// reason is logged, and that is all. A panic is an error like any other.
	Handle(phase string, now time.Time, kong *pdk.PDK) error
	// Close is called at most once, when Kong or the server is done with the instance.
	// It is not when Serve ends.
	Close()
}

// A Row is an Instance that knows whose it is.
type Row interface {
	// PluginID returns the id of the plugin row, the same for all of Kong's workers; empty:
	// it is not known. It is asked once, after Start. What is logged of an instance has it,
	// and counts as one for all instances of a row.
	PluginID() string
}

// A Reader is an Instance that says beforehand what its handler is going to ask
// Kong for.
type Reader interface {
	// Reads lists calls that are sent to Kong together before Handle runs, and
	// whose replies answer the same calls of the handler. Each list of later is sent
	// together as soon as the handler makes one of its calls. It is asked before
	// each event, which came at now, by several goroutines at once; the server changes nothing of
	// what it returns. A call that is not listed costs a round trip of its own.
	Reads(phase string, now time.Time) (first []Call, later [][]Call)
}

// A Call is a call of Kong's PDK. It is an alias so that a plugin can be a Reader and, as
// with Instance, not know this package.
type Call = struct {
	Method string // such as kong.request.get_header
	Args   []byte // encoded, as go-pdk encodes the same call's
}

// DefaultDrain is how long Serve waits, once it is to stop, for the events in
// flight: with the pauses between the ends of connections, at most 1 s, and the cut, at
// most 1 s, less than the 10 s after which Docker kills.
const DefaultDrain = 7 * time.Second

const (
	// endPause is between the ends of two connections. Kong repeats an event whose
	// connection has ended, on another one: which must not be just ending as well.
	endPause = 10 * time.Millisecond
	// endTime is how long the pauses may take in sum.
	endTime = time.Second
	// linger is how long a connection that was half-closed may take to be closed by
	// Kong, which does so as soon as it sees it. What a worker that is held up sends
	// later than that is lost.
	linger = 3 * time.Second
	// cutTime is how long handlers may take to see that their connection was cut off.
	cutTime = time.Second
	// acceptPause is the wait after an Accept that failed for a reason that
	// passes, such as too many open files.
	acceptPause = 50 * time.Millisecond
)

// A Server answers Kong's calls for one plugin, with any number of connections.
type Server struct {
	// Drain is how long Serve waits for the events in flight when it is to stop.
	// New sets DefaultDrain. Not to be changed once Serve runs.
	Drain time.Duration
	// State is where instances are saved, so that a process that takes over knows
	// them. New sets one that ends with this process. Not to be changed once Serve
	// runs.
	State state.Store

	plugin    Plugin
	log       *slog.Logger
	now       func() time.Time
	started   time.Time
	ticks     atomic.Int64 // of watchPause that it has been there
	instances instances
	ids       ids
	changing  locks // held while a saved instance is started again or goes
	turns     turns
	trials    trials
	reasons   limiter // of failed events
	ends      limiter // of connections, and of what keeps others from being accepted

	mu    sync.Mutex
	conns map[*conn]struct{}
	done  sync.WaitGroup // one for each connection, for reviveAll, and for what is done often
}

// New returns a server of plugin, which logs to log what is the server's own
// and what cannot be said to Kong.
func New(plugin Plugin, log *slog.Logger) *Server {
	return &Server{
		Drain:   DefaultDrain,
		State:   new(state.Memory),
		plugin:  plugin,
		log:     log,
		now:     time.Now,
		started: time.Now(),
		turns:   make(turns, 1),
		conns:   map[*conn]struct{}{},
	}
}

// Serve answers the connections of l until ctx is done, and is called once.
//
// It then closes l, lets the events in flight end, and half-closes each connection so
// that Kong drops it from its pool. The instances stay as they are, and what is
// saved of them: they may be another process's now. It returns nil, or an error that
// says how many events had to be cut off after Drain. It returns early, with the
// error, when l fails for good.
//
// Where Accept fails with an error that has a method HandOver() bool which
// returns true, another process goes on: then the connections are left as they
// are, and Serve returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	serving, served := context.WithCancel(ctx)
	s.done.Go(func() { s.reviveAll(serving) })
	s.done.Go(func() { every(serving, sweepPause, s.sweep) })
	s.done.Go(func() { every(serving, watchPause, s.endStalled) })
	err := s.accept(ctx, l)
	served()
	var next interface {
		error
		HandOver() bool
	}
	handOver := errors.As(err, &next) && next.HandOver()
	if handOver {
		err = nil
	}
	if stop() && !handOver {
		_ = l.Close()
	}
	return errors.Join(err, s.drain(handOver))
}

// accept serves each connection of l on a goroutine of its own, until ctx is
// done or l fails.
func (s *Server) accept(ctx context.Context, l net.Listener) error {
	for {
		sock, err := l.Accept()
		switch {
		case err == nil:
			s.serve(newConn(s, journalOf(sock)))
		case ctx.Err() != nil:
			return nil
		case isTemporary(err):
			if ok, _ := s.ends.allow(err.Error(), s.now()); ok {
				s.log.Error("a connection cannot be accepted, trying again", "error", err)
			}
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
		default:
			return fmt.Errorf("accepting connections: %w", err)
		}
	}
}

// isTemporary reports whether an Accept that failed with err may succeed later.
func isTemporary(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// serve starts the goroutine that answers c.
func (s *Server) serve(c *conn) {
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.done.Go(func() {
		defer func() {
			_ = c.sock.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		}()
		s.converse(c)
	})
}

// drain ends all connections: those between two events at once, the others
// after their event, and those that are left after s.Drain by force.
func (s *Server) drain(handOver bool) error {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for i, c := range conns {
		if i > 0 && !handOver {
			time.Sleep(min(endPause, endTime/time.Duration(len(conns))))
		}
		c.drain(handOver)
	}

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.done.Wait()
	}()
	if s.awaitEnd(ended, handOver) {
		return nil
	}
	busy := s.cutOff()
	select {
	case <-ended:
	case <-time.After(min(cutTime, s.Drain)): // a handler waits for something else than Kong
	}
	if busy == 0 {
		return nil
	}
	return fmt.Errorf("events cut off that had not ended within %v of the stop: %d", s.Drain, busy)
}

// awaitEnd waits for the end of the connections, for s.Drain at most, and reports whether it has
// come. Where another process goes on, it does so too with events that wait for the body of a
// client; to wait for that would keep it from all others.
func (s *Server) awaitEnd(ended <-chan struct{}, handOver bool) bool {
	var looks <-chan time.Time
	if handOver {
		ticks := time.NewTicker(endPause)
		defer ticks.Stop()
		looks = ticks.C
	}
	for late := time.After(s.Drain); ; {
		select {
		case <-ended:
			return true
		case <-looks:
			if s.onlyBodies() {
				return true
			}
		case <-late:
			return false
		}
	}
}

// cutOff closes all connections, and returns how many of them had an event in flight.
func (s *Server) cutOff() (busy int) {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		if c.busy() {
			busy++
		}
		_ = c.sock.Close()
	}
	return busy
}
