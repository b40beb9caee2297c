package gateway

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"kong-traffic-split/kong/wire"
)

// A recorder stands between Kong and a plugin server during the rehearsal, and notes
// what the server calls at each event. Afterwards Kong connects to the server itself:
// what Kong knows as the socket is a symbolic link.
type recorder struct {
	link, server string // paths
	listener     net.Listener
	copying      sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	conns   []net.Conn
	events  [][]string // the methods of each
}

// record has Kong's connections to the path link reach the server's socket by way of
// a recorder.
func record(link, server string) (*recorder, error) {
	r := &recorder{link: link, server: server}
	var err error
	if r.listener, err = net.Listen("unix", link+".recorder"); err != nil {
		return nil, err
	}
	if err := os.Symlink(link+".recorder", link); err != nil {
		return nil, errors.Join(err, r.listener.Close())
	}
	r.copying.Go(func() {
		for {
			conn, err := r.listener.Accept()
			if err != nil {
				return
			}
			r.copying.Go(func() { r.between(conn) })
		}
	})
	return r, nil
}

// stop has Kong's next connections reach the server itself, and ends those that there
// are.
func (r *recorder) stop() error {
	err := errors.Join(
		os.Symlink(r.server, r.link+".next"),
		os.Rename(r.link+".next", r.link),
		r.listener.Close(),
	)
	r.mu.Lock()
	r.stopped = true
	for _, conn := range r.conns {
		_ = conn.Close()
	}
	r.mu.Unlock()
	r.copying.Wait()
	return err
}

// between copies all that is said on one connection of Kong's.
func (r *recorder) between(kong net.Conn) {
	defer kong.Close()
	server, err := net.Dial("unix", r.server)
	if err != nil {
		return // Kong says so
	}
	defer server.Close()
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return
	}
	r.conns = append(r.conns, kong, server)
	r.mu.Unlock()
	r.copying.Go(func() {
		_, _ = io.Copy(server, kong)
		_ = server.Close()
	})
	_ = readEvents(io.TeeReader(server, kong), r.note) // ends with the connection
}

func (r *recorder) note(event []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

// take returns the events since the last time.
func (r *recorder) take() [][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// readEvents reads what a plugin server writes to Kong, and has each event's methods
// noted: they are named, each with a frame of arguments, until a frame that is empty.
func readEvents(server io.Reader, note func([]string)) error {
	methods := []string{}
	for {
		frame, err := wire.ReadFrame(server, nil)
		switch {
		case err != nil:
			return err
		case len(frame) == 0:
			note(methods)
			methods = []string{}
		case strings.HasPrefix(string(frame), "kong."): // protobuf has no such first byte
			methods = append(methods, string(frame))
			if _, err := wire.ReadFrame(server, nil); err != nil {
				return err
			}
		}
	}
}

// usual is the event that there are most of, and of equally many the first.
func usual(events [][]string) (most []string) {
	best := 0
	for _, e := range events {
		n := 0
		for _, other := range events {
			if slices.Equal(e, other) {
				n++
			}
		}
		if n > best {
			best, most = n, e
		}
	}
	return most
}
