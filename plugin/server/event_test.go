package server

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/kong/wire"
)

// refused is an error with a response of its own.
type refused struct{}

func (*refused) Error() string   { return "backends[1]: no such Upstream: \"b\x00\nlue\xff\"" }
func (*refused) Status() int     { return 503 }
func (*refused) Message() string { return "no backend <available>" }

// odd is an error whose response Kong would not take.
type odd struct{}

func (odd) Error() string   { return "odd" }
func (odd) Status() int     { return 99 }
func (odd) Message() string { return "" }

// teapot is an error whose response Kong takes on an HTTP route only.
type teapot struct{ odd }

func (teapot) Status() int { return 418 }

// panics is a message that cannot even be looked at.
type panics struct{ proto.Message }

func (panics) ProtoReflect() protoreflect.Message { panic("no message") }

// listOf is the argument of kong.log.err for a line.
func listOf(line string) proto.Message {
	return &structpb.ListValue{Values: []*structpb.Value{structpb.NewStringValue(line)}}
}

// answer is what Kong learns of an event that fails.
type answer struct {
	Logged string // the argument of kong.log.err
	Status int32
	Body   string
	Type   string // the response's Content-Type
}

func answerOf(t *testing.T, calls []pdkCall) (a answer) {
	t.Helper()
	for _, call := range calls {
		switch call.Method {
		case "kong.log.err":
			var list structpb.ListValue
			if err := proto.Unmarshal([]byte(call.Args), &list); err != nil {
				t.Fatal(err)
			}
			a.Logged = list.Values[0].GetStringValue()
		case wire.Exit:
			var exit pb.ExitArgs
			if err := proto.Unmarshal([]byte(call.Args), &exit); err != nil {
				t.Fatal(err)
			}
			a.Status, a.Body = exit.Status, string(exit.Body)
			a.Type = exit.Headers.GetFields()["Content-Type"].GetListValue().GetValues()[0].GetStringValue()
		default:
			t.Errorf("unexpected call of %s", call.Method)
		}
	}
	return a
}

