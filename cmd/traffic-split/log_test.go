//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A server whose log is not read serves, says in its metrics that lines are missing, and in
// the log, once that is read again.
func TestAServerWhoseLogNobodyReads(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	splits := filepath.Join(filepath.Dir(path), "splits.yaml")
	write := func(weight int) {
		t.Helper()
		var text strings.Builder
		text.WriteString("splits:\n")
		for split := range 40 {
			fmt.Fprintf(&text, "  s%d:\n    backends:\n", split)
			for backend := range 50 {
				fmt.Fprintf(&text, "    - {host: h%d, weight: %d}\n", backend, weight)
			}
		}
		if err := os.WriteFile(splits+".new", []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(splits+".new", splits); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	read, written, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	status := freeAddress(t)
	s := &serving{t: t, cmd: exec.Command(os.Args[0], "-socket", path, "-file", splits, "-status-listen", status), log: new(logs)}
	s.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", mainEnv+"=1")
	s.cmd.Stderr = written
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = written.Close()
	defer func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}()
	s.answers(path)
	dropped := regexp.MustCompile(`(?m)^traffic_split_log_lines_dropped_total [1-9]`)
	weight := 1
	s.await("lines are missing", func() bool {
		weight++
		write(weight)
		answer, err := http.Get("http://" + status + "/metrics")
		if err != nil {
			return false // it is not there yet
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return dropped.Match(text)
	})
	s.answers(path)
	go func() { _, _ = io.Copy(s.log, read) }()
	s.says("the log was not read in time, and lines of it are missing")
}

// freeAddress is an address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
