package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	// answerTime is how long a server may take to answer whoever wants to know whether it
	// serves.
	answerTime = time.Second
	// lookPause is how often one that stands by looks again, where nothing tells it to.
	lookPause = 500 * time.Millisecond
	// endedPause is how long it gives one that ends its connection to leave the socket.
	endedPause = 10 * time.Millisecond
	// nagPause is how often it says that the one at work does not answer.
	nagPause = time.Minute
)

// ErrTaken is that another server has taken the socket meanwhile.
var ErrTaken = errors.New("another server has the socket")

// A Turn is a way in which the server at work lets one that stands by take over before
// it ends.
type Turn struct {
	PID  int             // of the server at work
	Now  <-chan struct{} // closed when that one is about to end
	Gone <-chan struct{} // closed when it does not tell any more
}

// A StandBy is a server that may have to wait until another one leaves the socket.
type StandBy struct {
	// Path is where the socket is, or is to be.
	Path string
	// Plugin is the name of the plugin that servers there have.
	Plugin string
	// Own is the socket at Path where this process was handed it; see [Activated].
	Own net.Listener
	// Register asks the server at work for a turn. Nil: there is no way to.
	Register func() (*Turn, error)
	// Waiting is called each time that Wait has looked and goes on to wait, about once each
	// half a second, with the process id of the server that has the socket, 0 where that is
	// not known, and why it cannot be said to serve. May be nil.
	Waiting func(pid int, problem error)
	Log     *slog.Logger

	turn *Turn
	// dead: there was a server that can be asked for a turn, and it has ended
	dead bool
}

// An occupant is who has a socket.
type occupant struct {
	pid     int      // 0: not known
	problem error    // why it cannot be said to serve; nil: it answers
	sock    net.Conn // a connection to it, that ends when it does; nil: there is none
}

// Wait returns when nobody has the socket any more, or when the server that has it lets
// this one take over. A server is there when it answers as it would answer Kong. One
// that has the socket and does not answer is waited for as well, and said so: it may
// only be busy. When ctx is done, Wait returns its error.
func (s *StandBy) Wait(ctx context.Context) error {
	var said string
	var nagged time.Time
	for {
		at := s.look(ctx)
		if at == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		pid := at.pid
		if s.turn != nil {
			pid = s.turn.PID
		}
		switch text := fmt.Sprint(pid, at.problem != nil); {
		case at.problem == nil && said != text:
			said = text
			s.Log.Warn("another server answers on the socket: this one stands by, and takes over as soon as that one ends; with -takeover it takes over at once",
				"pid", pid, "socket", s.Path)
		case at.problem != nil && (said != text || time.Since(nagged) > nagPause):
			said, nagged = text, time.Now()
			s.Log.Error("another server has the socket, and does not answer: this one stands by; stop that one, or start this one with -takeover",
				"pid", pid, "socket", s.Path, "error", at.problem)
		}
		if s.Waiting != nil {
			s.Waiting(pid, at.problem)
		}
		if s.await(ctx, at) {
			return nil
		}
	}
}

// HasTurn reports whether Wait has returned because the server at work lets this one take
// over, and still has the socket.
func (s *StandBy) HasTurn() bool {
	if s.turn == nil {
		return false
	}
	select {
	case <-s.turn.Now:
		return true
	default:
		return false
	}
}

// await waits until it is time to look again, or, which it reports, to take over.
func (s *StandBy) await(ctx context.Context, at *occupant) bool {
	var now, gone <-chan struct{}
	if s.turn != nil {
		now, gone = s.turn.Now, s.turn.Gone
	}
	var ended chan struct{}
	if at.sock != nil {
		ended = make(chan struct{})
		defer at.sock.Close()
		_ = at.sock.SetDeadline(time.Time{})
		go func() {
			defer close(ended)
			_, _ = at.sock.Read(make([]byte, 1))
			time.Sleep(endedPause)
		}()
	}
	again := time.NewTimer(lookPause)
	defer again.Stop()
	select {
	case <-now:
		s.Log.Info("the server at work is about to end, and this one takes over", "pid", s.turn.PID)
		return true
	case <-gone:
		s.turn = nil
	case <-ended:
	case <-again.C:
	case <-ctx.Done():
	}
	return false
}

