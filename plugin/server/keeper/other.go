//go:build !linux

package keeper

import (
	"errors"
	"log/slog"
	"net"

	"kong-traffic-split/plugin/state"
)

// Supported says whether this system has what a keeper needs.
const Supported = false

// Options are what a keeper needs to know.
type Options struct {
	Args       []string
	Listen     func() (net.Listener, error)
	Succession string
	Early      []string
	State      state.Store
	Changes    <-chan string
	Retired    func()
	Log        *slog.Logger
}

// Run fails: only Linux has what a keeper needs.
func Run(Options) error { return errors.ErrUnsupported }

// A Child is what a child has of its keeper. On this system there is none.
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
