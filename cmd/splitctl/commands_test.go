package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"kong-traffic-split/plugin"
)

// asCommand makes the test's executable the command splitctl.
const asCommand = "SPLITCTL_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"splitctl": main})
}

func TestCommands(t *testing.T) {
	var names []string
	for _, c := range rootCommand().Commands() {
		names = append(names, c.Name())
	}
	if diff := cmp.Diff([]string{"check", "companion", "convert", "demo", "doctor", "drain", "explain", "man", "patch", "ramp", "set", "simulate", "standin", "status", "top"}, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// unread runs splitctl with an output that nobody reads, and calls started when it runs.
func unread(t *testing.T, started func(*exec.Cmd), args ...string) (state *os.ProcessState, stderr string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = w, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started(cmd)
	_ = cmd.Wait() // the state says more
	return cmd.ProcessState, log.String()
}

// A command that waits, or plays for long, ends at once when it is asked to.
func TestInterruptedCommands(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		fifo := filepath.Join(t.TempDir(), "keys")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		state, stderr := unread(t, func(cmd *exec.Cmd) {
			keys, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits until it reads there
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { keys.Close() }) // not before it has ended: it would go on
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
		}, "simulate", filepath.Join("..", "..", "kong", "kong.yml"), "--keys", fifo)
		if status := state.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != signal || stderr != "" {
			t.Errorf("%v: %q, want the end by %v, without a word", state, stderr, signal)
		}
	}
}

func TestVersion(t *testing.T) {
	cmd := rootCommand()
	var out strings.Builder
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--version"})
	if err := cmd.Execute(); err != nil || out.String() != "splitctl "+plugin.Version+"\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

// No help speaks of a default that is none.
func TestHelpShowsNoEmptyDefaults(t *testing.T) {
	for _, c := range rootCommand().Commands() {
		if text := c.UsageString(); strings.Contains(text, "[]") {
			t.Errorf("%s: %s", c.Name(), text)
		}
	}
}
