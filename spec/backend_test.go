package spec

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"syscall"
)

// echo is a backend.
type echo struct {
	*process
	variable string
	address  string
	args     []string // besides the address
}

// cmdBackend starts an echo, or stops one, or starts it again where it was. Its
// address is in the variable of its name, its port in the one with _port behind
// it. One that hangs takes connections and says nothing, until it is resumed.
func (s *scene) cmdBackend(args []string) error {
	flags := flag.NewFlagSet("backend", flag.ContinueOnError)
	listen := flags.String("listen", "", "")
	tls := flags.Bool("tls", false, "")
	log := flags.Bool("log", false, "")
	name := flags.String("name", "", "")
	args, err := parse(flags, args, "backend [-listen address] [-tls] [-log] [-name name] variable | backend stop|start|hang|resume variable", 1, 2)
	if err != nil {
		return err
	}
	if len(args) == 2 {
		return s.switchBackend(args[0], args[1])
	}
	if *name == "" {
		*name = args[0]
	}
	if *listen == "" {
		port, err := freePort()
		if err != nil {
			return err
		}
		*listen = fmt.Sprintf("127.0.0.1:%d", port)
	}
	e := &echo{variable: args[0], address: *listen, args: []string{"-name", *name, fmt.Sprintf("-tls=%t", *tls), fmt.Sprintf("-log=%t", *log)}}
	port, err := e.start(s.bin)
	if err != nil {
		return err
	}
	s.backends = append(s.backends, e)
	s.ts.Setenv(e.variable, e.address)
	s.ts.Setenv(e.variable+"_port", port)
	return nil
}

func (s *scene) switchBackend(how, variable string) error {
	for _, e := range s.backends {
		if e.variable != variable {
			continue
		}
		switch {
		case how == "hang" && e.running():
			return e.cmd.Process.Signal(syscall.SIGSTOP)
		case how == "resume" && e.running():
			return e.cmd.Process.Signal(syscall.SIGCONT)
		case how == "stop" && e.running():
			return e.stop()
		case how == "start" && !e.running():
			_, err := e.start(s.bin)
			return err
		}
	}
	return errors.New("usage: backend stop variable | backend start variable | backend hang variable | backend resume variable, of one that runs or does not")
}

// cmdEchoed claims that the log of a backend that was started with -log has something that
// matches. It waits for it, but not for its absence.
func (s *scene) cmdEchoed(args []string) (string, error) {
	if err := arguments(args, "echoed variable regexp", 2, 2); err != nil {
		return "", err
	}
	for _, e := range s.backends {
		if e.variable == args[0] {
			return s.logHas("echoed", e.log.String, args[1:])
		}
	}
	return "", fmt.Errorf("no backend %q was started", args[0])
}

var listening = regexp.MustCompile(`listening on (\S+:(\d+))`)

// start starts the echo and returns its port.
func (e *echo) start(bin string) (port string, err error) {
	e.process, err = start(&logbook{}, nil, filepath.Join(bin, "echo"), append(e.args, "-listen", e.address)...)
	if err != nil {
		return "", err
	}
	found, err := e.awaitLine(listening)
	if err != nil {
		return "", err
	}
	e.address = found[1]
	return found[2], nil
}
