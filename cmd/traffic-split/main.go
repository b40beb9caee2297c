// Command traffic-split is the plugin server that Kong's traffic-split plugin
// runs in. This package only wires the rooms of the plugin together.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/server"
	"kong-traffic-split/plugin/server/keeper"
	"kong-traffic-split/plugin/status"
)

// hangTime is long for what takes moments, also on a machine that is busy with much else;
// with the start of the next process it is well within the minute that Kong waits.
const hangTime = 20 * time.Second

// healthTime is how long -healthcheck waits for an answer.
const healthTime = 3 * time.Second

// The server reads for the plugin what it may ask Kong for, and asks it whose config it has.
var (
	_ server.Reader = (*plugin.Instance)(nil)
	_ server.Row    = (*plugin.Instance)(nil)
)

// options are the command line.
type options struct {
	prefix, socket, infoFile, splits string
	state, status                    string
	statusHosts                      []string
	access                           server.Access
	dump, version, healthcheck       bool
	supervise, outcomes, takeOver    bool
	hangTime                         time.Duration // how long a serving process may leave the parent without an answer
	linger                           time.Duration // how long to go on for another server, once told to end
	supervisor                       *server.Supervisor
	dropped                          func() status.Log // what the log lacks
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2) // parse has said why
	}
	err = run(o, os.Stdout)
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.Exited() {
		os.Exit(ended.ExitCode()) // the serving process has said why
	}
	if err != nil {
		fmt.Fprintln(server.NewLogWriter(os.Stderr), "traffic-split:", err) // it must not hang because of who is to read it
		os.Exit(1)
	}
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{access: server.Access{Mode: server.DefaultSocketMode}, hangTime: hangTime}
	flags := flag.NewFlagSet(plugin.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.prefix, "kong-prefix", "/usr/local/kong", "Kong's prefix `folder`, where the socket goes unless -socket says otherwise")
	flags.StringVar(&o.socket, "socket", "", "`path` of the socket (default: traffic-split.socket in Kong's prefix)")
	flags.Func("socket-mode", "permissions of the socket, in octal `digits` (default 0660: Kong's workers have to be its user or of its group)", func(text string) error {
		mode, err := strconv.ParseUint(text, 8, 32)
		if err != nil || mode > 0o777 {
			return errors.New("not a mode such as 0660")
		}
		o.access.Mode = fs.FileMode(mode)
		return nil
	})
	flags.Func("socket-owner", "`user:group` that the socket belongs to, either of them by name or by number, or left out", func(text string) error {
		o.access.User, o.access.Group, _ = strings.Cut(text, ":")
		return nil
	})
	flags.StringVar(&o.infoFile, "info-file", "", "also write what -dump prints to the file at `path`, for a query_cmd that reads it with cat")
	flags.StringVar(&o.splits, "file", "", "read splits from the YAML file, or the folder of them, at `path`; it is watched, and read again on SIGHUP")
	flags.StringVar(&o.state, "state", defaultState(), "save rollbacks, ejections, which backends are unhealthy and the last good configs in the file at `path`, so that they outlive a restart (default: traffic-split.state in systemd's STATE_DIRECTORY, else nowhere)")
	flags.Func("status-listen", "serve /metrics for Prometheus, and /status in JSON, to whoever can reach this `address:port`, such as 127.0.0.1:8007 (default: nowhere)", func(text string) error {
		_, port, err := net.SplitHostPort(text)
		if err != nil {
			return errors.New("not an address and a port such as 127.0.0.1:8007")
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("port %q is not in 0..65535", port)
		}
		o.status = text
		return nil
	})
	flags.Func("status-host", "also answer there to clients that call the server by this `name`; may be repeated (default: an address, localhost, a name without a dot, and the one in -status-listen)", func(text string) error {
		if text == "" || strings.ContainsAny(text, ":/") {
			return errors.New("not a host name such as split.example.com, without a port")
		}
		o.statusHosts = append(o.statusHosts, text)
		return nil
	})
	flags.BoolVar(&o.dump, "dump", false, "print what Kong's query_cmd asks for, and exit")
	flags.BoolVar(&o.version, "version", false, "print the version, and exit")
	flags.BoolVar(&o.outcomes, "outcomes", false, "have Kong tell what becomes of requests, which guards of ramps and passive health checks need; it costs every request with the plugin")
	flags.BoolVar(&o.supervise, "supervise", keeper.Supported, "serve in a child process that is replaced when it dies, and, on SIGUSR2, by the executable that is now at this one's path; no connection is lost (Linux only)")
	flags.Func("hang-timeout", "replace a serving process that has not answered the parent for so `long`, such as 20s, which is the default; 0: never. Kong waits for a minute", func(text string) (err error) {
		o.hangTime, err = time.ParseDuration(text)
		if err != nil || o.hangTime != 0 && o.hangTime < time.Second {
			return errors.New("neither 0 nor a time of 1s or more")
		}
		return nil
	})
	flags.BoolVar(&o.takeOver, "takeover", false, "take over at once from a server that answers on the socket, as at a reload of Kong that starts it (default: stand by until that one ends, and take over then)")
	flags.BoolVar(&o.healthcheck, "healthcheck", false, "exit with 0 if a server answers on the socket, otherwise with 1")
	flags.Usage = func() {
		fmt.Fprintf(stderr, "%s is the plugin server of Kong's traffic-split plugin.\n\nFlags:\n", plugin.Name)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q: %s takes flags only", flags.Arg(0), plugin.Name)
		fmt.Fprintln(stderr, err)
		return o, err
	}
	if o.socket == "" {
		o.socket = filepath.Join(o.prefix, plugin.Name+".socket")
	}
	return o, nil
}