func TestAFailureIsLoggedAndAnswered(t *testing.T) {
	const (
		general  = `{"message":"An unexpected error occurred"}`
		jsonType = "application/json; charset=utf-8"
	)
	tests := []struct {
		name  string
		phase string
		fail  handler
		want  answer
	}{
		{
			"an error", "access",
			func(string, *pdk.PDK) error { return errors.New("all weights are zero") },
			answer{"[traffic-split] all weights are zero", 500, general, jsonType},
		}, {
			"an error with a response of its own, and bytes that a log cannot take", "access",
			func(string, *pdk.PDK) error { return fmt.Errorf("split: %w", &refused{}) },
			answer{"[traffic-split] split: backends[1]: no such Upstream: \"b  lue\uFFFD\"", 503, `{"message":"no backend <available>"}`, jsonType},
		}, {
			"a response that is none", "access",
			func(string, *pdk.PDK) error { return odd{} },
			answer{"[traffic-split] odd", 500, general, jsonType},
		}, {
			"a status that Kong does not take on a TCP route", "preread",
			func(string, *pdk.PDK) error { return teapot{} },
			answer{"[traffic-split] odd", 500, general, jsonType},
		}, {
			"the same status on an HTTP route", "rewrite",
			func(string, *pdk.PDK) error { return teapot{} },
			answer{"[traffic-split] odd", 418, general, jsonType},
		}, {
			"a phase that cannot answer", "log",
			func(string, *pdk.PDK) error { return errors.New("too late") },
			answer{Logged: "[traffic-split] too late"},
		}, {
			"a panic", "access",
			func(string, *pdk.PDK) error { panic("index out of range") },
			answer{"[traffic-split] panic in access: index out of range", 500, general, jsonType},
		}, {
			"a panic of a nil pointer", "response",
			func(string, *pdk.PDK) error { var kong *pdk.PDK; return kong.Log.Err("never") },
			answer{"[traffic-split] panic in response: runtime error: invalid memory address or nil pointer dereference", 500, general, jsonType},
		}, {
			"a panic while arguments are encoded", "access",
			func(_ string, kong *pdk.PDK) error { return kong.Service.Ask("kong.ctx.shared.set", panics{}, nil) },
			answer{"[traffic-split] panic in access: no message", 500, general, jsonType},
		}, {
			"a panic while a reply is decoded", "access",
			func(_ string, kong *pdk.PDK) error { return kong.Log.Ask("kong.log.err", listOf("before"), panics{}) },
			answer{"[traffic-split] panic in access: no message", 500, general, jsonType},
		}, {
			"a panic in the error itself", "access",
			func(string, *pdk.PDK) error { var err *net.OpError; return err },
			answer{"[traffic-split] panic in access: runtime error: invalid memory address or nil pointer dereference", 500, general, jsonType},
		}, {
			"a reason of any length", "access",
			func(string, *pdk.PDK) error { return errors.New(strings.Repeat("x", 1<<20)) },
			answer{"[traffic-split] " + strings.Repeat("x", maxReason) + "…", 500, general, jsonType},
		}, {
			"a call that cannot be encoded before it", "access",
			func(_ string, kong *pdk.PDK) error { return kong.Service.SetTarget("\xff", 80) },
			answer{"[traffic-split] string field contains invalid UTF-8", 500, general, jsonType},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, pluginOf(tt.fail))
			kong := dial(t, s.path)
			calls, err := kong.event(kong.start(`{"__seq__":1}`), tt.phase, nil)
			if want := map[bool]error{true: errDrop}[tt.want.Status != 0]; !errors.Is(err, want) {
				t.Errorf("the event ends with %v, want %v", err, want)
			}
			if diff := cmp.Diff(tt.want, answerOf(t, calls)); diff != "" {
				t.Errorf("what Kong learns (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPanicLeavesTheOthersAlone(t *testing.T) {
	s := serve(t, pluginOf(func(phase string, _ *pdk.PDK) error {
		if phase == "access" {
			panic("no")
		}
		return nil
	}))
	other := dial(t, s.path)
	id := other.start(`{"__seq__":1}`)
	if _, err := dial(t, s.path).event(id, "access", nil); !errors.Is(err, errDrop) {
		t.Fatal(err)
	}
	if _, err := other.event(id, "log", nil); err != nil {
		t.Errorf("an event on another connection: %v", err)
	}
	if got := s.logs.String(); !strings.Contains(got, "panic in access: no") || !strings.Contains(got, "event_test.go") {
		t.Errorf("the server's own log has no stack of the panic:\n%s", got)
	}
}

func TestTheSameReasonOfARowIsLoggedOnceAMinute(t *testing.T) {
	clock := newClock()
	s := serve(t, pluginOf(func(string, *pdk.PDK) error { return errors.New("down") }), clock.use)
	const logged, silent = "log.err response.exit", "response.exit"
	one := dial(t, s.path).start(`{"__seq__":1,"__plugin_id":"a"}`)
	otherWorker := dial(t, s.path).start(`{"__seq__":2,"__plugin_id":"a"}`)
	otherRow := dial(t, s.path).start(`{"__seq__":3,"__plugin_id":"b"}`)
	for _, tt := range []struct {
		after    time.Duration
		instance int32
		want     string
	}{
		{0, one, logged},
		{0, otherWorker, silent},
		{0, otherRow, logged},
		{59 * time.Second, one, silent},
		{time.Second, one, logged},
		{0, one, silent},
		{0, otherRow, logged},
	} {
		clock.advance(tt.after)
		calls, _ := dial(t, s.path).event(tt.instance, "access", nil)
		if got := methods(calls); got != tt.want {
			t.Errorf("%v later the calls on instance %d are %q, want %q", tt.after, tt.instance, got, tt.want)
		}
	}
}

func TestAConfigThatCannotBeUsedIsAnswered(t *testing.T) {
	plugin := pluginOf(nil)
	plugin.Start = func(config []byte) (Instance, error) {
		if string(config) == `{"__plugin_id":"a","__seq__":9}` {
			panic("bad table")
		}
		return nil, errors.New("backends[1].weight: -3 is not in 0..1000000")
	}
	for config, want := range map[string]struct{ kong, row string }{
		`{"__plugin_id":"a","__seq__":7,"backends":[]}`: {"[traffic-split] config: backends[1].weight: -3 is not in 0..1000000", "plugin_id=a "},
		`{"__seq__":`:                     {"[traffic-split] config: backends[1].weight: -3 is not in 0..1000000", `plugin_id="" `},
		`{"__plugin_id":"a","__seq__":9}`: {"[traffic-split] config: panic: bad table", "plugin_id=a "},
	} {
		t.Run(config, func(t *testing.T) {
			s := serve(t, plugin)
			kong := dial(t, s.path)
			id := kong.start(config)
			if id <= 0 {
				t.Errorf("the instance's id is %d", id)
			}
			for i := range 3 { // each request is answered, and the connection is not the price
				calls, err := dial(t, s.path).event(id, "access", nil)
				got := answerOf(t, calls)
				if !errors.Is(err, errDrop) || got.Status != 500 {
					t.Errorf("request %d is answered %+v, %v", i, got, err)
				}
				if i == 0 && got.Logged != want.kong {
					t.Errorf("Kong logs %q, want %q", got.Logged, want.kong)
				}
			}
			if got := s.logs.String(); !strings.Contains(got, want.row) {
				t.Errorf("the log lacks %q:\n%s", want.row, got)
			}
			kong.closeInstance(id)
		})
	}
}

func TestAPluginOfAnotherNameIsAnswered(t *testing.T) {
	s := serve(t, pluginOf(func(string, *pdk.PDK) error { return nil }))
	kong := dial(t, s.path)
	id := kong.rpc(&pb.RpcCall{Call: &pb.RpcCall_CmdStartInstance{CmdStartInstance: &pb.CmdStartInstance{
		Name: "other", Config: []byte(`{"__seq__":5}`),
	}}}).GetInstanceStatus().GetInstanceId()
	calls, _ := kong.event(id, "access", nil)
	want := `[traffic-split] config: this plugin server is "traffic-split", and Kong has started "other" on its socket; ` +
		`each plugin server needs a socket of its own`
	if got := answerOf(t, calls); got.Status != 500 || got.Logged != want {
		t.Errorf("the request is answered %+v, want 500 and %q", got, want)
	}
}

func TestAPhaseThatIsNotDeclaredIsAnsweredEmpty(t *testing.T) {
	s := serve(t, pluginOf(func(phase string, _ *pdk.PDK) error { return errors.New(phase) }))
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	for _, phase := range []string{"certificate", "Access", ""} {
		if calls, err := kong.event(id, phase, nil); err != nil || len(calls) != 0 {
			t.Errorf("phase %q gets %v, %v", phase, calls, err)
		}
	}
}

// An event has one time, which the handler is given.
func TestTheClockIsReadOnceAnEvent(t *testing.T) {
	var reads atomic.Int64
	var given time.Time
	plugin := pluginOf(nil)
	plugin.Start = func([]byte) (Instance, error) {
		return timed(func(now time.Time, kong *pdk.PDK) error {
			given = now
			_, err := kong.Request.GetHost()
			return errors.Join(err, kong.Service.SetTarget("a", 80))
		}), nil
	}
	s := serve(t, plugin, func(s *Server) {
		s.now = func() time.Time { return time.Unix(reads.Add(1), 0) }
	})
	kong := dial(t, s.path)
	id := kong.start(`{}`)
	before := reads.Load()
	if _, err := kong.event(id, "access", nil); err != nil {
		t.Fatal(err)
	}
	if n := reads.Load() - before; n != 1 || !given.Equal(time.Unix(before+1, 0)) {
		t.Errorf("the clock is read %d times, and the handler given reading %d, want one, %d", n, given.Unix(), before+1)
	}
}

// timed is an instance that is a function of an event's time.
type timed func(now time.Time, kong *pdk.PDK) error

func (f timed) Handle(_ string, now time.Time, kong *pdk.PDK) error { return f(now, kong) }
func (f timed) Close()                                              {}
