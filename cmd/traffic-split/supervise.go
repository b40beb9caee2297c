package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/file"
	"kong-traffic-split/plugin/server"
	"kong-traffic-split/plugin/server/keeper"
)

// errStopped is that the process is told to end while it stands by.
var errStopped = errors.New("told to end")

// supervise keeps the socket and the connections for children that serve, and stands by
// while another server does: at first, unless it is told to take over, and whenever
// another one has taken over from this one.
//
// One that Kong has started does so in a process of its own, and goes on for a while when
// Kong ends it, for the next one that Kong starts.
func supervise(o options, at place, told <-chan struct{}, log *slog.Logger) error {
	signals := make(chan os.Signal, 8)
	if told != nil {
		o.linger = lingerTime
		go func() {
			<-told
			signals <- syscall.SIGTERM
		}()
	}
	// Caught to the very end of the process, so that a second one makes it no failure.
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2)
	takeOver := o.takeOver
	for {
		err := keep(o, at, takeOver, signals, log)
		switch {
		case errors.Is(err, keeper.ErrSucceeded):
			log.Info("this server stands by from now on, and takes over again when the other one ends")
			takeOver = false
		case errors.Is(err, errStopped):
			return nil
		case !errors.Is(err, server.ErrTaken):
			return err
		}
	}
}

// keep waits until the place is free, unless takeOver says that it need not be, and keeps
// it.
func keep(o options, at place, takeOver bool, signals <-chan os.Signal, log *slog.Logger) error {
	standBy := at.standBy(log)
	var waiting *keeper.StandBy
	defer func() {
		if waiting != nil {
			_ = waiting.Close()
		}
	}()
	standBy.Register = func() (*server.Turn, error) {
		if waiting != nil {
			_ = waiting.Close()
		}
		var err error
		if waiting, err = keeper.Register(at.keeper()); err != nil {
			if keeper.Untrusted(err) {
				log.Error("the other server cannot be asked to let this one take over before it ends", "error", err)
			}
			return nil, err
		}
		return &server.Turn{PID: waiting.PID, Now: waiting.Turn, Gone: waiting.Gone}, nil
	}
	if !takeOver {
		if err := until(signals, log, standBy.Wait); err != nil {
			return err
		}
		// Whoever lets this one take over still has the socket.
		takeOver = standBy.HasTurn()
	}
	keeping := keeper.Options{
		Args:       os.Args,
		Listen:     func() (net.Listener, error) { return listen(o, standBy, takeOver, log) },
		Succession: at.keeper(),
		Early:      []string{server.ReservedIDs},
		Linger:     o.linger,
		Signals:    signals,
		Log:        log,
	}
	if o.splits != "" {
		keeping.Early = append(keeping.Early, file.NoteKey(o.splits))
	}
	if o.state != "" { // not before: until now another server has saved there
		saved := openState(o.state, log)
		defer saved.Close()
		keeping.State, keeping.Changes, keeping.Retired = saved, saved.Changes(), saved.Retire
	}
	return keeper.Run(keeping)
}

// lingerTime is how long a server that Kong has started goes on once Kong tells it to end:
// at a reload, the worker that is to go may do so before the one that comes has started
// the next server, by a second or two, and more on a busy machine.
const lingerTime = 5 * time.Second

// isKongs reports whether Kong has started this process, and so will start another one
// when it reloads.
func isKongs(o options) bool {
	parent, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", os.Getppid())) // not there but on Linux
	return o.takeOver || strings.TrimSpace(string(parent)) == "nginx"
}

// until waits for wait, unless a signal says that the process is to end.
func until(signals <-chan os.Signal, log *slog.Logger, wait func(context.Context) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	waited := make(chan error, 1)
	go func() { waited <- wait(ctx) }()
	for {
		select {
		case err := <-waited:
			return err
		case s := <-signals:
			if s == syscall.SIGTERM || s == syscall.SIGINT {
				cancel()
				<-waited
				return errStopped
			}
			log.Info("this server stands by, and a signal is not for it", "signal", s)
		}
	}
}

// A place is where a server serves, one at a time.
type place struct {
	socket string       // its path
	own    net.Listener // that one, where this process was handed it
}

// placeOf is the place that the command line says, or systemd.
func placeOf(o options) (place, error) {
	own, err := server.Activated()
	at := place{o.socket, own}
	if own != nil {
		if name := own.Addr().String(); name != "" && name[0] == '/' {
			at.socket = name
		}
	}
	return at, err
}

// keeper is the path of the socket on which a server asks the one before it for its
// connections.
func (p place) keeper() string { return p.socket + ".keeper" }

func (p place) standBy(log *slog.Logger) *server.StandBy {
	return &server.StandBy{Path: p.socket, Plugin: plugin.Name, Own: p.own, Log: log}
}
