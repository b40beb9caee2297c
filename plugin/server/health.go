package server

import (
	"context"
	"fmt"
	"net"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/kong/wire"
)

// Healthcheck returns nil when a server of the plugin called name answers on
// the socket at path, before ctx is done, as it would answer Kong.
func Healthcheck(ctx context.Context, path, name string) error {
	var dialer net.Dialer
	sock, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("no plugin server answers on %s: %w", path, err)
	}
	defer sock.Close()
	if err := Probe(ctx, sock, name); err != nil {
		return fmt.Errorf("on %s %w", path, err)
	}
	return nil
}

// Probe returns nil when a server of the plugin called name answers at the other end of
// sock, before ctx is done, as it would answer Kong. One that has calls which hang does not.
func Probe(ctx context.Context, sock net.Conn, name string) error {
	names, err := pluginNames(ctx, sock)
	if err != nil {
		return fmt.Errorf("no plugin server answers: %w", err)
	}
	if len(names) != 1 || names[0] != name {
		return fmt.Errorf("answers a server of %s, not of %q", printable(fmt.Sprintf("%q", names)), name)
	}
	return nil
}

// pluginNames asks the server at the other end of sock for the names of its plugins.
func pluginNames(ctx context.Context, sock net.Conn) ([]string, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := sock.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	call, err := proto.Marshal(&pb.RpcCall{Sequence: 1, Call: &pb.RpcCall_CmdGetPluginNames{}})
	if err != nil {
		return nil, err
	}
	if _, err := sock.Write(wire.AppendFrame(nil, call)); err != nil {
		return nil, err
	}
	frame, err := wire.ReadFrame(sock, nil)
	if err != nil {
		return nil, err
	}
	var ret pb.RpcReturn
	if err := proto.Unmarshal(frame, &ret); err != nil {
		return nil, err
	}
	return ret.GetPluginNames().GetNames(), nil
}
