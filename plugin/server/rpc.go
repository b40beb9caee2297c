package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
)

// errUnknownInstance closes the connection. That is the one case where Kong
// shall see it closed: it then forgets its instances of the plugin on all
// workers, starts them again and repeats the event.
var errUnknownInstance = errors.New("no such instance; Kong will start it again")

// errBrokenOff ends an event in the middle of a call.
var errBrokenOff = errors.New("exchange ended by Kong, as it is when a call fails there or the client goes,")

// brokenOff is the error of an exchange that has ended instead of the reply to
// a call of method.
func brokenOff(method string, err error) error {
	return fmt.Errorf("%w during %s: %w", errBrokenOff, method, err)
}

// converse answers the RPC calls on c until the connection ends.
func (s *Server) converse(c *conn) {
	for {
		frame, err := c.next()
		if err == nil {
			err = s.answer(c, frame)
		}
		if err != nil {
			s.logEnd(err)
			if errors.Is(err, errUnknownInstance) {
				c.hangUp()
			}
			return
		}
	}
}

// logEnd logs why a connection has ended. What Kong or the client has a part in is
// logged as a failure's reason is: once a minute, and with how often it was not.
func (s *Server) logEnd(err error) {
	level, reason, kind := slog.LevelWarn, printable(err), ""
	switch {
	case errors.Is(err, errUnknownInstance):
		level, kind = slog.LevelInfo, errUnknownInstance.Error() // whichever it is
	case errors.Is(err, errBrokenOff):
	case errors.Is(err, io.EOF), errors.Is(err, errDraining), errors.Is(err, errHandedOver):
		s.log.Debug("connection closed", "reason", reason)
		return
	}
	if ok, suppressed := s.ends.allow(cmp.Or(kind, reason), s.now()); ok {
		args := []any{"reason", reason}
		if suppressed > 0 {
			args = append(args, "suppressed", suppressed)
		}
		s.log.Log(context.Background(), level, "connection closed", args...)
	}
}

// answer answers one RPC call. After an error the connection cannot be used any
// more.
func (s *Server) answer(c *conn, frame []byte) error {
	call, ret := &c.call, &c.ret
	if err := proto.Unmarshal(frame, call); err != nil {
		return fmt.Errorf("an RPC call of %d bytes cannot be decoded: %w", len(frame), err)
	}
	ret.Sequence = call.Sequence
	c.begin(call)
	defer c.end()
	switch cmd := call.Call.(type) {
	case *pb.RpcCall_CmdHandleEvent:
		return s.event(c, cmd.CmdHandleEvent, ret)
	case *pb.RpcCall_CmdStartInstance:
		inst := s.start(cmd.CmdStartInstance, c.deaths)
		ret.Return = s.status(inst.id, inst)
	case *pb.RpcCall_CmdCloseInstance:
		id := cmd.CmdCloseInstance.InstanceId
		ret.Return = s.status(id, s.closeInstance(id))
	case *pb.RpcCall_CmdGetInstanceStatus:
		id := cmd.CmdGetInstanceStatus.InstanceId
		ret.Return = s.status(id, s.find(id, c.deaths))
	case *pb.RpcCall_CmdGetPluginNames: // which Kong does not call: who does wants to know whether this one serves
		if err := s.hanging(); err != nil {
			return err
		}
		ret.Return = &pb.RpcReturn_PluginNames{PluginNames: &pb.PluginNames{Names: []string{s.plugin.Name}}}
	case *pb.RpcCall_CmdGetPluginInfo:
		ret.Return = s.info()
	default:
		return fmt.Errorf("RPC call %d is none that is known", call.Sequence)
	}
	if err := c.appendReturn(ret); err != nil {
		return err
	}
	return c.finish()
}

// status describes the instance called id. One that does not exist, a nil inst,
// has no time of start.
func (s *Server) status(id int32, inst *instance) *pb.RpcReturn_InstanceStatus {
	status := &pb.InstanceStatus{Name: s.plugin.Name, InstanceId: id}
	if inst != nil {
		status.StartedAt = inst.started.Unix()
	}
	return &pb.RpcReturn_InstanceStatus{InstanceStatus: status}
}

// info describes the plugin, as the dump does.
func (s *Server) info() *pb.RpcReturn_PluginInfo {
	return &pb.RpcReturn_PluginInfo{PluginInfo: &pb.PluginInfo{
		Name:     s.plugin.Name,
		LoadedAt: s.started.Unix(),
		Phases:   s.plugin.Phases,
		Version:  s.plugin.Version,
		Priority: int32(s.plugin.Priority),
		Schema:   string(s.plugin.Schema),
	}}
}
