// Command faulty is the plugin server with a handler that fails where a request
// asks for it, for the scenarios: on a path that ends with "00" it panics, and on
// one that ends with "/exit" it takes its process with it, as a fatal error of Go's
// runtime would; so does the start of an instance of a row called "exit". On one that ends
// with "/deadlock" it never ends, the first time. A process ends
// before it is ready where there is a file called like the socket, with
// ".stillborn" behind it. All else is left to the plugin.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	pdk "github.com/Kong/go-pdk"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/server"
	"kong-traffic-split/plugin/server/keeper"
)

func main() {
	socket := flag.String("socket", "", "the `path` of the socket")
	info := flag.String("info-file", "", "the `path` of the file with the dump")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil))) // as traffic-split's
	err := serve(*socket, *info)
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		slog.Error("the plugin server ends", "error", err)
		os.Exit(1)
	}
}

// serve is the keeper, or the process that serves, as in traffic-split.
func serve(socket, info string) error {
	p := plugin.New(plugin.Options{Log: slog.Default()})
	served := server.Plugin{
		Name:     plugin.Name,
		Version:  plugin.Version,
		Priority: plugin.Priority,
		Phases:   plugin.Phases(false),
		Schema:   config.KongSchema(),
		Start: func(text []byte) (server.Instance, error) {
			if bytes.Contains(text, []byte(`"__plugin_id":"exit"`)) {
				os.Exit(3)
			}
			return faulty{p.Start(text), socket}, nil
		},
	}
	child, err := keeper.Inherited()
	if err != nil {
		return err
	}
	if child == nil {
		if err := os.WriteFile(socket+".deadlock", nil, 0o600); err != nil {
			return err
		}
		probe := func(sock net.Conn) error { return server.Probe(context.Background(), sock, plugin.Name) }
		return keeper.Run(keeper.Options{Args: os.Args, Log: slog.Default(), Probe: probe, HangTime: time.Second, Listen: func() (net.Listener, error) {
			dump, err := server.PrepareInfo(info, served, socket)
			if err == nil {
				err = dump.Publish()
			}
			if err != nil {
				return nil, err
			}
			return server.Listen(socket, server.Access{Mode: server.DefaultSocketMode}, slog.Default())
		}})
	}
	if _, err := os.Stat(socket + ".stillborn"); err == nil {
		os.Exit(3)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := server.New(served, slog.Default())
	s.State = child
	return errors.Join(child.Ready(), s.Serve(ctx, child))
}

// faulty is the plugin's instance, with a fault.
type faulty struct {
	*plugin.Instance
	socket string
}

func (f faulty) Handle(phase string, now time.Time, kong *pdk.PDK) error {
	path, err := kong.Request.GetPath()
	switch {
	case err != nil:
		return err
	case strings.HasSuffix(path, "00"):
		panic("the request has asked for it")
	case strings.HasSuffix(path, "/exit"):
		os.Exit(3)
	case strings.HasSuffix(path, "/deadlock") && os.Remove(f.socket+".deadlock") == nil:
		select {}
	}
	return f.Instance.Handle(phase, now, kong)
}
