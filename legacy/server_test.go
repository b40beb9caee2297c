package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a go-pluginserver that has the plugin, as Kong starts it.
type server struct {
	dir string // of the executable, of the plugin and of the socket
	cmd *exec.Cmd
	log bytes.Buffer // to be read when it has ended
}

var started *server

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil {
		_ = started.cmd.Process.Kill()
		_ = started.cmd.Wait()
		if code != 0 {
			fmt.Printf("go-pluginserver's log:\n%s", &started.log)
		}
		os.RemoveAll(started.dir)
	}
	os.Exit(code)
}

var build = sync.OnceValue(buildAndStart)

// running returns the server, which is built and started for the first test that
// wants it and serves all of them.
func running(t *testing.T) *server {
	t.Helper()
	if goEnv(t, "CGO_ENABLED") != "1" {
		t.Skip("not tried: a Go plugin and go-pluginserver need cgo, and so a C compiler (gcc)")
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return started
}

func buildAndStart() error {
	dir, err := os.MkdirTemp("", "legacy") // short, as it is part of a socket's name
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"-o", filepath.Join(dir, "go-pluginserver"), "github.com/Kong/go-pluginserver"},
		{"-o", filepath.Join(dir, "traffic-split.so"), "-buildmode=plugin", "."},
	} {
		if out, err := exec.Command("go", append([]string{"build"}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	s := &server{dir: dir}
	s.cmd = s.command("-kong-prefix", dir)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	started = s
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if conn, err := s.dial(); err == nil { // it does not say when it listens
			return conn.Close()
		}
	}
	return errors.New("go-pluginserver does not listen")
}

func (s *server) command(args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(s.dir, "go-pluginserver"), append([]string{"-plugins-directory", s.dir}, args...)...)
}

func (s *server) dial() (net.Conn, error) {
	return net.Dial("unix", filepath.Join(s.dir, "go_pluginserver.sock"))
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
