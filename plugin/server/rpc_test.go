package server

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"kong-traffic-split/kong/wire"
)

// A ledger is a plugin's view of its instances: which run, by their config.
type ledger struct {
	mu   sync.Mutex
	runs map[string]int
}

type entry struct {
	of     *ledger
	config string
}

func (e entry) Handle(_ string, _ time.Time, kong *pdk.PDK) error {
	return kong.Ctx.SetShared("config", e.config)
}
func (e entry) Close() { e.of.count(e.config, -1) }

func (l *ledger) count(config string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs[config] += n; l.runs[config] == 0 {
		delete(l.runs, config)
	}
}

func (l *ledger) check(t *testing.T, want map[string]int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if diff := cmp.Diff(want, l.runs); diff != "" {
		t.Errorf("the instances that run (-want +got):\n%s", diff)
	}
}

func (l *ledger) plugin() Plugin {
	p := pluginOf(nil)
	l.runs = map[string]int{}
	p.Start = func(config []byte) (Instance, error) {
		l.count(string(config), 1)
		return entry{l, string(config)}, nil
	}
	return p
}

func TestCommands(t *testing.T) {
	clock := newClock()
	l := &ledger{}
	plugin := l.plugin()
	plugin.Priority = 20
	s := serve(t, plugin, clock.use, fromTheFirst)
	status := func(id int32, startedAt int64) *pb.RpcReturn {
		return &pb.RpcReturn{Return: &pb.RpcReturn_InstanceStatus{InstanceStatus: &pb.InstanceStatus{
			Name: "traffic-split", InstanceId: id, StartedAt: startedAt,
		}}}
	}
	const now = 1795414975
	kong := dial(t, s.path)
	for _, tt := range []struct {
		name string
		call *pb.RpcCall
		want *pb.RpcReturn
	}{
		{
			"start_instance", &pb.RpcCall{Call: &pb.RpcCall_CmdStartInstance{CmdStartInstance: &pb.CmdStartInstance{
				Name: "traffic-split", Config: []byte(`{"__seq__":44}`),
			}}}, status(firstID, now),
		},
		{
			"get_instance_status",
			&pb.RpcCall{Call: &pb.RpcCall_CmdGetInstanceStatus{CmdGetInstanceStatus: &pb.CmdGetInstanceStatus{InstanceId: firstID}}},
			status(firstID, now),
		},
		{
			"get_instance_status, unknown",
			&pb.RpcCall{Call: &pb.RpcCall_CmdGetInstanceStatus{CmdGetInstanceStatus: &pb.CmdGetInstanceStatus{InstanceId: 1}}},
			status(1, 0),
		},
		{
			"close_instance",
			&pb.RpcCall{Call: &pb.RpcCall_CmdCloseInstance{CmdCloseInstance: &pb.CmdCloseInstance{InstanceId: firstID}}},
			status(firstID, now),
		},
		{
			"close_instance, unknown",
			&pb.RpcCall{Call: &pb.RpcCall_CmdCloseInstance{CmdCloseInstance: &pb.CmdCloseInstance{InstanceId: firstID}}},
			status(firstID, 0),
		},
		{
			"get_plugin_names", &pb.RpcCall{Call: &pb.RpcCall_CmdGetPluginNames{}},
			&pb.RpcReturn{Return: &pb.RpcReturn_PluginNames{PluginNames: &pb.PluginNames{Names: []string{"traffic-split"}}}},
		},
		{
			"get_plugin_info", &pb.RpcCall{Call: &pb.RpcCall_CmdGetPluginInfo{}},
			&pb.RpcReturn{Return: &pb.RpcReturn_PluginInfo{PluginInfo: &pb.PluginInfo{
				Name: "traffic-split", LoadedAt: s.started.Unix(), Version: "0.1", Priority: 20,
				Phases: []string{"rewrite", "access", "response", "preread", "log"},
				Schema: `{"name":"traffic-split","fields":[]}`,
			}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := kong.rpc(tt.call)
			got.Sequence = 0
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("the return (-want +got):\n%s", diff)
			}
		})
	}
	l.check(t, map[string]int{})
}

func TestTheSequenceIsReturnedWhateverItIs(t *testing.T) {
	s := serve(t, pluginOf(nil))
	kong := dial(t, s.path)
	for _, seq := range []int64{0, -1, 7, 3, 1<<63 - 1} {
		kong.seq = seq - 1
		kong.rpc(&pb.RpcCall{Call: &pb.RpcCall_CmdGetPluginNames{}})
	}
}

// fromTheFirst has the first instance get the least id.
func fromTheFirst(s *Server) { s.ids.random = func(below int32) int32 { return below - 1 } }

