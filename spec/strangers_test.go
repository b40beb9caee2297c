package spec

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// A stranger is somebody else than Kong on the plugin server's socket. It does
// what its kind does wrong and returns; what goes on belongs to the strangers.
type stranger func(all *strangers, sock net.Conn) error

var strangerKinds = map[string]stranger{
	"announces": func(_ *strangers, sock net.Conn) error { // 4 GiB less a byte
		return isClosedAfter(sock, []byte{0xff, 0xff, 0xff, 0xff, 'x'})
	},
	"babbles": func(_ *strangers, sock net.Conn) error {
		return isClosedAfter(sock, wire.AppendFrame(nil, []byte("\xff\xff\xff\xff no protobuf")))
	},
	"says-nothing": func(_ *strangers, sock net.Conn) error { // an RPC call that asks for nothing
		return isClosedAfter(sock, wire.AppendFrame(nil, nil))
	},
	"breaks-off": func(_ *strangers, sock net.Conn) error {
		_, err := sock.Write(halfFrame)
		return errors.Join(err, sock.Close())
	},
	"falls-silent": func(_ *strangers, sock net.Conn) error {
		_, err := sock.Write(halfFrame)
		return err
	},
	"goes": func(_ *strangers, sock net.Conn) error {
		return sock.Close()
	},
	"numbers-oddly": func(_ *strangers, sock net.Conn) error {
		for _, sequence := range []int64{7, 7, 0, -1, math.MaxInt64, math.MinInt64, 3} {
			ret, err := ask(sock, &pb.RpcCall{Sequence: sequence, Call: &pb.RpcCall_CmdGetPluginNames{}})
			if err != nil {
				return err
			}
			if ret.Sequence != sequence {
				return fmt.Errorf("the answer to call %d is to call %d", sequence, ret.Sequence)
			}
		}
		return nil
	},
	"never-reads": func(all *strangers, sock net.Conn) error {
		calls, err := proto.Marshal(&pb.RpcCall{Sequence: 1, Call: &pb.RpcCall_CmdGetPluginInfo{}})
		if err != nil {
			return err
		}
		all.keepDoing(func() error { return writeAll(sock, wire.AppendFrame(nil, calls)) })
		return nil
	},
	"reads-slowly": readsSlowly,
}

// halfFrame is a frame with less than it announces.
var halfFrame = wire.AppendFrame(nil, make([]byte, 100))[:50]

// isClosedAfter sends what the server does not take, and expects that it closes
// the connection without an answer.
func isClosedAfter(sock net.Conn, sent []byte) error {
	if _, err := sock.Write(sent); err != nil {
		return err
	}
	answer, err := io.ReadAll(sock)
	if err != nil || len(answer) > 0 {
		return fmt.Errorf("the server has not just closed the connection: %q, %w", answer, err)
	}
	return nil
}

// ask makes one RPC call that is no event.
func ask(sock net.Conn, call *pb.RpcCall) (*pb.RpcReturn, error) {
	message, err := proto.Marshal(call)
	if err != nil {
		return nil, err
	}
	if _, err := sock.Write(wire.AppendFrame(nil, message)); err != nil {
		return nil, err
	}
	frame, err := wire.ReadFrame(sock, nil)
	if err != nil {
		return nil, err
	}
	ret := &pb.RpcReturn{}
	return ret, proto.Unmarshal(frame, ret)
}

func writeAll(sock net.Conn, frame []byte) error {
	for {
		if _, err := sock.Write(frame); err != nil {
			return err
		}
	}
}

// readsSlowly sends events of an instance of its own and reads what comes byte by
// byte, with an answer to each call.
func readsSlowly(all *strangers, sock net.Conn) error {
	started, err := ask(sock, &pb.RpcCall{Sequence: 1, Call: &pb.RpcCall_CmdStartInstance{CmdStartInstance: &pb.CmdStartInstance{
		Name: "traffic-split", Config: []byte(`{"__plugin_id": "stranger", "backends": [{"host": "localhost"}]}`),
	}}})
	if err != nil {
		return err
	}
	event, err := proto.Marshal(&pb.RpcCall{Sequence: 2, Call: &pb.RpcCall_CmdHandleEvent{CmdHandleEvent: &pb.CmdHandleEvent{
		InstanceId: started.GetInstanceStatus().GetInstanceId(), EventName: "access",
	}}})
	if err != nil {
		return err
	}
	all.keepDoing(func() error {
		slow := bufio.NewReaderSize(oneByte{sock}, 16)
		for {
			if _, err := sock.Write(wire.AppendFrame(nil, event)); err != nil {
				return err
			}
			if err := answerCalls(slow, sock); err != nil {
				return err
			}
		}
	})
	return nil
}

// answerCalls answers the calls of an event, to its end.
func answerCalls(r io.Reader, w io.Writer) error {
	for {
		method, err := wire.ReadFrame(r, nil)
		if err != nil {
			return err
		}
		if len(method) == 0 {
			_, err := wire.ReadFrame(r, nil) // the return
			return err
		}
		if _, err := wire.ReadFrame(r, nil); err != nil {
			return err
		}
		if _, err := w.Write(wire.AppendFrame(nil, nil)); err != nil {
			return err
		}
	}
}

// oneByte reads one byte at a time, and takes its time.
type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return r.Reader.Read(p[:min(1, len(p))])
}

// strangers are those of a script that are still there.
type strangers struct {
	socks []net.Conn
	doing sync.WaitGroup
}

// keepDoing does something until it fails, as it does when the server or the
// script ends the connection.
func (all *strangers) keepDoing(action func() error) {
	all.doing.Go(func() { _ = action() })
}

// end ends all their connections.
func (all *strangers) end() {
	for _, sock := range all.socks {
		_ = sock.Close()
	}
	all.doing.Wait()
}

// cmdStranger has strangers come to the plugin server's socket, one after another.
func (s *scene) cmdStranger(args []string) error {
	const usage = "stranger kind number"
	if err := arguments(args, usage, 2, 2); err != nil {
		return err
	}
	number, err := strconv.Atoi(args[1])
	kind, known := strangerKinds[args[0]]
	if err != nil || !known || s.plugin == nil {
		return errors.New("usage: " + usage + ", when a plugin server runs")
	}
	for i := range number {
		var sock net.Conn
		if awaitErr := await(func() bool {
			sock, err = net.Dial("unix", s.plugin.socket)
			return !errors.Is(err, syscall.EAGAIN) // too many wait to be accepted
		}); awaitErr != nil || err != nil {
			return fmt.Errorf("%s, %d of %d: %w", args[0], i+1, number, errors.Join(awaitErr, err))
		}
		if err := sock.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			return err
		}
		s.strangers.socks = append(s.strangers.socks, sock)
		if err := kind(&s.strangers, sock); err != nil {
			return fmt.Errorf("%s, %d of %d: %w", args[0], i+1, number, err)
		}
	}
	return nil
}
