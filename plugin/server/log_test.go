package server

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// Whatever a peer says, and however often: little of it is logged, and little is kept.
func TestWhatPeersSayIsBounded(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	start := func(name, config string) *pb.RpcCall {
		return &pb.RpcCall{Call: &pb.RpcCall_CmdStartInstance{CmdStartInstance: &pb.CmdStartInstance{Name: name, Config: []byte(config)}}}
	}
	plugin := pluginOf(nil)
	plugin.Start = func(config []byte) (Instance, error) {
		switch {
		case strings.Contains(string(config), "panics"):
			panic(string(config))
		case strings.Contains(string(config), "fails"):
			return nil, fmt.Errorf("wrong: %s", config)
		}
		return ofRow(panicsAtClose{string(config)}, config), nil
	}
	for name, call := range map[string]func(i int) *pb.RpcCall{
		"an event": func(i int) *pb.RpcCall {
			return &pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{
				InstanceId: int32(i), EventName: fmt.Sprint(i, long),
			}}}
		},
		"a plugin's name":        func(i int) *pb.RpcCall { return start(fmt.Sprint(i, long), `{}`) },
		"a row's id":             func(int) *pb.RpcCall { return start("traffic-split", `{"__plugin_id":"`+long+`"}`) },
		"a config that is wrong": func(int) *pb.RpcCall { return start("traffic-split", `{"fails":"`+long+`"}`) },
		"a config that panics":   func(int) *pb.RpcCall { return start("traffic-split", `{"panics":"`+long+`"}`) },
		"the end of an instance": func(int) *pb.RpcCall { return start("traffic-split", `{"`+long+`":1}`) },
		"bytes that a line cannot": func(int) *pb.RpcCall {
			return start("traffic-split", "{\"fails\":\"\n\x00"+strings.Repeat("\x1b", 5000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, plugin)
			for i := range 5 {
				kong := dial(t, s.path)
				kong.call(call(i))
				ret, err := kong.returned()
				if id := ret.GetInstanceStatus().GetInstanceId(); err == nil && id != 0 {
					_, _ = dial(t, s.path).event(id, "access", nil)
					kong.closeInstance(id)
				}
			}
			for line := range strings.Lines(s.logs.String()) {
				if most := 4 * maxReason; len(line) > most && !strings.Contains(line, "stack=") {
					t.Errorf("a line of %d bytes is logged, %d are enough: %.300s", len(line), most, line)
				} else if len(line) > 4*maxReason+64<<10 {
					t.Errorf("a line of %d bytes is logged", len(line))
				}
			}
			for _, l := range []*limiter{&s.ends, &s.reasons} {
				l.mu.Lock()
				for reason := range l.logged {
					if len(reason) > 2*maxReason {
						t.Errorf("%d bytes of a reason are kept", len(reason))
					}
				}
				l.mu.Unlock()
			}
		})
	}
}

// Kong forgets all instances when it is told of one that there is none: so such events
// may come in great numbers.
func TestEventsOfUnknownInstancesAreLoggedOnceAMinute(t *testing.T) {
	clock := newClock()
	s := serve(t, pluginOf(nil), clock.use)
	ask := func(id int32) {
		kong := dial(t, s.path)
		_, _ = kong.event(id, "access", nil)
		kong.ended()
	}
	for i := range 100 {
		ask(int32(i))
	}
	clock.advance(time.Minute)
	ask(100)
	want := `level=INFO msg="connection closed" reason="event \"access\" of instance 0: no such instance; Kong will start it again"
level=INFO msg="connection closed" reason="event \"access\" of instance 100: no such instance; Kong will start it again" suppressed=99
`
	if got := s.logs.withoutTime(); got != want {
		t.Errorf("the log is\n%swant\n%s", got, want)
	}
}

func TestLimiter(t *testing.T) {
	var l limiter
	start := time.Unix(0, 0)
	for _, tt := range []struct {
		reason string
		after  time.Duration
		want   bool
		before int
	}{
		{"a", 0, true, 0},
		{"a", 0, false, 0},
		{"b", time.Second, true, 0},
		{"a", time.Minute - 1, false, 0},
		{"a", time.Minute, true, 2},
		{"b", time.Minute, false, 0},
		{"b", time.Minute + time.Second, true, 1},
		{"b", 3 * time.Minute, true, 0},
	} {
		got, before := l.allow(tt.reason, start.Add(tt.after))
		if got != tt.want || before != tt.before {
			t.Errorf("%s after %v: %v, %d before, want %v, %d", tt.reason, tt.after, got, before, tt.want, tt.before)
		}
	}
}

// Whatever the reasons are, and however long, there is a bound to what is logged and to
// what is kept of it. What is beyond that is one reason.
func TestALimiterIsBounded(t *testing.T) {
	var l limiter
	text := strings.Repeat("x", 64<<10)
	allowed := 0
	for i := range 3 * maxReasons {
		if ok, _ := l.allow(strconv.Itoa(i)+text, time.Unix(0, 0)); ok {
			allowed++
		}
	}
	kept := 0
	for reason := range l.logged {
		kept += len(reason)
	}
	if allowed != maxReasons+1 || len(l.logged) != maxReasons+1 || kept > (maxReasons+1)*2*maxReason {
		t.Errorf("%d reasons allowed, %d kept with %d bytes, want %d of both and no more than %d bytes",
			allowed, len(l.logged), kept, maxReasons+1, (maxReasons+1)*2*maxReason)
	}
	if ok, before := l.allow("one more", time.Unix(59, 0)); ok || before != 0 {
		t.Errorf("one more is allowed: %v, %d", ok, before)
	}
	if ok, before := l.allow("later", time.Unix(60, 0)); !ok || before != 0 || len(l.logged) != 1 {
		t.Errorf("a minute later it is %v, %d, and %d reasons are kept, want the new one", ok, before, len(l.logged))
	}
}