// look finds out who has the socket; nil: nobody has.
func (s *StandBy) look(ctx context.Context) *occupant {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var dialer net.Dialer
	sock, err := dialer.DialContext(ctx, "unix", s.Path)
	if err != nil {
		if isFree(err) {
			return nil
		}
		return &occupant{problem: err}
	}
	s.register()
	pid, own := peerPID(sock), s.owns(sock)
	if own && s.Register != nil && s.turn == nil { // what was reached is this server's own backlog
		_ = sock.Close()
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = sock.SetDeadline(time.Now()) })
	names, err := pluginNames(ctx, sock)
	stop()
	if err == nil && !slices.Equal(names, []string{s.Plugin}) {
		err = fmt.Errorf("a server of %s answers", printable(fmt.Sprintf("%q", names)))
	}
	switch {
	case err == nil:
		return &occupant{pid: pid, sock: sock}
	case own && s.turn == nil, s.dead: // systemd holds the socket, and nobody serves
		_ = sock.Close()
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("no answer within %v", answerTime)
	}
	_ = sock.Close()
	return &occupant{pid: pid, problem: err}
}

// isFree reports whether nobody is there, by the error of a connect.
func isFree(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EINVAL)
}

// register asks for a turn where there is none yet.
func (s *StandBy) register() {
	if s.Register == nil || s.turn != nil {
		return
	}
	var err error // without a turn it is seen all the same when that one ends
	s.turn, err = s.Register()
	s.dead = errors.Is(err, syscall.ECONNREFUSED)
}

// owns reports whether sock leads to the socket that this process was handed: both have
// been opened by the same process.
func (s *StandBy) owns(sock net.Conn) bool {
	if s.Own == nil {
		return false
	}
	own, ok := s.Own.(syscall.Conn)
	return ok && peerPID(own) == peerPID(sock)
}

// duplicate returns another listener on the same socket, so that this one can be used again after
// that one is closed.
func duplicate(own net.Listener) (net.Listener, error) {
	file, err := own.(*net.UnixListener).File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return net.FileListener(file)
}

// Listen opens the socket, or takes the one that was handed over where that is still the
// one at its path. Where takeOver is false and another server has taken the socket since
// Wait, it returns [ErrTaken].
func (s *StandBy) Listen(ctx context.Context, access Access, takeOver bool) (net.Listener, error) {
	unlock := lockFolder(s.Path)
	defer unlock()
	if !takeOver {
		if at := (&StandBy{Path: s.Path, Plugin: s.Plugin, Own: s.Own}).look(ctx); at != nil && at.sock != nil {
			_ = at.sock.Close()
			return nil, ErrTaken
		}
	}
	if s.Own == nil {
		return Listen(s.Path, access, s.Log)
	}
	if sock, err := net.DialTimeout("unix", s.Path, dialTime); err == nil {
		defer sock.Close()
		if s.owns(sock) {
			return duplicate(s.Own)
		}
	}
	s.Log.Warn("the socket that systemd has handed over is not at its path any more, where another server was: this one opens its own there; restart the socket unit when it suits",
		"socket", s.Path)
	return Listen(s.Path, access, s.Log)
}

// lockTime is how long the lock of a folder is waited for, which is held for moments: then
// whoever has it hangs, and it is done without.
const lockTime = 3 * time.Second

// lockFolder lets one process at a time open a socket in the folder of path, and returns
// how to end that. A folder that cannot be read is not locked.
func lockFolder(path string) (unlock func()) {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return func() {}
	}
	for end := time.Now().Add(lockTime); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if !errors.Is(syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
			break
		}
	}
	return func() { _ = folder.Close() }
}
