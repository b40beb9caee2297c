package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopTime is how long a process may take to end after SIGTERM.
const stopTime = 5 * time.Second

// echo is a running backend.
type echo struct {
	name, address string
	cmd           *exec.Cmd
	drained       chan struct{} // closed once its standard error has been read to the end
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
	var output []string
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
		output = append(output, lines.Text())
	}
	_ = cmd.Wait()
	return nil, fmt.Errorf("backend %s (%s) does not listen, but ends with %v: %s", name, program, cmd.ProcessState, strings.Join(output, "; "))
}

// stop ends the backend and waits for it.
func (e *echo) stop() {
	_ = e.cmd.Cancel()
	<-e.drained
	_ = e.cmd.Wait()
}

// module is the module whose commands are built from the working directory.
const module = "kong-traffic-split"

// programs are the executables that the demo starts.
type programs struct {
	plugin, echo string
	built        bool // from source, for this demo
}

// Built reports whether the executables were built from source for this demo.
func (d *Demo) Built() bool { return d.programs.built }

// findOrBuild returns the executables in the folder of the running one. If they are not
// there, it builds them into dir from the source in the working directory.
func findOrBuild(ctx context.Context, dir string, progress Progress) (programs, error) {
	if p, ok := beside(); ok {
		return p, nil
	}
	progress("compiling the plugin server and the backend", "")
	if err := build(ctx, dir); err != nil {
		return programs{}, fmt.Errorf("traffic-split and echo are not in the folder of this executable, and cannot be built: %w", err)
	}
	p := programsIn(dir)
	p.built = true
	return p, nil
}

func programsIn(dir string) programs {
	return programs{plugin: filepath.Join(dir, "traffic-split"), echo: filepath.Join(dir, "echo")}
}

func beside() (programs, bool) {
	self, err := os.Executable()
	if err != nil {
		return programs{}, false
	}
	p := programsIn(filepath.Dir(self))
	_, err1 := exec.LookPath(p.plugin)
	_, err2 := exec.LookPath(p.echo)
	return p, err1 == nil && err2 == nil
}

func build(ctx context.Context, dir string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}} {{.Dir}}").Output()
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no go command in $PATH")
	}
	name, source, _ := strings.Cut(strings.TrimSpace(string(root)), " ")
	if err != nil || name != module {
		return fmt.Errorf("the working directory is not in the source of %s: change to its folder", module)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", dir+string(filepath.Separator), "./cmd/traffic-split", "./cmd/echo")
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
