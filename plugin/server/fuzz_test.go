package server

import (
	"io"
	"net"
	"testing"
	"time"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// FuzzConnection sends any bytes as Kong's side of a connection: calls of any
// kind, and replies to the calls of an event. The server has to end that
// connection, and to answer another one as if nothing were.
func FuzzConnection(f *testing.F) {
	s := serve(f, pluginOf(func(_ string, kong *pdk.PDK) error {
		if _, err := kong.Request.GetHeaders(-1); err != nil {
			return err
		}
		if _, _, err := kong.Request.GetUriCaptures(); err != nil {
			return err
		}
		return kong.Service.SetTarget("canary", 80)
	}), func(s *Server) { s.log = quiet })

	call := func(call *pb.RpcCall) []byte {
		body, err := proto.Marshal(call)
		if err != nil {
			f.Fatal(err)
		}
		return wire.AppendFrame(nil, body)
	}
	event := call(&pb.RpcCall{Sequence: 2, Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{
		InstanceId: firstID, EventName: "access",
	}}})
	start := call(&pb.RpcCall{Sequence: 1, Call: &pb.RpcCall_CmdStartInstance{CmdStartInstance: &pb.CmdStartInstance{
		Name: "traffic-split", Config: []byte(`{"__seq__":1}`),
	}}})
	f.Add(start)
	f.Add(append(start, event...))
	f.Add(append(event, frames("\x0a\x08\x0a\x01q\x12\x03\x1a\x015", "\x0a\x04acme\x12\x0e\x0a\x06tenant\x12\x04acme", "")...))
	f.Add(append(event, frames("\x0a\x04\xff\xfe")...))
	f.Add(call(&pb.RpcCall{Sequence: 3, Call: &pb.RpcCall_CmdCloseInstance{CmdCloseInstance: &pb.CmdCloseInstance{InstanceId: 7}}}))
	f.Add([]byte("\xff\xff\xff\xff"))

	kong := dial(f, s.path)
	f.Fuzz(func(t *testing.T, stream []byte) {
		s.instances.mu.Lock()
		clear(s.instances.byID)
		s.instances.mu.Unlock()
		s.instances.put(&instance{Instance: s.mustStart(), id: firstID}, time.Now())
		kong.t = t
		_ = kong.sock.SetDeadline(time.Now().Add(patience))

		sock, err := net.Dial("unix", s.path)
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close()
		_ = sock.SetDeadline(time.Now().Add(patience))
		go func() {
			_, _ = sock.Write(stream)
			_ = sock.(*net.UnixConn).CloseWrite()
		}()
		if _, err := io.Copy(io.Discard, sock); isTimeout(err) {
			t.Fatal("the server does not end the connection")
		}

		if calls, err := kong.event(kong.start(`{"__seq__":1}`), "access", nil); err != nil || len(calls) != 3 {
			t.Fatalf("an event on another connection: %v, %v", calls, err)
		}
	})
}

func isTimeout(err error) bool {
	netErr, ok := err.(net.Error)
	return ok && netErr.Timeout()
}
