package standin

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/google/go-cmp/cmp"
)

// serviceAt is a Service that plugins may lead away from.
func serviceAt(port int) string {
	return fmt.Sprintf("protocol: tcp, host: service.test, port: %d", port)
}

// streamOptions are those of a gateway with a plugin and a stream listener.
func streamOptions(p *fakePlugin) Options {
	return Options{
		StreamListen: "127.0.0.1:0", PluginServers: p.server(),
		Resolve: map[string]string{"service.test": "127.0.0.1", "other.test": "127.0.0.1"},
	}
}

func TestPluginChoosesTheTargetOfAStream(t *testing.T) {
	own, other, secured := lineServer(t, "own", false), lineServer(t, "other", false), lineServer(t, "secured", true)
	for _, tt := range []struct {
		name, service string
		host          string
		port          int
		want          string
	}{
		{"an address", serviceAt(own), "127.0.0.1", other, "other - hi"},
		{"a name", serviceAt(own), "other.test", other, "other - hi"},
		{"an Upstream", serviceAt(own), "up", 0, "other - hi"},
		{"a name without an address", serviceAt(own), "nothing.invalid", 1, "ended"},
		{"a closed port", serviceAt(own) + ", retries: 0", "127.0.0.1", closedPort, "ended"},
		{
			"over TLS, whose server name follows",
			strings.Replace(serviceAt(own), "tcp", "tls", 1), "other.test", secured, "secured other.test hi",
		},
		{
			"a name where the Service has an address",
			fmt.Sprintf("protocol: tcp, host: 127.0.0.1, port: %d", own), "other.test", other, "ended",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := servePlugin(t, nil)
			p.preread = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
				if err := kong.Service.SetTarget(tt.host, tt.port); err != nil {
					t.Error(err)
				}
			}
			g := startGateway(t, tcpRoute(tt.service, "protocols: [tcp], plugins: [{name: fake, protocols: [tcp]}]",
				fmt.Sprintf(`upstreams: [{name: up, targets: [{target: "127.0.0.1:%d"}]}]`, other)), streamOptions(p))
			if got := dialStream(t, g, 0).ask("hi"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhatPluginsAskOfStreams(t *testing.T) {
	p := servePlugin(t, nil)
	got := map[string]any{}
	p.preread = func(kong *pdk.PDK, conn net.Conn, _ map[string]any) {
		got["client.get_forwarded_ip"], _ = kong.Client.GetForwardedIp()
		got["nginx.get_var http_host"], _ = kong.Nginx.GetVar("http_host")
		for _, key := range []string{"route", "service"} {
			reply, err := ask(conn, "kong.nginx.get_ctx", encodeText(key))
			if err != nil {
				t.Error(err)
			}
			value, err := decodeValue(reply)
			if err != nil {
				t.Error(err)
			}
			if row, ok := value.(map[string]any); ok {
				value = row["name"]
			}
			got["nginx.get_ctx "+key] = value
		}
	}
	g := startGateway(t, tcpPlugin(serviceAt(lineServer(t, "own", false))), streamOptions(p))
	c := dialStream(t, g, 0)
	if answer := c.ask("hi"); answer != "own - hi" {
		t.Errorf("got %q", answer)
	}
	want := map[string]any{
		"client.get_forwarded_ip": "127.0.0.1", "nginx.get_var http_host": "",
		"nginx.get_ctx route": "route", "nginx.get_ctx service": "s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCallsThatEndAStream(t *testing.T) {
	p := servePlugin(t, nil)
	methods := make(chan string, 1)
	p.preread = func(_ *pdk.PDK, conn net.Conn, _ map[string]any) {
		method := <-methods
		if _, err := ask(conn, "kong."+method, encodeText("x")); err == nil {
			t.Errorf("%s: Kong answers nothing, it ends the connection", method)
		}
		_ = conn.Close()
	}
	log := &testLog{t: t}
	options := streamOptions(p)
	options.ErrorLog = log
	g := startGateway(t, tcpPlugin(serviceAt(lineServer(t, "own", false))), options)
	only := func(phases string) string {
		return "function cannot be called in preread phase (only in: " + phases + ")"
	}
	for method, want := range map[string]string{
		"service.set_upstream":       only("access"),
		"client.get_credential":      only("access, response, header_filter, body_filter, log"),
		"client.get_consumer":        only("access, response, header_filter, body_filter, log"),
		"log.set_serialize_value":    only("rewrite, access, response, header_filter, body_filter, log"),
		"request.get_path":           only("rewrite, access, balancer, response, cluster_listener, header_filter, body_filter, log, error, admin_api"),
		"request.get_header":         only("rewrite, access, balancer, response, cluster_listener, header_filter, body_filter, log, error, admin_api"),
		"service.request.set_header": only("rewrite, access, balancer"),
		"response.get_status":        only("response, header_filter, body_filter, log, error, admin_api"),
		"response.set_header":        only("rewrite, access, balancer, response, header_filter, error, admin_api"),
	} {
		methods <- method
		if got := dialStream(t, g, 0).ask("hi"); got != "ended" {
			t.Errorf("%s: got %q", method, got)
		}
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s: the log does not say %q", method, want)
		}
	}
}

func TestExitOfStreams(t *testing.T) {
	p := servePlugin(t, nil)
	statuses := make(chan int, 1)
	p.preread = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
		kong.Response.Exit(<-statuses, []byte("so long\n"), nil)
	}
	log := &testLog{t: t}
	options := streamOptions(p)
	options.ErrorLog = log
	g := startGateway(t, tcpPlugin(serviceAt(lineServer(t, "own", false))), options)
	for status, want := range map[int][2]string{
		200: {"so long", ""},
		403: {"ended", "unable to proxy stream connection, status: 403, err: so long"},
		404: {"ended", "unacceptable code, only 200, 400, 403, 500, 502 and 503 are accepted"},
	} {
		statuses <- status
		c := dialStream(t, g, 0) // it says nothing, so that nothing is left unread
		if got := c.read(); got != want[0] {
			t.Errorf("%d: got %q", status, got)
		}
		if got := c.read(); got != "ended" {
			t.Errorf("%d: then %q", status, got)
		}
		if !strings.Contains(log.String(), want[1]) {
			t.Errorf("%d: the log does not say %q", status, want[1])
		}
	}
}

func TestLogPhaseOfStreams(t *testing.T) {
	type seen struct {
		Status         int
		Source, Shared string
	}
	p := servePlugin(t, nil)
	prereads := make(chan func(*pdk.PDK), 1)
	p.preread = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
		_ = kong.Ctx.SetShared("k", "v")
		(<-prereads)(kong)
	}
	logged := make(chan seen)
	p.log = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
		var got seen
		got.Status, _ = kong.Response.GetStatus()
		got.Source, _ = kong.Response.GetSource()
		got.Shared, _ = kong.Ctx.GetSharedString("k")
		logged <- got
	}
	nothing := func(*pdk.PDK) {}
	own := lineServer(t, "own", false)
	for _, tt := range []struct {
		name, config string
		preread      func(*pdk.PDK) // nil: it does not run
		want         seen
	}{
		{"the Service answers", tcpPlugin(serviceAt(own)), nothing, seen{200, "service", "v"}},
		{
			"the port is closed", tcpPlugin(serviceAt(closedPort) + ", retries: 0"), nothing,
			seen{502, "service", "v"}, // Kong calls it so, for streams
		},
		{
			"the name does not resolve", tcpPlugin("protocol: tcp, host: nothing.invalid, port: 1"), nothing,
			seen{500, "error", "v"},
		},
		{
			"the plugin exits", tcpPlugin(serviceAt(own)),
			func(kong *pdk.PDK) { kong.Response.Exit(403, nil, nil) },
			seen{403, "exit", "v"},
		},
		{
			"there is no Service", tcpPlugin("protocol: http, host: a"), nothing,
			seen{503, "error", "v"},
		},
		{
			"there is no route", `{_format_version: "3.0", plugins: [{name: fake, protocols: [tcp]}]}`, nil,
			seen{500, "error", ""},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.preread != nil {
				prereads <- tt.preread
			}
			g := startGateway(t, tt.config, streamOptions(p))
			c := dialStream(t, g, 0)
			c.ask("hi")
			c.ask("bye")
			if diff := cmp.Diff(tt.want, <-logged); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCallsInTheLogPhaseOfStreams(t *testing.T) {
	p := servePlugin(t, nil)
	calls, ended := make(chan string), make(chan bool)
	p.log = func(_ *pdk.PDK, conn net.Conn, _ map[string]any) {
		_, err := ask(conn, <-calls, encodeText("route"))
		if err != nil {
			_ = conn.Close()
		}
		ended <- err != nil
	}
	g := startGateway(t, tcpPlugin(serviceAt(lineServer(t, "own", false))), streamOptions(p))
	for method, ends := range map[string]bool{
		"kong.nginx.get_ctx": false, "kong.ctx.shared.get": false, "kong.response.get_source": false,
		"kong.client.get_consumer": false, "kong.client.get_credential": false, "kong.request.get_uri_captures": false,
		"kong.nginx.get_var": true, "kong.request.get_header": true, "kong.request.get_headers": true,
		"kong.request.get_path": true, "kong.service.set_target": true,
	} {
		dialStream(t, g, 0).ask("bye")
		calls <- method
		if got := <-ended; got != ends {
			t.Errorf("%s ends the connection: %v", method, got)
		}
	}
}

// TestFileLogOfTLS has one of Kong's own plugins log a stream.
func TestFileLogOfTLS(t *testing.T) {
	file := t.TempDir() + "/log"
	g := startGateway(t, tcpRoute(serviceAt(lineServer(t, "own", false)),
		`protocols: [tls], plugins: [{name: file-log, protocols: [tls], config: {path: "`+file+`"}}]`, ""),
		Options{StreamListen: "127.0.0.1:0 ssl", Resolve: map[string]string{"service.test": "127.0.0.1"}})
	dialStream(t, g, 0).secure("a.test").ask("bye")
	var text []byte
	await(t, func() bool {
		text, _ = os.ReadFile(file)
		return strings.HasSuffix(string(text), "\n")
	})
	var line struct {
		Session  map[string]any
		Upstream map[string]int
		Route    map[string]any
	}
	if err := json.Unmarshal(text, &line); err != nil {
		t.Fatal(err)
	}
	secured, _ := line.Session["tls"].(map[string]any)
	if secured["version"] != "TLSv1.3" || line.Session["status"] != 200.0 || line.Upstream["sent"] != 4 || line.Route["name"] != "route" {
		t.Errorf("got %s", text)
	}
}
