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

// What an event allocates is all go-pdk's and protobuf's: the decoded RPC call,
// the PDK, and for each call its encoded arguments and what go-pdk reads with.
func TestAnEventAllocatesLittle(t *testing.T) {
	for calls, most := range map[int]float64{0: 5, 2: 17} {
		s := serve(t, pluginOf(func(_ string, kong *pdk.PDK) error {
			for range calls {
				if err := kong.Service.SetTarget("canary.local", 80); err != nil {
					return err
				}
			}
			return nil
		}))
		kong := dial(t, s.path)
		body, err := proto.Marshal(&pb.RpcCall{Sequence: 2, Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{
			InstanceId: kong.start(`{"__seq__":1}`), EventName: "access",
		}}})
		if err != nil {
			t.Fatal(err)
		}
		event := wire.AppendFrame(nil, body)
		replies := make([]byte, 4*calls)
		r := bufio.NewReader(kong.sock)
		var buf []byte
		got := testing.AllocsPerRun(1000, func() {
			_, _ = kong.sock.Write(event)
			for range 2*calls + 2 {
				if buf, err = wire.ReadFrame(r, buf); err != nil {
					t.Fatal(err)
				}
			}
			_, _ = kong.sock.Write(replies)
		})
		if got > most {
			t.Errorf("an event of %d calls allocates %v times, want %v at most", calls, got, most)
		}
	}
}
