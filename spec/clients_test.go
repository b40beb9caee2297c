package spec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// sendHTTP2 sends a request by HTTP/2 without TLS, on a connection of its own.
func sendHTTP2(address string, r request) (answer, error) {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), exchange)
	defer cancel()
	out, err := http.NewRequestWithContext(ctx, r.method, "http://"+address+r.target, strings.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	out.Header, out.Host = r.header()
	if r.source != "" || r.tls {
		return answer{}, errors.New("-from and -tls are not for HTTP/2")
	}
	response, err := transport.RoundTrip(out)
	if err != nil {
		return answer{}, err
	}
	if response.ProtoMajor != 2 {
		return answer{}, fmt.Errorf("the answer came by %s", response.Proto)
	}
	return read(response)
}

// header is what the request's header lines say. Without a Host among them, host
// is empty.
func (r request) header() (header http.Header, host string) {
	header = http.Header{}
	for _, line := range r.headers {
		name, value, _ := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); strings.EqualFold(name, "Host") {
			host = value
		} else {
			header.Add(name, value)
		}
	}
	return header, host
}

// callGRPC calls a unary method with an empty message. The status is in the
// answer's header Grpc-Status; its body is the message without its prefix.
func callGRPC(address string, r request) (answer, error) {
	r.method, r.body = http.MethodPost, string(make([]byte, 5)) // not compressed, 0 bytes long
	r.headers = append(r.headers[:len(r.headers):len(r.headers)], "Content-Type: application/grpc", "TE: trailers")
	a, err := sendHTTP2(address, r)
	if err == nil && len(a.body) >= 5 {
		a.body = a.body[5:]
	}
	return a, err
}

// exchangeWebSocket opens a WebSocket, sends the body as one message of text and
// reads the one that comes back.
func exchangeWebSocket(address string, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), exchange)
	defer cancel()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return r.connect(address) }}
	header, host := r.header()
	conn, response, err := websocket.Dial(ctx, "ws://"+address+r.target, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: header, Host: host,
	})
	switch {
	case response == nil:
		return answer{}, err
	case err != nil: // no WebSocket; Dial has read some of the body
		return read(response)
	}
	defer conn.CloseNow()
	a := answer{status: response.StatusCode, header: response.Header}
	if err := conn.Write(ctx, websocket.MessageText, []byte(r.body)); err != nil {
		return answer{}, err
	}
	_, a.body, err = conn.Read(ctx)
	return a, err
}
