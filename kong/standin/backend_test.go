package standin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// backend is a server behind the gateway that tells its name, and keeps what it
// got last.
type backend struct {
	*httptest.Server
	port int
	last chan *http.Request
}

// startBackend runs a backend until the test ends. It answers
// "NAME METHOD URI HOST".
func startBackend(t *testing.T, name string) *backend {
	t.Helper()
	return startBackendWith(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", name, r.Method, r.RequestURI, r.Host)
		if len(body) > 0 {
			fmt.Fprintf(w, " %q", body)
		}
	})
}

func startBackendWith(t *testing.T, handler http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{last: make(chan *http.Request, 100)}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.last <- r
		handler(w, r)
	}))
	b.port = b.Listener.Addr().(*net.TCPAddr).Port
	t.Cleanup(b.Close)
	return b
}

// address is the backend's, without its scheme.
func (b *backend) address() string { return b.Listener.Addr().String() }

// closedPort is one that nobody listens on. One that was free a moment ago may be
// another test's by now.
const closedPort = 1

// fetch does a request through the gateway and returns status and body.
func fetch(t *testing.T, g *Gateway, method, target string, header ...string) (*http.Response, string) {
	t.Helper()
	return dialRaw(t, g).send(method+" "+target+" HTTP/1.1", append([]string{"Host: example.com", "Connection: close"}, header...)...)
}

// message is the message of one of Kong's JSON answers.
func message(body string) string {
	_, after, _ := strings.Cut(body, `"message":"`)
	text, _, _ := strings.Cut(after, `"`)
	return text
}
