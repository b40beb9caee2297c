package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// Kong would repeat such an event without end.
func TestAnInstanceThatKeepsEndingItsConnectionIsAnsweredWithAnError(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	handled := 0
	asks := pluginOf(func(_ string, kong *pdk.PDK) error {
		mu.Lock()
		handled++
		mu.Unlock()
		_, err := kong.Request.GetRawQuery()
		return err
	})
	s := serve(t, asks, func(s *Server) {
		s.now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	id := dial(t, s.path).start(`{"__seq__":1}`)
	// tooLong sends an event and replies to its read with more than is allowed.
	tooLong := func() {
		kong := dial(t, s.path)
		_, err := kong.event(id, "access", func(pdkCall) ([]byte, error) {
			_, err := kong.sock.Write(binary.LittleEndian.AppendUint32(nil, wire.MaxFrame+1))
			return nil, errors.Join(err, io.EOF)
		})
		if err == nil {
			t.Fatal("the event ends well")
		}
	}
	event := func(query string) string {
		kong := dial(t, s.path)
		calls, _ := kong.event(id, "access", func(pdkCall) ([]byte, error) {
			return proto.Marshal(&pb.String{V: query})
		})
		return methods(calls)
	}
	for range maxEnds {
		tooLong()
	}
	if err := await(func() bool { return s.instances.find(id).guard.bars(s.now()) != nil }); err != nil {
		t.Fatal(err)
	}
	if got := event("a=1"); got != "log.err response.exit" {
		t.Errorf("the event after that calls %q, and should be refused", got)
	}
	if handled != maxEnds {
		t.Errorf("%d events were handled, and %d should be", handled, maxEnds)
	}
	mu.Lock()
	now = now.Add(barredFor)
	mu.Unlock()
	for range 2 { // the first one tries, and all is well again
		if got := event("a=1"); got != "request.get_raw_query" {
			t.Errorf("after a while an event calls %q", got)
		}
	}
}

// await asks until the answer is yes.
func await(happened func() bool) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if happened() {
			return nil
		}
	}
	return errors.New("it does not come")
}

// A resumed is a connection that had earlier processes.
type resumed struct {
	fleeting
	owed, again, deaths int
	tried               chan<- struct{} // if not nil, gets each try
}

func (r resumed) Try() {
	if r.tried != nil {
		r.tried <- struct{}{}
	}
}

func (r resumed) Resumed() (owed, again, deaths int) { return r.owed, r.again, r.deaths }

// resumes is a listener whose connections have had earlier processes.
type resumes struct {
	net.Listener
	resumed
}

func (l resumes) Accept() (net.Conn, error) {
	sock, err := l.Listener.Accept()
	l.Conn = sock
	return l.resumed, err
}

func TestACallThatProcessesDieOfIsNotTriedAgain(t *testing.T) {
	for deaths, want := range map[int]string{0: "service.set_target", maxDeaths - 1: "service.set_target", maxDeaths: "log.err response.exit"} {
		s := serveResumed(t, resumed{deaths: deaths}, pluginOf(func(_ string, kong *pdk.PDK) error {
			return kong.Service.SetTarget("a", 80)
		}))
		s.instances.put(&instance{Instance: s.mustStart(), id: 1}, time.Now())
		kong := dial(t, s.path)
		if calls, _ := kong.event(1, "access", nil); methods(calls) != want {
			t.Errorf("after %d deaths the event calls %q, not %q", deaths, methods(calls), want)
		}
		if want == "service.set_target" { // the next one is nobody's death
			if calls, _ := kong.event(1, "access", nil); methods(calls) != want {
				t.Errorf("the event after it calls %q", methods(calls))
			}
		}
	}
}

// What processes have died with in flight is tried one after another, and noted to
// be, so that the death of this one is told to be of that call.
func TestCallsThatProcessesHaveDiedWithAreTriedOneAtATime(t *testing.T) {
	began, goOn := make(chan string), make(chan struct{})
	tried := make(chan struct{}, 2)
	s := serveResumed(t, resumed{deaths: 1, tried: tried}, pluginOf(func(string, *pdk.PDK) error {
		began <- fmt.Sprint(len(tried), " tried")
		<-goOn
		return nil
	}))
	s.instances.put(&instance{Instance: s.mustStart(), id: 1}, time.Now())
	var events sync.WaitGroup
	for range 2 {
		kong := dial(t, s.path)
		events.Go(func() { _, _ = kong.event(1, "access", nil) })
	}
	for _, want := range []string{"1 tried", "2 tried"} {
		if got := <-began; got != want {
			t.Errorf("%s when one begins, want %s", got, want)
		}
		goOn <- struct{}{}
	}
	events.Wait()
}

func TestAStartThatProcessesDieOfIsNotTriedAgain(t *testing.T) {
	plugin := pluginOf(func(string, *pdk.PDK) error { return nil })
	plugin.Start = func([]byte) (Instance, error) { panic("the process dies") }
	s := serveResumed(t, resumed{deaths: maxDeaths}, plugin)
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	if calls, _ := kong.event(id, "access", nil); methods(calls) != "log.err response.exit" {
		t.Errorf("an event of it calls %q", methods(calls))
	}
	if want := "10 processes have died with this call in flight"; !strings.Contains(s.logs.String(), want) {
		t.Errorf("the log does not have %q:\n%s", want, s.logs)
	}
}

// What an earlier process has asked is replied to before and after the call.
func TestRepliesToAnEarlierProcessAreDropped(t *testing.T) {
	s := serveResumed(t, resumed{owed: 2, again: 1}, pluginOf(func(_ string, kong *pdk.PDK) error {
		query, err := kong.Request.GetRawQuery()
		if err != nil {
			return err
		}
		return kong.Service.SetTarget(query, 80)
	}))
	s.instances.put(&instance{Instance: s.mustStart(), id: 1}, time.Now())
	kong := dial(t, s.path)
	kong.send([]byte("late"))
	kong.send(nil)
	kong.call(&pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{InstanceId: 1, EventName: "access"}}})
	kong.send([]byte("to the first try"))
	calls, err := kong.replies(func(c pdkCall) ([]byte, error) {
		if strings.HasSuffix(c.Method, "get_raw_query") {
			return proto.Marshal(&pb.String{V: "canary"})
		}
		return nil, nil
	})
	if err != nil || len(calls) != 2 || !strings.Contains(calls[1].Args, "canary") {
		t.Errorf("calls %v, error %v", calls, err)
	}
}

func serveResumed(t *testing.T, r resumed, plugin Plugin) *serving {
	t.Helper()
	path := socketPath(t)
	l, err := Listen(path, Access{Mode: 0o600}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, resumes{l, r}, path, plugin)
}

func (s *serving) mustStart() Instance {
	i, err := s.plugin.Start(nil)
	if err != nil {
		panic(err)
	}
	return i
}