func run(o options, stdout io.Writer) error {
	switch {
	case o.version:
		_, err := fmt.Fprintln(stdout, plugin.Name, plugin.Version)
		return err
	case o.dump:
		return server.Dump(stdout, describe(o), o.socket)
	case o.healthcheck:
		ctx, cancel := context.WithTimeout(context.Background(), healthTime)
		defer cancel()
		return server.Healthcheck(ctx, o.socket, plugin.Name)
	}
	// Who reads the log may be gone before this process is to end: a worker of Kong's that
	// has started it, at a reload.
	signal.Ignore(syscall.SIGPIPE)
	logged := server.NewLogWriter(os.Stderr)
	log := slog.New(slog.NewTextHandler(logged, nil))
	o.supervisor = server.SupervisorOf(log)
	o.dropped = func() status.Log { return status.Log(logged.Dropped()) }
	if isNginx() { // Kong's, if there is one
		o.supervisor = nil
	}
	child, err := keeper.Inherited()
	switch {
	case err != nil:
		return err
	case child != nil:
		return serve(context.Background(), o, child, nil, child, log)
	}
	stopAsked := keeper.Detached()
	if o.supervise && stopAsked == nil && isKongs(o) {
		return keeper.Detach(os.Args)
	}
	addr, err := addressOf(o)
	if err != nil {
		return err
	}
	// What is wrong with it is said now, and not when it takes over.
	info, err := server.PrepareInfo(o.infoFile, describe(o), o.socket)
	if err != nil {
		return err
	}
	if err := info.Discard(); err != nil {
		return err
	}
	if o.supervise {
		err = supervise(o, addr, stopAsked, log)
	} else {
		err = serveAlone(o, addr, log)
	}
	if err != nil {
		o.supervisor.Status("Ends: " + err.Error())
	}
	return err
}

// describe is the plugin without what it needs to run.
func describe(o options) server.Plugin {
	return server.Plugin{
		Name:     plugin.Name,
		Version:  plugin.Version,
		Priority: plugin.Priority,
		Phases:   plugin.Phases(o.outcomes),
		Schema:   config.KongSchema(),
	}
}
