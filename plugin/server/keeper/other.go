//go:build !linux

package keeper

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"time"

	"kong-traffic-split/plugin/state"
)

// Supported reports whether this system has what a keeper needs.
const Supported = false

// Options configure a keeper.
type Options struct {
	Args       []string
	Listen     func() (net.Listener, error)
	Succession string
	Early      []string
	State      state.Store
	Changes    <-chan string
	Retired    func()
	Linger     time.Duration
	Signals    <-chan os.Signal
	Log        *slog.Logger
}

// ErrSucceeded is that another server has taken over.
var ErrSucceeded = errors.New("another server has taken over")

// A StandBy is the place of a process that waits to take over from the keeper at work.
// On this system there is none.
type StandBy struct {
	PID        int
	Turn, Gone <-chan struct{}
}

// Register fails: only Linux has what a keeper needs.
func Register(string) (*StandBy, error) { return nil, errors.ErrUnsupported }

// Untrusted returns false.
func Untrusted(error) bool { return false }

// Close does nothing.
func (*StandBy) Close() error { return nil }

// Run fails: only Linux has what a keeper needs.
func Run(Options) error { return errors.ErrUnsupported }

// A Child is the child's side of its keeper. On this system there is none.
type Child struct{ net.Listener }

// Inherited returns nil: no keeper has started this process.
func Inherited() (*Child, error) { return nil, nil }

// Ready does nothing.
func (*Child) Ready() error { return nil }

// Get returns nothing.
func (*Child) Get(string) []byte { return nil }

// Set does nothing.
func (*Child) Set(string, []byte) {}

// Keys returns nothing.
func (*Child) Keys(string) []string { return nil }

// Notify does nothing.
func (*Child) Notify(func(key string)) {}

// Detach fails: only Linux has what a keeper needs.
func Detach([]string) error { return errors.ErrUnsupported }

// Detached returns nil: this process has no stand-in.
func Detached() <-chan struct{} { return nil }
