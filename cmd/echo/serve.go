package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

const (
	// idleTimeout is longer than the 60 s for which Kong keeps an idle
	// connection to a backend: the side that reuses a connection has to be the
	// one that closes it, or a request meets a connection that is just ending.
	idleTimeout = 2 * time.Minute
	// drainTimeout is how long requests in flight may take after SIGTERM. Docker
	// kills a container 10 s after it.
	drainTimeout = 5 * time.Second
	// healthTimeout bounds a -healthcheck as a whole.
	healthTimeout = 2 * time.Second
)

// serve answers requests on o.listen until ctx ends; then those in flight
// get drainTimeout to finish.
func serve(ctx context.Context, o options, id identity, stderr io.Writer) error {
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("-listen %s: %w", o.listen, err)
	}
	h := &handler{identity: id, stopping: ctx}
	server := newServer(h)
	if o.log {
		server.Handler = logged(h, stderr)
	}
	server.ErrorLog = log.New(stderr, "echo: ", 0)
	start := server.Serve
	if o.tls {
		certificate, err := selfSigned(id.name)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
		start = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	served := make(chan error, 1)
	go func() { served <- start(listener) }()
	fmt.Fprintf(stderr, "listening on %s\n", listener.Addr())

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
		h.sockets.Wait()
		return err
	}
	h.sockets.Wait()
	return nil
}

// newServer bounds every wait for a client, so that one that stalls holds a
// connection for minutes at most.
func newServer(h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      maxDelay + time.Minute,
		IdleTimeout:       idleTimeout,
	}
}

// checkHealth asks the echo that listens on o.listen for its name. It is the
// health check of a container that has nothing in it but this executable.
func checkHealth(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	scheme := "http"
	if o.tls {
		scheme = "https"
	}
	address, err := reachable(o.listen)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+"/hostname", nil)
	if err != nil {
		return fmt.Errorf("-listen %s: %w", o.listen, err)
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		// The certificate is the process's own and new at each start: there is
		// nothing to verify it with, and nothing is sent that could be stolen.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", request.URL, response.Status)
	}
	return nil
}

// reachable turns an address to listen on into one to dial: no host, 0.0.0.0
// and [::] mean every address, of which it takes the loopback.
func reachable(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("-listen %s: %w", listen, err)
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip.Equal(net.IPv6unspecified):
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
