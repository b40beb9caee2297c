package spec

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// What is too long for another process to go on with on the same connection, Kong
// repeats on another one. Ten processes die with it, and the next one answers it.
func TestALargeCallThatProcessesDieOfIsAnswered(t *testing.T) {
	const deaths = 10 // of processes, and after them it is answered
	dir := t.TempDir()
	p := &plugin{name: "faulty", log: &logbook{}, socket: filepath.Join(dir, "s"), info: filepath.Join(dir, "info.json")}
	if err := p.start(build(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.end(); err != nil {
			t.Error(err)
		}
	})
	large, medium := strings.Repeat("x", 100<<10), strings.Repeat("x", 10<<10)
	start := func(config string) *pb.RpcCall {
		return &pb.RpcCall{Call: &pb.RpcCall_CmdStartInstance{CmdStartInstance: &pb.CmdStartInstance{Name: "traffic-split", Config: []byte(config)}}}
	}
	id := dialPlugin(t, p.socket).start(`{"backends":[{"host":"localhost"}]}`)
	event := func() *pb.RpcCall {
		return &pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{InstanceId: id, EventName: "access"}}}
	}
	for _, tt := range []struct {
		name string
		call *pb.RpcCall
		path string // where it asks for that
		sent int    // at least
	}{
		{"a start", start(`{"__plugin_id":"exit","backends":[{"host":"localhost","request_headers":{"set":{"X":"` + large + `"}}}]}`), "", deaths + 1},
		{"an event", event(), "/" + large + "/exit", deaths + 1},
		// Another process goes on with it, until what was replied to each is too long.
		{"an event of medium length", event(), "/" + medium + "/exit", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path, err := proto.Marshal(&pb.String{V: tt.path})
			if err != nil {
				t.Fatal(err)
			}
			already := strings.Count(p.log.String(), "the serving process has died")
			sent := 0
			for err := io.EOF; err != nil; {
				if !errors.Is(err, io.EOF) || sent > deaths {
					t.Fatalf("sent %d times, it ends with %v, and Kong would not repeat it:\n%s", sent, err, p.log)
				}
				kong := dialPlugin(t, p.socket)
				kong.call(tt.call)
				sent++
				err = answered(kong.sock, path)
			}
			died := strings.Count(p.log.String(), "the serving process has died") - already
			if died != deaths || sent < tt.sent {
				t.Errorf("sent %d times, it is answered after %d deaths, and should be after %d", sent, died, deaths)
			}
		})
	}
}

// answered reads an answer, io.EOF where there is none, and replies to what the server
// asks before: with path where it asks for that.
func answered(sock net.Conn, path []byte) error {
	for {
		frame, err := wire.ReadFrame(sock, nil)
		if err != nil || !strings.HasPrefix(string(frame), "kong.") || string(frame) == "kong.response.exit" {
			return err
		}
		if _, err := wire.ReadFrame(sock, nil); err != nil { // the arguments
			return err
		}
		var reply []byte
		if string(frame) == "kong.request.get_path" {
			reply = path
		}
		if _, err := sock.Write(wire.AppendFrame(nil, reply)); err != nil {
			return err
		}
	}
}
