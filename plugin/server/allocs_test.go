package server

import (
	"bufio"
	"testing"

	pdk "github.com/Kong/go-pdk"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

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
