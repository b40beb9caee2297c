package main

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// dial opens a WebSocket, whatever the page it comes from.
func dial(t *testing.T, s *echoServer, scheme string) (*websocket.Conn, *http.Response) {
	t.Helper()
	conn, response, err := websocket.Dial(t.Context(), scheme+"://"+s.address+"/chat/hostname?x", &websocket.DialOptions{
		HTTPClient: http1(t), HTTPHeader: http.Header{"Origin": {"http://elsewhere.example"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return conn, response
}

func TestWebSocketEcho(t *testing.T) {
	for scheme, args := range map[string][]string{"ws": nil, "wss": {"-tls"}} {
		t.Run(scheme, func(t *testing.T) {
			conn, response := dial(t, start(t, nil, append(args, "-name", "echo")...), scheme)
			if got := response.Header.Get("X-Echo-Name"); got != "echo" {
				t.Errorf("X-Echo-Name %q", got)
			}
			conn.SetReadLimit(maxMessage)
			for _, sent := range []struct {
				kind    websocket.MessageType
				message []byte
			}{
				{websocket.MessageText, nil},
				{websocket.MessageText, []byte("é")},
				{websocket.MessageBinary, []byte{0xff, 0, 0xfe}},
				{websocket.MessageBinary, bytes.Repeat([]byte("x"), maxMessage)},
			} {
				if err := conn.Write(t.Context(), sent.kind, sent.message); err != nil {
					t.Fatal(err)
				}
				kind, got, err := conn.Read(t.Context())
				if err != nil || kind != sent.kind || !bytes.Equal(got, sent.message) {
					t.Fatalf("of %v, %d bytes, came back %v, %d bytes, %v", sent.kind, len(sent.message), kind, len(got), err)
				}
			}
			if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Errorf("closing: %v", err)
			}
		})
	}
}

func TestTooLongAMessage(t *testing.T) {
	conn, _ := dial(t, start(t, nil), "ws")
	if err := conn.Write(t.Context(), websocket.MessageText, bytes.Repeat([]byte("x"), maxMessage+1)); err != nil {
		t.Fatal(err)
	}
	_, _, err := conn.Read(t.Context())
	if got := websocket.CloseStatus(err); got != websocket.StatusMessageTooBig {
		t.Errorf("closed with %v (%v), want %v", got, err, websocket.StatusMessageTooBig)
	}
}

func TestStoppingEndsWebSockets(t *testing.T) {
	s := start(t, nil)
	conn, _ := dial(t, s, "ws")
	s.cancel()
	_, _, err := conn.Read(t.Context())
	want := websocket.CloseError{Code: websocket.StatusGoingAway, Reason: "this backend is stopping"}
	if err == nil || !strings.Contains(err.Error(), want.Error()) {
		t.Errorf("got %v, want %v", err, want)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A request for a WebSocket that is not a correct one is refused, and another
// protocol is not a WebSocket.
func TestWebSocketHandshake(t *testing.T) {
	s := start(t, nil)
	for upgrade, want := range map[string]int{"WebSocket": http.StatusBadRequest, "h2c": http.StatusOK} {
		response, _ := fetch(t, http1(t), http.MethodGet, "http://"+s.address+"/ws", "", "Connection", "Upgrade", "Upgrade", upgrade)
		if response.StatusCode != want {
			t.Errorf("Upgrade: %s: %s, want %d", upgrade, response.Status, want)
		}
	}
}
