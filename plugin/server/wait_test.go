package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// An inMemory server is one in a bubble of time: its connections are pipes.
type inMemory struct {
	*Server
	t    *testing.T
	logs *logs
}

// inBubble runs test with a server of plugin in a bubble of time.
func inBubble(t *testing.T, plugin Plugin, test func(t *testing.T, s *inMemory)) {
	synctest.Test(t, func(t *testing.T) {
		logs := &logs{}
		s := &inMemory{New(plugin, slog.New(slog.NewTextHandler(logs, nil))), t, logs}
		ctx, stop := context.WithCancel(t.Context())
		s.done.Go(func() { every(ctx, watchPause, s.endStalled) })
		test(t, s)
		stop()
		s.cutOff()
		s.done.Wait()
	})
}

// heard is a connection from which something was read.
type heard struct{ fleeting }

func (heard) Heard() bool { return true }

// A pipe is Kong's side of a connection. Nothing is buffered on it.
type pipe struct {
	net.Conn
	t *testing.T
}

func (s *inMemory) dial() pipe {
	return s.dialFrom(func(sock net.Conn) journal { return fleeting{sock} })
}

// dialFrom returns a connection that is the server's as what is made of it.
func (s *inMemory) dialFrom(made func(net.Conn) journal) pipe {
	ours, theirs := net.Pipe()
	s.serve(newConn(s.Server, made(theirs)))
	s.t.Cleanup(func() { _ = ours.Close() })
	return pipe{ours, s.t}
}

func callOf(t testing.TB, call *pb.RpcCall) []byte {
	t.Helper()
	body, err := proto.Marshal(call)
	if err != nil {
		t.Fatal(err)
	}
	return wire.AppendFrame(nil, body)
}

func eventOf(t testing.TB, id int32, phase string) []byte {
	t.Helper()
	return callOf(t, &pb.RpcCall{Sequence: 1, Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{
		InstanceId: id, EventName: phase,
	}}})
}

// sends writes, and reads so many frames then.
func (p pipe) sends(text []byte, frames int) {
	p.t.Helper()
	if _, err := p.Write(text); err != nil {
		p.t.Fatal(err)
	}
	for range frames {
		if _, err := wire.ReadFrame(p, nil); err != nil {
			p.t.Fatal(err)
		}
	}
}

// Whoever keeps the server waiting in the middle of something is ended after a while;
// who is idle between two calls never is, as Kong's pool keeps connections.
func TestWhoKeepsTheServerWaitingIsEnded(t *testing.T) {
	plugin := pluginOf(func(phase string, kong *pdk.PDK) error {
		if phase == "rewrite" {
			_, err := kong.Request.GetHost()
			return err
		}
		if phase == "response" {
			_, err := kong.Request.GetRawBody()
			return err
		}
		return kong.Service.SetTarget("a", 80)
	})
	call := callOf(t, &pb.RpcCall{Sequence: 1, Call: &pb.RpcCall_CmdGetPluginNames{}})
	for _, tt := range []struct {
		name  string
		limit time.Duration
		does  func(kong pipe, id int32)
	}{
		{"nothing", frameTime, func(pipe, int32) {}},
		{"a byte", frameTime, func(kong pipe, _ int32) { kong.sends(call[:1], 0) }},
		{"a length", frameTime, func(kong pipe, _ int32) { kong.sends(call[:4], 0) }},
		{"half a call", frameTime, func(kong pipe, _ int32) { kong.sends(call[:5], 0) }},
		{"half a call after a whole one", frameTime, func(kong pipe, _ int32) {
			kong.sends(call, 1)
			kong.sends(call[:5], 0)
		}},
		{"a byte now and then", frameTime, func(kong pipe, _ int32) {
			for _, b := range call[:3] {
				kong.sends([]byte{b}, 0)
				time.Sleep(frameTime / 4)
			}
		}},
		{"no reply", stallTime, func(kong pipe, id int32) { kong.sends(eventOf(t, id, "rewrite"), 2) }},
		{"a client that sends its body slowly", bodyTime, func(kong pipe, id int32) { kong.sends(eventOf(t, id, "response"), 2) }},
		{"half a reply", stallTime, func(kong pipe, id int32) {
			kong.sends(eventOf(t, id, "rewrite"), 2)
			kong.sends([]byte{9, 0, 0, 0, 'x'}, 0)
		}},
		{"no reply that the server waits for between two calls only", stallTime, func(kong pipe, id int32) {
			kong.sends(eventOf(t, id, "access"), 4)
		}},
		{"an answer that is not read", stallTime, func(kong pipe, _ int32) { kong.sends(call, 0) }},
		{"calls that are not read", stallTime, func(kong pipe, id int32) { kong.sends(eventOf(t, id, "rewrite"), 1) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, plugin, func(t *testing.T, s *inMemory) {
				began := time.Now()
				id := s.start(startOf(`{}`), 0).id
				idle, kong := s.dial(), s.dial()
				// Of an earlier process, which has read something.
				silent := s.dialFrom(func(sock net.Conn) journal { return heard{fleeting{sock}} })
				idle.sends(call, 1)
				tt.does(kong, id)
				open := func() int {
					synctest.Wait()
					s.mu.Lock()
					defer s.mu.Unlock()
					return len(s.conns)
				}
				time.Sleep(time.Until(began.Add(tt.limit - time.Nanosecond)))
				if n := open(); n != 3 {
					t.Errorf("%d connections are there, and none should be ended yet", n)
				}
				time.Sleep(watchPause + time.Nanosecond)
				if n := open(); n != 2 {
					t.Errorf("%d connections are there, and the one that waits should be ended", n)
				}
				if _, err := kong.Write(call); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("writing to it: %v", err)
				}
				want := fmt.Sprintf("%v, for %v", errStalled, tt.limit)
				if !strings.Contains(s.logs.String(), want) {
					t.Errorf("the log does not have %q:\n%s", want, s.logs)
				}
				time.Sleep(24 * time.Hour)
				idle.sends(call, 1)
				silent.sends(call, 1)
			})
		})
	}
}

