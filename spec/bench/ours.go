package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"time"

	pdk "github.com/Kong/go-pdk"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/plugin/server"
	"kong-traffic-split/plugin/server/keeper"
)

// ours is a choice as our server runs it. It is a server.Reader.
type ours struct {
	choice
	asked []server.Call
}

func newOurs(config []byte) (server.Instance, error) {
	o := &ours{}
	if err := json.Unmarshal(config, &o.choice); err != nil {
		return nil, err
	}
	for _, read := range o.reads {
		args, err := proto.Marshal(read.args)
		if err != nil {
			return nil, err
		}
		o.asked = append(o.asked, server.Call{Method: read.method, Args: args})
	}
	return o, nil
}

func (o *ours) Handle(_ string, _ time.Time, kong *pdk.PDK) error { return o.access(kong) }

// Reads lets the server ask for all of them together.
func (o *ours) Reads(string, time.Time) (first []server.Call, later [][]server.Call) {
	return o.asked, nil
}

func (o *ours) Close() {}

// serveOurs is the keeper, or the process that serves, as in traffic-split.
func serveOurs(dir string) error {
	plugin := server.Plugin{
		Name:   "bench",
		Phases: []string{"access"},
		Start:  newOurs,
	}
	path, err := socketIn(dir)
	if err != nil {
		return err
	}
	listen := func() (net.Listener, error) {
		return server.Listen(path, server.Access{Mode: server.DefaultSocketMode}, slog.Default())
	}
	s := server.New(plugin, slog.Default())
	child, err := keeper.Inherited()
	switch {
	case err != nil:
		return err
	case child != nil:
		s.State = child
		return errors.Join(child.Ready(), s.Serve(context.Background(), child))
	case keeper.Supported:
		endWithStdin()
		return keeper.Run(keeper.Options{Args: os.Args, Listen: listen, Log: slog.Default()})
	}
	endWithStdin()
	l, err := listen()
	if err != nil {
		return err
	}
	return s.Serve(context.Background(), l)
}
