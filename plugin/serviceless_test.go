package plugin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"kong-traffic-split/plugin"
)

// serviceless is Kong on a route without a Service.
func serviceless(protocols ...any) *kong {
	k := web()
	k.service = nil
	k.route["protocols"] = protocols
	k.balancer(map[string]any{"scheme": nil, "type": "name", "host": nil, "port": nil})
	k.upstreams = []string{"up"}
	return k
}

// What Kong is told where it has no Service: what is true of the backend, and the scheme. The
// rest is as it is where there is one.
func TestServiceless(t *testing.T) {
	limited := func(changes map[string]any) string {
		changes["scheme"], changes["type"] = nil, "name"
		return "nginx.set_ctx balancer_data=" + balancerText(changes)
	}
	for _, tt := range []struct {
		name, config string
		want         []string
	}{
		{"a host", `{"host":"a.internal","host_header":"a.internal"}`, []string{
			"service.set_target a.internal 80", `nginx.set_ctx service={"host":"a.internal","port":80,"protocol":"http"}`, "service.request.set_scheme http",
		}},
		{"an address with TLS", `{"host":"::1","protocol":"https"}`, []string{
			"service.set_target [::1] 443", `nginx.set_ctx service={"host":"::1","port":443,"protocol":"https"}`, "service.request.set_scheme https",
		}},
		{"an Upstream", `{"upstream":"up"}`, []string{
			"service.set_upstream up", `nginx.set_ctx service={"host":"up","protocol":"http"}`, "service.request.set_scheme http",
		}},
		{"a path", `{"host":"a.internal","path":"/v2"}`, []string{
			"service.set_target a.internal 80", `nginx.set_ctx service={"host":"a.internal","port":80,"protocol":"http"}`, "service.request.set_scheme http",
			"service.request.set_path /v2/base/cart",
		}},
		{"limits of a host", `{"host":"a.internal","retries":0}`, []string{
			limited(map[string]any{"host": "a.internal", "port": 80.0, "retries": 0.0}),
			`nginx.set_ctx service={"host":"a.internal","port":80,"protocol":"http"}`, "service.request.set_scheme http",
		}},
		{"limits of an Upstream", `{"upstream":"up","timeouts":{"read":1}}`, []string{
			"service.set_upstream up", limited(map[string]any{"host": "up", "port": nil, "read_timeout": 1000.0}),
			`nginx.set_ctx service={"host":"up","protocol":"http"}`, "service.request.set_scheme http",
		}},
		{"a redirect", `{"redirect":{"scheme":"https","hostname":"b","path":"/"}}`, []string{`response.exit 302 map[Location:[https://b/]] ""`}},
	} {
		for place, row := range map[string]string{"on a route": onRoute, "everywhere": `"__plugin_id":"p1",`} {
			t.Run(tt.name+" "+place, func(t *testing.T) {
				i := start(t, plugin.New(options), row+`"backends":[`+tt.config+`]`)
				for range 2 { // the second one by what is kept of the first
					k := serviceless("http", "https")
					if err := k.access(t, i); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(tt.want, k.told); diff != "" {
						t.Errorf("told (-want +got):\n%s", diff)
					}
					// The log phase sees what was left, which is no Service all the same.
					k.service = map[string]any{"host": "a.internal", "protocol": "grpc"}
					if err := k.run(t, "log", i); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// What Kong cannot do without a Service is refused, for what it is; TLS that is passed on
// needs none.
func TestRefusedServiceless(t *testing.T) {
	for _, tt := range []struct {
		protocol, phase, config, want string
	}{
		{"grpc", "access", `{"host":"a"}`, `backend "a:80": the route, for grpc, has no Service, and so Kong would speak HTTP/1.1 to it: give the route a Service with protocol: grpc, which need not lead anywhere`},
		{"tcp", "preread", `{"host":"10.0.0.1"}`, `backend "10.0.0.1:80": the route, for tcp, has no Service, and so Kong would speak TLS to it: give the route a Service with protocol: tcp, which need not lead anywhere`},
		{"tls_passthrough", "preread", `{"host":"a"}`, ""},
		{"http", "access", `{"service":true,"weight":0},{"host":"a"}`, ""},
		{"http", "access", `{"service":true},{"host":"a"}`, `backend "service": service: true, and the route has no Service: give it one, or take the backend out`},
		{"http", "access", `{"service":true}`, ""}, // Kong answers 503, which costs no call
	} {
		k := serviceless(tt.protocol)
		got := ""
		if err := k.run(t, tt.phase, start(t, plugin.New(options), onRoute+`"backends":[`+tt.config+`]`)); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s on a route for %s: got %q, want %q", tt.config, tt.protocol, got, tt.want)
		}
	}
	k := serviceless("tls_passthrough")
	if err := k.run(t, "preread", start(t, plugin.New(options), onRoute+`"backends":[{"upstream":"up"}]`)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"service.set_target up 0", `nginx.set_ctx service={"host":"up","protocol":"tcp"}`}, k.told); diff != "" {
		t.Errorf("passed on (-want +got):\n%s", diff)
	}
}
