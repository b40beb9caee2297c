package standin

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// recordedRequests are those of the recording, by the worker that had them.
var recordedRequests = []struct {
	worker int
	target string
	header []string
	status int
}{
	{0, "/target", nil, 200},
	{0, "/reads?q=5&z=1", []string{"Cookie: a=b; split=x", "X-Hi: yo"}, 200},
	{0, "/reads?flag&q=a%20b", []string{"Cookie: a=b; split=x", "X-Hi: yo"}, 200},
	{0, "/bad-query-arg?flag", nil, 500},
	{1, "/writes", []string{"Cookie: a=b; split=x", "X-Hi: yo"}, 200},
	{1, "/up-known", nil, 200},
	{0, "/up-unknown", nil, 200},
	{1, "/exit", nil, 503},
	{0, "/consumer", []string{"apikey: k1"}, 200},
	{0, "/noconsumer", nil, 200},
	{0, "/log-forbidden", nil, 200},
	{0, "/pdk-error", nil, 500},
	{1, "/wrong-phase", nil, 500},
	{1, "/re/acme/v2", nil, 200},
	{0, "/reads", []string{"X-Hi: \xff\xfe"}, 200},
	{0, reloads, nil, 0},
	{0, "/target", nil, 200},
	{0, "/target", nil, 200},
	{1, "/target", nil, 200},
	{1, "/target", nil, 200},
}

// reloads stands where the configuration was posted again.
const reloads = "reload"

// TestRecordedFrames plays the plugin's side of the frames that were recorded
// from Kong 3.9.3, and expects the gateway to send Kong's side of them, but for
// the calls that it does not offer. What Kong told the plugin for its log, the
// gateway writes to a file, as Kong's own plugin file-log does.
func TestRecordedFrames(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "an answer\n")
	}))
	t.Cleanup(backend.Close)
	recording := readRecording(t, backend.Listener.Addr().(*net.TCPAddr).Port)
	socket := recording.serve(t)
	text, err := os.ReadFile("testdata/kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	log := t.TempDir() + "/requests.log"
	config := strings.NewReplacer("9202", fmt.Sprint(recording.port), "requests.log", log).Replace(string(text))
	g := startGateway(t, config, Options{
		Workers:       2,
		PluginServers: []PluginServer{{Name: "probe", Socket: socket, QueryCmd: probeDump}},
	})
	clients := []*rawClient{dialRaw(t, g), dialRaw(t, g)}
	for _, r := range recordedRequests {
		if r.target == reloads {
			postConfig(t, g, config)
			continue
		}
		head := append([]string{"Host: 127.0.0.1:8010", "User-Agent: curl/7.88.1", "Accept: */*"}, r.header...)
		if status := clients[r.worker].get(r.target, head...); status != r.status {
			t.Errorf("GET %s: status %d, not %d", r.target, status, r.status)
		}
		g.http.workers[r.worker].requests.Wait() // for the log phase
	}
	line, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var logged string
	if err := decode(recording.logged, &logged); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stableLog(t, logged), stableLog(t, string(line))); diff != "" {
		t.Errorf("what Kong logs (-) and we (+):\n%s", diff)
	}
}

// probeDump prints the dump of the plugin that was recorded.
const probeDump = `echo '{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"probe","Version":"0.1","Priority":20,
	"Phases":["access","log"],"Schema":{"name":"probe","fields":[{"config":{"type":"record","fields":[
	{"ops":{"type":"array","elements":{"type":"string"}}},{"logops":{"type":"array","elements":{"type":"string"}}}]}}]}}]}'`

type recordedFrame struct {
	Conn       int
	From, Kind string
	Text, Hex  string
	body       []byte
}

// recordedConnection is one connection between Kong and the plugin server.
type recordedConnection struct {
	number int
	frames []recordedFrame // that are still to come
	method string          // of the PDK, called last
}

type recording struct {
	port        int // of the backend
	connections []*recordedConnection
	logged      []byte // Kong's reply to kong.log.serialize
}

func readRecording(t *testing.T, port int) *recording {
	t.Helper()
	text, err := os.ReadFile("../wire/testdata/frames.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{port: port}
	byNumber := map[int]*recordedConnection{}
	for line := range bytes.Lines(text) {
		var f recordedFrame
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatal(err)
		}
		if f.body, err = hex.DecodeString(f.Hex); err != nil {
			t.Fatal(err)
		}
		if byNumber[f.Conn] == nil {
			byNumber[f.Conn] = &recordedConnection{number: f.Conn}
			r.connections = append(r.connections, byNumber[f.Conn])
		}
		byNumber[f.Conn].frames = append(byNumber[f.Conn].frames, f)
	}
	for _, c := range r.connections {
		r.leaveOut(c)
	}
	return r
}

// leaveOut drops the calls that the gateway does not answer, each a method, its
// arguments and a reply. One that Kong has not replied to stays: it ended the
// connection, as it does here.
func (r *recording) leaveOut(c *recordedConnection) {
	var kept []recordedFrame
	for len(c.frames) > 0 {
		f := c.frames[0]
		if f.Kind == "PdkMethod" && !isAnswered(f.Text, c.frames[1].body) && c.frames[2].Kind == "PdkReply" {
			if f.Text == "kong.log.serialize" {
				r.logged = c.frames[2].body
			}
			c.frames = c.frames[3:]
			continue
		}
		kept, c.frames = append(kept, f), c.frames[1:]
	}
	c.frames = kept
}

