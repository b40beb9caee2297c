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
	large := strings.Repeat("x", 100<<10)
	path, err := proto.Marshal(&pb.String{V: "/" + large + "/exit"})
	if err != nil {
		t.Fatal(err)
	}
	start := func(config string) *pb.RpcCall {
		return &pb.RpcCall{Call: &pb.RpcCall_CmdStartInstance{CmdStartInstance: &pb.CmdStartInstance{Name: "traffic-split", Config: []byte(config)}}}
	}
	id := dialPlugin(t, p.socket).start(`{"backends":[{"host":"localhost"}]}`)
	for _, tt := range []struct {
		name string
		call *pb.RpcCall
	}{
		{"a start", start(`{"__plugin_id":"exit","backends":[{"host":"localhost","request_headers":{"set":{"X":"` + large + `"}}}]}`)},
		{"an event", &pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{InstanceId: id, EventName: "access"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for sent := 1; ; sent++ {
				kong := dialPlugin(t, p.socket)
				kong.call(tt.call)
				err := answered(kong.sock, path)
				switch {
				case err == nil && sent == deaths+1:
					return
				case err == nil:
					t.Fatalf("it is answered after %d deaths, and should be after %d", sent-1, deaths)
				case !errors.Is(err, io.EOF):
					t.Fatalf("after %d deaths: %v, and Kong would not repeat it", sent-1, err)
				case sent > deaths:
					t.Fatalf("it is not answered after %d deaths:\n%s", sent, p.log)
				}
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
