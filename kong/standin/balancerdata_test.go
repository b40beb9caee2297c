package standin

import (
	"net"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
)

// A plugin may read where a request is to go, and write it back as it is or changed.
func TestBalancerData(t *testing.T) {
	b, other, p := startBackend(t, "b"), startBackend(t, "other"), servePlugin(t, nil)
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	for _, tt := range []struct {
		name    string
		change  func(kong *pdk.PDK, table map[string]any)
		status  int
		backend string
	}{
		{"as it was", func(kong *pdk.PDK, _ map[string]any) { _ = kong.Service.SetTarget("localhost", other.port) }, 200, "b"},
		{"changed", func(_ *pdk.PDK, table map[string]any) { table["port"] = float64(other.port) }, 200, "other"},
		{"without something", func(_ *pdk.PDK, table map[string]any) { delete(table, "tries") }, 500, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.access = func(kong *pdk.PDK, conn net.Conn, _ map[string]any) {
				reply, err := ask(conn, "kong.nginx.get_ctx", encodeText("balancer_data"))
				if err != nil {
					t.Error(err)
				}
				value, err := decodeValue(reply)
				table, ok := value.(map[string]any)
				if err != nil || !ok {
					t.Errorf("got %v, %v", value, err)
				}
				tt.change(kong, table)
				_, _ = ask(conn, "kong.nginx.set_ctx", appendBytes(appendText(nil, 1, "balancer_data"), 2, encodeValue(table)))
			}
			response, body := fetch(t, g, "GET", "/r")
			if name, _, _ := strings.Cut(body, " "); response.StatusCode != tt.status || tt.backend != "" && name != tt.backend {
				t.Errorf("got %s %q, want %d from %q", response.Status, body, tt.status, tt.backend)
			}
		})
	}
}
