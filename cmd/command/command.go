// Package command owns what the user's commands have in common: how they run as a process,
// and the terminal that they write to.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Main runs a command as a process: it ends when the process is asked to, writes what has
// gone wrong, and exits.
func Main(root *cobra.Command) {
	// So that a write to a reader that has gone, as in `| head`, returns an error.
	// Otherwise it would end this process, and leave behind those that it has started.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := root.ExecuteContext(untilSignalled())
	if s, ok := quiet(err); ok {
		end(s)
	}
	if errors.Is(err, ErrReported) {
		os.Exit(1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", Harmless(err.Error()))
		os.Exit(1)
	}
}

// ErrReported is the error of a command whose output says what is wrong already: nothing more
// is written, and the exit status is 1.
var ErrReported = errors.New("the output says what is wrong")

// Harmless returns a message, which may have what Kong or a backend has answered, without
// what would do something to a terminal.
func Harmless(message string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, message)
}

// Signalled is the cause of a context that a signal has cancelled.
type Signalled struct{ syscall.Signal }

func (s Signalled) Error() string { return "ended by a signal: " + s.String() }

// untilSignalled returns a context that ends when the process is asked to end.
func untilSignalled() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	go func() { cancel(Signalled{(<-signals).(syscall.Signal)}) }()
	return ctx
}

// quiet reports whether not to print an error: a signal that the user has sent, or a
// reader that has gone. It returns the signal with which to end.
func quiet(err error) (syscall.Signal, bool) {
	if s, ok := errors.AsType[Signalled](err); ok {
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

// EndAtOnce lets signals end the process at once again, for commands that have nothing
// to clean up.
func EndAtOnce() { signal.Reset() }

// Width returns the width of a terminal, in columns; 0: it is none.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width
	}
	return columns
}

// columns is the width of a terminal that does not say its own.
const columns = 80
