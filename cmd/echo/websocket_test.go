package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/websocket"
)

// The client of golang.org/x/net knows nothing of this server.
func TestWebSocketEcho(t *testing.T) {
	for scheme, args := range map[string][]string{"ws": nil, "wss": {"-tls"}} {
		t.Run(scheme, func(t *testing.T) {
			s := start(t, nil, args...)
			config, err := websocket.NewConfig(scheme+"://"+s.address+"/chat/hostname?x", "http://elsewhere.example")
			if err != nil {
				t.Fatal(err)
			}
			config.TlsConfig = http1(t).Transport.(*http.Transport).TLSClientConfig
			ws, err := config.DialContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			for _, size := range []int{0, 1, 125, 126, 1<<16 - 1, 1 << 16, maxMessage} {
				sent, got := strings.Repeat("é", size/2)+strings.Repeat("e", size%2), ""
				if err := websocket.Message.Send(ws, sent); err != nil {
					t.Fatal(err)
				}
				if err := websocket.Message.Receive(ws, &got); err != nil || got != sent {
					t.Fatalf("of %d bytes came back %d, %v", len(sent), len(got), err)
				}
			}
			binary, got := []byte{0xff, 0, 0xfe}, []byte(nil)
			if err := errors.Join(websocket.Message.Send(ws, binary), websocket.Message.Receive(ws, &got)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, binary) {
				t.Errorf("got %q, want %q", got, binary)
			}
		})
	}
}

func TestWebSocketHandshake(t *testing.T) {
	s := start(t, nil, "-name", "echo")
	type header = map[string]string
	good := header{"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
	for _, c := range []struct {
		name, method string
		change       header
		code         int
		want         header
		message      string
	}{
		{
			"the RFC's example", "GET", nil, 101,
			header{"Sec-Websocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Connection": "Upgrade", "Upgrade": "websocket", "X-Echo-Name": "echo"},
			"",
		},
		{"upper case", "GET", header{"Upgrade": "WebSocket", "Connection": "UPGRADE"}, 101, nil, ""},
		{"another method", "POST", nil, 400, nil, "a WebSocket begins with GET and Connection: upgrade"},
		{"no connection header", "GET", header{"Connection": "keep-alive"}, 400, nil, "a WebSocket begins with GET and Connection: upgrade"},
		{"an old version", "GET", header{"Sec-WebSocket-Version": "8"}, 426, header{"Sec-Websocket-Version": "13"}, "Sec-WebSocket-Version has to be 13"},
		{"a short key", "GET", header{"Sec-WebSocket-Key": "c2hvcnQ="}, 400, nil, `Sec-WebSocket-Key "c2hvcnQ=" is not 16 bytes in base64`},
		{"no key", "GET", header{"Sec-WebSocket-Key": ""}, 400, nil, `Sec-WebSocket-Key "" is not 16 bytes in base64`},
		{"another protocol", "GET", header{"Upgrade": "h2c"}, 200, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+s.address+"/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, set := range []header{good, c.change} {
				for name, value := range set {
					request.Header.Set(name, value)
				}
			}
			response, err := http1(t).Transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != c.code {
				t.Errorf("status %d, want %d", response.StatusCode, c.code)
			}
			for name, want := range c.want {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if c.code != 101 {
				body, _ := io.ReadAll(response.Body)
				checkAnswer(t, "/ws", c.message, string(body), true)
			}
		})
	}
}

// clientFrame is a frame as a client writes it: masked, its length in the
// shortest form.
func clientFrame(first byte, payload string) string {
	b := appendFrame(nil, 0, []byte(payload))
	head := b[:len(b)-len(payload)]
	head[0], head[1] = first, head[1]|0x80
	mask := [4]byte{1, 2, 3, 4}
	out := append(bytes.Clone(head), mask[:]...)
	for i := range len(payload) {
		out = append(out, payload[i]^mask[i%4])
	}
	return string(out)
}

