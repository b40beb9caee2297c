package spec

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// splitFile is the name of the plugin server's split file.
const splitFile = "splits.yaml"

// plugin is the plugin server that runs beside the gateway.
type plugin struct {
	*process        // nil before its first start
	name     string // of its executable
	log      *logbook
	socket   string // where the gateway reaches it
	info     string // the file with its dump, for the gateway's query command
	splits   string // its split file; empty: it has none
	outcomes bool   // it is told what becomes of requests
	status   string // the address where it shows how it does; empty: nowhere
	state    string // the file of its saved state; empty: none
	files    int    // how many it may have open; 0: as many as this process
	hangTime string // how long its serving process may not answer; empty: as long as by default
}

// cmdPlugin starts the plugin server, or stops, starts again or signals the one
// that was started.
func (s *scene) cmdPlugin(args []string) error {
	const usage = "plugin [-faulty] [-outcomes] [-status-listen address] [-file splits.yaml] [-state file] [-files number] [-hang-timeout time] | plugin stop | plugin start | plugin reload | " +
		"plugin kill number | plugin kill keeper | plugin kill stillborn number | plugin upgrade number | plugin hang number | plugin pause time | plugin files number"
	flags := flag.NewFlagSet("plugin", flag.ContinueOnError)
	file := flags.String("file", "", "")
	faulty := flags.Bool("faulty", false, "")
	outcomes := flags.Bool("outcomes", false, "")
	status := flags.String("status-listen", "", "")
	state := flags.String("state", "", "")
	files := flags.Int("files", 0, "")
	hangTime := flags.String("hang-timeout", "", "")
	args, err := parse(flags, args, usage, 0, 3)
	if err != nil {
		return err
	}
	switch {
	case slices.Equal(args, []string{"kill", "keeper"}) && s.plugin != nil && s.plugin.running():
		return s.plugin.killKeeper()
	case len(args) == 3 && args[0] == "kill" && args[1] == "stillborn" && s.plugin != nil && s.plugin.running():
		return s.plugin.killStillborn(args[2])
	case len(args) == 2 && args[0] == "files" && s.plugin != nil && s.plugin.running():
		return s.plugin.limitFiles(args[1])
	case len(args) == 2 && args[0] == "pause" && s.plugin != nil && s.plugin.running():
		return s.plugin.pause(args[1])
	case len(args) == 2 && s.plugin != nil && s.plugin.running():
		return s.replaceServing(args[0], args[1])
	case len(args) == 0 && s.plugin == nil:
		s.plugin = &plugin{
			name:     "traffic-split",
			log:      &logbook{},
			socket:   filepath.Join(s.dir, "plugin.socket"),
			info:     filepath.Join(s.dir, "info.json"),
			outcomes: *outcomes,
			status:   *status,
			files:    *files,
			hangTime: *hangTime,
		}
		if *state != "" {
			s.plugin.state = s.ts.MkAbs(*state)
		}
		if *faulty {
			s.plugin.name = "faulty"
		}
		s.ts.Setenv("socket", s.plugin.socket)
		if *file != "" {
			s.plugin.splits = filepath.Join(s.dir, splitFile)
			s.ts.Setenv("splits", s.plugin.splits)
			if err := s.writeSplits(*file); err != nil {
				return err
			}
		}
		return s.plugin.start(s.bin)
	case len(args) == 1 && args[0] == "stop" && s.plugin != nil:
		return s.plugin.stop()
	case len(args) == 1 && args[0] == "start" && s.plugin != nil && !s.plugin.running():
		return s.plugin.start(s.bin)
	case len(args) == 1 && args[0] == "reload" && s.plugin != nil && s.plugin.running():
		return s.plugin.cmd.Process.Signal(syscall.SIGHUP)
	}
	return errors.New("usage: " + usage)
}

// start starts the server and waits until it can be reached.
func (p *plugin) start(bin string) error {
	args := []string{"-socket", p.socket, "-info-file", p.info}
	if p.splits != "" {
		args = append(args, "-file", p.splits)
	}
	if p.outcomes {
		args = append(args, "-outcomes")
	}
	if p.status != "" {
		args = append(args, "-status-listen", p.status)
	}
	if p.state != "" {
		args = append(args, "-state", p.state)
	}
	if p.hangTime != "" {
		args = append(args, "-hang-timeout", p.hangTime)
	}
	path := filepath.Join(bin, p.name)
	if p.files > 0 {
		args = append([]string{"-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(p.files), path}, args...)
		path = "/bin/sh"
	}
	var err error
	p.process, err = start(p.log, nil, path, args...)
	if err != nil {
		return err
	}
	err = await(func() bool { return !p.running() || p.reachable() })
	if err != nil || !p.running() {
		return fmt.Errorf("the plugin server does not serve:\n%s", strings.TrimSpace(p.log.String()))
	}
	return nil
}

// reachable reports whether something listens on the socket and the dump is there.
func (p *plugin) reachable() bool {
	conn, err := net.Dial("unix", p.socket)
	if err != nil {
		return false
	}
	_ = conn.Close()
	_, err = os.Stat(p.info)
	return err == nil
}

// end stops the server where it runs.
func (p *plugin) end() error {
	if p.process == nil {
		return nil
	}
	return p.stop()
}
