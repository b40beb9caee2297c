package status

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// pause is how long to wait before an address in use is tried again: a process that
	// is about to be replaced may still have it.
	pause = 100 * time.Millisecond
	// patience is how often an address in use is tried until an error is logged: for 3
	// seconds, longer than a process takes to hand over. Then the pause is longPause.
	patience  = 30
	longPause = 5 * time.Second
	// maxConnections is how many connections may be open, so that Kong's get enough file
	// descriptors. readTime is how long a silent one stays open.
	maxConnections = 64
	readTime       = 5 * time.Second
)

// Serve answers requests by h on a TCP address until the context ends. If it cannot listen
// there, it logs that and tries again.
func Serve(ctx context.Context, address string, h http.Handler, log *slog.Logger) {
	socket := await(ctx, address, new(net.ListenConfig).Listen, log)
	if socket == nil {
		return
	}
	log.Info("status is served", "address", socket.Addr())
	serve(ctx, socket, h, readTime, log)
}

func serve(ctx context.Context, socket net.Listener, h http.Handler, readTime time.Duration, log *slog.Logger) {
	s := &http.Server{
		Handler:        h,
		ReadTimeout:    readTime,         // of a whole request
		WriteTimeout:   30 * time.Second, // from the request's head to the answer's end
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelError), // of panics
	}
	s.SetKeepAlivesEnabled(false) // clients that ask every few seconds need not keep a connection
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(&places{Listener: socket, limit: maxConnections}); ctx.Err() == nil {
		log.Error("status is served no more", "address", socket.Addr(), "error", err)
	}
}

type listenFunc func(ctx context.Context, network, address string) (net.Listener, error)

// await listens as soon as that is possible. It returns nil if the context ends before.
func await(ctx context.Context, address string, listen listenFunc, log *slog.Logger) net.Listener {
	for tries := 1; ; tries++ {
		socket, err := listen(ctx, "tcp", address)
		if err == nil {
			return socket
		}
		last := patience // the attempt from which on a failure is an error
		if !errors.Is(err, syscall.EADDRINUSE) {
			last = 1 // waiting for another process would not help
		}
		switch tries {
		case last:
			log.Error("status cannot be served, trying on", "address", address, "error", err)
		case 1:
			log.Info("status is not served yet, waiting for the address: a process that is about to be replaced may have it", "address", address, "error", err)
		}
		wait := pause
		if tries >= last {
			wait = longPause
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// places is a listener that limits the number of open connections. When there is one
// too many it closes the oldest: clients that are silent, or read slowly, do not lock
// others out.
type places struct {
	net.Listener
	limit int

	mu    sync.Mutex
	taken []*place // the oldest first
}

// place is an open connection.
type place struct {
	net.Conn
	places *places
}

// Accept implements [net.Listener].
func (p *places) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &place{conn, p}
	if oldest := p.add(c); oldest != nil {
		_ = oldest.Conn.Close() // the server closes it too when it finds it closed
	}
	return c, nil
}

// add adds a connection, and returns the one to close for it; nil: none.
func (p *places) add(c *place) (oldest *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.taken) == p.limit {
		oldest = p.taken[0]
		p.taken = slices.Delete(p.taken, 0, 1)
	}
	p.taken = append(p.taken, c)
	return oldest
}

// Close implements [net.Conn].
func (c *place) Close() error {
	c.places.mu.Lock()
	c.places.taken = slices.DeleteFunc(c.places.taken, func(other *place) bool { return other == c })
	c.places.mu.Unlock()
	return c.Conn.Close()
}

// guarded answers only requests whose Host is an address, a name without a dot, such as
// localhost or that of a container, or one of names. Otherwise a page of another site
// could let its own name point here, and read the responses through any browser that can
// reach the server (DNS rebinding).
func guarded(h http.Handler, names []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostName(r.Host); !isLocal(host) && !slices.Contains(names, host) {
			w.Header().Set("Connection", "close")
			http.Error(w, fmt.Sprintf("the name %q is not known here: use an IP address, or start the server with -status-host %s", host, host), http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// hostName returns the host of a Host header, in lower case and without a dot at its end.
func hostName(authority string) string {
	host, _, err := net.SplitHostPort(authority)
	if err != nil { // there is no port
		host = authority
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// isLocal reports whether a host is an address or has no dot, so that it cannot be the
// name of another site.
func isLocal(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || !strings.Contains(host, ".")
}
