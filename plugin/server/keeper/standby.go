//go:build linux

package keeper

import "errors"

// A StandBy is the place of a process that waits to take over from the keeper at work.
type StandBy struct {
	// PID is the keeper's.
	PID int
	// Turn is closed when the keeper is about to end, and this process is to take over
	// before it does.
	Turn <-chan struct{}
	// Gone is closed when nothing more comes from that keeper.
	Gone <-chan struct{}

	link *link
}

// Register tells the keeper whose socket for successors is at path that this process
// stands by. Who has what it returns closes it, once it has taken over or does not want
// to any more.
func Register(path string) (*StandBy, error) {
	l, pid, err := dialKeeper(path)
	if err != nil {
		return nil, err
	}
	if err := l.send(message{kind: standBy}); err != nil {
		return nil, errors.Join(err, l.sock.Close())
	}
	called, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		if m, err := l.receive(); err != nil || m.kind != turn {
			return
		}
		close(called)
		_, _ = l.receive() // its end
	}()
	return &StandBy{PID: pid, Turn: called, Gone: gone, link: l}, nil
}

// Untrusted reports whether err is that the socket for successors is somebody else's.
func Untrusted(err error) bool {
	var untrusted *untrustedError
	return errors.As(err, &untrusted)
}

// Close gives the place up.
func (s *StandBy) Close() error { return s.link.sock.Close() }