// A body that an earlier process has asked for may take as long as one that this one does.
func TestABodyThatAnEarlierProcessHasAskedFor(t *testing.T) {
	plugin := pluginOf(func(_ string, kong *pdk.PDK) error {
		_, err := kong.Request.GetHost()
		return err
	})
	inBubble(t, plugin, func(t *testing.T, s *inMemory) {
		kong := s.dialFrom(func(sock net.Conn) journal { return resumed{fleeting: fleeting{sock}, again: 1} })
		kong.sends(eventOf(t, s.start(startOf(`{}`), 0).id, "access"), 2)
		time.Sleep(bodyTime - watchPause)
		kong.sends(wire.AppendFrame(nil, []byte("the body")), 0)
		kong.sends(wire.AppendFrame(nil, nil), 2) // the host; then the event ends
	})
}

// A worker that hangs with many events of an instance in flight says nothing of the
// instance: those of others are handled as before.
func TestAWorkerThatHangsIsNoFaultOfTheInstance(t *testing.T) {
	plugin := pluginOf(func(_ string, kong *pdk.PDK) error {
		_, err := kong.Request.GetHost()
		return err
	})
	inBubble(t, plugin, func(t *testing.T, s *inMemory) {
		id := s.start(startOf(`{}`), 0).id
		for range 2 * maxEnds {
			s.dial().sends(eventOf(t, id, "access"), 2)
		}
		time.Sleep(stallTime + 2*watchPause)
		synctest.Wait()
		if len(s.conns) > 0 {
			t.Errorf("%d connections are there, and all should be ended", len(s.conns))
		}
		other := s.dial()
		other.sends(eventOf(t, id, "access"), 0)
		if method, err := wire.ReadFrame(other, nil); string(method) != "kong.request.get_host" {
			t.Errorf("the event of another worker calls %q, %v", method, err)
		}
	})
}

// leaving is a listener with one connection, that of a process with which another one goes on.
type leaving struct {
	net.Listener
	first chan net.Conn
	leave chan struct{}
}

func (l leaving) Accept() (net.Conn, error) {
	select {
	case c := <-l.first:
		return c, nil
	case <-l.leave:
		return nil, goesOn{}
	}
}

func (leaving) Close() error { return nil }

// goesOn is the error of a listener where another process goes on.
type goesOn struct{}

func (goesOn) Error() string  { return "another process goes on" }
func (goesOn) HandOver() bool { return true }

// A process with which another one goes on waits for its events, as all others wait for it,
// but for none whose client may take its time.
func TestNoBodyIsWaitedForWhereAnotherProcessGoesOn(t *testing.T) {
	plugin := pluginOf(func(phase string, kong *pdk.PDK) error {
		if phase == "rewrite" {
			_, err := kong.Request.GetHost()
			return err
		}
		_, err := kong.Request.GetRawBody()
		return err
	})
	for phase, waits := range map[string]bool{"rewrite": true, "response": false} {
		t.Run(phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(plugin, slog.New(slog.DiscardHandler))
				ours, theirs := net.Pipe()
				l := leaving{first: make(chan net.Conn, 1), leave: make(chan struct{})}
				l.first <- theirs
				served := make(chan error, 1)
				go func() { served <- s.Serve(t.Context(), l) }()
				pipe{ours, t}.sends(eventOf(t, s.start(startOf(`{}`), 0).id, phase), 2)
				close(l.leave)
				time.Sleep(2 * endPause)
				synctest.Wait()
				select {
				case err := <-served:
					if waits || err != nil {
						t.Errorf("Serve returns with an event in flight: %v", err)
					}
				default:
					if !waits {
						t.Error("it waits for the body")
					}
				}
				_ = ours.Close()
				s.done.Wait()
			})
		})
	}
}
