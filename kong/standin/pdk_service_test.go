package standin

import (
	"fmt"
	"net"
	"testing"

	"github.com/Kong/go-pdk"
)

// TestBytesThatAreNoText go to a plugin and back as they are.
func TestBytesThatAreNoText(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	p.access = func(_ *pdk.PDK, conn net.Conn, _ map[string]any) {
		header, err := ask(conn, "kong.request.get_header", encodeText("X-Raw"))
		if err != nil {
			t.Error(err)
		}
		var raw string
		_ = decode(header, &raw)
		_, err = ask(conn, "kong.service.request.set_header",
			appendBytes(appendText(nil, 1, "X-Back"), 2, encodeValue(raw)))
		if err != nil {
			t.Error(err)
		}
	}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	if response, _ := fetch(t, g, "GET", "/r", "X-Raw: \xff\xfe \xe4"); response.StatusCode != 200 {
		t.Errorf("got %s", response.Status)
	}
	if got := (<-b.last).Header.Get("X-Back"); got != "\xff\xfe \xe4" {
		t.Errorf("got %q", got)
	}
}

// TestServiceWithAddress covers a Service whose host is an IP address: Kong does
// not resolve a name that a plugin puts there.
func TestServiceWithAddress(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	g := startGateway(t, oneRoute(b.URL, "", "plugins: [{name: fake}]")+fmt.Sprintf(
		"upstreams: [{name: up, targets: [{target: '%s'}]}]", b.address()), Options{PluginServers: p.server()})
	for name, tt := range map[string]struct {
		change func(kong *pdk.PDK) error
		status int
	}{
		"a target that is an address": {func(kong *pdk.PDK) error { return kong.Service.SetTarget("127.0.0.1", b.port) }, 200},
		"a target that is a name":     {func(kong *pdk.PDK) error { return kong.Service.SetTarget("localhost", b.port) }, 500},
		"an Upstream":                 {func(kong *pdk.PDK) error { return kong.Service.SetUpstream("up") }, 500},
		"an unknown Upstream":         {func(kong *pdk.PDK) error { return kong.Service.SetUpstream("none") }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			p.access = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
				if err := tt.change(kong); err != nil {
					t.Error(err)
				}
			}
			if response, body := fetch(t, g, "GET", "/r"); response.StatusCode != tt.status {
				t.Errorf("got %s %q", response.Status, body)
			}
		})
	}
}
