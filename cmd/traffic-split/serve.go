package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
	"kong-traffic-split/plugin/health"
	"kong-traffic-split/plugin/mirror"
	"kong-traffic-split/plugin/server"
	"kong-traffic-split/plugin/server/keeper"
	"kong-traffic-split/plugin/state"
	"kong-traffic-split/plugin/status"
)

// gcPercent is how much the heap grows, in percent of what is live, before garbage
// is collected: half of Go's own figure. What an event leaves behind is little beside
// what thousands of instances keep.
const gcPercent = 50

// serve runs the server until SIGTERM or SIGINT, or the end of parent: the child of a
// keeper, or, where that is nil, all by itself, on the socket that open opens.
func serve(parent context.Context, o options, child *keeper.Child, open func() (net.Listener, error), saved state.Store, log *slog.Logger) error {
	// The signals stay caught to the very end: one that comes once the server has ended
	// of itself, as when another one goes on, must not make that end a failure.
	signalled, _ := signal.NotifyContext(parent, syscall.SIGTERM, syscall.SIGINT)
	ctx, stop := context.WithCancel(signalled)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // without split files too: it must not end the server

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	changes := status.NewChanges(log.Handler())
	log = slog.New(changes)
	probes := health.New(log, saved)
	defer probes.Close()
	copies := mirror.New()
	defer copies.Close()
	p := plugin.New(plugin.Options{Outcomes: o.outcomes, Probers: probes, Mirrors: copies, State: saved, Log: log})
	if child != nil {
		child.Notify(func(key string) {
			p.Recall(key)
			probes.Recall(key)
		})
	}
	source := status.Source{
		Version: plugin.Version, Commit: commit(), Started: time.Now(), Hosts: o.statusHosts,
		Schema: config.KongSchema(), Outcomes: o.outcomes, Splits: p.Status, ConfigErrors: p.ConfigErrors, Changes: changes.All, Log: o.dropped,
	}
	if child != nil {
		source.Processes = func() status.Processes { return status.Processes(keeper.DeathsOf(child)) }
		if d := keeper.DeathsOf(child); time.Since(d.Last) < time.Minute {
			log.Warn("this process goes on for one that has died", "died", d.Died, "hung", d.Hung, "at", d.Last)
		}
	}
	if host, _, err := net.SplitHostPort(o.status); err == nil {
		source.Hosts = append(source.Hosts, host)
	}
	if o.state != "" {
		source.State = func() status.SavedState { return stateOf(o.state, saved) }
	}
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	if o.splits != "" {
		splits, err := file.Open(o.splits, log, saved, p.SetSplits, p.ConfigOptions()...)
		if err != nil {
			return fmt.Errorf("-file %s:\n%w", o.splits, err)
		}
		background.Go(func() { splits.Run(ctx) })
		background.Go(func() { reload(ctx, hangup, splits) })
		source.SplitFiles = func() status.SplitFiles {
			return status.SplitFiles{Problems: splits.Problems(), LastReload: splits.LastReload()}
		}
	}
	source.Probes = func() status.Probes { return status.Probes(probes.Counts()) }
	if o.status != "" {
		background.Go(func() { status.Serve(ctx, o.status, status.Handler(source, log), log) })
	}
	described := describe(o)
	described.Start = func(text []byte) (server.Instance, error) { return p.Start(text), nil }
	s := server.New(described, log)
	s.State = saved
	p.Sample(time.Now())
	background.Go(func() { each(ctx, refreshPause, p.Refresh) })
	background.Go(func() { each(ctx, plugin.SamplePause, func() { p.Sample(time.Now()) }) })
	if child != nil {
		if err := child.Ready(); err != nil {
			return err
		}
		return s.Serve(ctx, child)
	}
	socket, err := open()
	if err != nil {
		return err
	}
	return s.Serve(ctx, socket)
}

// listen opens the socket, or takes the one that this process was handed over, and
// then puts the info file in its place: one that was there is of a server that may
// run, and stays where this one cannot.
func listen(o options, standBy *server.StandBy, takeOver bool, log *slog.Logger) (net.Listener, error) {
	info, err := server.PrepareInfo(o.infoFile, describe(o), o.socket)
	if err != nil {
		return nil, err
	}
	socket, err := standBy.Listen(context.Background(), o.access, takeOver)
	if err != nil {
		return nil, errors.Join(err, info.Discard())
	}
	if err := info.Publish(); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	log.Info("serving", "plugin", plugin.Name, "version", plugin.Version, "socket", socket.Addr())
	return socket, nil
}

// reload has the split files read again at every hangup.
func reload(ctx context.Context, hangup <-chan os.Signal, splits *file.Watcher) {
	for {
		select {
		case <-hangup:
			splits.Reload()
		case <-ctx.Done():
			return
		}
	}
}

// serveAlone serves without a parent process, once no other server does, unless it is
// told to take over at once.
func serveAlone(o options, addr address, log *slog.Logger) error {
	signalled, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // it must not end one that stands by
	context.AfterFunc(signalled, o.supervisor.Stopping)
	defer o.supervisor.Stopping() // what serves may have seen the signal first, and be at its end
	standBy := addr.standBy(o.supervisor, log)
	open := func() (net.Listener, error) {
		socket, err := listen(o, standBy, o.takeOver, log)
		if err == nil {
			o.supervisor.Ready("Serves on " + addr.socket)
			go ping(signalled, o.supervisor, addr.socket)
		}
		return socket, err
	}
	for {
		if !o.takeOver && standBy.Wait(signalled) != nil {
			return nil
		}
		if err := serveSaving(signalled, o, open, log); !errors.Is(err, server.ErrTaken) {
			return err
		}
	}
}

// ping tells the supervisor, once a second, that this process serves, as long as it does,
// as it would answer Kong.
func ping(ctx context.Context, supervisor *server.Supervisor, socket string) {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for supervisor.Watches() {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
		asking, cancel := context.WithTimeout(ctx, healthTime)
		if server.Healthcheck(asking, socket, plugin.Name) == nil {
			supervisor.Ping()
		}
		cancel()
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

// commit is what the executable was built from; empty: that is not known.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return ""
}
