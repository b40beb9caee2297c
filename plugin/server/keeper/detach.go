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
	"sync"
	"syscall"
)

// Kong kills the server that it has started (SIGKILL) when the worker that has started it
// ends, which at a reload may be before the next worker has started the next server. So
// what Kong starts is only a process that starts the keeper, and passes on what it is
// told; the keeper outlives it for as long as it lingers.

const (
	// detachedEnv is set for a keeper that another process stands for.
	detachedEnv = "TRAFFIC_SPLIT_DETACHED"
	// detachedFile is the file of such a keeper that ends when it is told to end, or when
	// who stands for it is gone.
	detachedFile = 3
)

// Detach runs this executable again, with the same arguments, in a process that goes on
// where this one is killed, and waits for its end. The error is that one's, an
// *exec.ExitError. A first signal to end is told through the file that [Detached] knows
// of, a second one and all others are passed on.
func Detach(args []string) error {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the keeper: %w", err)
	}
	end := sync.OnceValue(ours.Close)
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
		return errors.Join(fmt.Errorf("starting the keeper: %w", err), end())
	}
	ended := make(chan struct{})
	go func() {
		told := false
		for {
			select {
			case s := <-signals:
				if ends := s == syscall.SIGTERM || s == syscall.SIGINT; ends && !told {
					told = true
					_ = end()
				} else {
					_ = cmd.Process.Signal(s) // an error says that it has ended
				}
			case <-ended:
				return
			}
		}
	}()
	err = cmd.Wait()
	close(ended)
	_ = end()
	return err
}

// Detached returns what is closed when this process is to end, or who stands for it is
// gone; nil where nobody does. It is to be called once, before any file is opened.
func Detached() <-chan struct{} {
	if os.Getenv(detachedEnv) == "" {
		return nil
	}
	_ = os.Unsetenv(detachedEnv) // not for processes that this one starts
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
	syscall.CloseOnExec(detachedFile)
	file := os.NewFile(detachedFile, "end")
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer file.Close()
		_, _ = io.Copy(io.Discard, file)
	}()
	return over
}
