package standin

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// try is one attempt to reach the Service, as kong.log.serialize shows it.
type try struct {
	started, ended time.Time
	peer           peer
	state          string // "failed" where it did
	code           int
}

// errBadPeer is the error of a destination that is no address.
var errBadPeer = errors.New("no host allowed")

// proxy sends the request to the Service and its answer to the client.
func (x *exchange) proxy() {
	// The Service may answer before it has read the whole request. HTTP/2
	// allows that anyway and knows no such switch.
	_ = http.NewResponseController(x.w).EnableFullDuplex()
	response, err := x.roundTrip()
	if err != nil {
		if x.r.Context().Err() != nil {
			x.status = statusClientGone
			return // nobody waits for an answer
		}
		status := http.StatusBadGateway
		var timeout net.Error
		switch {
		case errors.Is(err, errBadPeer):
			status = http.StatusInternalServerError
		case errors.As(err, &timeout) && timeout.Timeout():
			status = http.StatusGatewayTimeout
		}
		x.upstreamStatus = status
		x.send(x.unexpectedAnswer(status))
		return
	}
	defer response.Body.Close()
	x.upstreamStatus, x.times.answered = response.StatusCode, time.Now()
	if response.StatusCode == http.StatusSwitchingProtocols {
		x.tunnel(response)
		return
	}
	x.forward(response)
}

// statusClientGone is nginx's for a client that did not wait.
const statusClientGone = 499

// roundTrip tries as often as the Service's retries allow. A request that may
// have reached the Service is repeated only where that does no harm.
func (x *exchange) roundTrip() (*http.Response, error) {
	for {
		response, err := x.attempt()
		if err == nil {
			return response, nil
		}
		var dial dialError
		x.logFailure(err)
		unsent := errors.As(err, &dial)
		repeatable := x.r.ContentLength == 0 && slices.Contains(idempotent, x.r.Method)
		if len(x.balancer.tries) > x.balancer.retries || x.r.Context().Err() != nil || !unsent && !repeatable ||
			errors.Is(err, errBadPeer) {
			return nil, err
		}
		if x.choosePeer() != nil {
			return nil, err
		}
	}
}

// idempotent are the methods that nginx repeats.
var idempotent = []string{
	http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace,
}

// attempt tries once.
func (x *exchange) attempt() (*http.Response, error) {
	p := x.balancer.try
	t := try{started: time.Now(), peer: p}
	defer func() { x.balancer.tries = append(x.balancer.tries, t) }()
	address, err := p.address()
	if err != nil {
		t.ended = time.Now()
		return nil, err
	}
	request, d, err := x.upstreamRequest(address)
	if err != nil {
		return nil, err
	}
	t.ended = time.Now()
	x.times.balancerEnded = t.ended
	response, err := x.gateway.transports.get(d).RoundTrip(request)
	if err != nil {
		t.state, t.code = "failed", http.StatusBadGateway
	}
	return response, err
}

// upstreamRequest makes the request for the Service.
func (x *exchange) upstreamRequest(address string) (*http.Request, destination, error) {
	isGRPC := x.isGRPCService()
	d := destination{
		address:  address,
		http2:    isGRPC,
		timeouts: x.balancer.timeouts,
	}
	scheme := "http"
	if x.upstreamScheme == "https" || x.upstreamScheme == "grpcs" {
		scheme, d.serverName = "https", serverName(x.upstreamHost)
	}
	if isGRPC && x.upstreamScheme != x.service.Protocol {
		// nginx's grpc_pass knows no other scheme.
		return nil, d, fmt.Errorf("invalid URL prefix in \"%s://kong_upstream\": %w", x.upstreamScheme, errBadPeer)
	}
	uri := x.upstreamURI
	if isGRPC {
		uri = x.uri // nginx's grpc_pass sends the client's
	}
	path, query, hasQuery := strings.Cut(uri, "?")
	request := &http.Request{
		Method: x.r.Method,
		URL: &url.URL{
			Scheme: scheme, Host: d.address, Opaque: path, RawQuery: query, ForceQuery: hasQuery && query == "",
		},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Host: x.upstreamHost, Header: x.upstreamHeader(),
		ContentLength: x.r.ContentLength,
	}
	if x.r.ContentLength != 0 {
		request.Body = io.NopCloser(x.r.Body)
	}
	return request.WithContext(x.r.Context()), d, nil
}

func (x *exchange) isGRPCService() bool {
	return x.service.Protocol == "grpc" || x.service.Protocol == "grpcs"
}

// serverName is what TLS asks for: the Host without its port.
func serverName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// logFailure logs a try that failed, as nginx does.
func (x *exchange) logFailure(err error) {
	if errors.Is(err, errBadPeer) {
		x.luaLog(levelError, "init.lua:1409:", "balancer(): "+err.Error())
		return
	}
	what := "upstream prematurely closed connection while reading response header from upstream"
	var dial dialError
	var timeout net.Error
	switch {
	case errors.As(err, &dial):
		what = "connect() failed (" + nginxError(err) + ") while connecting to upstream"
	case errors.As(err, &timeout) && timeout.Timeout():
		what = "upstream timed out (110: Connection timed out) while reading response header from upstream"
	case !errors.Is(err, io.EOF):
		what += " (" + err.Error() + ")"
	}
	p := x.balancer.try
	x.gateway.log.print(levelError, x.conn.number, what, fmt.Sprintf(
		`, client: %s, server: kong, request: "%s", upstream: "%s://%s%s", host: "%s", request_id: "%s"`,
		x.clientIP, x.requestLine(), x.upstreamScheme, net.JoinHostPort(p.ip, strconv.Itoa(p.port)),
		x.upstreamURI, x.r.Host, x.id))
}

// nginxError is how nginx names an error of the system.
func nginxError(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text := errno.Error()
		return fmt.Sprintf("%d: %s%s", int(errno), strings.ToUpper(text[:1]), text[1:])
	}
	return err.Error()
}

// forward sends the Service's answer to the client as it arrives.
func (x *exchange) forward(response *http.Response) {
	header := x.w.Header()
	header["Content-Type"] = nil // nothing is guessed
	x.copyResponseHeader(header, response)
	x.addProxyHeaders(header)
	header.Set("X-Kong-Request-Id", x.id)
	x.status = response.StatusCode
	x.sentHeader = header.Clone()
	x.w.WriteHeader(response.StatusCode)
	controller := http.NewResponseController(x.w)
	streamed := response.ContentLength < 0
	if streamed {
		_ = controller.Flush() // an error comes back with the next write
	}
	err := x.copyBody(response.Body, func() {
		if streamed {
			_ = controller.Flush()
		}
	})
	if err != nil {
		_ = controller.Flush()      // the client gets what there is
		panic(http.ErrAbortHandler) // and sees that it is cut off
	}
	for name, values := range response.Trailer {
		if x.isGRPCService() { // nginx passes no others on
			header[http.TrailerPrefix+name] = values
		}
	}
}

// copyBody copies what arrives, piece by piece.
func (x *exchange) copyBody(body io.Reader, flush func()) error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			written, writeErr := x.w.Write(buffer[:n])
			x.sent += int64(written)
			if writeErr != nil {
				return writeErr
			}
			flush()
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
