package demo

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// stopTime is how long a process may take to end after SIGTERM.
const stopTime = 5 * time.Second

// echo is a backend that runs.
type echo struct {
	name, address string
	cmd           *exec.Cmd
	drained       chan struct{} // closed once its standard error was read to the end
}

// startEcho starts a backend on a free port of the loopback interface.
func startEcho(ctx context.Context, program, name string) (*echo, error) {
	cmd := exec.CommandContext(ctx, program, "-listen", "127.0.0.1:0", "-name", name)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting backend %s: %w", name, err)
	}
	lines := bufio.NewScanner(stderr)
	var said []string
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			e := &echo{name: name, address: address, cmd: cmd, drained: make(chan struct{})}
			go func() {
				defer close(e.drained)
				for lines.Scan() {
				}
			}()
			return e, nil
		}
		said = append(said, lines.Text())
	}
	_ = cmd.Wait()
	return nil, fmt.Errorf("backend %s (%s) does not listen, but ends with %v: %s", name, program, cmd.ProcessState, strings.Join(said, "; "))
}

// stop ends the backend and waits for it.
func (e *echo) stop() {
	_ = e.cmd.Cancel()
	<-e.drained
	_ = e.cmd.Wait()
}
