package standin

import (
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/Kong/go-pdk"
)

// TestEventWithoutCalls covers a plugin that asks for nothing and changes nothing:
// wherever its row is, a request goes where it goes without the plugin, with the
// Service's and the route's own settings. Seen alike on Kong 3.9.3.
func TestEventWithoutCalls(t *testing.T) {
	b := startBackendWith(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.RequestURI, r.Host, r.Header.Get("X-Forwarded-Prefix"))
	})
	for _, tt := range []struct{ name, url, service, route, want string }{
		{"an IP address", b.URL + "/base", "", "", "/base/x?y " + b.address() + " /r"},
		{"a name", fmt.Sprintf("http://localhost:%d", b.port), "", "", fmt.Sprintf("/x?y localhost:%d /r", b.port)},
		{"preserve_host", b.URL, "", "preserve_host: true", "/x?y example.com /r"},
		{"strip_path", b.URL, "", "strip_path: false", "/r/x?y " + b.address() + " "},
		{"an Upstream", "http://up", "", "", "/x?y " + b.address() + " /r"},
		{"an Upstream with a Host", "http://named", "", "", fmt.Sprintf("/x?y shop.example:%d /r", b.port)},
		{"retries", "http://ailing", "retries: 5", "", "/x?y " + b.address() + " /r"},
		{"no answer", fmt.Sprintf("http://127.0.0.1:%d", closedPort), "retries: 0", "", "502"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := func(row string) string {
				text := oneRoute(tt.url, tt.service, tt.route) + fmt.Sprintf(`
consumers: [{username: ann, keyauth_credentials: [{key: k}]}]
upstreams:
- {name: up, targets: [{target: '%[1]s'}]}
- {name: named, host_header: shop.example, targets: [{target: '%[1]s'}]}
- {name: ailing, targets: [{target: '%[1]s'}, {target: '127.0.0.1:%[2]d'}]}
plugins:
- {name: key-auth}
`, b.address(), closedPort)
				return text + row
			}
			p := servePlugin(t, nil)
			g := startGateway(t, config(""), Options{PluginServers: p.server()})
			ask := func() string {
				response, body := fetch(t, g, "GET", "/r/x?y", "apikey: k")
				if response.StatusCode != 200 {
					return fmt.Sprint(response.StatusCode)
				}
				return body
			}
			if got := ask(); got != tt.want {
				t.Errorf("without the plugin: got %q", got)
			}
			for i, place := range []string{"route: route", "service: service", "consumer: ann", "tags: [everywhere]"} {
				postConfig(t, g, config("- {name: fake, "+place+"}"))
				for range 2 { // each of an Upstream's targets comes first once
					if got := ask(); got != tt.want {
						t.Errorf("with a row with %s: got %q", place, got)
					}
				}
				if events := p.noted("access"); len(events) != 2*(i+1) {
					t.Errorf("with a row with %s: events %v", place, events)
				}
			}
		})
	}
}

// TestConnectionWithoutCalls is the same of TCP connections.
func TestConnectionWithoutCalls(t *testing.T) {
	port := lineServer(t, "b", false)
	for name, service := range map[string]string{
		"an IP address": fmt.Sprintf("protocol: tcp, host: 127.0.0.1, port: %d", port),
		"a name":        fmt.Sprintf("protocol: tcp, host: localhost, port: %d", port),
		"TLS":           fmt.Sprintf("protocol: tls, host: localhost, port: %d", lineServer(t, "b", true)),
		"an Upstream":   "protocol: tcp, host: up",
		"retries":       "protocol: tcp, host: ailing, retries: 5",
	} {
		t.Run(name, func(t *testing.T) {
			want := "b - one"
			if name == "TLS" {
				want = "b localhost one"
			}
			for _, place := range []string{"route: route", "service: s", "tags: [everywhere]"} {
				p := servePlugin(t, nil)
				p.preread = func(*pdk.PDK, net.Conn, map[string]any) {}
				g := startGateway(t, tcpRoute(service, "protocols: [tcp]", fmt.Sprintf(`
					plugins: [{name: fake, protocols: [tcp], %s}],
					upstreams: [{name: up, targets: [{target: '127.0.0.1:%d'}]},
						{name: ailing, targets: [{target: '127.0.0.1:%d'}, {target: '127.0.0.1:%d'}]}]`,
					place, port, port, closedPort)),
					Options{StreamListen: "127.0.0.1:0", PluginServers: p.server()})
				for range 2 { // each of an Upstream's targets comes first once
					if got := dialStream(t, g, 0).ask("one"); got != want {
						t.Errorf("with a row with %s: got %q", place, got)
					}
				}
				if events := p.noted("preread"); len(events) != 2 {
					t.Errorf("with a row with %s: events %v", place, events)
				}
			}
		})
	}
}
