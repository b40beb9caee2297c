package demo

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"kong-traffic-split/cmd/command"
)

// asCommand makes the test's executable the command.
const asCommand = "DEMO_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		command.Main(root())
		return
	}
	os.Exit(m.Run())
}

// root is the command in another one, as splitctl has it.
func root() *cobra.Command {
	root := &cobra.Command{Use: "splitctl", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(Command())
	return root
}

func TestDemoWithWrongArguments(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"demo", "--output", "xml"}, `--output "xml" is not one of ["text" "json"]`},
		{[]string{"demo", "--keeep"}, "unknown flag: --keeep"},
		{[]string{"demo", "--step", "5s"}, "--step goes with --rollout"},
		{[]string{"demo", "--rollout", "--step", "10ms"}, "--step 10ms is less than 1s"},
		{[]string{"demo", "now"}, `unknown command "now" for "splitctl demo"`},
	} {
		cmd := root()
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
	if err := runDemo(ctx, demoFlags{output: "text"}, strings.NewReader(""), io.Discard, io.Discard); err != signal {
		t.Errorf("got %v", err)
	}
}

// It clears away what it has started, and then ends as shells expect it of one that the
// signal has ended.
func TestDemoWhoseReaderHasGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "demo")
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = w, &log
	_ = cmd.Run() // the state says more
	state, stderr := cmd.ProcessState, log.String()
	said := `compiling the plugin server and the backend
starting two backends, the plugin server and the gateway
playing the guide
`
	if want := 128 + int(syscall.SIGPIPE); state.ExitCode() != want || stderr != said {
		t.Errorf("%v: %q, want exit status %d, without a word of that", state, stderr, want)
	}
}
