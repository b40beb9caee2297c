package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// rawServer answers events with bytes that it has prepared when the instance
// started. It is the mark for what a server in Go can reach: it decides nothing,
// and writes once, or twice where it has to wait for what it reads.
type rawServer struct {
	mu        sync.RWMutex
	instances map[uint64]*prepared // by their ids
}

func serveRaw(dir string) error {
	endWithStdin()
	path, err := socketIn(dir)
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	s := &rawServer{instances: map[uint64]*prepared{}}
	for {
		sock, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			if err := s.converse(sock); !errors.Is(err, io.EOF) {
				log.Print(err)
			}
			_ = sock.Close()
		}()
	}
}

// converse answers the calls on one connection until it ends.
func (s *rawServer) converse(sock net.Conn) error {
	c := &rawConn{sock: sock, r: bufio.NewReader(sock)}
	for {
		if err := c.skip(c.owed); err != nil {
			return err
		}
		c.owed = 0
		frame, err := wire.ReadFrame(c.r, c.input)
		if err != nil {
			return err
		}
		c.input = frame
		event := value(field(frame, eventField))
		if event == nil {
			err = s.start(c, frame)
		} else {
			err = s.answer(c, field(frame, sequenceField), event)
		}
		if err != nil {
			return err
		}
	}
}

// A rawConn is one connection of Kong.
type rawConn struct {
	sock          net.Conn
	r             *bufio.Reader
	input, output []byte
	owed          int // replies that are still to come
}

// skip reads frames that say nothing to this server.
func (c *rawConn) skip(frames int) (err error) {
	for range frames {
		if c.input, err = wire.ReadFrame(c.r, c.input); err != nil {
			return err
		}
	}
	return nil
}

// answer answers an event. The return has the sequence of the call as its only
// field.
func (s *rawServer) answer(c *rawConn, sequence, event []byte) error {
	id, _ := protowire.ConsumeVarint(value(field(event, instanceField)))
	s.mu.RLock()
	p := s.instances[id]
	s.mu.RUnlock()
	if p == nil {
		return fmt.Errorf("no instance %d", id)
	}
	c.output = append(c.output[:0], p.tell...)
	c.output = wire.AppendFrame(c.output, sequence)
	if p.reads > 0 {
		if _, err := c.sock.Write(p.ask); err != nil {
			return err
		}
		if err := c.skip(p.reads); err != nil {
			return err
		}
	}
	c.owed = p.owed
	_, err := c.sock.Write(c.output)
	return err
}

// start starts an instance, for which it takes its time.
func (s *rawServer) start(c *rawConn, frame []byte) error {
	var call pb.RpcCall
	if err := proto.Unmarshal(frame, &call); err != nil {
		return err
	}
	id, p, err := prepare(call.GetCmdStartInstance().GetConfig())
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.instances[uint64(id)] = p
	s.mu.Unlock()
	ret, err := proto.Marshal(&pb.RpcReturn{
		Sequence: call.Sequence,
		Return:   &pb.RpcReturn_InstanceStatus{InstanceStatus: &pb.InstanceStatus{InstanceId: id}},
	})
	if err != nil {
		return err
	}
	_, err = c.sock.Write(wire.AppendFrame(nil, ret))
	return err
}

// The numbers of the fields that an event is told by.
const (
	sequenceField = 1  // of an RpcCall and of an RpcReturn
	eventField    = 36 // of an RpcCall: its CmdHandleEvent
	instanceField = 1  // of a CmdHandleEvent
)

// field is the field of a protobuf message that has this number, with its tag,
// or nil.
func field(message []byte, number protowire.Number) []byte {
	for len(message) > 0 {
		n, _, size := protowire.ConsumeField(message)
		if size < 0 {
			return nil
		}
		if n == number {
			return message[:size]
		}
		message = message[size:]
	}
	return nil
}

// value is a field without its tag and, of a message, without its length.
func value(field []byte) []byte {
	_, kind, size := protowire.ConsumeTag(field)
	switch {
	case size < 0:
		return nil
	case kind == protowire.BytesType:
		v, _ := protowire.ConsumeBytes(field[size:])
		return v
	default:
		return field[size:]
	}
}
