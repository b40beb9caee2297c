package standin

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// failed is an error that Kong's Lua code returns, rather than raises.
type failed struct{ message string }

func (e failed) Error() string { return e.message }

// errAnswered ends an exchange in the middle: the plugin has answered the
// client itself.
var errAnswered = errors.New("the plugin has answered the request")

// bridge answers one call of the PDK.
type bridge func(method string, args []byte) (reply []byte, err error)

// rpcClient is one worker's side of one plugin's protocol. It may be used by
// several goroutines at the same time.
type rpcClient struct {
	pool  *pool
	calls atomic.Int64
	log   *errorLog
}

// call sends a call and returns what the plugin returns. The plugin's own
// calls are answered by answer; without one it may make none. hold, where
// given, gets a connection that has to be closed at the end of the request.
func (c *rpcClient) call(call *pb.RpcCall, answer bridge, hold func(io.Closer)) (*pb.RpcReturn, error) {
	call.Sequence = c.calls.Add(1) + 1 // Kong begins with 2
	conn, err := c.pool.get()
	if err != nil {
		reason := luaError(err)
		c.log.kong(levelError, "pb_rpc.lua:273", "trying to connect: %s", reason)
		return nil, failed{reason}
	}
	returned, err := exchangeFrames(conn, call, answer)
	switch {
	case err == nil:
		c.pool.put(conn)
	case hold != nil:
		hold(conn)
	default:
		_ = conn.Close()
	}
	return returned, err
}

// exchangeFrames makes a call on a connection.
func exchangeFrames(conn *pluginConn, call *pb.RpcCall, answer bridge) (*pb.RpcReturn, error) {
	message, err := proto.Marshal(call)
	if err != nil {
		return nil, raise("%v", err)
	}
	if err := writeFrame(conn, message); err != nil {
		return nil, err
	}
	for answer != nil {
		method, err := readFrame(conn)
		if err != nil {
			return nil, err
		}
		if len(method) == 0 {
			break
		}
		name := string(method) // the next frame takes its memory
		args, err := readFrame(conn)
		if err != nil {
			return nil, err
		}
		reply, err := answer(name, args)
		if err != nil {
			return nil, err
		}
		if err := writeFrame(conn, reply); err != nil {
			return nil, err
		}
	}
	message, err = readFrame(conn)
	if err != nil {
		return nil, err
	}
	returned := &pb.RpcReturn{}
	if err := proto.Unmarshal(message, returned); err != nil {
		return nil, raise("%v", err)
	}
	if returned.Sequence != call.Sequence {
		return nil, raise("assertion failed!")
	}
	return returned, nil
}

// writeFrame writes the length and the body in two writes, as Kong does.
func writeFrame(conn *pluginConn, body []byte) error {
	_, err := conn.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(body))))
	if err == nil && len(body) > 0 {
		_, err = conn.Write(body)
	}
	if err != nil {
		return raised{luaError(err)} // Kong asserts that it could write
	}
	return nil
}

func readFrame(conn *pluginConn) ([]byte, error) {
	frame, err := wire.ReadFrame(conn.r, conn.frame)
	if err != nil {
		return nil, failed{luaError(err)}
	}
	conn.frame = frame
	return frame, nil
}

// luaError is how nginx's Lua module names an error of a socket.
func luaError(err error) string {
	errno, isErrno := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case isErrno:
		return strings.ToLower(errno.Error())
	}
	return err.Error()
}
