package standin

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
)

// TestHeadersInOneCall is of set_headers with texts, which go-pdk does not send:
// Host is then what set_header makes of it, and the name that TLS asks for.
// Seen alike on Kong 3.9.3.
func TestHeadersInOneCall(t *testing.T) {
	names := make(chan string, 1)
	b := &backend{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s [%s] [%s] [%s]", <-names, r.Host, strings.Join(r.Header.Values("X-A"), "|"),
			strings.Join(r.Header.Values("X-B"), "|"), strings.Join(r.Header.Values("X-C"), "|"))
	}))}
	b.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- hello.ServerName
		return nil, nil
	}}
	b.StartTLS()
	t.Cleanup(b.Close)
	b.Config.SetKeepAlivesEnabled(false) // each request has a handshake of its own
	b.port = b.Listener.Addr().(*net.TCPAddr).Port
	p := servePlugin(t, nil)
	g := startGateway(t, oneRoute("https://localhost:1", "", "plugins: [{name: fake}]"), Options{PluginServers: p.server()})
	for _, tt := range []struct {
		name    string
		headers map[string]any
		want    string
	}{
		{"none", map[string]any{}, "localhost localhost [1] [2|3] []"},
		{"the Host", map[string]any{"Host": "shop.example"}, "shop.example shop.example [1] [2|3] []"},
		{"the Host in another case", map[string]any{"hOST": "shop.example"}, "shop.example shop.example [1] [2|3] []"},
		{"the Host with a port", map[string]any{"host": "shop.example:8443"}, "shop.example shop.example:8443 [1] [2|3] []"},
		{"the Host, a header and one less", map[string]any{
			"Host": "shop.example", "X-C": "new", "x-b": []any{},
		}, "shop.example shop.example [1] [] [new]"},
		{"a text for several", map[string]any{"X-B": "only"}, "localhost localhost [1] [only] []"},
		{"several for a text", map[string]any{"x-a": []any{"4", "5"}, "X-C": []any{"6"}}, "localhost localhost [4|5] [2|3] [6]"},
		{"other values", map[string]any{"X-A": 7.0, "X-B": true, "X-C": ""}, "localhost localhost [7] [true] []"},
		{"what is not there is removed", map[string]any{"X-C": []any{}}, "localhost localhost [1] [2|3] []"},
		{"all are removed", map[string]any{"X-A": []any{}, "X-B": []any{}}, "localhost localhost [] [] []"},
		{"bytes that are no text", map[string]any{"X-A": "\xff\xe4"}, "localhost localhost [\xff\xe4] [2|3] []"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.access = func(kong *pdk.PDK, conn net.Conn, _ map[string]any) {
				if err := kong.Service.SetTarget("localhost", b.port); err != nil {
					t.Error(err)
				}
				if reply, err := ask(conn, "kong.service.request.set_headers", encodeStruct(tt.headers)); err != nil || len(reply) > 0 {
					t.Errorf("got %x, %v", reply, err)
				}
			}
			if _, body := fetch(t, g, "GET", "/r", "X-A: 1", "X-B: 2", "X-B: 3"); body != tt.want {
				t.Errorf("got %q, want %q", body, tt.want)
			}
		})
	}
}
