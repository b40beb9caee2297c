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
		{"a session", `"session":{"secret":"sixteen letters!"},"backends":[{"host":"a"}]`, "access", 3, 1},
		{"everything", fmt.Sprintf(everything, `"host":"b.internal"`), "access", 4, 6},
		{"everything, with an Upstream", fmt.Sprintf(everything, `"upstream":"up"`), "access", 5, 6},
		{"the log phase of everything", fmt.Sprintf(everything, `"host":"b.internal"`), "log", 2, 4},
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
	replies
	socket string // where the plugin server listens
	sock   net.Conn
	seq    int64
}

// replies are what Kong says of a request, where it is not of no particular kind.
type replies struct {
	preserveHost bool   // the route does
	grpc         bool   // the Service speaks it
	ipService    bool   // the Service's host is an IP address
	noService    bool   // there is none
	consumer     bool   // there is one
	returns      bool   // the client sends the cookie that it was given
	cookie       string // that one
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
	return &kongSide{TB: t, socket: socket, sock: sock}
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

// event lets the plugin handle an event, and returns its calls, turn by turn: each as
// the method and the name that is its first argument, if any.
func (k *kongSide) event(id int32, phase string) (turns [][]string) {
	k.Helper()
	k.call(&pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{InstanceId: id, EventName: phase}}})
	for {
		frames := k.turn()
		var calls []string
		var replies []byte
		for len(frames) > 1 && len(frames[0]) > 0 {
			method := strings.TrimPrefix(string(frames[0]), "kong.")
			name, value := firstArguments(method, frames[1])
			if name == "Set-Cookie" && k.returns {
				k.cookie, _, _ = strings.Cut(value, ";")
			}
			calls = append(calls, strings.TrimSpace(method+" "+name))
			replies = wire.AppendFrame(replies, k.replyTo(method, name))
			frames = frames[2:]
		}
		turns = append(turns, calls)
		if len(calls) > 0 && calls[len(calls)-1] == strings.TrimPrefix(wire.Exit, "kong.") { // after which Kong closes the connection
			_ = k.sock.Close()
			k.sock = dialPlugin(k.TB, k.socket).sock
			return turns
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

// firstArguments are the name of what a call is about, and its value, if it has these.
func firstArguments(method string, args []byte) (name, value string) {
	switch method {
	case "service.request.set_header", "service.request.add_header", "response.set_header", "response.add_header":
		var kv pb.KV
		_ = proto.Unmarshal(args, &kv)
		return kv.K, kv.V.GetStringValue()
	case "nginx.get_var", "nginx.get_ctx", "request.get_header", "response.get_header":
		var text pb.String
		_ = proto.Unmarshal(args, &text)
		return text.V, ""
	}
	return "", ""
}

// replyTo is what Kong replies to a call.
func (k *kongSide) replyTo(method, name string) []byte {
	text := func(s string) proto.Message { return &pb.String{V: s} }
	protocol := "http"
	if k.grpc {
		protocol = "grpc"
	}
	host := "a.internal"
	if k.ipService {
		host = "10.0.0.7"
	}
	if k.noService && name == "service" {
		return nil
	}
	entity, err := structpb.NewStruct(map[string]any{ // a route, a Service, and balancer_data
		"id":       "7",
		"protocol": protocol, "host": host, "name": "web", "preserve_host": k.preserveHost,
		"type": "name", "port": 80, "retries": 5, "connect_timeout": 60000, "send_timeout": 60000, "read_timeout": 60000, "try_count": 0, "tries": map[string]any{},
	})
	if err != nil {
		k.Fatal(err)
	}
	headers := map[string]any{"host": "shop.example", "x-force": "nobody"}
	if k.cookie != "" {
		headers["cookie"] = k.cookie
	}
	all, err := structpb.NewStruct(headers)
	if err != nil {
		k.Fatal(err)
	}
	replies := map[string]proto.Message{
		"request.get_headers":          all,
		"nginx.get_ctx":                structpb.NewStructValue(entity),
		"nginx.get_var":                text("/x"),
		"request.get_header":           text("shop.example"),
		"request.get_method":           text("GET"),
		"request.get_path":             text("/x"),
		"request.get_raw_query":        text("flag"),
		"request.get_forwarded_scheme": text("https"),
		"client.get_forwarded_ip":      text("127.0.0.1"),
		"client.get_consumer":          &pb.Consumer{},
		"client.get_credential":        &pb.AuthenticatedCredential{Id: "7"},
		"request.get_uri_captures":     &pb.UriCapturesResult{},
		"service.set_upstream":         &pb.Bool{V: true},
		"ctx.shared.get":               structpb.NewStringValue("/0000000000000000/b"),
		"response.get_source":          text("service"),
		"response.get_status":          &pb.Int{V: 200},
	}
	if k.consumer {
		replies["client.get_consumer"] = &pb.Consumer{Id: "1"}
	}
	switch {
	case replies[method] == nil:
		return nil
	case name == "KONG_WAITING_TIME":
		replies[method] = structpb.NewNumberValue(1)
	case name == "http_cookie":
		replies[method] = text(k.cookie)
	case name == "Access-Control-Request-Method": // it is no CORS preflight
		replies[method] = text("")
	}
	body, err := proto.Marshal(replies[method])
	if err != nil {
		k.Fatal(err)
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
