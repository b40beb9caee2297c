//go:build !linux

package keeper

import (
	"errors"
	"net"

	"kong-traffic-split/plugin/state"
)

// Supported reports whether this system has what a keeper needs.
const Supported = false

// Register fails: only Linux has what a keeper needs.
func Register(string) (*StandBy, error) { return nil, errors.ErrUnsupported }

// Run fails: only Linux has what a keeper needs.
func Run(Options) error { return errors.ErrUnsupported }

// A Child is the child's side of its keeper. On this system there is none.
type Child struct {
	net.Listener
	state.Memory
}

// Inherited returns nil: no keeper has started this process.
func Inherited() (*Child, error) { return nil, nil }

// Ready does nothing.
func (*Child) Ready() error { return nil }

// Notify does nothing.
func (*Child) Notify(func(key string)) {}

// Detach fails: only Linux has what a keeper needs.
func Detach([]string) error { return errors.ErrUnsupported }

// Detached returns nil: this process has no stand-in.
func Detached() <-chan struct{} { return nil }
