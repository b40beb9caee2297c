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
	"kong-traffic-split/plugin/state"
)

// errStopped says that the process was told to end while it stood by.
var errStopped = errors.New("told to end")

// supervise keeps the socket and the connections for children that serve, and stands by
// while another server does: at first, unless it is told to take over, and whenever
// another one has taken over from this one.
//
// One that Kong has started does so in a process of its own, and goes on for a while when
// Kong ends it, for the next one that Kong starts.
func supervise(o options, addr address, stopAsked <-chan struct{}, log *slog.Logger) error {
	signals := make(chan os.Signal, 8)
	if stopAsked != nil {
		o.linger = lingerTime
		go func() {
			<-stopAsked
			signals <- syscall.SIGTERM
		}()
	}
	// Caught to the very end of the process, so that a second one makes it no failure.
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2)
	takeOver := o.takeOver
	for {
		err := runKeeper(o, addr, takeOver, signals, log)
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

// runKeeper waits until no other server is at the address, unless takeOver says that it
// need not, and runs a keeper there.
func runKeeper(o options, addr address, takeOver bool, signals <-chan os.Signal, log *slog.Logger) error {
	standBy := addr.standBy(o.supervisor, log)
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
		if waiting, err = keeper.Register(addr.keeper()); err != nil {
			if errors.Is(err, keeper.ErrUntrusted) {
				log.Error("the other server cannot be asked to let this one take over before it ends", "error", err)
			}
			return nil, err
		}
		return &server.Turn{PID: waiting.PID, Now: waiting.Turn, Gone: waiting.Gone}, nil
	}
	if !takeOver {
		if err := waitUnlessStopped(signals, log, standBy.Wait); err != nil {
			o.supervisor.Stopping()
			return err
		}
		// Whoever lets this one take over still has the socket.
		takeOver = standBy.HasTurn()
	}
	settings := keeper.Options{
		Args:       os.Args,
		Listen:     func() (net.Listener, error) { return listen(o, standBy, takeOver, log) },
		Succession: addr.keeper(),
		// What it logs, it logs of the socket above, too.
		ListenSuccession: func() (net.Listener, error) {
			return server.Listen(addr.keeper(), server.Access{Mode: 0o600}, slog.New(slog.DiscardHandler))
		},
		Early:    []string{server.ReservedIDs},
		State:    new(state.Memory),
		Probe:    func(sock net.Conn) error { return server.Probe(context.Background(), sock, plugin.Name) },
		HangTime: o.hangTime,
		Stopping: o.supervisor.Stopping,
		Living:   o.supervisor.Ping,
		Linger:   o.linger,
		Signals:  signals,
		Log:      log,
	}
	if o.splits != "" {
		settings.Early = append(settings.Early, file.StateKey(o.splits))
	}
	if o.state != "" { // not before: until now another server has saved there
		saved := openState(o.state, log)
		defer saved.Close()
		settings.State, settings.Changes, settings.Retired = saved, saved.Changes(), saved.Retire
	}
	settings.Serving = func(pid int) {
		deaths := keeper.DeathsOf(settings.State)
		switch text := serves(addr.socket, pid, deaths); pid {
		case 0:
			o.supervisor.Status(text)
		default:
			o.supervisor.Ready(text)
		}
	}
	return keeper.Run(settings)
}

// serves says for people which process serves on a socket, 0 for none, after so many deaths.
func serves(socket string, pid int, deaths keeper.Deaths) string {
	text := fmt.Sprintf("Serves on %s, by process %d", socket, pid)
	if pid == 0 {
		text = fmt.Sprintf("No process serves on %s, until the next one is ready", socket)
	}
	if deaths.Died+deaths.Hung > 0 {
		text += fmt.Sprintf("; %d have died and %d hung, the last one at %s", deaths.Died, deaths.Hung, deaths.Last.UTC().Format(time.RFC3339))
	}
	return text
}

// lingerTime is how long a server that Kong has started goes on once Kong tells it to end:
// at a reload, the worker that is to go may do so before the one that comes has started
// the next server, by a second or two, and by eight on a very busy machine.
const lingerTime = 10 * time.Second

// isKongs reports whether Kong has started this process, and so will start another one
// when it reloads. Kong may have done so through a script, with -takeover, which nobody else
// is to say at each start.
func isKongs(o options) bool { return isNginx() || o.takeOver && o.supervisor == nil }

// isNginx reports whether it is a worker of Kong's that has started this process.
func isNginx() bool {
	parent, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", os.Getppid())) // not there but on Linux
	return strings.TrimSpace(string(parent)) == "nginx"
}

// waitUnlessStopped waits for wait. It returns errStopped where a signal says that the
// process is to end.
func waitUnlessStopped(signals <-chan os.Signal, log *slog.Logger, wait func(context.Context) error) error {
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

// An address is where one server at a time serves.
type address struct {
	socket string       // its path
	own    net.Listener // the socket, where systemd has handed it over; or nil
}

// addressOf is the address that systemd has handed over, or else the one of the command
// line.
func addressOf(o options) (address, error) {
	own, err := server.Activated()
	addr := address{o.socket, own}
	if own != nil {
		if name := own.Addr().String(); name != "" && name[0] == '/' {
			addr.socket = name
		}
	}
	return addr, err
}

// keeper is the path of the socket on which a server asks the one before it for its
// connections.
func (a address) keeper() string { return a.socket + ".keeper" }

// standBy is a place to stand by there, of which the supervisor is told: a server that
// stands by for one that serves is at work, as it is started to be.
func (a address) standBy(supervisor *server.Supervisor, log *slog.Logger) *server.StandBy {
	return &server.StandBy{Path: a.socket, Plugin: plugin.Name, Own: a.own, Log: log, Waiting: func(pid int, problem error) {
		other := "a process that is not known"
		if pid != 0 {
			other = fmt.Sprint("process ", pid)
		}
		if problem != nil {
			supervisor.Status(fmt.Sprintf("Stands by for %s, which has %s and does not answer: %v", other, a.socket, problem))
		} else {
			supervisor.Ready(fmt.Sprintf("Stands by for %s, which serves on %s", other, a.socket))
		}
		supervisor.Ping()
	}}
}
