//go:build linux

package keeper

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
	"kong-traffic-split/plugin/server"
)

// silentInstance makes two calls that nobody waits for.
type silentInstance struct{}

func (silentInstance) Close() {}
func (silentInstance) Handle(_ string, _ time.Time, kong *pdk.PDK) error {
	if err := kong.Service.SetTarget("canary.local", 80); err != nil {
		return err
	}
	return kong.ServiceRequest.SetPath("/")
}

// BenchmarkEvent measures an event of two calls as that of plugin/server does, on
// a connection that ends with its process and on one that does not.
func BenchmarkEvent(b *testing.B) {
	for name, kept := range map[string]bool{"plain": false, "kept": true} {
		b.Run(name, func(b *testing.B) { benchmarkEvent(b, kept) })
	}
}

func benchmarkEvent(b *testing.B, kept bool) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	kong, err := connOf(pair[1])
	if err != nil {
		b.Fatal(err)
	}
	defer kong.Close()
	plain, err := connOf(pair[0])
	if err != nil {
		b.Fatal(err)
	}
	child := &Child{slots: newTestSlots(b), conns: make(chan net.Conn, 1), stopped: make(chan struct{})}
	child.handingOver.Store(true) // there is no keeper to tell of ends
	if kept {
		file, err := plain.File()
		if err != nil {
			b.Fatal(err)
		}
		fd, err := unix.Dup(int(file.Fd()))
		if err != nil {
			b.Fatal(err)
		}
		_ = file.Close()
		_ = plain.Close()
		sock, err := newConn(child, fd, 0)
		if err != nil {
			b.Fatal(err)
		}
		child.conns <- sock
	} else {
		child.conns <- plain
	}
	s := server.New(server.Plugin{
		Name: "traffic-split", Phases: []string{"access"},
		Start: func([]byte) (server.Instance, error) { return silentInstance{}, nil },
	}, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, child) }()
	defer func() {
		_ = kong.Close()
		stop()
		<-ended
	}()

	frame := func(call *pb.RpcCall) []byte {
		body, err := proto.Marshal(call)
		if err != nil {
			b.Fatal(err)
		}
		return wire.AppendFrame(nil, body)
	}
	r := bufio.NewReader(kong)
	var buf []byte
	write := func(p []byte) {
		if _, err := kong.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	read := func() {
		if buf, err = wire.ReadFrame(r, buf); err != nil {
			b.Fatal(err)
		}
	}
	write(frame(&pb.RpcCall{Sequence: 1, Call: &pb.RpcCall_CmdStartInstance{
		CmdStartInstance: &pb.CmdStartInstance{Name: "traffic-split", Config: []byte(`{"__seq__":1}`)},
	}}))
	read()
	event, reply := frame(&pb.RpcCall{Sequence: 2, Call: &pb.RpcCall_CmdHandleEvent{
		CmdHandleEvent: &pb.CmdHandleEvent{InstanceId: 1, EventName: "access"},
	}}), wire.AppendFrame(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		write(event[:4]) // as Kong does
		write(event[4:])
		for range 2 {
			read() // method
			read() // arguments
			write(reply)
		}
		read() // the end of calls
		read() // the return
	}
}
