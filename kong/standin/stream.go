package standin

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// stream is the TCP connection of an exchange that is no request.
type stream struct {
	client      net.Conn // decrypted where TLS was terminated
	ssl         bool     // of the listener
	sni         string
	passthrough bool  // what is passed on is TLS
	received    int64 // from the client
}

// handshakeTimeout is nginx's for TLS with a client.
const handshakeTimeout = 60 * time.Second

// serveStreams listens for TCP connections until Close, and returns the addresses.
func (g *Gateway) serveStreams(certificate tls.Certificate) ([]string, error) {
	var addresses []string
	turn := new(atomic.Uint64) // which worker is next
	terminate := &tls.Config{Certificates: []tls.Certificate{certificate}}
	for _, l := range g.stream {
		ln, err := net.Listen("tcp", l.address)
		if err != nil {
			return addresses, err
		}
		g.listeners = append(g.listeners, ln)
		g.serving.Go(func() {
			for {
				conn, err := ln.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				} else if err != nil {
					g.log.print(levelAlert, 0, "accept() failed: "+err.Error(), "")
					return
				}
				c := g.newClientConn(conn, turn)
				g.serving.Go(func() { g.serveStream(conn, c, l.ssl, terminate) })
			}
		})
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses, nil
}

// serveStream handles a TCP connection of a client.
func (g *Gateway) serveStream(client net.Conn, conn *clientConn, ssl bool, terminate *tls.Config) {
	defer client.Close()
	if !g.track(client) {
		return
	}
	defer g.untrack(client)
	gen, v := g.enter(conn, func(gen *generation) []*view { return gen.streamViews })
	if v == nil {
		return
	}
	defer v.worker.requests.Done()
	x := &exchange{
		gateway: g, gen: gen, view: v, conn: conn, phase: phasePreread, started: time.Now(),
		shared: map[string]any{}, ctx: map[string]any{}, balancer: balancing{retries: 5},
		stream: &stream{client: client, ssl: ssl},
	}
	x.realIP, _, _ = net.SplitHostPort(client.RemoteAddr().String())
	x.clientIP = x.realIP
	if ssl && !x.unwrap(terminate) {
		return // without a log phase, as in Kong
	}
	defer func() { _ = x.stream.client.Close() }() // TLS says that it ends
	defer x.finish()
	if a := x.runPreread(); a != nil {
		x.endStream(a)
		return
	}
	x.proxyStream()
}

// subject is what the stream is routed by. It counts as TLS where the client names a
// server, and on a listener with ssl until TLS is terminated.
func (x *exchange) subject() subject {
	s := x.stream
	source, _ := netip.ParseAddrPort(s.client.RemoteAddr().String())
	destination, _ := netip.ParseAddrPort(x.conn.local)
	return subject{
		tls: s.sni != "" || s.ssl && x.tls == nil, sni: s.sni,
		source:      source,
		destination: netip.AddrPortFrom(destination.Addr().Unmap(), destination.Port()),
	}
}

// unwrap does what nginx does first on a listener with ssl: the route of the server
// name that the client asks for says whether TLS is terminated or passed through. It
// returns false where the connection is to be closed.
func (x *exchange) unwrap(terminate *tls.Config) bool {
	s := x.stream
	var err error
	if s.sni, s.client, err = peekServerName(s.client); err != nil {
		return false
	}
	m, _ := x.gen.streamRouter.find(x.subject())
	switch {
	case m == nil:
		x.luaLog(levelError, "handler.lua:1082:", "before(): no Route found with those values")
		return false
	case slices.Contains(m.route.Protocols, "tls"):
	case slices.Contains(m.route.Protocols, "tls_passthrough"):
		s.passthrough = true
		return true
	default:
		x.luaLog(levelError, "handler.lua:1100:", "before(): unexpected protocols in matched Route")
		return false
	}
	ctx, cancel := context.WithTimeout(x.gateway.ending, handshakeTimeout)
	defer cancel()
	secured := tls.Server(s.client, terminate)
	if err := secured.HandshakeContext(ctx); err != nil {
		x.gateway.log.print(levelInfo, x.conn.number, "SSL_do_handshake() failed ("+err.Error()+")", x.logContext())
		return false
	}
	state := secured.ConnectionState()
	s.client, x.tls = secured, &state
	return true
}

// runPreread finds the route and runs the phase preread. It returns an answer
// where the connection does not go to the Service.
func (x *exchange) runPreread() *answer {
	m, _ := x.gen.streamRouter.find(x.subject())
	if m == nil {
		x.collectGlobal()
		x.luaLog(levelError, "handler.lua:1082:", "before(): no Route found with those values")
		return &answer{status: http.StatusInternalServerError}
	}
	x.route, x.service = m.route, m.service
	if x.service != nil {
		x.upstreamScheme = x.service.Protocol
	}
	if x.route.PreserveHost {
		x.upstreamHost = x.stream.sni
	}
	x.balancer.prepare(x.service)
	x.runPlugins(func(h *handler) phaseFunc { return h.preread })
	switch {
	case x.delayed != nil:
		return x.delayed
	case !x.hasService():
		x.luaLog(levelWarn, "init.lua:1090:", "preread(): no Service found with those values")
		return &answer{status: http.StatusServiceUnavailable}
	}
	if status, message := x.chooseFirstPeer(); status != 0 {
		// Kong would answer, which is an error in this phase.
		x.kongLog(levelError, "response.lua:839", "unable to proxy stream connection: "+message)
		return &answer{status: http.StatusInternalServerError}
	}
	return nil
}

// endStream ends a stream that does not go to the Service. The client gets the body of
// an answer only where its status is no error.
func (x *exchange) endStream(a *answer) {
	x.status = a.status
	if a.status < 400 {
		n, _ := x.stream.client.Write(a.body) // the client may have gone
		x.sent += int64(n)
	}
}

// proxyStream passes on what client and Service send, until one of them ends it.
func (x *exchange) proxyStream() {
	service, err := reach(x, true, x.dialService)
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

// dialService connects, with TLS unless the Service says tcp or what is passed on is TLS
// itself.
func (x *exchange) dialService(address string) (net.Conn, error) {
	t := x.balancer.timeouts
	t.write = max(t.write, t.read) // of both, nginx has one for streams
	t.read = t.write
	d := destination{address: address, serverName: serverName(x.upstreamHost), timeouts: t}
	conn, err := d.dial(x.context())
	if err != nil || x.upstreamScheme == "tcp" || x.stream.passthrough {
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
