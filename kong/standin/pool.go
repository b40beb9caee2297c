package standin

import (
	"bufio"
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	poolSize    = 30               // idle connections, a worker and socket
	idleTimeout = 60 * time.Second // of a connection in the pool
	ioTimeout   = 60 * time.Second // of connecting, of each read and of each write
)

// pluginConn is a connection to a plugin server.
type pluginConn struct {
	net.Conn
	raw     syscall.RawConn
	pool    *pool
	r       *bufio.Reader
	frame   []byte        // memory of the frame that was read last
	watched chan struct{} // closed when nobody watches it any more
}

// Read waits for the pool's timeout at most.
func (c *pluginConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.pool.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write waits for the pool's timeout at most.
func (c *pluginConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.pool.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Close closes a connection that is in use.
func (c *pluginConn) Close() error {
	c.pool.mu.Lock()
	delete(c.pool.used, c)
	c.pool.mu.Unlock()
	return c.Conn.Close()
}

// usable reports whether the connection is open and has nothing to read.
func (c *pluginConn) usable() bool {
	quiet := false
	err := c.raw.Control(func(fd uintptr) { quiet = isQuiet(fd) })
	return err == nil && quiet && c.r.Buffered() == 0
}

// isQuiet reports whether there is nothing to read from a socket, not even its end.
func isQuiet(fd uintptr) bool {
	_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return errors.Is(err, syscall.EAGAIN)
}

// watch waits until the idle connection is closed, has something to read or has been
// idle for too long, and drops it from the pool. It also returns when the connection
// is taken.
func (c *pluginConn) watch() {
	defer close(c.watched)
	_ = c.raw.Read(func(fd uintptr) bool { return !isQuiet(fd) }) // until the deadline at most
	c.pool.drop(c)
}

// pool keeps one worker's idle connections to one socket.
type pool struct {
	socket  string
	timeout time.Duration

	mu     sync.Mutex
	idle   []*pluginConn // the one used last is last
	used   map[*pluginConn]struct{}
	closed bool
}

func newPool(socket string) *pool {
	return &pool{socket: socket, timeout: ioTimeout, used: map[*pluginConn]struct{}{}}
}

// get takes the idle connection that was used last, or connects. As with nginx,
// the connection may have been closed by the server at the same moment.
func (p *pool) get() (*pluginConn, error) {
	if c := p.take(); c != nil {
		_ = c.SetReadDeadline(time.Unix(0, 1)) // in the past, which ends watch
		<-c.watched
		return c, nil
	}
	conn, err := net.DialTimeout("unix", p.socket, p.timeout)
	if err != nil {
		return nil, err
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &pluginConn{Conn: conn, raw: raw, pool: p}
	c.r = bufio.NewReader(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	p.used[c] = struct{}{}
	return c, nil
}

// take takes the idle connection that was used last, or nil.
func (p *pool) take() *pluginConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle = p.idle[:n-1]
	p.used[c] = struct{}{}
	return c
}

// put gives a connection back. One that has something to read is closed, and
// so is the one that has been idle for longest when there are too many.
func (p *pool) put(c *pluginConn) {
	if !c.usable() {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, c)
	if p.closed {
		_ = c.Conn.Close()
		return
	}
	if len(p.idle) == poolSize {
		oldest := p.idle[0]
		_ = oldest.Conn.Close()
		p.idle = p.idle[1:]
	}
	_ = c.SetReadDeadline(time.Now().Add(idleTimeout))
	c.watched = make(chan struct{})
	p.idle = append(p.idle, c)
	go c.watch()
}

// drop closes a connection that is still idle.
func (p *pool) drop(c *pluginConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, c); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		_ = c.Conn.Close()
	}
}

// close closes all connections, those in use and those that come later too.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		_ = c.Conn.Close()
	}
	p.idle = nil
	for c := range p.used {
		_ = c.Conn.Close()
	}
}
