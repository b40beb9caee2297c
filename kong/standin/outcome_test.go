package standin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
)

// TestWhoHasAnswered covers what a plugin can know of an answer in the log phase:
// the status, the source, whether the request was to be proxied, and whether an
// address was sought for a name. Seen alike on Kong 3.9.3.
func TestWhoHasAnswered(t *testing.T) {
	asked, released := make(chan bool), make(chan bool)
	good := startBackend(t, "b")
	failing := startBackendWith(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	silent := startBackendWith(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Leave") != "" {
			asked <- true
		}
		<-released
	})
	defer close(released)
	p := servePlugin(t, nil)
	p.access = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
		switch what, _ := kong.Request.GetHeader("X-Do"); what {
		case "exit":
			kong.Response.Exit(503, nil, nil)
		case "raise":
			_ = kong.ServiceRequest.SetScheme("ftp")
		case "name":
			_ = kong.Service.SetTarget("localhost", good.port)
		case "upstream":
			_ = kong.Service.SetTarget("empty", 0)
		}
	}
	logged := make(chan string)
	p.log = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
		status, _ := kong.Response.GetStatus()
		source, _ := kong.Response.GetSource()
		text := fmt.Sprint(status, " ", source)
		if proxied, err := kong.Nginx.GetCtxAny("KONG_PROXIED"); err == nil && proxied != nil {
			text += fmt.Sprint(" proxied ", proxied)
		}
		if started, err := kong.Nginx.GetCtxAny("KONG_UPSTREAM_DNS_START"); err == nil && started != nil {
			ago := time.Since(time.UnixMilli(int64(started.(float64))))
			text += fmt.Sprint(" sought ", ago > -time.Second && ago < time.Hour)
		}
		logged <- text
	}
	g := startGateway(t, fmt.Sprintf(`
_format_version: "3.0"
services:
- {name: good, url: "%s", routes: [
    {paths: [/good], plugins: [{name: fake}]},
    {paths: [/terminated], plugins: [{name: fake}, {name: request-termination}]},
    {paths: [/teapot], plugins: [{name: fake}, {name: request-termination, config: {status_code: 418}}]},
    {paths: [/refusing], plugins: [{name: fake}, {name: key-auth}]},
    {paths: [/throwing], plugins: [{name: fake}, {name: key-auth, config: {anonymous: nobody}}]}]}
- {name: named, url: "http://localhost:%d", routes: [{paths: [/named], plugins: [{name: fake}]}]}
- {name: named-refused, url: "http://localhost:%d", retries: 0, routes: [{paths: [/named-refused], plugins: [{name: fake}]}]}
- {name: failing, url: "%s", routes: [{paths: [/failing], plugins: [{name: fake}]}]}
- {name: refused, url: "http://127.0.0.1:%d", retries: 0, routes: [{paths: [/refused], plugins: [{name: fake}]}]}
- {name: silent, url: "%s", read_timeout: 300, retries: 0, routes: [{paths: [/silent], plugins: [{name: fake}]}]}
- {name: patient, url: "%s", routes: [{paths: [/patient], plugins: [{name: fake}]}]}
- {name: nameless, url: "http://nowhere.invalid", routes: [
    {paths: [/nameless], plugins: [{name: fake}]},
    {paths: [/nameless-terminated], plugins: [{name: fake}, {name: request-termination}]}]}
- {name: balanced, url: "http://empty", routes: [{paths: [/empty], plugins: [{name: fake}]}]}
- {name: unusable, url: "http://unusable", routes: [{paths: [/unusable], plugins: [{name: fake}]}]}
routes:
- {paths: [/serviceless], plugins: [{name: fake}]}
upstreams:
- {name: empty}
- {name: unusable, targets: [{target: "nowhere.invalid:80"}]}
`, good.URL, good.port, closedPort, failing.URL, closedPort, silent.URL, silent.URL), Options{PluginServers: p.server()})
	for _, tt := range []struct{ path, do, want string }{
		{"/good", "", "200 service proxied true"},
		{"/named", "", "200 service proxied true sought true"},
		{"/failing", "", "503 service proxied true"},
		{"/refused", "", "502 error proxied true"},
		{"/named-refused", "", "502 error proxied true sought true"},
		{"/silent", "", "504 error proxied true"},
		{"/good", "name", "500 error proxied true"}, // of a Service with an IP host
		{"/nameless", "", "503 exit sought true"},
		{"/empty", "", "503 exit sought true"},
		{"/nameless", "upstream", "503 exit sought true"},
		{"/unusable", "", "503 exit sought true"},
		{"/nameless", "exit", "503 exit"},
		{"/good", "exit", "503 exit"},
		{"/good", "raise", "500 error"},
		{"/terminated", "", "503 exit"},
		{"/nameless-terminated", "", "503 exit"},
		{"/teapot", "", "418 exit"},
		{"/refusing", "", "401 exit"},
		{"/throwing", "", "500 error"},
		{"/serviceless", "", "503 exit"},
	} {
		t.Run(tt.path+" "+tt.do, func(t *testing.T) {
			fetch(t, g, "GET", tt.path, "X-Do: "+tt.do)
			if got := <-logged; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	t.Run("a client that leaves", func(t *testing.T) {
		c := dialRaw(t, g)
		if _, err := io.WriteString(c.conn, "GET /patient HTTP/1.1\r\nHost: h\r\nX-Leave: 1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-asked
		_ = c.conn.Close()
		if got := <-logged; got != "499 service proxied true" {
			t.Errorf("got %s", got)
		}
	})
}

func TestRequestTermination(t *testing.T) {
	b := startBackend(t, "b")
	for _, tt := range []struct {
		name, config, target string
		header               []string
		status               int
		kind, want           string
	}{
		{"by itself", "{}", "/r", nil, 503, typeJSON, `{"message":"Service unavailable"}`},
		{"a status", "{status_code: 404}", "/r", nil, 404, typeJSON, `{"message":"Not found"}`},
		{"a status without a message", "{status_code: 418}", "/r", nil, 418, "", ""},
		{"a message", `{message: "a/b \"c\" <ä>"}`, "/r", nil, 503, typeJSON, `{"message":"a/b \"c\" <ä>"}`},
		{"a body", "{body: '<p>', content_type: text/css, status_code: 200}", "/r", nil, 200, "text/css", "<p>"},
		{"a body of no type", "{body: x}", "/r", nil, 503, "", "x"},
		{"no trigger", "{trigger: x-stop}", "/r", nil, 200, "*", "b GET / example.com"},
		{"a header as the trigger", "{trigger: x_stop}", "/r", []string{"X-Stop: 1"}, 503, typeJSON, `{"message":"Service unavailable"}`},
		{"an argument as the trigger", "{trigger: stop}", "/r?stop", nil, 503, typeJSON, `{"message":"Service unavailable"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := startGateway(t, oneRoute(b.URL, "", "preserve_host: true\n    plugins: [{name: request-termination, config: "+tt.config+"}]"), Options{})
			response, body := fetch(t, g, "GET", tt.target, tt.header...)
			if response.StatusCode != tt.status || body != tt.want {
				t.Errorf("got %s %q", response.Status, body)
			}
			if kind := response.Header.Get("Content-Type"); kind != tt.kind && tt.kind != "*" {
				t.Errorf("Content-Type: %q", kind)
			}
		})
	}
}