// Kong starts an instance again that it has forgotten, without closing it. What it has
// started that often it closes as often, as each worker does.
func TestAStartOfTheSameConfigIsTheSameInstance(t *testing.T) {
	l := &ledger{}
	s := serve(t, l.plugin())
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":3}`)
	for range 2 {
		if again := kong.start(`{"__seq__":3}`); again != id {
			t.Errorf("the instance %d is started again as %d", id, again)
		}
	}
	other := kong.start(`{"__seq__":3 }`)
	l.check(t, map[string]int{`{"__seq__":3}`: 1, `{"__seq__":3 }`: 1})
	for range 2 {
		kong.closeInstance(id)
		calls, err := kong.event(id, "access", nil)
		if err != nil || len(calls) != 1 || !strings.Contains(calls[0].Args, `{"__seq__":3}`) {
			t.Errorf("an event reaches %q, %v", calls, err)
		}
	}
	kong.closeInstance(id)
	l.check(t, map[string]int{`{"__seq__":3 }`: 1})
	if next := kong.start(`{"__seq__":3}`); next == id || next == other {
		t.Errorf("the instances %d and %d were there, and the next one is %d", id, other, next)
	}
}

func TestAnInstanceGetsAnIDOfItsOwnWhateverItsNumber(t *testing.T) {
	s := serve(t, (&ledger{}).plugin())
	kong := dial(t, s.path)
	ids := map[int32]bool{}
	for _, config := range []string{
		`{"__seq__":3}`, `{"__seq__":3,"a":2}`, `{}`, `{"__seq__":0}`, `{"__seq__":-1}`, `{"__seq__":4294967296}`, `{"__seq__":"1"}`, `[]`, ``,
	} {
		id := kong.start(config)
		if id < firstID || ids[id] {
			t.Errorf("%s gets the id %d", config, id)
		}
		ids[id] = true
		if _, err := kong.event(id, "access", nil); err != nil {
			t.Errorf("%s: an event: %v", config, err)
		}
	}
}

func TestAnInstanceIsNotLostBecauseAnotherOneCloses(t *testing.T) {
	clock := newClock()
	s := serve(t, (&ledger{}).plugin(), clock.use)
	kong := dial(t, s.path)
	old, other := kong.start(`{"__seq__":1}`), kong.start(`{"__seq__":2}`)
	clock.advance(59 * time.Minute)
	kong.closeInstance(other)
	kong.start(`{"__seq__":3}`)
	if _, err := kong.event(old, "access", nil); err != nil {
		t.Errorf("an event of the instance that stayed: %v", err)
	}
}

func TestAnInstanceUnusedForAnHourIsDropped(t *testing.T) {
	clock := newClock()
	l := &ledger{}
	s := serve(t, l.plugin(), clock.use)
	kong := dial(t, s.path)
	unusedID, used := kong.start(`{"__seq__":1}`), kong.start(`{"__seq__":2}`)
	clock.advance(time.Hour)
	if _, err := kong.event(used, "access", nil); err != nil {
		t.Fatal(err)
	}
	clock.advance(time.Nanosecond)
	l.check(t, map[string]int{`{"__seq__":1}`: 1, `{"__seq__":2}`: 1})
	s.sweep()
	l.check(t, map[string]int{`{"__seq__":2}`: 1})
	if _, err := kong.event(used, "access", nil); err != nil {
		t.Errorf("an event of the instance that was used: %v", err)
	}
	if _, err := kong.event(unusedID, "access", nil); !errors.Is(err, io.EOF) {
		t.Errorf("an event of the instance that was dropped: %v", err)
	}
}

func TestAnEventOfAnUnknownInstanceClosesTheConnectionCleanly(t *testing.T) {
	s := serve(t, (&ledger{}).plugin())
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	if calls, err := kong.event(id+1, "access", nil); !errors.Is(err, io.EOF) || len(calls) != 0 {
		t.Errorf("the event gets %v, %v, want the end of the connection", calls, err)
	}
	kong.ended()
	// As Kong goes on: a connection that is new, the instance again, the event.
	kong = dial(t, s.path)
	if _, err := kong.event(kong.start(`{"__seq__":2}`), "access", nil); err != nil {
		t.Errorf("the event, repeated: %v", err)
	}
}

func TestAPanicWhileAnInstanceClosesIsNotTheEnd(t *testing.T) {
	plugin := pluginOf(nil)
	plugin.Start = func([]byte) (Instance, error) { return panicsAtClose{"closed twice"}, nil }
	s := serve(t, plugin)
	kong := dial(t, s.path)
	kong.closeInstance(kong.start(`{"__seq__":1}`))
	if _, err := kong.event(kong.start(`{"__seq__":1}`), "access", nil); err != nil {
		t.Error(err)
	}
}

type panicsAtClose struct{ with string }

func (panicsAtClose) Handle(string, time.Time, *pdk.PDK) error { return nil }
func (p panicsAtClose) Close()                                 { panic(p.with) }

