package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer is how much of a response is read, in bytes.
const maxAnswer = 64 << 10

// userAgent tells operators where the requests come from.
const userAgent = "kong-traffic-split health check"

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// A probeFunc probes once. A nil error means that the target is healthy.
type probeFunc func(ctx context.Context) error

// newProbe returns the probe of a normal target. Each probe is on a connection of its own.
func newProbe(t Target, dial dialFunc) probeFunc {
	return func(ctx context.Context) error {
		err := probe(ctx, t, dial)
		switch {
		case err == nil:
			return nil
		case isShortage(err):
			return shortageError{err}
		}
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return fmt.Errorf("no answer within %v", t.Timeout)
		}
		return fmt.Errorf("%.200v", err) // a backend may have written most of it
	}
}

func probe(ctx context.Context, t Target, dial dialFunc) error {
	conn, err := dial(ctx, "tcp", t.address())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // of TLS if there is one, which notifies the other side
	if t.Protocol == TCP {
		return nil
	}
	raw := conn
	interrupt := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer interrupt()
	if t.Protocol == HTTPS {
		secured := tls.Client(conn, &tls.Config{ServerName: serverName(t.HostHeader), InsecureSkipVerify: true})
		if err := secured.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS handshake: %w", err)
		}
		conn = secured
	}
	return get(t, conn)
}

// get sends a request on a connection, and reads the response to its end, within a limit,
// so that the backend does not see a reset. http.Transport would go on dialling after the
// probe's end, and keep connections. A redirect is not followed, and healthy as any status
// below 400 is.
func get(t Target, conn net.Conn) error {
	at, err := url.ParseRequestURI(t.Path)
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	request := &http.Request{
		Method: http.MethodGet, URL: at, Host: t.HostHeader,
		Header: http.Header{"User-Agent": {userAgent}}, Close: true,
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	answer := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	for {
		response, err := http.ReadResponse(answer, request)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the connection ended before the answer did")
		case err != nil:
			return fmt.Errorf("reading the answer: %w", err)
		case response.StatusCode < 200:
			continue // an interim response
		case response.StatusCode > 399:
			err = fmt.Errorf("status %d is not in 200..399", response.StatusCode)
		}
		_, _ = io.Copy(io.Discard, response.Body) // the status alone counts
		return err
	}
}

// serverName returns a Host without its port and brackets.
func serverName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}
