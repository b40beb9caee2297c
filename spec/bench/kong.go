package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"

	"github.com/Kong/go-pdk/bridge"
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// A kong is one connection of Kong's, with Kong's way of speaking on it: the
// length and the body of a frame in a write each, calls read one by one from
// what has arrived, and one reply to each, also where it says nothing.
type kong struct {
	sock          net.Conn
	r             *bufio.Reader
	input, output []byte
	sequence      int64
	ret           pb.RpcReturn        // the last
	heard         func(method string) // if not nil, of each call
}

func connect(socket string) (*kong, error) {
	sock, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	return &kong{sock: sock, r: bufio.NewReader(sock)}, nil
}

// replies are those to methods that return something. All others get an empty
// frame.
var replies = func() map[string][]byte {
	all := map[string][]byte{}
	for method, reply := range map[string]string{
		"kong.request.get_header":           "theme=dark; session=4fae1c6b; lang=en",
		"kong.request.get_raw_query":        "page=2&sort=price",
		"kong.request.get_method":           "GET",
		"kong.request.get_path":             "/orders/17",
		"kong.request.get_forwarded_scheme": "https",
		"kong.client.get_forwarded_ip":      "198.51.100.7",
		"kong.nginx.get_var":                "/orders/17",
	} {
		body, err := proto.Marshal(bridge.WrapString(reply))
		if err != nil {
			panic(err) // valid UTF-8 always encodes
		}
		all[method] = body
	}
	return all
}()

// start starts an instance of a plugin, with the JSON of a row's config, and
// returns its id.
func (k *kong) start(plugin string, config any) (int32, error) {
	row, err := json.Marshal(config)
	if err != nil {
		return 0, err
	}
	start := &pb.CmdStartInstance{Name: plugin, Config: row}
	err = k.rpc(&pb.RpcCall{Call: &pb.RpcCall_CmdStartInstance{CmdStartInstance: start}}, 0)
	return k.ret.GetInstanceStatus().GetInstanceId(), err
}

// end closes an instance.
func (k *kong) end(instance int32) error {
	end := &pb.CmdCloseInstance{InstanceId: instance}
	return k.rpc(&pb.RpcCall{Call: &pb.RpcCall_CmdCloseInstance{CmdCloseInstance: end}}, 0)
}

// newEvent is an event of the access phase, to be used for one exchange after
// another.
func newEvent(instance int32) *pb.RpcCall {
	event := &pb.CmdHandleEvent{InstanceId: instance, EventName: "access"}
	return &pb.RpcCall{Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: event}}
}

// anyCalls is any number of calls.
const anyCalls = -1

// event lets the plugin handle an event, and fails unless it makes so many
// calls.
func (k *kong) event(event *pb.RpcCall, calls int) error {
	return k.rpc(event, calls)
}

// rpc is one exchange, with call's sequence set to the connection's next.
func (k *kong) rpc(call *pb.RpcCall, calls int) (err error) {
	k.sequence++
	call.Sequence = k.sequence
	if k.output, err = (proto.MarshalOptions{}).MarshalAppend(k.output[:0], call); err != nil {
		return err
	}
	if err := k.write(k.output); err != nil {
		return err
	}
	if call.GetCmdHandleEvent() != nil {
		if err := k.replyToAll(calls); err != nil {
			return err
		}
	}
	frame, err := k.read()
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(frame, &k.ret); err != nil {
		return err
	}
	if k.ret.Sequence != k.sequence {
		return fmt.Errorf("return of call %d instead of %d", k.ret.Sequence, k.sequence)
	}
	return nil
}

// replyToAll answers calls until the frame that ends them.
func (k *kong) replyToAll(calls int) error {
	for made := 0; ; made++ {
		method, err := k.read()
		if err != nil {
			return err
		}
		if len(method) == 0 {
			if made != calls && calls != anyCalls {
				return fmt.Errorf("calls that the plugin has made: %d; that it should have: %d", made, calls)
			}
			return nil
		}
		if k.heard != nil {
			k.heard(string(method))
		}
		reply := replies[string(method)]
		if _, err := k.read(); err != nil { // the arguments, in method's memory
			return err
		}
		if err := k.write(reply); err != nil {
			return err
		}
	}
}

func (k *kong) read() (frame []byte, err error) {
	if frame, err = wire.ReadFrame(k.r, k.input); err != nil {
		return nil, err
	}
	k.input = frame
	return frame, nil
}

// write writes a frame as Kong does. An empty body is no write of its own.
func (k *kong) write(body []byte) error {
	var length [4]byte
	binary.LittleEndian.PutUint32(length[:], uint32(len(body)))
	_, err := k.sock.Write(length[:])
	if len(body) > 0 && err == nil {
		_, err = k.sock.Write(body)
	}
	return err
}
