// Command splitctl is the user's tool: it runs the stand-in gateway and the demo,
// explains decisions and simulates splits.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kong-traffic-split/plugin"
)

func main() {
	// With a reader that has gone, as in `| head`, a write is then an error like
	// any other. Otherwise it would end this process and leave those that it has
	// started behind.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := rootCommand().ExecuteContext(untilSignalled())
	if s, ok := quiet(err); ok {
		end(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// signalled is the cause of a context that a signal has ended.
type signalled struct{ syscall.Signal }

func (s signalled) Error() string { return "ended by a signal: " + s.String() }

// untilSignalled returns a context that ends when the process is asked to end.
func untilSignalled() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	go func() { cancel(signalled{(<-signals).(syscall.Signal)}) }()
	return ctx
}

// quiet reports whether an error is none that has to be told: who has sent a signal, or
// reads no further, knows. It returns the signal that says so to the shell.
func quiet(err error) (syscall.Signal, bool) {
	if s, ok := errors.AsType[signalled](err); ok {
		return s.Signal, true
	}
	return syscall.SIGPIPE, errors.Is(err, syscall.EPIPE)
}

// end ends the process by a signal, as if it had not been caught: shells and scripts
// tell by that whether to go on.
func end(s syscall.Signal) {
	// Of SIGQUIT Go's runtime would tell more than anybody asked for, and it takes a
	// SIGPIPE for one only where a write fails.
	if s != syscall.SIGQUIT && s != syscall.SIGPIPE {
		signal.Reset(s)
		if syscall.Kill(os.Getpid(), s) == nil {
			<-time.After(time.Second) // it is on its way, unless this signal is ignored
		}
	}
	os.Exit(128 + int(s))
}

// endAtOnce lets signals end the process again as they do by themselves, for commands
// that have nothing to clear away.
func endAtOnce() { signal.Reset() }

// rootCommand is the command splitctl with its subcommands. Their context ends
// when the process is asked to end.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "splitctl",
		Short:         "Try and run the traffic-split plugin for Kong",
		Version:       plugin.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("splitctl {{.Version}}\n")
	root.AddCommand(demoCommand(), explainCommand(), simulateCommand(), standinCommand())
	return root
}
