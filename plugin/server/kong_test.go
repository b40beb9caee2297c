package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// kongConn is a connection of Kong's: it writes and reads as Kong does.
type kongConn struct {
	t    testing.TB
	sock *net.UnixConn
	r    *bufio.Reader
	seq  int64
}

func dial(t testing.TB, path string) *kongConn {
	t.Helper()
	sock, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sock.Close() })
	if err := sock.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &kongConn{t: t, sock: sock, r: bufio.NewReader(sock)}
}

// send sends one frame, as Kong does: the length, then the body.
func (k *kongConn) send(body []byte) {
	k.t.Helper()
	frame := wire.AppendFrame(nil, body)
	for _, part := range [][]byte{frame[:4], frame[4:]} {
		if len(part) == 0 {
			continue
		}
		if _, err := k.sock.Write(part); err != nil {
			k.t.Fatalf("Kong cannot send: %v", err)
		}
	}
}

// call sends an RPC call with the next sequence number.
func (k *kongConn) call(call *pb.RpcCall) {
	k.t.Helper()
	k.seq++
	call.Sequence = k.seq
	body, err := proto.Marshal(call)
	if err != nil {
		k.t.Fatal(err)
	}
	k.send(body)
}

// returned reads the return of the last call.
func (k *kongConn) returned() (*pb.RpcReturn, error) {
	frame, err := wire.ReadFrame(k.r, nil)
	if err != nil {
		return nil, err
	}
	ret := &pb.RpcReturn{}
	if err := proto.Unmarshal(frame, ret); err != nil {
		return nil, err
	}
	if ret.Sequence != k.seq {
		return nil, fmt.Errorf("return with sequence %d of call %d", ret.Sequence, k.seq)
	}
	return ret, nil
}

// rpc makes a call that has no PDK calls.
func (k *kongConn) rpc(call *pb.RpcCall) *pb.RpcReturn {
	k.t.Helper()
	k.call(call)
	ret, err := k.returned()
	if err != nil {
		k.t.Fatalf("%T: %v", call.Call, err)
	}
	return ret
}

// start starts an instance and returns its id.
func (k *kongConn) start(config string) int32 {
	k.t.Helper()
	return k.rpc(&pb.RpcCall{Call: &pb.RpcCall_CmdStartInstance{CmdStartInstance: &pb.CmdStartInstance{
		Name: "traffic-split", Config: []byte(config),
	}}}).GetInstanceStatus().GetInstanceId()
}

func (k *kongConn) closeInstance(id int32) *pb.RpcReturn {
	k.t.Helper()
	return k.rpc(&pb.RpcCall{Call: &pb.RpcCall_CmdCloseInstance{CmdCloseInstance: &pb.CmdCloseInstance{InstanceId: id}}})
}

// A pdkCall is a call of the plugin as Kong got it.
type pdkCall struct {
	Method string
	Args   string
}

// errDrop is what a reply function returns to drop the connection, as Kong does
// when a PDK call raises an error and after an exit.
var errDrop = errors.New("dropped")

// event sends an event and answers the plugin's calls with reply, or with
// empty replies where it is nil. It returns the calls, and io.EOF where the
// server has closed the connection.
func (k *kongConn) event(id int32, phase string, reply func(pdkCall) ([]byte, error)) ([]pdkCall, error) {
	k.t.Helper()
	k.call(&pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{
		InstanceId: id, EventName: phase,
	}}})
	return k.replies(reply)
}

// replies answers the calls of an event that was sent.
func (k *kongConn) replies(reply func(pdkCall) ([]byte, error)) (calls []pdkCall, err error) {
	k.t.Helper()
	for {
		method, err := wire.ReadFrame(k.r, nil)
		if err != nil {
			return calls, err
		}
		if len(method) == 0 {
			_, err := k.returned()
			return calls, err
		}
		if !strings.HasPrefix(string(method), "kong.") {
			return calls, fmt.Errorf("Kong reads the name of a method and gets %q", method)
		}
		args, err := wire.ReadFrame(k.r, nil)
		if err != nil {
			return calls, err
		}
		call := pdkCall{string(method), string(args)}
		calls = append(calls, call)
		var answer []byte
		if reply != nil {
			answer, err = reply(call)
		}
		if call.Method == wire.Exit && err == nil {
			err = errDrop
		}
		if err != nil {
			k.hangUp()
			return calls, err
		}
		k.send(answer)
	}
}

// ended fails the test unless the server closes the connection cleanly, as Kong
// needs it to repeat an event: an end of file and not a reset.
func (k *kongConn) ended() {
	k.t.Helper()
	if b, err := k.r.ReadByte(); err != io.EOF {
		k.t.Fatalf("Kong reads byte %d, error %v, and the connection should be at its end", b, err)
	}
}

// drained reads what the server had sent before it knew of the end, to the end.
func (k *kongConn) drained() {
	k.t.Helper()
	if _, err := io.Copy(io.Discard, k.r); err != nil {
		k.t.Fatalf("the connection should be at its end: %v", err)
	}
}

// methods lists the names of the methods in calls.
func methods(calls []pdkCall) string {
	var names []string
	for _, call := range calls {
		names = append(names, strings.TrimPrefix(call.Method, "kong."))
	}
	return strings.Join(names, " ")
}

// frame reads one frame.
func (k *kongConn) frame() string {
	k.t.Helper()
	frame, err := wire.ReadFrame(k.r, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(frame)
}

// closed fails the test unless the server closes the connection, in whichever
// way, without another byte.
func (k *kongConn) closed() {
	k.t.Helper()
	b, err := k.r.ReadByte()
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		k.t.Fatalf("Kong reads byte %d, error %v, and the connection should be closed", b, err)
	}
}

func (k *kongConn) hangUp() { _ = k.sock.Close() }
