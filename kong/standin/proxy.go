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
	response, err := reach(x, x.r.ContentLength == 0 && slices.Contains(idempotent, x.r.Method), x.roundTrip)
	if err != nil {
		if x.r.Context().Err() != nil {
			x.status = statusClientGone
			return // nobody waits for an answer
		}
		status := statusOf(err)
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

// idempotent are the methods that nginx repeats.
var idempotent = []string{
	http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace,
}

// statusOf is what nginx answers where the Service has not.
func statusOf(err error) int {
	switch {
	case errors.Is(err, errBadPeer):
		return http.StatusInternalServerError
	case isTimeout(err):
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// reach has attempt reach the Service, as often as its retries allow. What may have
// reached it is repeated only where that does no harm.
func reach[T any](x *exchange, repeatable bool, attempt func(address string) (T, error)) (T, error) {
	for {
		t := try{started: time.Now(), peer: x.balancer.try}
		var result T
		address, err := t.peer.address()
		t.ended = time.Now()
		x.times.balancerEnded = t.ended
		if err == nil {
			if result, err = attempt(address); err != nil {
				t.state, t.code = "failed", statusOf(err)
			}
		}
		x.balancer.tries = append(x.balancer.tries, t)
		if err == nil {
			return result, nil
		}
		x.logFailure(err)
		_, unsent := errors.AsType[dialError](err)
		if len(x.balancer.tries) > x.balancer.retries || x.context().Err() != nil || !unsent && !repeatable ||
			errors.Is(err, errBadPeer) || x.choosePeer() != nil {
			return result, err
		}
	}
}

// roundTrip sends the request to an address.
func (x *exchange) roundTrip(address string) (*http.Response, error) {
	request, d, err := x.upstreamRequest(address)
	if err != nil {
		return nil, err
	}
	return x.gateway.transports.get(d).RoundTrip(request)
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
	if x.upstreamScheme == "" || isGRPC && x.upstreamScheme != x.service.Protocol {
		// nginx's grpc_pass knows no other scheme, and its proxy_pass takes none for one.
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
	return x.service != nil && (x.service.Protocol == "grpc" || x.service.Protocol == "grpcs")
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
	_, unsent := errors.AsType[dialError](err)
	switch {
	case unsent:
		what = "connect() failed (" + nginxError(err) + ") while connecting to upstream"
	case x.stream != nil:
		what = "SSL_do_handshake() failed (" + err.Error() + ") while SSL handshaking to upstream"
	case isTimeout(err):
		what = "upstream timed out (110: Connection timed out) while reading response header from upstream"
	case !errors.Is(err, io.EOF):
		what += " (" + err.Error() + ")"
	}
	p := x.balancer.try
	upstream := net.JoinHostPort(p.ip, strconv.Itoa(p.port))
	if x.stream == nil {
		upstream = x.upstreamScheme + "://" + upstream + x.upstreamURI
	}
	x.gateway.log.print(levelError, x.conn.number, what, x.lineContext(`, upstream: "`+upstream+`"`))
}

// nginxError is how nginx names an error of the system.
func nginxError(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
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
	x.filterHeader(header)
	x.addProxyHeaders(header)
	header.Set("X-Kong-Request-Id", x.id)
	x.status = response.StatusCode
	x.sentHeader = header.Clone()
	x.w.WriteHeader(response.StatusCode)
	controller := http.NewResponseController(x.w)
	to := clientWriter{x, response.ContentLength < 0}
	if to.streams {
		_ = controller.Flush() // an error comes back with the next write
	}
	if _, err := io.Copy(to, response.Body); err != nil {
		_ = controller.Flush()      // the client gets what there is
		panic(http.ErrAbortHandler) // and sees that it is cut off
	}
	for name, values := range response.Trailer {
		if x.isGRPCService() { // nginx passes no others on
			header[http.TrailerPrefix+name] = values
		}
	}
}

// clientWriter sends a body to the client and counts its bytes. A body that streams is
// sent as it arrives.
type clientWriter struct {
	x       *exchange
	streams bool
}

func (w clientWriter) Write(p []byte) (int, error) {
	n, err := w.x.w.Write(p)
	w.x.sent += int64(n)
	if w.streams {
		_ = http.NewResponseController(w.x.w).Flush() // likewise
	}
	return n, err
}
