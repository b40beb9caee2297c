package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"kong-traffic-split/plugin/server"
	"kong-traffic-split/plugin/state"
)

// serveAlone serves without a parent process, once no other server does, unless it is
// told to take over at once.
func serveAlone(o options, addr address, log *slog.Logger) error {
	signalled, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // it must not end one that stands by
	standBy := addr.standBy(log)
	open := func() (net.Listener, error) { return listen(o, standBy, o.takeOver, log) }
	for {
		if !o.takeOver && standBy.Wait(signalled) != nil {
			return nil
		}
		if err := serveSaving(signalled, o, open, log); !errors.Is(err, server.ErrTaken) {
			return err
		}
	}
}

// serveSaving serves, and saves its state where the command line says.
func serveSaving(ctx context.Context, o options, open func() (net.Listener, error), log *slog.Logger) error {
	if o.state == "" {
		return serve(ctx, o, nil, open, new(state.Memory), log)
	}
	saved := openState(o.state, log)
	defer saved.Close()
	return serve(ctx, o, nil, open, saved, log)
}
