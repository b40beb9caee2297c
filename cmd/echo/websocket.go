package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxMessage bounds a message with all its fragments.
	maxMessage = 1 << 20
	// socketIdle is how long a WebSocket may be silent, socketWrite how long a
	// client may take to accept a frame, socketLinger how long it may take to
	// end the connection after being told to.
	socketIdle   = 10 * time.Minute
	socketWrite  = 10 * time.Second
	socketLinger = time.Second
)

// isWebSocket says whether the request asks for a WebSocket, well or badly.
func isWebSocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && hasToken(r.Header, "Upgrade", "websocket")
}

func hasToken(h http.Header, name, token string) bool {
	return slices.ContainsFunc(h.Values(name), func(value string) bool {
		return slices.ContainsFunc(strings.Split(value, ","), func(t string) bool {
			return strings.EqualFold(strings.TrimSpace(t), token)
		})
	})
}

// serveWebSocket opens the WebSocket (RFC 6455 §4.2) and gives every message
// back until one side ends it. Any origin may come: there is nothing to steal.
func (h *handler) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	nonce, err := base64.StdEncoding.DecodeString(key)
	switch {
	case r.Method != http.MethodGet || !hasToken(r.Header, "Connection", "upgrade"):
		refuse(w, http.StatusBadRequest, "a WebSocket begins with GET and Connection: upgrade")
		return
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		refuse(w, http.StatusUpgradeRequired, "Sec-WebSocket-Version has to be 13")
		return
	case err != nil || len(nonce) != 16:
		refuse(w, http.StatusBadRequest, fmt.Sprintf("Sec-WebSocket-Key %q is not 16 bytes in base64", key))
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	h.sockets.Add(1)
	defer h.sockets.Done()
	defer conn.Close()
	answer := fmt.Sprintf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\nX-Echo-Name: %s\r\n\r\n", acceptKey(key), headerValue(h.name))
	s := &socket{conn: conn, reader: buffered.Reader}
	if s.send([]byte(answer)) == nil {
		s.serve(h.stopping)
	}
}

// acceptKey is the answer to a client's key that shows that a WebSocket was
// understood (RFC 6455 §1.3).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// headerValue keeps line ends out of a header that net/http does not write.
func headerValue(s string) string {
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
}

// A socket is one open WebSocket, used by one goroutine.
type socket struct {
	conn   net.Conn
	reader *bufio.Reader
}

// serve gives messages back until the client ends the WebSocket, breaks the
// protocol, is silent for too long, or stopping ends.
func (s *socket) serve(stopping context.Context) {
	defer context.AfterFunc(stopping, func() { _ = s.conn.SetReadDeadline(time.Now()) })()
	err := s.echo(stopping)
	if stopping.Err() != nil {
		err = &closeError{closeGoingAway, "this backend is stopping"}
	}
	var end *closeError
	if !errors.As(err, &end) {
		return // the connection is gone or silent: nobody to tell
	}
	if s.write(opClose, end.payload()) != nil {
		return
	}
	// What the client has still under way is read before the connection ends:
	// closing it unread would reset it, and the close frame be lost.
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = s.conn.SetReadDeadline(time.Now().Add(socketLinger))
		_, _ = io.CopyN(io.Discard, s.reader, 2*maxMessage)
	}
}

// echo ends with a closeError where a close frame is due, and with what broke
// the connection otherwise.
func (s *socket) echo(stopping context.Context) error {
	var kind byte // of the message whose fragments are arriving; 0 between messages
	var message []byte
	for {
		// In this order: whoever ends stopping sets a deadline after it.
		if err := s.conn.SetReadDeadline(time.Now().Add(socketIdle)); err != nil {
			return err
		}
		if err := stopping.Err(); err != nil {
			return err
		}
		f, err := readFrame(s.reader, maxMessage-len(message))
		if err != nil {
			return err
		}
		switch {
		case f.opcode == opClose:
			return closeOf(f.payload)
		case f.opcode == opPing:
			if err := s.write(opPong, f.payload); err != nil {
				return err
			}
			continue
		case f.opcode == opPong:
			continue
		case f.opcode == opContinuation && kind == 0:
			return &closeError{closeProtocol, "a fragment without a beginning"}
		case f.opcode != opContinuation && kind != 0:
			return &closeError{closeProtocol, "a message within the fragments of another"}
		case f.opcode != opContinuation:
			kind = f.opcode
		}
		message = append(message, f.payload...)
		if !f.final {
			continue
		}
		if kind == opText && !utf8.Valid(message) {
			return &closeError{closeInvalid, "text that is not UTF-8"}
		}
		if err := s.write(kind, message); err != nil {
			return err
		}
		kind, message = 0, message[:0]
	}
}

func (s *socket) write(opcode byte, payload []byte) error {
	return s.send(appendFrame(make([]byte, 0, len(payload)+maxHeader), opcode, payload))
}

func (s *socket) send(b []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(socketWrite)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}
