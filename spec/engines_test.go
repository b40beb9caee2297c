package spec

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// standin runs the stand-in gateway as a process of its own.
type standin struct {
	splitctl string
	process  *process
	output   logbook
}

func (e *standin) start(g *gateway) error {
	var err error
	e.process, err = start(&e.output, g.env, e.splitctl, "standin")
	if err != nil {
		return err
	}
	err = await(func() bool { return !e.process.running() || g.serves() })
	if !e.process.running() {
		return errNotStarted(e.output.String())
	}
	return err
}

func (e *standin) reload() error { return e.process.cmd.Process.Signal(syscall.SIGHUP) }

func (e *standin) stop() error {
	if e.process == nil {
		return nil
	}
	return e.process.stop()
}

func (e *standin) log() string { return e.output.String() }

// awaitConfig has nothing to wait for: the stand-in answers POST /config when
// all its workers have the configuration.
func (e *standin) awaitConfig(*gateway, int) error { return nil }

// kong runs a real Kong.
type kong struct {
	path   string // the executable
	prefix string
	env    []string
}

func (e *kong) start(g *gateway) error {
	cmd := exec.Command(e.path, "start", "-p", e.prefix)
	cmd.Env = append(environ(), e.env...)
	out, err := cmd.CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		return errNotStarted(out)
	} else if err != nil {
		return fmt.Errorf("SPEC_KONG: %w", err)
	}
	if err := await(g.serves); err != nil {
		return err
	}
	// A worker that is not ready by the time of a new configuration would never be.
	if err := await(func() bool { return len(e.workers(ready, 0)) == g.workers }); err != nil {
		return fmt.Errorf("the start of all workers: %w", err)
	}
	return nil
}

func (e *kong) reload() error {
	cmd := exec.Command(e.path, "reload", "-p", e.prefix)
	cmd.Env = append(environ(), e.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kong reload: %w\n%s", err, out)
	}
	return nil
}

// stop ends Kong as "kong stop" does, and waits until its master process has
// removed its file, the last that it does.
func (e *kong) stop() error {
	file := filepath.Join(e.prefix, "pids", "nginx.pid")
	text, err := os.ReadFile(file)
	if err != nil || len(text) == 0 {
		return nil // it has not started
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("Kong's process %d: %w", pid, err)
	}
	if err := await(func() bool { return !exists(file) }); err != nil {
		return fmt.Errorf("the end of Kong's process %d: %w", pid, err)
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func (e *kong) log() string {
	text, _ := os.ReadFile(filepath.Join(e.prefix, "logs", "error.log")) // not there before the start
	return string(text)
}

var (
	ready        = regexp.MustCompile(`worker #(\d+) is ready to accept events`)
	reconfigured = regexp.MustCompile(`declarative reconfigure took \d+ ms on worker #(\d+)`)
)

// workers are those that have written a line in the log, behind the bytes that it had
// before.
func (e *kong) workers(line *regexp.Regexp, logged int) map[string]bool {
	workers := map[string]bool{}
	for _, match := range line.FindAllStringSubmatch(e.log()[logged:], -1) {
		workers[match[1]] = true
	}
	return workers
}

// awaitConfig waits until every worker has told that it has the configuration.
func (e *kong) awaitConfig(g *gateway, logged int) error {
	err := await(func() bool { return len(e.workers(reconfigured, logged)) == g.workers })
	if err != nil {
		return fmt.Errorf("the new configuration in all workers: %w", err)
	}
	return nil
}
