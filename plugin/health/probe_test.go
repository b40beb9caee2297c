package health

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// probeOnce probes a target as its prober does.
func probeOnce(t *testing.T, target Target) error {
	t.Helper()
	target = target.normal()
	ctx, cancel := context.WithTimeout(t.Context(), target.Timeout)
	defer cancel()
	return newProbe(target, (&net.Dialer{}).DialContext)(ctx)
}

// at is a target at an address, with time enough for a slow machine.
func at(t *testing.T, address net.Addr) Target {
	t.Helper()
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return Target{Host: host, Port: n, Timeout: time.Minute}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestStatuses(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.RequestURI)
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer server.Close()
	target := at(t, server.Listener.Addr())
	var want []string
	for status, wrong := range map[int]string{
		200: "", 204: "", 299: "", 302: "", 399: "",
		400: "status 400 is not in 200..399",
		404: "status 404 is not in 200..399",
		503: "status 503 is not in 200..399",
	} {
		target.Path = fmt.Sprintf("/a%%20b/x?status=%d", status)
		want = append(want, target.Path)
		if got := message(probeOnce(t, target)); got != wrong {
			t.Errorf("%d: got %q, want %q", status, got, wrong)
		}
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

func TestRequest(t *testing.T) {
	type seen struct {
		Method, Proto, Host, Agent string
		Close                      bool
		Connections                map[string]bool
	}
	got := seen{Connections: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got.Method, got.Proto, got.Host, got.Agent, got.Close = r.Method, r.Proto, r.Host, r.UserAgent(), r.Close
		got.Connections[r.RemoteAddr] = true
	}))
	defer server.Close()
	target := at(t, server.Listener.Addr())
	target.Path, target.HostHeader = "/", "api.example.com:8443"
	for range 2 {
		if err := probeOnce(t, target); err != nil {
			t.Fatal(err)
		}
	}
	if len(got.Connections) != 2 {
		t.Errorf("2 probes used %d connections", len(got.Connections))
	}
	got.Connections = nil
	want := seen{"GET", "HTTP/1.1", "api.example.com:8443", userAgent, true, nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The certificate is another's and self-made, and the server would speak HTTP/2.
func TestHTTPS(t *testing.T) {
	for host, wantName := range map[string]string{
		"":                     "", // an address is no server name
		"api.example.com":      "api.example.com",
		"api.example.com:8443": "api.example.com",
	} {
		t.Run("Host "+host, func(t *testing.T) {
			var name, proto string
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				proto = r.Proto
			}))
			server.EnableHTTP2 = true
			server.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				name = hello.ServerName
				return nil, nil
			}}
			server.StartTLS()
			defer server.Close()
			target := at(t, server.Listener.Addr())
			target.Protocol, target.Path, target.HostHeader = HTTPS, "/", host
			if err := probeOnce(t, target); err != nil {
				t.Fatal(err)
			}
			if name != wantName || proto != "HTTP/1.1" {
				t.Errorf("got server name %q, want %q; %s", name, wantName, proto)
			}
		})
	}
}

func TestHTTPSToAServerWithoutTLS(t *testing.T) {
	target := at(t, answering(t, "HTTP/1.1 400 Bad Request\r\n\r\n"))
	target.Protocol, target.Path = HTTPS, "/"
	want := "TLS handshake: tls: first record does not look like a TLS handshake"
	if got := message(probeOnce(t, target)); got != want {
		t.Errorf("got %q", got)
	}
}

// answering listens, and answers each connection's first bytes with a text.
func answering(t *testing.T, text string) net.Addr {
	t.Helper()
	return listening(t, "127.0.0.1:0", func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, text)
	})
}

// listening serves each connection, which it closes then.
func listening(t *testing.T, address string, serve func(net.Conn)) net.Addr {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip(err) // no IPv6
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return listener.Addr()
}

func TestAnswers(t *testing.T) {
	for text, want := range map[string]string{
		"HTTP/1.1 200 OK\r\n\r\nand a body until the end":               "",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut":               "",
		"HTTP/1.0 204 No Content\r\n\r\n":                               "",
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 500 No\r\n\r\n":       "status 500 is not in 200..399",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk": "",
		"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 2*maxAnswer):    "",
		"":                         "the connection ended before the answer did",
		"HTTP/1.1 200 OK\r\nX-A: ": "the connection ended before the answer did",
		"SSH-2.0-OpenSSH_9.6\r\n":  `reading the answer: malformed HTTP response "SSH-2.0-OpenSSH_9.6"`,
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxAnswer): "the connection ended before the answer did",
		strings.Repeat("x", maxAnswer/2) + "\r\n": `reading the answer: malformed HTTP response "` +
			strings.Repeat("x", 200-len(`reading the answer: malformed HTTP response "`)),
	} {
		target := at(t, answering(t, text))
		target.Path = "/"
		if got := message(probeOnce(t, target)); got != want {
			t.Errorf("%.40q: got %q, want %q", text, got, want)
		}
	}
}

func TestPathThatIsNone(t *testing.T) {
	target := at(t, answering(t, ""))
	for path, want := range map[string]string{
		"/%zz":     `path: parse "/%zz": invalid URL escape "%zz"`,
		"relative": `path: parse "relative": invalid URI for request`,
	} {
		target.Path = path
		if got := message(probeOnce(t, target)); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// A body without an end costs no more than the bound, and counts for nothing.
func TestEndlessBody(t *testing.T) {
	sent := make(chan int, 1)
	address := listening(t, "127.0.0.1:0", func(conn net.Conn) {
		n, _ := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		for err := error(nil); err == nil; {
			var more int
			more, err = conn.Write(make([]byte, 4096))
			n += more
		}
		sent <- n
	})
	target := at(t, address)
	target.Path = "/"
	if err := probeOnce(t, target); err != nil {
		t.Error(err)
	}
	if n := <-sent; n < maxAnswer {
		t.Errorf("the probe read less than %d bytes: %d were sent", maxAnswer, n)
	}
}

func TestTCP(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			connected := make(chan int, 1)
			target := at(t, listening(t, address, func(conn net.Conn) {
				n, _ := conn.Read(make([]byte, 1))
				connected <- n
			}))
			target.Protocol = TCP
			if err := probeOnce(t, target); err != nil {
				t.Error(err)
			}
			if n := <-connected; n != 0 {
				t.Error("the probe said something")
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	var host string
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { host = r.Host }),
	}}
	server.Start()
	defer server.Close()
	target := at(t, listener.Addr())
	target.Host, target.Path = "[::1]", "/"
	if err := probeOnce(t, target); err != nil {
		t.Error(err)
	}
	if host != listener.Addr().String() {
		t.Errorf("got Host %s, want %s", host, listener.Addr())
	}
}

func TestRefusedConnection(t *testing.T) {
	address := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} // where nobody listens
	for _, path := range []string{"", "/"} {
		target := at(t, address)
		target.Path = path
		want := "dial tcp " + address.String() + ": connect: connection refused"
		if got := message(probeOnce(t, target)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
