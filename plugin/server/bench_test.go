package server

import (
	"bufio"
	"fmt"
	"testing"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// BenchmarkEvent measures an event whose handler makes so many calls, from
// Kong's first write to the end of the return, on a Unix socket. Kong's side is
// part of it: a write for each length, each body and each reply.
func BenchmarkEvent(b *testing.B) {
	for _, calls := range []int{0, 2} {
		b.Run(fmt.Sprintf("calls=%d", calls), func(b *testing.B) {
			s := serve(b, pluginOf(func(_ string, kong *pdk.PDK) error {
				for range calls {
					if err := kong.Service.SetTarget("canary.local", 80); err != nil {
						return err
					}
				}
				return nil
			}))
			kong := dial(b, s.path)
			id := kong.start(`{"__seq__":1}`)
			body, err := proto.Marshal(&pb.RpcCall{Sequence: 2, Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{
				InstanceId: id, EventName: "access",
			}}})
			if err != nil {
				b.Fatal(err)
			}
			event, empty := wire.AppendFrame(nil, body), wire.AppendFrame(nil, nil)
			r := bufio.NewReader(kong.sock)
			var buf []byte
			write := func(p []byte) {
				if _, err := kong.sock.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				write(event[:4])
				write(event[4:])
				for {
					if buf, err = wire.ReadFrame(r, buf); err != nil {
						b.Fatal(err)
					}
					end := len(buf) == 0
					if buf, err = wire.ReadFrame(r, buf); err != nil {
						b.Fatal(err)
					}
					if end {
						break
					}
					write(empty)
				}
			}
		})
	}
}
