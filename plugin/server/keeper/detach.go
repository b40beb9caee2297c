//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Kong kills the server that it has started (SIGKILL) when the worker that has started it
// ends, which at a reload may be before the next worker has started the next server. So
// what Kong starts is only a stand-in that starts the keeper, and passes signals on; the
// keeper outlives it for as long as it lingers.

const (
	// detachedEnv is set for a keeper that a stand-in has started.
	detachedEnv = "TRAFFIC_SPLIT_DETACHED"
	// detachedFile is a pipe to such a keeper, which the stand-in closes for it to end, be
	// it by being killed.
	detachedFile = 3
)

// Detach runs this executable again, with the same arguments, in a process that goes on
// where this one is killed, and waits for its end. It returns that one's error, an
// *exec.ExitError. A first SIGTERM or SIGINT closes the channel that [Detached] returns
// there; a second one and all other signals are passed on.
func Detach(args []string) error {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the keeper: %w", err)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2)
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.Env = args, append(os.Environ(), detachedEnv+"=1")
	cmd.ExtraFiles = []*os.File{detachedFile - 3: theirs}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's ^C is passed on
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		return errors.Join(fmt.Errorf("starting the keeper: %w", err), ours.Close())
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for stopping := false; ; {
		select {
		case s := <-signals:
			if ends := s == syscall.SIGTERM || s == syscall.SIGINT; ends && !stopping {
				stopping = true
				_ = ours.Close()
			} else {
				_ = cmd.Process.Signal(s) // an error says that it has ended
			}
		case err := <-ended:
			_ = ours.Close()
			return err
		}
	}
}

// Detached returns a channel that is closed when this process is to end or its stand-in is
// gone; nil where it has no stand-in. It is to be called once, before any file is opened.
func Detached() <-chan struct{} {
	if os.Getenv(detachedEnv) == "" {
		return nil
	}
	_ = os.Unsetenv(detachedEnv) // not for processes that this one starts
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
	syscall.CloseOnExec(detachedFile)
	file := os.NewFile(detachedFile, "end")
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		defer file.Close()
		_, _ = io.Copy(io.Discard, file)
	}()
	return stop
}
