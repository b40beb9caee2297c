//go:build !linux

package gateway

import (
	"context"
	"errors"
	"time"
)

// load is that of Linux.
type load struct{}

func newLoad(string, int, []byte) (*load, error) { return nil, errors.ErrUnsupported }

func (*load) close() error { return nil }

func (*load) run(context.Context, time.Duration, func(*response, time.Duration) error) error {
	return errors.ErrUnsupported
}
