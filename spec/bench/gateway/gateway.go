// Package gateway measures on a real Kong what the plugin costs: beside a plain route,
// Kong's own weighted Upstream, a Lua function and a plugin on go-pdk's own server.
// It owns the contestants, the load, the backends, and the figures.
//
// All run at the same time on this machine, behind one Kong with one worker, and are
// measured in turn, in rounds. A figure of a contestant is compared with that of the
// plain route in the same round.
package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"kong-traffic-split/spec/bench/kong"
)

const (
	loopback = "127.0.0.1"
	// patience is how long a response may take.
	patience = 10 * time.Second
	// connections are those that the throughput is measured at.
	connections = 32
)

// Options are what to measure, and how.
type Options struct {
	Kong   string        // its executable
	Round  time.Duration // of one contestant's throughput; its latency takes a quarter of that more
	Rounds int
	Cases  *regexp.Regexp // of names of contestants
	// Start starts the plugin server of the plugin that Kong calls so, with what it
	// needs in a folder.
	Start func(ctx context.Context, plugin, dir string) (Server, error)
	Log   io.Writer // what happens, a line each
}

// A Server is a plugin server that runs.
type Server struct {
	Socket string
	Query  string // Kong's query_cmd, which tells what it has
	Stop   func() error
}

// setup is all that runs.
type setup struct {
	Options
	dir     string
	address string // of Kong
	kong    kong.Kong
	worker  int // a process
	all     []contestant

	requests  map[string][]byte // by contestant
	recorders map[string]*recorder
	ends      []func() error // what there is to end, the last one first
}

// Run measures. Where ctx is done it returns the reason.
func Run(ctx context.Context, o Options) (Report, error) {
	return run(ctx, o, func(ports []int) []contestant { return matching(contestants(ports), o.Cases) })
}

func run(ctx context.Context, o Options, of func(ports []int) []contestant) (report Report, err error) {
	if runtime.GOOS != "linux" {
		return Report{}, errors.New("a Kong is measured on Linux only, which tells the CPU time of its worker")
	}
	dir, err := os.MkdirTemp("", "gateway")
	if err != nil {
		return Report{}, err
	}
	s := &setup{Options: o, dir: dir, requests: map[string][]byte{}, recorders: map[string]*recorder{}}
	defer func() {
		for i := len(s.ends) - 1; i >= 0; i-- {
			err = errors.Join(err, s.ends[i]())
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = os.RemoveAll(dir)
		} else {
			fmt.Fprintln(o.Log, "the logs are in", dir)
		}
	}()
	if err := s.begin(ctx, of); err != nil {
		return Report{}, err
	}
	calls, err := s.rehearse(ctx)
	if err != nil {
		return Report{}, err
	}
	figures, err := s.play(ctx)
	if err != nil {
		return Report{}, err
	}
	report = newReport(figures, calls)
	report.CPUs, report.Connections = runtime.NumCPU(), connections
	report.Round, report.Rounds = o.Round.Seconds(), o.Rounds
	return report, nil
}

// begin starts the plugin servers, Kong and the backends.
func (s *setup) begin(ctx context.Context, of func(ports []int) []contestant) error {
	ports, err := kong.FreePorts(places + 1)
	if err != nil {
		return err
	}
	s.address = fmt.Sprintf("%s:%d", loopback, ports[0])
	ports = ports[1:]
	s.all = of(ports)
	config, err := declarative(s.all, ports)
	if err != nil {
		return err
	}
	s.kong = kong.Kong{
		Executable: s.Kong, Prefix: filepath.Join(s.dir, "kong"), Config: filepath.Join(s.dir, "kong.json"), Workers: 1,
		Settings: map[string]string{
			"KONG_ADMIN_LISTEN":                  "off",
			"KONG_NGINX_HTTP_KEEPALIVE_REQUESTS": "1000000000", // of the clients
			"KONG_PLUGINS":                       "post-function",
			"KONG_PROXY_ACCESS_LOG":              "off",
			"KONG_PROXY_LISTEN":                  s.address,
		},
	}
	if err := os.WriteFile(s.kong.Config, config, 0o644); err != nil {
		return err
	}
	if err := s.startServers(ctx); err != nil {
		return err
	}
	if err := s.kong.Command(ctx, "start"); err != nil {
		_ = s.kong.Stop() // where its command has started it all the same
		return err
	}
	s.ends = append(s.ends, s.kong.Stop)
	master, err := s.kong.Master()
	if err != nil {
		return err
	}
	var wrong error // until the worker has begun, and has its title
	err = kong.Await("Kong's worker", func() bool {
		s.worker, wrong = onlyWorker(master)
		return wrong == nil
	})
	if err != nil {
		return errors.Join(err, wrong)
	}
	end, err := startBackends(ctx, master, s.dir, ports[:len(backendNames)])
	if err != nil {
		return err
	}
	s.ends = append(s.ends, end)
	return s.hang(ctx, ports[len(backendNames)])
}

// startServers starts the servers that the contestants need, each with a recorder.
func (s *setup) startServers(ctx context.Context) error {
	settings := s.kong.Settings
	var names []string
	for _, c := range s.all {
		if c.plugin == "" || s.recorders[c.plugin] != nil {
			continue
		}
		server, err := s.Start(ctx, c.plugin, s.dir)
		if err != nil {
			return err
		}
		s.ends = append(s.ends, server.Stop)
		link := filepath.Join(s.dir, c.plugin+".socket")
		if s.recorders[c.plugin], err = record(link, server.Socket); err != nil {
			return err
		}
		names = append(names, c.plugin)
		variable := "KONG_PLUGINSERVER_" + strings.ToUpper(strings.ReplaceAll(c.plugin, "-", "_"))
		settings[variable+"_QUERY_CMD"], settings[variable+"_SOCKET"] = server.Query, link
	}
	settings["KONG_PLUGINS"] = strings.Join(append(names, settings["KONG_PLUGINS"]), ",")
	if len(names) > 0 {
		settings["KONG_PLUGINSERVER_NAMES"] = strings.Join(names, ",")
	}
	return nil
}

// WriteJSON writes a report for machines.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
