package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	// maxMessage bounds a WebSocket's message, with all its fragments.
	maxMessage = 1 << 20
	// socketIdle is how long a WebSocket may be silent, socketWrite how long a
	// client may take to accept a message.
	socketIdle  = 10 * time.Minute
	socketWrite = 10 * time.Second
)

// isWebSocket reports whether the request asks for a WebSocket, correctly or
// not.
func isWebSocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// serveWebSocket sends every message back until one side closes the WebSocket.
// Any origin may open one: there is nothing to steal.
func (h *handler) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	h.sockets.Add(1)
	defer h.sockets.Done()
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	closed := make(chan struct{})
	stop := context.AfterFunc(h.stopping, func() {
		defer close(closed)
		_ = conn.Close(websocket.StatusGoingAway, "this backend is stopping")
	})
	for echoMessage(conn) == nil {
	}
	if !stop() {
		<-closed
	}
}

// echoMessage sends the next message back. An error means that the WebSocket
// is closed.
func echoMessage(conn *websocket.Conn) error {
	idle, cancel := context.WithTimeout(context.Background(), socketIdle)
	defer cancel()
	kind, message, err := conn.Read(idle)
	if err != nil {
		return err
	}
	write, cancel := context.WithTimeout(context.Background(), socketWrite)
	defer cancel()
	return conn.Write(write, kind, message)
}
