// Package compose brings docker-compose.yml up for real: its containers, users,
// volumes, health checks and order of start, with requests through them.
//
// It needs a Docker engine on Linux and either compose, "docker compose" or
// "docker-compose", and is skipped, with the reason, where one is missing. No
// image is pulled: ours are made from the executables of this tree and from
// the stages of kong/Dockerfile, and in Kong's place runs the stand-in gateway
// in an image made of it and Debian's busybox-static.
//
//	SPEC_DOCKER=1            start an engine for the test where none runs (as root)
//	SPEC_KONG_IMAGE=kong:3.9 use an image that the engine has, in place of the stand-in
//	SPEC_PROMETHEUS_IMAGE=IMAGE  likewise, in place of one made of this machine's prometheus
//	SPEC_COMPOSE=COMMAND     use this compose, such as docker-compose
package compose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// patience is how long an event that has to come may take. Only a failing
	// test waits this long.
	patience = 2 * time.Minute
	// pause is between two looks at what a container does.
	pause = 200 * time.Millisecond
)

// An engine is a Docker engine with the commands that speak to it.
type engine struct {
	compose []string // the command, as in docker compose
	arch    string   // of its images, as Go calls it
	env     []string // of every command
}

// findEngine returns an engine, or skips the test and says what is missing.
func findEngine(t *testing.T) *engine {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes minutes, and -short was asked for")
	}
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("no docker command on this machine")
	}
	e := &engine{env: environment()}
	if _, err := e.docker(t.Context(), "info"); err != nil {
		e.env = append(e.env, "DOCKER_HOST="+startEngine(t))
	}
	platform, err := e.docker(t.Context(), "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")
	if err != nil {
		t.Fatal(err)
	}
	system, arch, _ := strings.Cut(strings.TrimSpace(platform), "/")
	if system != "linux" {
		t.Skipf("the engine runs containers of %s, and ours are of Linux", system)
	}
	e.arch = arch
	e.compose = e.findCompose(t)
	return e
}

func (e *engine) findCompose(t *testing.T) []string {
	t.Helper()
	candidates := [][]string{{"docker", "compose"}, {"docker-compose"}}
	if wanted := strings.Fields(os.Getenv("SPEC_COMPOSE")); len(wanted) > 0 {
		candidates = [][]string{wanted}
	}
	for _, c := range candidates {
		if _, err := e.run(t.Context(), append(slices.Clone(c), "version")...); err == nil {
			return c
		}
	}
	t.Skipf("none of %q runs on this machine", candidates)
	return nil
}

// environment is this process's, without what would configure compose or the
// files that it reads.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, "COMPOSE_") || strings.HasPrefix(name, "KONG_") || strings.HasSuffix(name, "_PORT")
	})
}

// startEngine starts an engine of the test's own and returns its address. The
// engine ends with the test.
func startEngine(t *testing.T) string {
	t.Helper()
	if os.Getenv("SPEC_DOCKER") != "1" {
		t.Skip("no Docker engine answers; as root, SPEC_DOCKER=1 starts one for the test")
	}
	dockerd, err := exec.LookPath("dockerd")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("no Docker engine answers, and to start one the test needs dockerd and root")
	}
	// Not t.TempDir: the paths of an engine's sockets have to be short.
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	socket := filepath.Join(dir, "socket")
	cmd := exec.Command(dockerd, "--storage-driver", "vfs", "--host", "unix://"+socket,
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	for until := time.Now().Add(patience); ; time.Sleep(pause) {
		select {
		case <-ended:
			text, _ := os.ReadFile(log.Name())
			t.Skipf("dockerd does not run here:\n%s", text)
		default:
		}
		if _, err := os.Stat(socket); err == nil {
			return "unix://" + socket
		} else if !errors.Is(err, fs.ErrNotExist) || time.Now().After(until) {
			t.Fatalf("dockerd does not listen: %v", err)
		}
	}
}

// docker runs the docker command and returns what it printed.
func (e *engine) docker(ctx context.Context, args ...string) (string, error) {
	return e.run(ctx, append([]string{"docker"}, args...)...)
}

// run runs a command in the project's folder and returns what it printed on
// standard output. What it printed on standard error is in the error.
func (e *engine) run(ctx context.Context, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = root, e.env
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// root is the project's folder, from the one where the tests run.
const root = "../.."
