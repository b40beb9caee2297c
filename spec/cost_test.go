package spec

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/kong/wire"
)

// everything is a split that looks at all of a request and does all that there is.
const everything = `"force_header":"X-Force","hash_on":"uri_capture","hash_on_uri_capture":"user","hash_fallback":"ip",
	"session":{"secret":"sixteen letters!"},"response_header":"X-Backend","log_decision":true,
	"rules":[
		{"match":{"headers":{"X-Beta":["yes"]},"methods":["PUT"],"path_prefix":"/v2","consumers":["ann"]},"backend":"b"},
		{"match":{"cookies":{"beta":["1"]},"query_args":{"beta":["1"]},"client_ips":["10.0.0.0/8"]},"weights":{"b":1}}],
	"ramp":{"backend":"b","start":"2026-01-31T18:00:00Z","duration":60,"guard":{"max_error_ratio":0.5}},
	"backends":[
		{"name":"a","host":"a.internal","port":8080,"health":{"active":{"interval":3600},"passive":{}}},
		{"name":"b",%s,"host_header":"preserve","path":"/v2","request_headers":{"set":{"X-A":"1"},"add":{"X-B":"2"}},"response_headers":{"add":{"X-C":"3"}}}]`

// Kong is asked at most once, and told once: what costs time is each turn from the
// plugin server to Kong and back. One more there is where the backend is an
// Upstream, since only Kong knows whether there is one.
func TestTurns(t *testing.T) {
	s := serveOutcomes(t)
	for i, tt := range []struct {
		name, config, phase string
		turns, reads        int // of the second request, when an instance knows its Service
	}{
		{"weights alone", `"backends":[{"host":"10.0.0.1","host_header":"a"},{"host":"10.0.0.2","host_header":"b"}]`, "access", 1, 0},
		{"an Upstream", `"backends":[{"upstream":"up"}]`, "access", 2, 0},
		{"a session", `"session":{"secret":"sixteen letters!"},"backends":[{"host":"a"}]`, "access", 2, 3},
		{"everything", fmt.Sprintf(everything, `"host":"b.internal"`), "access", 2, 12},
		{"everything, with an Upstream", fmt.Sprintf(everything, `"upstream":"up"`), "access", 3, 12},
		{"the log phase of everything", fmt.Sprintf(everything, `"host":"b.internal"`), "log", 2, 3},
		{"the log phase of weights alone", `"backends":[{"host":"10.0.0.1"}]`, "log", 1, 0},
		{"a connection", `"backends":[{"host":"10.0.0.1"}]`, "preread", 1, 0},
		{"a connection by its address", `"hash_on":"ip","backends":[{"host":"10.0.0.1"}]`, "preread", 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := dialPlugin(t, s.socket)
			id := k.start(fmt.Sprintf(`{"__plugin_id":"p%d","__seq__":%d,"route_id":"r",%s}`, i, i+1, tt.config))
			k.event(id, tt.phase)
			turns := k.event(id, tt.phase)
			reads := 0
			if len(turns) > 1 {
				reads = len(turns[0])
			}
			if tt.name == "an Upstream" {
				reads-- // the turn is the Upstream's
			}
			if len(turns) != tt.turns || reads != tt.reads {
				t.Errorf("%d turns with %d reads, want %d with %d:\n%s", len(turns), reads, tt.turns, tt.reads, describe(turns))
			}
		})
	}
}

