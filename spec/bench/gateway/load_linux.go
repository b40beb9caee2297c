package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"time"
)

// A load has one request under way on each of its connections. One thread serves
// them all by epoll, so that as little as possible of the machine is the client's.
// It is for one goroutine at a time.
type load struct {
	epoll   int
	clients map[int32]*client // by file descriptor
	request []byte
	events  []syscall.EpollEvent
}

type client struct {
	fd   int
	buf  []byte
	n    int // how much of buf is there
	sent time.Time
}

// newLoad connects n times to the address.
func newLoad(address string, n int, request []byte) (*load, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l := &load{epoll: epoll, clients: map[int32]*client{}, request: request, events: make([]syscall.EpollEvent, n)}
	for range n {
		if err := l.connect(&syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	return l, nil
}

func (l *load) connect(to syscall.Sockaddr) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	l.clients[int32(fd)] = &client{fd: fd, buf: make([]byte, maxResponse)}
	return errors.Join(
		syscall.Connect(fd, to),
		syscall.SetNonblock(fd, true),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}),
	)
}

// close ends the connections, whatever is under way on them.
func (l *load) close() (err error) {
	for _, c := range l.clients {
		err = errors.Join(err, syscall.Close(c.fd))
	}
	return errors.Join(err, syscall.Close(l.epoll))
}

// run sends one request after another on each connection for d, and until there is a
// response, and has got look at each. What is under way at the end goes on in the next
// run.
func (l *load) run(ctx context.Context, d time.Duration, got func(r *response, took time.Duration) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, c := range l.clients {
		if c.sent.IsZero() {
			if err := l.send(c); err != nil {
				return err
			}
		}
	}
	responses := 0
	count := func(r *response, took time.Duration) error {
		responses++
		return got(r, took)
	}
	began := time.Now()
	for last := began; responses == 0 || last.Sub(began) < d; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := syscall.EpollWait(l.epoll, l.events, 100) // ms
		switch {
		case err != nil && err != syscall.EINTR:
			return fmt.Errorf("epoll_wait: %w", err)
		case n <= 0 && time.Since(last) > patience:
			return fmt.Errorf("no response within %v", patience)
		case n > 0:
			last = time.Now()
		}
		for _, event := range l.events[:max(n, 0)] {
			if err := l.receive(l.clients[event.Fd], count); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *load) send(c *client) error {
	c.sent = time.Now()
	n, err := syscall.Write(c.fd, l.request)
	if err == nil && n < len(l.request) {
		err = fmt.Errorf("only %d of the %d bytes of a request could be sent at once", n, len(l.request))
	}
	return err
}

func (l *load) receive(c *client, got func(r *response, took time.Duration) error) error {
	n, err := syscall.Read(c.fd, c.buf[c.n:])
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		return fmt.Errorf("%w: Kong closed a connection", net.ErrClosed)
	}
	c.n += n
	r, err := readResponse(c.buf[:c.n])
	switch {
	case err == errShort && c.n < len(c.buf):
		return nil
	case err != nil:
		return err
	case r.size < c.n:
		return fmt.Errorf("%d bytes came after a response: %q", c.n-r.size, c.buf[r.size:c.n])
	}
	c.n = 0
	if err := got(&r, time.Since(c.sent)); err != nil {
		return err
	}
	return l.send(c)
}
