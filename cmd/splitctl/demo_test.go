package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
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
	if diff := cmp.Diff([]string{"demo", "explain", "simulate", "standin"}, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDemoWithWrongArguments(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"demo", "--output", "xml"}, `--output "xml" is neither text nor json`},
		{[]string{"demo", "--keeep"}, "unknown flag: --keeep"},
		{[]string{"demo", "now"}, `unknown command "now" for "splitctl demo"`},
	} {
		cmd := rootCommand()
		cmd.SetArgs(tt.args)
		if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != tt.want {
			t.Errorf("%q: got %v, want %s", tt.args, err, tt.want)
		}
	}
}

func TestInterruptedDemoSaysSo(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	signal := errors.New("a signal")
	interrupt(signal)
	if err := runDemo(ctx, false, false, io.Discard, io.Discard); err != signal {
		t.Errorf("got %v", err)
	}
}

// It ends by itself, and so takes what it has started with it.
func TestDemoWhoseReaderHasGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "demo")
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = w, &stderr
	_ = cmd.Run() // the exit code says more
	want := "Error: write /dev/stdout: broken pipe\n"
	if code := cmd.ProcessState.ExitCode(); code != 1 || stderr.String() != want {
		t.Errorf("%v: %q, want exit status 1: %q", cmd.ProcessState, stderr.String(), want)
	}
}