// What is not a call is the end of that connection, and of nothing else.
func TestFramesThatAreNoCalls(t *testing.T) {
	s := serve(t, (&ledger{}).plugin())
	other := dial(t, s.path)
	id := other.start(`{"__seq__":1}`)
	event := &pb.CmdHandleEvent{InstanceId: id, EventName: "access"}
	body, err := proto.Marshal(&pb.RpcCall{Sequence: 9, Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: event}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		bytes string
		log   string
	}{
		{"an empty frame", "\x00\x00\x00\x00", "RPC call 0 is none that is known"},
		{"a sequence alone", "\x02\x00\x00\x00\x08\x05", "RPC call 5 is none that is known"},
		{"a call of a later protocol", "\x05\x00\x00\x00\x08\x06\xea\x02\x00", "RPC call 6 is none that is known"},
		{"a message that ends too early", "\x02\x00\x00\x00\xa2\x02", "an RPC call of 2 bytes cannot be decoded: proto:"},
		{"a name that is not UTF-8", "\x06\x00\x00\x00\xa2\x02\x03\x12\x01\xff", "an RPC call of 6 bytes cannot be decoded: string field contains invalid UTF-8"},
		{"a frame of 4 GiB", "\xff\xff\xff\xff", "frame of 4294967295 bytes is longer than the 16777216 that are allowed"},
		{"a header that ends", "\x05\x00", "unexpected EOF"},
		{"a frame that ends", fmt.Sprintf("%c\x00\x00\x00%s", len(body), body[:len(body)-1]), "unexpected EOF"},
		{"an HTTP request", "GET / HTTP/1.1\r\n\r\n", "frame of 542393671 bytes is longer than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kong := dial(t, s.path)
			if _, err := io.WriteString(kong.sock, tt.bytes); err != nil {
				t.Fatal(err)
			}
			if err := kong.sock.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			kong.closed()
			if _, err := other.event(id, "access", nil); err != nil {
				t.Errorf("an event on another connection: %v", err)
			}
			if got := strings.ReplaceAll(s.logs.String(), "\u00a0", " "); !strings.Contains(got, tt.log) {
				t.Errorf("the log does not have %q:\n%s", tt.log, got)
			}
		})
	}
}

func TestAConnectionThatIsSlowHoldsNobodyUp(t *testing.T) {
	s := serve(t, (&ledger{}).plugin())
	slow, other := dial(t, s.path), dial(t, s.path)
	id := other.start(`{"__seq__":1}`)
	slow.seq = 1
	body, err := proto.Marshal(&pb.RpcCall{Sequence: 1, Call: &pb.RpcCall_CmdGetPluginNames{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range append([]byte{byte(len(body)), 0, 0, 0}, body...) {
		if _, err := slow.sock.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		if _, err := other.event(id, "access", nil); err != nil {
			t.Fatal(err)
		}
	}
	if ret, err := slow.returned(); err != nil || len(ret.GetPluginNames().GetNames()) != 1 {
		t.Errorf("the slow one gets %v, %v", ret, err)
	}
}

// Kong counts the instances of its two subsystems, http and stream, each from 1.
func TestTwoRowsOfOneNumberGetInstancesOfTheirOwn(t *testing.T) {
	started := pluginOf(nil)
	started.Start = func(config []byte) (Instance, error) {
		return handler(func(_ string, kong *pdk.PDK) error { return kong.Service.SetTarget(string(config), 80) }), nil
	}
	s := serve(t, started)
	kong := dial(t, s.path)
	web := `{"__seq__":3,"__plugin_id":"web"}`
	tcp := `{"__seq__":3,"__plugin_id":"tcp"}`
	for id, config := range map[int32]string{kong.start(web): web, kong.start(tcp): tcp} {
		calls, err := kong.event(id, "access", nil)
		if err != nil || len(calls) != 1 || !strings.Contains(calls[0].Args, config) {
			t.Errorf("an event of instance %d: %v, %v, want the config %s", id, calls, err, config)
		}
	}
}

// Kong repeats an event only after a clean end of the connection. One that another
// process had in flight before may have replies on their way: met by a closed socket,
// they would make it a reset.
func TestUnknownInstanceIsAnEndAndNoReset(t *testing.T) {
	s := serve(t, pluginOf(nil))
	kong := dial(t, s.path)
	event := &pb.CmdHandleEvent{InstanceId: 7, EventName: "access"}
	call, err := proto.Marshal(&pb.RpcCall{Sequence: 1, Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: event}})
	if err != nil {
		t.Fatal(err)
	}
	replies := make([]byte, 100<<10) // more than is read at once
	if _, err := kong.sock.Write(append(wire.AppendFrame(nil, call), replies...)); err != nil {
		t.Fatal(err)
	}
	if _, err := kong.r.ReadByte(); err != io.EOF {
		t.Errorf("Kong sees %v", err)
	}
}

// A log phase that comes after the reload that has closed its instance is nothing to
// start all instances again for.
func TestALogPhaseOfAnUnknownInstanceIsAnswered(t *testing.T) {
	s := serve(t, (&ledger{}).plugin())
	kong := dial(t, s.path)
	for range 2 {
		if calls, err := kong.event(7, "log", nil); err != nil || len(calls) > 0 {
			t.Errorf("calls %v, error %v", calls, err)
		}
	}
}
