package standin

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// keepalivePool and keepaliveTimeout are of idle connections to one
	// destination.
	keepalivePool    = 512
	keepaliveTimeout = 60 * time.Second
	// maxDestinations bounds how many destinations have idle connections: the
	// Host header of a client can be part of a destination's key.
	maxDestinations = 1024
)

// destination is what connections are kept by.
type destination struct {
	address    string // ip and port
	serverName string // of TLS; empty: no TLS
	http2      bool
	timeouts
}

// dialError says that no connection could be made, so that nothing was sent.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// transports keeps connections to backends.
type transports struct {
	mu            sync.Mutex
	byDestination map[destination]*http.Transport
	oldest        []destination // first
}

// get returns the transport to a destination.
func (t *transports) get(d destination) *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found, ok := t.byDestination[d]; ok {
		return found
	}
	if len(t.oldest) == maxDestinations {
		t.byDestination[t.oldest[0]].CloseIdleConnections()
		delete(t.byDestination, t.oldest[0])
		t.oldest = t.oldest[1:]
	}
	made := newTransport(d)
	if t.byDestination == nil {
		t.byDestination = map[destination]*http.Transport{}
	}
	t.byDestination[d] = made
	t.oldest = append(t.oldest, d)
	return made
}

func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, transport := range t.byDestination {
		transport.CloseIdleConnections()
	}
}

func newTransport(d destination) *http.Transport {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!d.http2)
	protocols.SetHTTP2(d.http2 && d.serverName != "")
	protocols.SetUnencryptedHTTP2(d.http2 && d.serverName == "")
	return &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return d.dial(ctx) },
		Protocols:           protocols,
		DisableCompression:  true,
		MaxIdleConnsPerHost: keepalivePool,
		IdleConnTimeout:     keepaliveTimeout,
		TLSHandshakeTimeout: d.connect,
		TLSClientConfig:     d.tlsConfig(),
	}
}

// dial connects, without TLS.
func (d destination) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: d.connect}).DialContext(ctx, "tcp", d.address)
	if err != nil {
		return nil, dialError{err}
	}
	return &timedConn{Conn: conn, write: d.write, read: d.read}, nil
}

// tlsConfig verifies nothing: Kong does only where a Service asks for it.
func (d destination) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: d.serverName, InsecureSkipVerify: true}
}

// timedConn bounds the time of each write, and between two reads.
type timedConn struct {
	net.Conn
	write, read time.Duration
}

func (c *timedConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.read)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *timedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.write)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		return n, err
	}
	// The wait for an answer begins now, for a read that has begun before, too.
	return n, c.SetReadDeadline(time.Now().Add(c.read))
}
