package server

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

func TestAStopLetsTheEventInHandEnd(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	s := serve(t, pluginOf(func(_ string, kong *pdk.PDK) error {
		close(arrived)
		<-finish
		return kong.Service.SetTarget("canary", 80)
	}))
	idle, busy := dial(t, s.path), dial(t, s.path)
	id := idle.start(`{"__seq__":1}`)
	result := make(chan string, 1)
	go func() {
		calls, err := busy.event(id, "access", nil)
		if err != nil {
			result <- err.Error()
			return
		}
		result <- methods(calls)
	}()
	<-arrived
	s.stop()
	idle.ended() // at once, while the event goes on
	if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := net.Dial("unix", s.path); err == nil {
		t.Error("a connection is accepted after the stop")
	}
	close(finish)
	if got := <-result; got != "service.set_target" {
		t.Errorf("the event in flight ends with %q", got)
	}
	busy.ended()
	busy.send([]byte("a call by a Kong that has not seen the end"))
	busy.ended()
	idle.hangUp()
	busy.hangUp()
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if got := s.logs.String(); got != "" {
		t.Errorf("a stop is nothing to warn of:\n%s", got)
	}
}

// Kong may send a call while the connection is being closed. It has to see the
// end of it, not a reset, to repeat the call elsewhere.
func TestACallThatComesWithTheStopSeesACleanEnd(t *testing.T) {
	s := serve(t, pluginOf(func(string, *pdk.PDK) error { return nil }))
	kong := dial(t, s.path)
	kong.start(`{"__seq__":1}`)
	s.stop()
	kong.ended()
	kong.send([]byte("a call that comes too late"))
	kong.ended()
	kong.hangUp()
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

func TestAStopCutsOffAnEventThatDoesNotEnd(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	waits := func(_ string, kong *pdk.PDK) error {
		_, err := kong.Request.GetHost()
		<-release
		return err
	}
	asks := func(_ string, kong *pdk.PDK) error {
		_, err := kong.Request.GetHost()
		return err
	}
	for name, tt := range map[string]struct {
		handler handler
		replies int
	}{
		"it waits for Kong":           {asks, 0},
		"it waits for something else": {waits, 1},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			l, err := Listen(path, Access{Mode: 0o600}, quiet)
			if err != nil {
				t.Fatal(err)
			}
			s := New(pluginOf(tt.handler), quiet)
			s.Drain = 20 * time.Millisecond
			ctx, stop := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- s.Serve(ctx, l) }()
			kong := dial(t, path)
			id := kong.start(`{"__seq__":1}`)
			kong.call(&pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{
				InstanceId: id, EventName: "access",
			}}})
			if got := kong.frame(); got != "kong.request.get_host" {
				t.Fatalf("Kong gets %q", got)
			}
			kong.frame()
			for range tt.replies {
				kong.send(nil)
			}
			stop()
			want := "events cut off that had not ended within 20ms of the stop: 1"
			if err := <-result; err == nil || err.Error() != want {
				t.Errorf("Serve returns %v, want %q", err, want)
			}
			kong.closed()
		})
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	s := serve(t, pluginOf(func(_ string, kong *pdk.PDK) error {
		if err := kong.Service.SetTarget("canary", 80); err != nil {
			return err
		}
		return kong.Ctx.SetShared("k", "v")
	}))
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			kong := dial(t, s.path)
			id := kong.start(`{"__seq__":` + string(rune('1'+worker)) + `}`)
			for range 50 {
				if calls, err := kong.event(id, "access", nil); err != nil || len(calls) != 2 {
					t.Errorf("worker %d: %v, %v", worker, calls, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// A faulty listener fails as often as it has errors, and then works.
type faulty struct {
	net.Listener
	errs chan error
}

func (f *faulty) Accept() (net.Conn, error) {
	select {
	case err := <-f.errs:
		return nil, err
	default:
		return f.Listener.Accept()
	}
}

func newFaulty(t *testing.T, errs ...error) (*faulty, string) {
	t.Helper()
	path := socketPath(t)
	l, err := Listen(path, Access{Mode: 0o600}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	f := &faulty{l, make(chan error, len(errs))}
	for _, err := range errs {
		f.errs <- err
	}
	return f, path
}

func TestAnAcceptThatFailsForAWhileIsTriedAgain(t *testing.T) {
	l, path := newFaulty(t, &net.OpError{Op: "accept", Err: syscall.EMFILE}, syscall.ECONNABORTED)
	s := serveOn(t, l, path, pluginOf(nil))
	dial(t, path).start(`{}`)
	if got := s.logs.String(); strings.Count(got, "trying again") != 2 {
		t.Errorf("the log does not have both failures:\n%s", got)
	}
}

func TestAnAcceptThatFailsForGoodEndsTheServer(t *testing.T) {
	l, path := newFaulty(t, syscall.EBADF)
	err := New(pluginOf(nil), quiet).Serve(t.Context(), l)
	if want := "accepting connections: bad file descriptor"; err == nil || err.Error() != want {
		t.Errorf("Serve returns %v, want %q", err, want)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}