// serveOutcomes starts a plugin server that is told what becomes of requests.
func serveOutcomes(t *testing.T) *plugin {
	t.Helper()
	dir := t.TempDir()
	p := &plugin{name: "traffic-split", log: &logbook{}, socket: filepath.Join(dir, "s"), info: filepath.Join(dir, "info.json"), outcomes: true}
	if err := p.start(build(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.end(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// kongSide is Kong's side of a connection to the plugin server. It replies only
// when the server has nothing more to say, so that it sees what is waited for.
type kongSide struct {
	testing.TB
	sock net.Conn
	seq  int64
}

func dialPlugin(t testing.TB, socket string) *kongSide {
	t.Helper()
	sock, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sock.Close() })
	if err := sock.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &kongSide{TB: t, sock: sock}
}

// start starts an instance and returns its id.
func (k *kongSide) start(config string) int32 {
	k.Helper()
	k.call(&pb.RpcCall{Call: &pb.RpcCall_CmdStartInstance{CmdStartInstance: &pb.CmdStartInstance{
		Name: "traffic-split", Config: []byte(config),
	}}})
	frames := k.turn()
	return k.returned(frames[len(frames)-1]).GetInstanceStatus().GetInstanceId()
}

// event lets the plugin handle an event, and returns the methods that it calls,
// turn by turn.
func (k *kongSide) event(id int32, phase string) (turns [][]string) {
	k.Helper()
	k.call(&pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{InstanceId: id, EventName: phase}}})
	for {
		frames := k.turn()
		var methods []string
		for len(frames) > 1 && len(frames[0]) > 0 {
			methods = append(methods, strings.TrimPrefix(string(frames[0]), "kong."))
			frames = frames[2:] // and its arguments
		}
		turns = append(turns, methods)
		var replies []byte
		for _, method := range methods {
			replies = wire.AppendFrame(replies, replyTo(k, method))
		}
		if _, err := k.sock.Write(replies); err != nil {
			k.Fatal(err)
		}
		if len(frames) == 2 {
			k.returned(frames[1])
			return turns
		}
	}
}

func (k *kongSide) call(call *pb.RpcCall) {
	k.Helper()
	k.seq++
	call.Sequence = k.seq
	body, err := proto.Marshal(call)
	if err != nil {
		k.Fatal(err)
	}
	if _, err := k.sock.Write(wire.AppendFrame(nil, body)); err != nil {
		k.Fatal(err)
	}
}

// turn reads the frames that the server has written at once.
func (k *kongSide) turn() (frames [][]byte) {
	k.Helper()
	buffer := make([]byte, 256<<10)
	n, err := k.sock.Read(buffer)
	if err != nil {
		k.Fatal(err)
	}
	for r := bytes.NewReader(buffer[:n]); ; {
		frame, err := wire.ReadFrame(r, nil)
		if err == io.EOF {
			return frames
		}
		if err != nil {
			k.Fatalf("what the server has written at once is no whole frames: %v", err)
		}
		frames = append(frames, frame)
	}
}

func (k *kongSide) returned(frame []byte) *pb.RpcReturn {
	k.Helper()
	ret := &pb.RpcReturn{}
	if err := proto.Unmarshal(frame, ret); err != nil || ret.Sequence != k.seq {
		k.Fatalf("return of call %d: %v, %v", k.seq, ret, err)
	}
	return ret
}

// replyTo is what Kong says of a request of no particular kind.
func replyTo(t testing.TB, method string) []byte {
	text := func(s string) proto.Message { return &pb.String{V: s} }
	entity, err := structpb.NewStruct(map[string]any{"protocol": "http", "host": "a.internal", "name": "web"})
	if err != nil {
		t.Fatal(err)
	}
	replies := map[string]proto.Message{
		"nginx.get_ctx":                structpb.NewStructValue(entity),
		"nginx.get_var":                text("/x"),
		"request.get_header":           text("shop.example"),
		"request.get_method":           text("GET"),
		"request.get_path":             text("/x"),
		"request.get_raw_query":        text("flag"),
		"request.get_forwarded_scheme": text("https"),
		"client.get_forwarded_ip":      text("127.0.0.1"),
		"client.get_consumer":          &pb.Consumer{},
		"request.get_uri_captures":     &pb.UriCapturesResult{},
		"service.set_upstream":         &pb.Bool{V: true},
		"ctx.shared.get":               structpb.NewStringValue("/b"),
		"response.get_source":          text("service"),
		"response.get_status":          &pb.Int{V: 200},
	}
	if replies[method] == nil {
		return nil
	}
	body, err := proto.Marshal(replies[method])
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func describe(turns [][]string) string {
	var lines []string
	for i, methods := range turns {
		lines = append(lines, fmt.Sprintf("%d. %s", i+1, strings.Join(methods, ", ")))
	}
	return strings.Join(lines, "\n")
}
