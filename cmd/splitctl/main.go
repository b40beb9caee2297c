// Command splitctl is the user's tool: it runs the stand-in gateway and the demo,
// explains decisions, simulates splits and steers rollouts. This package has arguments,
// output and wiring only; what a command does is in the room that it calls.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"kong-traffic-split/plugin"
)

func main() {
	// So that a write to a reader that has gone, as in `| head`, returns an error.
	// Otherwise it would end this process, and leave behind those that it has started.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := rootCommand().ExecuteContext(untilSignalled())
	if s, ok := quiet(err); ok {
		end(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", harmless(err.Error()))
		os.Exit(1)
	}
}

// harmless returns a message, which may have what Kong or a backend has answered, without
// what would do something to a terminal.
func harmless(message string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, message)
}

// signalled is the cause of a context that a signal has cancelled.
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

// quiet reports whether not to print an error: a signal that the user has sent, or a
// reader that has gone. It returns the signal with which to end.
func quiet(err error) (syscall.Signal, bool) {
	if s, ok := errors.AsType[signalled](err); ok {
		return s.Signal, true
	}
	return syscall.SIGPIPE, errors.Is(err, syscall.EPIPE)
}

// end ends the process by a signal, as if it had not been caught, so that shells and
// scripts see that and stop too.
func end(s syscall.Signal) {
	// For SIGQUIT Go's runtime would print all goroutines, and a SIGPIPE ends the process
	// only if a write has failed.
	if s != syscall.SIGQUIT && s != syscall.SIGPIPE {
		signal.Reset(s)
		if syscall.Kill(os.Getpid(), s) == nil {
			<-time.After(time.Second) // until it arrives, unless it is ignored
		}
	}
	os.Exit(128 + int(s))
}

// endAtOnce lets signals end the process at once again, for commands that have nothing
// to clean up.
func endAtOnce() { signal.Reset() }

// rootCommand returns the command splitctl with its subcommands.
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
	root.AddCommand(convertCommand(), setCommand(), drainCommand(), rampCommand(), statusCommand(), topCommand())
	root.AddCommand(patchCommand())
	return root
}
