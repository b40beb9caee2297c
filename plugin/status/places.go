package status

import (
	"net"
	"slices"
	"sync"
)

// places is a listener that holds a number of connections at most. Where one more comes,
// the one that has been there the longest is closed: whoever keeps places, by saying
// nothing or by reading slowly, locks nobody out.
type places struct {
	net.Listener
	most int

	mu    sync.Mutex
	taken []*place // the oldest first
}

// place is a connection that has one.
type place struct {
	net.Conn
	in *places
}

// Accept implements [net.Listener].
func (p *places) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &place{conn, p}
	if oldest := p.add(c); oldest != nil {
		_ = oldest.Conn.Close() // the server's own Close of it comes when it has seen the end
	}
	return c, nil
}

// add gives a connection a place, and returns the one that has to leave for it.
func (p *places) add(c *place) (oldest *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.taken) == p.most {
		oldest = p.taken[0]
		p.taken = slices.Delete(p.taken, 0, 1)
	}
	p.taken = append(p.taken, c)
	return oldest
}

// Close implements [net.Conn].
func (c *place) Close() error {
	c.in.mu.Lock()
	c.in.taken = slices.DeleteFunc(c.in.taken, func(other *place) bool { return other == c })
	c.in.mu.Unlock()
	return c.Conn.Close()
}