// isAnswered reports whether the gateway answers a call of the recording.
func isAnswered(method string, args []byte) bool {
	var name string
	_ = decode(args, &name)
	_, offered := pdkMethods[method]
	return offered && (method != "kong.nginx.get_var" || name == "upstream_uri")
}

// serve plays the recorded connections in the order in which they come.
func (r *recording) serve(t *testing.T) string {
	t.Helper()
	socket := shortDir(t) + "/s"
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var players sync.WaitGroup
	players.Go(func() {
		for _, c := range r.connections {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			players.Go(func() {
				defer conn.Close()
				if err := r.play(t, c, conn); err != nil {
					t.Errorf("connection %d: %v", c.number, err)
				}
			})
		}
		if conn, err := listener.Accept(); err == nil {
			t.Error("there are more connections than were recorded")
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		players.Wait() // the gateway is closed by now
		for _, c := range r.connections {
			if len(c.frames) > 0 && c.frames[0].Kind != "closed" {
				t.Errorf("connection %d: %d frames did not come, the next is %s %s",
					c.number, len(c.frames), c.frames[0].From, c.frames[0].Kind)
			}
		}
	})
	return socket
}

// play does one connection. It goes on after a frame that differs: a
// connection that ends would have the gateway repeat the event.
func (r *recording) play(t *testing.T, c *recordedConnection, conn net.Conn) error {
	fromGateway := bufio.NewReader(conn)
	for ; len(c.frames) > 0; c.frames = c.frames[1:] {
		f := c.frames[0]
		if f.From == "plugin" {
			if f.Kind == "PdkMethod" {
				c.method = f.Text
			}
			if f.Kind == "closed" {
				return nil
			}
			if _, err := conn.Write(wire.AppendFrame(nil, r.ownPort(c.method, f))); err != nil {
				return err
			}
			continue
		}
		body, err := wire.ReadFrame(fromGateway, nil)
		if f.Kind == "closed" || err == io.EOF {
			return nil // at the end of the test, too, which reports what did not come
		}
		if err != nil {
			return err
		}
		if diff := r.compare(c.method, f, body); diff != "" {
			t.Errorf("connection %d: %s %s: Kong's frame (-) and ours (+):\n%s", c.number, f.Kind, c.method, diff)
		}
	}
	return nil
}

// ownPort replaces the port of the recorded backend in what the plugin sends.
func (r *recording) ownPort(method string, f recordedFrame) []byte {
	if method != "kong.service.set_target" || f.Kind != "PdkArgs" {
		return f.body
	}
	var target targetArgs
	if err := decode(f.body, &target); err != nil {
		return f.body
	}
	return appendInt(appendText(nil, 1, target.host), 2, r.port)
}

// compare compares what does not differ from run to run.
func (r *recording) compare(method string, f recordedFrame, got []byte) string {
	if f.Kind == "RpcCall" {
		return cmp.Diff(stableCall(f.body), stableCall(got))
	}
	return cmp.Diff(stableFields(method, f.body), stableFields(method, got))
}

// stableCall is a call without the numbers that Kong gives its plugin rows.
func stableCall(body []byte) any {
	call := &pb.RpcCall{}
	if err := proto.Unmarshal(body, call); err != nil {
		return err.Error()
	}
	start := call.GetCmdStartInstance()
	if start == nil {
		return call.String()
	}
	var config map[string]any
	if err := json.Unmarshal(start.Config, &config); err != nil {
		return err.Error()
	}
	if _, ok := config["__seq__"].(float64); !ok {
		return "there is no __seq__"
	}
	delete(config, "__seq__")
	return map[string]any{"sequence": call.Sequence, "name": start.Name, "config": config}
}

// stableFields are the fields of a reply, in no order and without times.
func stableFields(method string, body []byte) map[string]int {
	fields := map[string]int{}
	all, err := parseFields(body)
	for _, f := range all {
		if method == "kong.client.get_consumer" && f.tag == 2 {
			f.number = 0 // created_at
		}
		if method == "kong.client.get_credential" && f.tag == 1 {
			f.bytes = nil // the id, which Kong draws
		}
		fields[fmt.Sprintf("%d: %d %q", f.tag, f.number, f.bytes)]++
	}
	if err != nil {
		fields[err.Error()]++
	}
	return fields
}

// stableLog is what is logged of a request without what differs from run to run
// or from backend to backend.
func stableLog(t *testing.T, text string) any {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	unstable := map[string]bool{
		"balancer_latency": true, "balancer_latency_ns": true, "balancer_start": true, "balancer_start_ns": true,
		"created_at": true, "updated_at": true, "started_at": true, "latencies": true, "id": true, "port": true,
		"size": true, "url": true, "x-kong-proxy-latency": true, "x-kong-upstream-latency": true,
		"x-kong-request-id": true, "x-echo-name": true, "date": true, "content-type": true, "connection": true,
	}
	return without(root, unstable)
}

// without keeps the names of what it leaves the values out of.
func without(value any, unstable map[string]bool) any {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if unstable[key] {
				v[key] = "…"
			} else {
				v[key] = without(inner, unstable)
			}
		}
		for _, header := range []string{"x-echo-name", "connection"} {
			delete(v, header) // of the recorded backend, and of nginx's own
		}
	case []any:
		for i, inner := range v {
			v[i] = without(inner, unstable)
		}
	}
	return value
}
