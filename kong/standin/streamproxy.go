package standin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// proxyStream passes on what client and Service send, until one of them ends it.
func (x *exchange) proxyStream() {
	service, err := x.connect()
	switch {
	case errors.Is(err, errBadPeer):
		x.status = http.StatusInternalServerError
	case err != nil:
		x.status = http.StatusBadGateway
	default:
		x.status = http.StatusOK
		client := x.stream.client
		x.sent, x.stream.received = splice(client, client, service)
	}
}

// connect tries as often as the Service's retries allow.
func (x *exchange) connect() (net.Conn, error) {
	for {
		service, err := x.connectOnce()
		if err == nil {
			return service, nil
		}
		x.logStreamFailure(err)
		if len(x.balancer.tries) > x.balancer.retries || x.context().Err() != nil || errors.Is(err, errBadPeer) {
			return nil, err
		}
		if x.choosePeer() != nil {
			return nil, err
		}
	}
}

// connectOnce tries once.
func (x *exchange) connectOnce() (net.Conn, error) {
	p := x.balancer.try
	t := try{started: time.Now(), peer: p}
	defer func() {
		t.ended = time.Now()
		x.times.balancerEnded = t.ended
		x.balancer.tries = append(x.balancer.tries, t)
	}()
	address, err := p.address()
	if err != nil {
		return nil, err
	}
	service, err := x.dialService(destination{
		address:    address,
		serverName: serverName(x.upstreamHost),
		timeouts:   x.balancer.timeouts,
	})
	if err != nil {
		t.state, t.code = "failed", http.StatusBadGateway
	}
	return service, err
}

// dialService connects, with TLS where the Service says so and what is passed on
// is not TLS itself.
func (x *exchange) dialService(d destination) (net.Conn, error) {
	conn, err := d.dial(x.context())
	if err != nil || x.upstreamScheme != "tls" || x.stream.passthrough {
		return conn, err
	}
	ctx, cancel := context.WithTimeout(x.context(), d.connect)
	defer cancel()
	secured := tls.Client(conn, d.tlsConfig())
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// logStreamFailure logs a try that failed, as nginx does.
func (x *exchange) logStreamFailure(err error) {
	if errors.Is(err, errBadPeer) {
		x.luaLog(levelError, "init.lua:1409:", "balancer(): "+err.Error())
		return
	}
	what := "SSL_do_handshake() failed (" + err.Error() + ") while SSL handshaking to upstream"
	var dial dialError
	if errors.As(err, &dial) {
		what = "connect() failed (" + nginxError(err) + ") while connecting to upstream"
	}
	p := x.balancer.try
	x.gateway.log.print(levelError, x.conn.number, what, fmt.Sprintf(`%s, upstream: "%s"`,
		x.logContext(), net.JoinHostPort(p.ip, strconv.Itoa(p.port))))
}
