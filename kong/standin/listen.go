package standin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// listener is one entry of Kong's proxy_listen, stream_listen or admin_listen.
type listener struct {
	address string
	ssl     bool
	http2   bool
}

// httpFlags and streamFlags are the flags that a listener of the subsystem may have.
// flagsOfNginx are accepted and ignored.
var (
	httpFlags    = []string{"ssl", "http2"}
	streamFlags  = []string{"ssl"}
	flagsOfNginx = []string{"reuseport", "backlog", "deferred", "bind", "ipv6only", "so_keepalive"}
)

// parseListen reads a list such as "0.0.0.0:8000 reuseport, 0.0.0.0:8443 ssl".
// "off" is an empty list.
func parseListen(property, text string, flags []string) ([]listener, error) {
	var all []listener
	for i, entry := range strings.Split(text, ",") {
		words := strings.Fields(entry)
		if i == 0 && len(words) == 1 && words[0] == "off" {
			return nil, nil
		}
		if len(words) == 0 {
			return nil, fmt.Errorf("%s: %q must be of form: [off] | <ip>:<port> [%s], [... next entry ...]",
				property, text, strings.Join(flags, "] ["))
		}
		if _, _, err := net.SplitHostPort(words[0]); err != nil {
			return nil, fmt.Errorf("%s: %q must be of form: <ip>:<port>: %w", property, words[0], err)
		}
		l := listener{address: words[0]}
		for _, flag := range words[1:] {
			name, _, _ := strings.Cut(flag, "=")
			if !slices.Contains(flags, flag) && !slices.Contains(flagsOfNginx, name) {
				return nil, fmt.Errorf("%s: %q: the flag %q is not supported", property, strings.TrimSpace(entry), flag)
			}
			l.ssl = l.ssl || flag == "ssl"
			l.http2 = l.http2 || flag == "http2"
		}
		all = append(all, l)
	}
	return all, nil
}

// clientConn is a connection of a client.
type clientConn struct {
	number uint64
	worker int
	local  string
}

type clientConnKey struct{}

// listen opens all listeners and serves them.
func (g *Gateway) listen() error {
	certificate, err := g.certificate()
	if err != nil {
		return err
	}
	g.proxyAddrs, err = g.serve(g.proxy, http.HandlerFunc(g.serveProxy), certificate)
	if err != nil {
		return err
	}
	g.streamAddrs, err = g.serveStreams(certificate)
	if err != nil {
		return err
	}
	g.adminAddrs, err = g.serve(g.admin, g.adminHandler(), certificate)
	return err
}

// certificate is that of listeners with ssl.
func (g *Gateway) certificate() (tls.Certificate, error) {
	if g.SSLCert == "" && g.SSLCertKey == "" {
		return selfSigned()
	}
	certificate, err := tls.LoadX509KeyPair(g.SSLCert, g.SSLCertKey)
	if err != nil {
		err = fmt.Errorf("ssl_cert, ssl_cert_key: %w", err)
	}
	return certificate, err
}

// serve listens and serves until Close.
func (g *Gateway) serve(listeners []listener, handler http.Handler, certificate tls.Certificate) ([]string, error) {
	var addresses []string
	turn := new(atomic.Uint64) // which worker is next
	for _, l := range listeners {
		ln, err := net.Listen("tcp", l.address)
		if err != nil {
			return addresses, err
		}
		server := g.newServer(l, handler, turn)
		if l.ssl {
			config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}
			if l.http2 {
				config.NextProtos = []string{"h2", "http/1.1"}
			}
			server.TLSConfig = config
		}
		g.servers = append(g.servers, server)
		g.serving.Go(func() {
			serve := server.Serve
			if l.ssl {
				serve = func(ln net.Listener) error { return server.ServeTLS(ln, "", "") }
			}
			err := serve(ln)
			if !errors.Is(err, http.ErrServerClosed) {
				g.log.print(levelAlert, 0, "accept() failed: "+err.Error(), "")
			}
		})
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses, nil
}

// newServer makes a server whose connections go to the workers in turn.
func (g *Gateway) newServer(l listener, handler http.Handler, turn *atomic.Uint64) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(l.ssl && l.http2)
	protocols.SetUnencryptedHTTP2(!l.ssl && l.http2)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: 60 * time.Second,
		IdleTimeout:       65 * time.Second,
		ErrorLog:          log.New(g.log, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, clientConnKey{}, g.newClientConn(c, turn))
		},
	}
}

func (g *Gateway) newClientConn(c net.Conn, turn *atomic.Uint64) *clientConn {
	return &clientConn{
		number: g.connections.Add(1),
		worker: int((turn.Add(1) - 1) % uint64(g.Workers)),
		local:  c.LocalAddr().String(),
	}
}
