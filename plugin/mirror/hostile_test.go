package mirror

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// answering is a shadow that takes the head of a request, and then writes what it likes: a
// text once, or another again and again as long as it is read.
func answering(t *testing.T, once, again string) Target {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for r := bufio.NewReader(conn); ; {
					if line, err := r.ReadString('\n'); err != nil || strings.TrimSpace(line) == "" {
						break
					}
				}
				_, err := io.WriteString(conn, once)
				for n := 0; err == nil && again != ""; n++ {
					_, err = io.WriteString(conn, strings.ReplaceAll(again, "#", fmt.Sprint(n)))
				}
				_, _ = io.Copy(io.Discard, conn) // until the copy is over
			}()
		}
	}()
	return at(t, "http", listener.Addr())
}

// Whatever a shadow answers, and however much of it, a copy comes to its end and the senders to
// theirs.
func TestOddAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		name, once, again string
		status            int // 0: none
	}{
		{"another protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "", 101},
		{"another protocol that is not named", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "", 101},
		{"early hints", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 20) + ok + "Content-Length: 0\r\n\r\n", "", 200},
		{"an answer that does not come", "", "HTTP/1.1 100 Continue\r\n\r\n", 0},
		{"a head without an end", ok, "X-#: x\r\n", 0},
		{"a body without an end", ok + "\r\n", "x", 200},
		{"a body that does not come", ok + "Content-Length: 9\r\n\r\n", "", 200},
		{"a trailer without an end", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X-#: x\r\n", 200},
		{"HTTP/0.9", "<html>", "x", 0},
		{"no status of HTTP", "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", "", 999},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, done := New(), make(results, 1)
			if drop := s.Send(done.of(Copy{Target: answering(t, tt.once, tt.again), Method: "GET", URI: "/", Host: "a"})); drop != "" {
				t.Fatal(drop)
			}
			closed := make(chan struct{})
			select {
			case r := <-done:
				if r.Status != tt.status || (r.Err == nil) != (r.Status != 0) {
					t.Error(r)
				}
			case <-time.After(time.Minute):
				t.Error("it is under way for ever")
			}
			go func() {
				s.Close()
				close(closed)
			}()
			select {
			case <-closed:
			case <-time.After(time.Minute):
				t.Error("the senders do not close")
			}
		})
	}
}