func closeCode(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// What the client sends, and everything that comes back until the connection
// ends.
func TestWebSocketFrames(t *testing.T) {
	const fin, text, bin, closing, ping, pong = 0x80, opText, opBinary, opClose, opPing, opPong
	bye := clientFrame(fin|closing, closeCode(1000, "bye"))
	byeBack := string(appendFrame(nil, closing, []byte(closeCode(1000, ""))))
	back := func(opcode byte, payload string) string { return string(appendFrame(nil, opcode, []byte(payload))) }
	refused := func(code int, reason string) string { return back(closing, closeCode(code, reason)) }
	s := start(t, nil)
	for _, c := range []struct{ name, send, want string }{
		{"close", bye, byeBack},
		{"close without a code", clientFrame(fin|closing, ""), back(closing, "")},
		{"close with a code of an application", clientFrame(fin|closing, closeCode(4321, "")), refused(4321, "")},
		{"close of one byte", clientFrame(fin|closing, "x"), refused(1002, "a close code of one byte")},
		{"close 1005", clientFrame(fin|closing, closeCode(1005, "")), refused(1002, "close code 1005 is not to be sent")},
		{"close 999", clientFrame(fin|closing, closeCode(999, "")), refused(1002, "close code 999 is not to be sent")},
		{"close with a reason that is not UTF-8", clientFrame(fin|closing, closeCode(1000, "\xff")), refused(1007, "a close reason that is not UTF-8")},
		{"ping", clientFrame(fin|ping, "are you there") + bye, back(pong, "are you there") + byeBack},
		{"pong", clientFrame(fin|pong, "here") + bye, byeBack},
		{
			"fragments with a ping between",
			clientFrame(text, "H\xc3") + clientFrame(fin|ping, "") + clientFrame(0, "\xa9l") + clientFrame(fin, "lo") + clientFrame(fin|bin, "x") + bye,
			back(pong, "") + back(text, "Héllo") + back(bin, "x") + byeBack,
		},
		{"a fragment without a beginning", clientFrame(fin, "x"), refused(1002, "a fragment without a beginning")},
		{"a message within a message", clientFrame(text, "x") + clientFrame(fin|text, "y"), refused(1002, "a message within the fragments of another")},
		{"text that is not UTF-8", clientFrame(fin|text, "\xc3\x28"), refused(1007, "text that is not UTF-8")},
		{"reserved bits", clientFrame(fin|0x40|text, "x"), refused(1002, "reserved bits are set, but no extension was agreed on")},
		{"a reserved opcode", clientFrame(fin|3, "x"), refused(1002, "opcode 0x3 is reserved")},
		{"a reserved control opcode", clientFrame(fin|0xb, "x"), refused(1002, "opcode 0xb is reserved")},
		{"no mask", "\x81\x01x", refused(1002, "a client has to mask its frames")},
		{"a ping in fragments", clientFrame(ping, ""), refused(1002, "a control frame in fragments")},
		{"a long ping", clientFrame(fin|ping, strings.Repeat("x", 126)), refused(1002, "a control frame longer than 125 bytes")},
		{"125 in two bytes", "\x81\xfe\x00\x7d", refused(1002, "length 125 is written in 2 bytes")},
		{"65535 in eight bytes", "\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff", refused(1002, "length 65535 is written in 8 bytes")},
		{"a length of 64 bits", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", refused(1002, "length 18446744073709551615 is written in 8 bytes")},
		{"a message of 8 EiB", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", refused(1009, "a message is longer than 1048576 bytes")},
		{
			"fragments that are too long together",
			clientFrame(text, strings.Repeat("x", maxMessage)) + clientFrame(0, "x") + bye,
			refused(1009, "a message is longer than 1048576 bytes"),
		},
		{"nothing more", clientFrame(text, "x"), ""},
		{"half a frame", "\x81", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, reader := openSocket(t, s.address)
			sent := make(chan error, 1)
			go func() {
				_, err := io.WriteString(conn, c.send)
				sent <- errors.Join(err, conn.CloseWrite())
			}()
			got, err := io.ReadAll(reader)
			if err := errors.Join(err, <-sent); err != nil {
				t.Errorf("the connection did not end well: %v", err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func openSocket(t *testing.T, address string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	dialed, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn := dialed.(*net.TCPConn)
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", response, err)
	}
	return conn, reader
}

func TestStoppingEndsWebSockets(t *testing.T) {
	s := start(t, nil)
	conn, reader := openSocket(t, s.address)
	s.cancel()
	got, err := io.ReadAll(reader)
	conn.Close()
	if want := string(appendFrame(nil, opClose, []byte(closeCode(1001, "this backend is stopping")))); err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// Whatever arrives, a frame is within its limit and is what was sent.
func FuzzReadFrame(f *testing.F) {
	f.Add([]byte(clientFrame(0x80|opText, "hello")), 16)
	f.Add([]byte(clientFrame(0x80|opPing, "")), 0)
	f.Add([]byte(clientFrame(opBinary, strings.Repeat("x", 70000))), maxMessage)
	f.Add([]byte("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff"), maxMessage)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		limit = min(max(limit, 0), maxMessage)
		reader := bytes.NewReader(b)
		got, err := readFrame(reader, limit)
		if err != nil {
			return
		}
		if got.opcode < opClose && len(got.payload) > limit || got.opcode >= opClose && len(got.payload) > maxControl {
			t.Fatalf("opcode %d, %d bytes, limit %d", got.opcode, len(got.payload), limit)
		}
		read := b[:len(b)-reader.Len()]
		mask := [4]byte(read[len(read)-len(got.payload)-4:])
		for i, c := range got.payload {
			if read[len(read)-len(got.payload)+i]^mask[i%4] != c {
				t.Fatalf("byte %d of the payload is not what was sent", i)
			}
		}
	})
}
