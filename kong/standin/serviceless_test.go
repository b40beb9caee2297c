package standin

import (
	"net"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
)

// A request of a route without a Service goes where a plugin has sent it only once there is
// one in its context, and by the scheme that it is told.
func TestWithoutService(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	g := startGateway(t, `{_format_version: "3.0", routes: [{name: r, paths: [/r], plugins: [{name: fake}]}]}`, Options{PluginServers: p.server()})
	service := func(conn net.Conn) {
		table := encodeValue(map[string]any{"host": "localhost", "protocol": "http"})
		_, _ = ask(conn, "kong.nginx.set_ctx", appendBytes(appendText(nil, 1, "service"), 2, table))
	}
	for _, tt := range []struct {
		name   string
		tell   func(kong *pdk.PDK, conn net.Conn)
		status int
	}{
		{"no Service", func(kong *pdk.PDK, _ net.Conn) { _ = kong.ServiceRequest.SetScheme("http") }, 503},
		{"no scheme", func(_ *pdk.PDK, conn net.Conn) { service(conn) }, 500},
		{"both", func(kong *pdk.PDK, conn net.Conn) { service(conn); _ = kong.ServiceRequest.SetScheme("http") }, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.access = func(kong *pdk.PDK, conn net.Conn, _ map[string]any) {
				reply, err := ask(conn, "kong.nginx.get_ctx", encodeText("balancer_data"))
				if err != nil {
					t.Error(err)
				}
				value, _ := decodeValue(reply)
				if table, _ := value.(map[string]any); table["host"] != nil || table["port"] != nil || table["scheme"] != nil || table["read_timeout"] != 60000.0 {
					t.Errorf("balancer_data is %v", table)
				}
				_ = kong.Service.SetTarget("localhost", b.port)
				tt.tell(kong, conn)
			}
			response, body := fetch(t, g, "GET", "/r")
			if name, _, _ := strings.Cut(body, " "); response.StatusCode != tt.status || tt.status == 200 && name != "b" {
				t.Errorf("got %s %q, want %d", response.Status, body, tt.status)
			}
		})
	}
}
