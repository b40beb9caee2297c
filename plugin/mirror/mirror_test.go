package mirror

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// at is the target at an address.
func at(t *testing.T, protocol string, address net.Addr) Target {
	t.Helper()
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return Target{protocol, host, n}
}

// sendersOf are senders that are closed at the end of the test.
func sendersOf(t *testing.T) *Senders {
	s := New()
	t.Cleanup(s.Close)
	return s
}

// results are what becomes of copies.
type results chan Result

func (r results) of(c Copy) *Copy {
	c.Done = func(result Result) { r <- result }
	return &c
}

// one sends a copy, and returns what becomes of it.
func one(t *testing.T, s *Senders, c Copy) Result {
	t.Helper()
	done := make(results, 1)
	if drop := s.Send(done.of(c)); drop != "" {
		t.Fatalf("dropped: %s", drop)
	}
	return <-done
}

// What goes over the wire is the request as the client sent it, but for what is of its
// connection, and with the mark.
func TestCopyOnTheWire(t *testing.T) {
	var got string
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		var lines []string
		r := bufio.NewReader(conn)
		for {
			line, err := r.ReadString('\n')
			if line = strings.TrimSpace(line); err != nil || line == "" {
				break
			}
			lines = append(lines, line)
		}
		body := make([]byte, 5)
		_, _ = io.ReadFull(r, body)
		got = strings.Join(append(lines, "", string(body)), "\n")
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	}()
	r := one(t, sendersOf(t), Copy{
		Target: at(t, "http", listener.Addr()), Method: "PATCH", URI: "/a%2fb/\xff;x?q=%zz&flag?", Host: "shop.example",
		Header: map[string][]string{
			"x-list": {"1", "2"}, "connection": {"keep-alive"}, "proxy": {"other"}, "te": {"trailers"}, "upgrade": {"h2c"},
			"content-length": {"99"}, "expect": {"100-continue"}, "x-shadow": {"no"}, "x-latin": {"caf\xe9"}, "host": {"other"},
		},
		Body: Content([]byte("hello")),
	})
	if r != (Result{Status: 204}) {
		t.Fatal(r)
	}
	want := "PATCH /a%2fb/\xff;x?q=%zz&flag? HTTP/1.1\nHost: shop.example\nContent-Length: 5\nX-Latin: caf\xe9\nX-List: 1\nX-List: 2\nX-Shadow: traffic-split\n\nhello"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPathsOnTheWire(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RequestURI }))
	defer server.Close()
	s := sendersOf(t)
	for _, uri := range []string{"/", "/?", "//x//y", "//a%20b", "/a?b?c", "/:x"} {
		got = ""
		r := one(t, s, Copy{Target: at(t, "http", server.Listener.Addr()), Method: "GET", URI: uri, Host: "a"})
		if r.Status != 200 || got != uri {
			t.Errorf("%q came as %q: %v", uri, got, r)
		}
	}
}

// A body in a file is sent even where the file is removed meanwhile, as Kong does at the end
// of the request.
func TestBodyOfFile(t *testing.T) {
	var got []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = io.ReadAll(r.Body) }))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "body")
	want := strings.Repeat("0123456789", 10_000)
	if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	body, err := OpenBody(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s := sendersOf(t)
	c := Copy{Target: at(t, "http", server.Listener.Addr()), Method: "POST", URI: "/", Host: "a", Body: body}
	again, err := c.request(t.Context()).GetBody() // where its connection was just closed
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, again); err != nil {
		t.Fatal(err)
	}
	if r := one(t, s, c); r.Status != 200 {
		t.Fatal(r)
	}
	if string(got) != want {
		t.Errorf("%d bytes came", len(got))
	}
	if _, err := body.file.Stat(); err == nil {
		t.Error("the file is still open")
	}
	if _, err := OpenBody(path); err == nil {
		t.Error("no error where there is no file")
	}
}

// Over TLS the server name follows the Host header, and the address the target.
func TestServerName(t *testing.T) {
	var name string
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { name = r.TLS.ServerName + " " + r.Host }))
	defer server.Close()
	for host, want := range map[string]string{"shop.example": "shop.example shop.example", "shop.example:8443": "shop.example shop.example:8443", "127.0.0.1": " 127.0.0.1"} {
		r := one(t, sendersOf(t), Copy{Target: at(t, "https", server.Listener.Addr()), Method: "GET", URI: "/", Host: host})
		if r.Status != 200 || name != want {
			t.Errorf("%s: %q, %v", host, name, r)
		}
	}
}

// A redirect is an answer as any other.
func TestRedirect(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound))
	defer server.Close()
	if r := one(t, sendersOf(t), Copy{Target: at(t, "http", server.Listener.Addr()), Method: "GET", URI: "/", Host: "a"}); r.Status != 302 {
		t.Error(r)
	}
}

// What a client may have made of a request and HTTP does not have is not sent, and says nothing
// of the shadow.
func TestInvalidCopies(t *testing.T) {
	s := sendersOf(t)
	for _, c := range []Copy{
		{Method: "GET", URI: "/\n", Host: "a"},
		{Method: "G T", URI: "/", Host: "a"},
		{Method: "", URI: "/", Host: "a"},
		{Method: "GET", URI: "/", Host: "a\nb"},
		{Method: "GET", URI: "/", Host: "a", Header: map[string][]string{"x y": {"1"}}},
		{Method: "GET", URI: "/", Host: "a", Header: map[string][]string{"x": {"1", "1\x01"}}},
		{Method: "GET", URI: "", Host: "a"},
	} {
		if drop := s.Send(&c); drop != Invalid {
			t.Errorf("%+v: %q", c, drop)
		}
	}
}

// A shadow that breaks off what it says is there all the same.
func TestShadowThatBreaksOff(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, strings.Repeat("x", 1000))
			_ = conn.Close()
		}
	}()
	s := sendersOf(t)
	target := at(t, "http", listener.Addr())
	for range 2 * downAfter {
		r := one(t, s, Copy{Target: target, Method: "GET", URI: "/", Host: "a"})
		if r.Err == nil || len(r.Err.Error()) > 200 {
			t.Fatal(r)
		}
	}
	if drop := s.Admit(target, time.Now()); drop != "" {
		t.Errorf("not admitted: %s", drop)
	}
}

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after a minute: %s", what)
		}
	}
}
