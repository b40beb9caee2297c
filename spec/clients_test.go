package spec

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// overHTTP2 sends a request by HTTP/2 without TLS, on a connection of its own.
func overHTTP2(address string, r request) (answer, error) {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), exchange)
	defer cancel()
	out, err := http.NewRequestWithContext(ctx, r.method, "http://"+address+r.target, strings.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	for _, line := range r.headers {
		name, value, _ := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); strings.EqualFold(name, "Host") {
			out.Host = value
		} else {
			out.Header.Add(name, value)
		}
	}
	if r.from != "" || r.tls {
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

// overGRPC calls a unary method with an empty message. The status is in the
// answer's header Grpc-Status; its body is the message without its prefix.
func overGRPC(address string, r request) (answer, error) {
	r.method, r.body = http.MethodPost, string(make([]byte, 5)) // not compressed, 0 bytes long
	r.headers = append(r.headers[:len(r.headers):len(r.headers)], "Content-Type: application/grpc", "TE: trailers")
	a, err := overHTTP2(address, r)
	if err == nil && len(a.body) >= 5 {
		a.body = a.body[5:]
	}
	return a, err
}

// overWebSocket opens a WebSocket, sends the body as one message of text and
// reads the one that comes back (RFC 6455).
func overWebSocket(address string, r request) (answer, error) {
	conn, err := r.connect(address)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	message := r.body
	r.body = ""
	r.headers = append(r.headers[:len(r.headers):len(r.headers)], "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	if _, err := io.WriteString(conn, r.wire(address)); err != nil {
		return answer{}, err
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, &http.Request{Method: r.method})
	if err != nil {
		return answer{}, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return read(response)
	}
	frame, err := textFrame(message)
	if err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(frame); err != nil {
		return answer{}, err
	}
	echoed, err := readText(reader)
	return answer{status: response.StatusCode, header: response.Header, body: echoed}, err
}

// textFrame is a client's frame with a short text, under a mask that changes
// nothing.
func textFrame(text string) ([]byte, error) {
	const final, kindText, masked, longest = 0x80, 0x1, 0x80, 125
	if len(text) > longest {
		return nil, fmt.Errorf("a message of %d bytes is longer than %d", len(text), longest)
	}
	return append([]byte{final | kindText, masked | byte(len(text)), 0, 0, 0, 0}, text...), nil
}

// readText reads a server's frame with a short text.
func readText(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if kind := binary.BigEndian.Uint16(head[:]); kind>>8 != 0x81 || kind&0xff > 125 {
		return nil, errors.New("the frame that came back is not a short text")
	}
	var text bytes.Buffer
	_, err := io.CopyN(&text, r, int64(head[1]))
	return text.Bytes(), err
}
