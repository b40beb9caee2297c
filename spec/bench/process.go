package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// serveFlag, a server's name and a folder make this executable that server.
const serveFlag = "-serve"

// contestants are the servers in the order of the first round.
var contestants = []string{"ours", "stock", "raw"}

var servers = map[string]func(dir string) error{
	"ours":  serveOurs,
	"stock": serveStock,
	"raw":   serveRaw,

	stockPlugin: serveStockTarget,
}

const (
	// startTime is how long a server may take to listen, and to end.
	startTime = 10 * time.Second
	// startPause is the wait between two looks at whether it listens.
	startPause = 5 * time.Millisecond
)

// serve runs the server called name with its socket in dir. It returns only when
// the server has failed.
func serve(name, dir string) error {
	run, ok := servers[name]
	if !ok {
		return fmt.Errorf("there is no server %q", name)
	}
	return run(dir)
}

// endWithStdin ends this process when the one that has started it closes its end
// of standard input, be it by its own end.
func endWithStdin() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
}

// socketIn is the path of a server's socket: the one that go-pdk chooses.
func socketIn(dir string) (string, error) {
	executable, err := os.Executable()
	return filepath.Join(dir, filepath.Base(executable)+".socket"), err
}

// A process is a server that runs.
type process struct {
	name, socket string

	cmd    *exec.Cmd
	end    func() error  // asks it to end
	stderr bytes.Buffer  // to be read once done is closed
	err    error         // likewise
	done   chan struct{} // closed when the process has ended
}

// start starts the server called name, with its socket in a folder of its own in
// dir, and waits until it listens. It is killed when ctx is done.
func start(ctx context.Context, name, dir string) (*process, error) {
	dir = filepath.Join(dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	socket, err := socketIn(dir)
	if err != nil {
		return nil, err
	}
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, executable, serveFlag, name, dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return run(name, socket, cmd, stdin.Close)
}

// run runs a server by cmd, and waits until it listens.
func run(name, socket string, cmd *exec.Cmd, end func() error) (*process, error) {
	p := &process{name: name, socket: socket, cmd: cmd, end: end, done: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := p.awaitSocket(); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *process) awaitSocket() error {
	deadline := time.After(startTime)
	for {
		sock, err := net.Dial("unix", p.socket)
		if err == nil {
			return sock.Close()
		}
		select {
		case <-p.done:
			return fmt.Errorf("server %s has ended before it listened", p.name)
		case <-deadline:
			return fmt.Errorf("server %s does not listen after %v: %w", p.name, startTime, err)
		case <-time.After(startPause):
		}
	}
}

// stop ends the process and returns what it has failed with, if it has.
func (p *process) stop() error {
	_ = p.end() // or it has ended
	select {
	case <-p.done:
	case <-time.After(startTime):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	if p.err == nil {
		return nil
	}
	said := ""
	if p.stderr.Len() > 0 {
		said = "\n" + strings.TrimSpace(p.stderr.String())
	}
	return fmt.Errorf("server %s: %w%s", p.name, p.err, said)
}
