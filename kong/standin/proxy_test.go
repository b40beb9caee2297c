package standin

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
)

// oneRoute is a configuration with a Service and a route of everything.
func oneRoute(url, service, route string) string {
	return fmt.Sprintf(`_format_version: "3.0"
services:
- name: service
  url: %s
  %s
  routes:
  - name: route
    paths: [/r]
    %s
`, url, service, route)
}

func TestUpstreamURI(t *testing.T) {
	b := startBackend(t, "b")
	tests := []struct{ service, route, target, want string }{
		{"/", "strip_path: true", "/r", "/"},
		{"/", "strip_path: true", "/r/", "/"},
		{"/", "strip_path: true", "/r/x", "/x"},
		{"/", "strip_path: true", "/rx", "/x"},
		{"/", "strip_path: false", "/r/x", "/r/x"},
		{"/base", "strip_path: true", "/r", "/base"},
		{"/base", "strip_path: true", "/r/", "/base/"},
		{"/base", "strip_path: true", "/r/x", "/base/x"},
		{"/base", "strip_path: true", "/rx", "/base/x"},
		{"/base", "strip_path: false", "/r", "/base/r"},
		{"/base/", "strip_path: true", "/r", "/base"},
		{"/base/", "strip_path: true", "/r/", "/base/"},
		{"/base/", "strip_path: true", "/r/x", "/base/x"},
		{"/base/", "strip_path: false", "/r/x", "/base/r/x"},
		{"/", "strip_path: true", "/r/a?b=c&d", "/a?b=c&d"},
		{"/", "strip_path: true", "/r/a?", "/a?"},
		{"/", "strip_path: true", "/r/a%2Fb%41%20%c3%a4", "/a%2FbA%20%C3%A4"},
		{"/", "strip_path: true", "/r/../r/./a//b", "/a/b"},
		{"/", "strip_path: true", "/r/%2e%2e/x", "404"},
		{"/base", "strip_path: true", "/r../x", "/base/x"},
	}
	config := "_format_version: \"3.0\"\nservices:\n"
	for i, tt := range tests {
		config += fmt.Sprintf("- {url: '%s', routes: [{paths: [/r], hosts: [h%d], %s}]}\n", b.URL+tt.service, i, tt.route)
	}
	g := startGateway(t, config, Options{})
	for i, tt := range tests {
		t.Run(tt.service+" "+tt.route+" "+tt.target, func(t *testing.T) {
			response, body := dialRaw(t, g).send("GET "+tt.target+" HTTP/1.1", fmt.Sprintf("Host: h%d", i))
			if response.StatusCode == http.StatusNotFound {
				body = "b GET 404 " + b.address()
			}
			if want := "b GET " + tt.want + " " + b.address(); body != want {
				t.Errorf("got %q, want %q", body, want)
			}
		})
	}
}

func TestHeadersForTheService(t *testing.T) {
	b := startBackend(t, "b")
	g := startGateway(t, oneRoute(b.URL, "", "paths: [/r]"), Options{})
	port := g.ProxyAddr()[strings.LastIndex(g.ProxyAddr(), ":")+1:]
	_, _ = fetch(t, g, "GET", "/r/x?y",
		"X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: forged", "Keep-Alive: 1", "X-Own: 1", "X-Own: 2",
		"Connection: x-hop", "X-Hop: 1", "TE: gzip, trailers", "Upgrade: h2c", "Accept-Encoding: br")
	got := (<-b.last).Header
	for name, want := range map[string]string{
		"X-Forwarded-For":    "10.0.0.1, 127.0.0.1",
		"X-Forwarded-Host":   "example.com",
		"X-Forwarded-Port":   port,
		"X-Forwarded-Proto":  "http",
		"X-Forwarded-Path":   "/r/x",
		"X-Forwarded-Prefix": "/r",
		"X-Real-Ip":          "127.0.0.1",
		"Via":                "1.1 kong/3.9.3",
		"X-Own":              "1|2",
		"X-Hop":              "",
		"Keep-Alive":         "",
		"Te":                 "trailers",
		"Upgrade":            "",
		"Connection":         "keep-alive",
		"Accept-Encoding":    "br",
		"User-Agent":         "",
	} {
		if got := strings.Join(got.Values(name), "|"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestForwardedHostIsTheClients also where a plugin sets another Host.
func TestForwardedHostIsTheClients(t *testing.T) {
	b := startBackend(t, "b")
	p := servePlugin(t, func(kong *pdk.PDK) { _ = kong.ServiceRequest.SetHeader("Host", "shop") })
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	_, _ = fetch(t, g, "GET", "/r")
	got := <-b.last
	if host := got.Header.Get("X-Forwarded-Host"); got.Host != "shop" || host != "example.com" {
		t.Errorf("the Service got the Host %q and X-Forwarded-Host %q", got.Host, host)
	}
}

func TestForwardedHeadersOfATrustedProxy(t *testing.T) {
	b := startBackend(t, "b")
	g := startGateway(t, oneRoute(b.URL, "", ""), Options{TrustedIPs: []string{"127.0.0.0/8"}})
	_, _ = fetch(t, g, "GET", "/r", "X-Real-IP: 10.9.8.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example")
	got := (<-b.last).Header
	for name, want := range map[string]string{
		"X-Real-Ip": "10.9.8.7", "X-Forwarded-For": "10.9.8.7",
		"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example",
	} {
		if got.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.Get(name), want)
		}
	}
}

func TestHostHeader(t *testing.T) {
	b := startBackend(t, "b")
	for _, tt := range []struct{ name, config, want string }{
		{"of the Service", oneRoute(b.URL, "", ""), b.address()},
		{"preserved", oneRoute(b.URL, "", "preserve_host: true"), "example.com"},
		{
			"of an Upstream's target",
			oneRoute("http://up", "", "") + "upstreams: [{name: up, targets: [{target: '" + b.address() + "'}]}]",
			b.address(),
		},
		{
			"of a named target",
			oneRoute("http://up", "", "") + fmt.Sprintf("upstreams: [{name: up, targets: [{target: 'localhost:%d'}]}]", b.port),
			fmt.Sprintf("localhost:%d", b.port),
		},
		{
			"of an Upstream", // with the target's port
			oneRoute("http://up", "", "") + "upstreams: [{name: up, host_header: shop, targets: [{target: '" + b.address() + "'}]}]",
			fmt.Sprintf("shop:%d", b.port),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := startGateway(t, tt.config, Options{})
			if _, body := fetch(t, g, "GET", "/r"); body != "b GET / "+tt.want {
				t.Errorf("got %q, want the Host %q", body, tt.want)
			}
		})
	}
}

func TestAnswersWithoutService(t *testing.T) {
	b := startBackend(t, "b")
	for _, tt := range []struct {
		name, config, target string
		status               int
		message              string
	}{
		{"no route", oneRoute(b.URL, "", ""), "/other", 404, "no Route matched with those values"},
		{"a disabled Service", oneRoute(b.URL, "enabled: false", ""), "/r", 404, "no Route matched with those values"},
		{"no Service", `{_format_version: "3.0", routes: [{paths: [/r]}]}`, "/r", 503, "no Service found with those values"},
		{"no such name", oneRoute("http://nothing.invalid", "", ""), "/r", 503, "name resolution failed"},
		{
			"an Upstream without targets", oneRoute("http://up", "", "") + "upstreams: [{name: up}]",
			"/r", 503, "failure to get a peer from the ring-balancer",
		},
		{
			"an Upstream whose targets weigh nothing",
			oneRoute("http://up", "", "") + "upstreams: [{name: up, targets: [{target: '127.0.0.1:1', weight: 0}]}]",
			"/r", 503, "failure to get a peer from the ring-balancer",
		},
		{
			"a closed port", oneRoute(fmt.Sprintf("http://127.0.0.1:%d", closedPort), "", ""),
			"/r", 502, "An invalid response was received from the upstream server",
		},
		{"https only", oneRoute(b.URL, "", "protocols: [https]"), "/r", 426, "Please use HTTPS protocol"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := startGateway(t, tt.config, Options{})
			response, body := fetch(t, g, "GET", tt.target, "Accept: application/json")
			if response.StatusCode != tt.status || message(body) != tt.message {
				t.Errorf("got %d %q, want %d %q", response.StatusCode, body, tt.status, tt.message)
			}
			if id := response.Header.Get("X-Kong-Request-Id"); len(id) != 32 || !strings.Contains(body, id) {
				t.Errorf("X-Kong-Request-Id %q is not that of %q", id, body)
			}
			if response.Header.Get("Server") != "kong/3.9.3" {
				t.Errorf("Server: %q", response.Header.Get("Server"))
			}
		})
	}
}

// TestPathsThatNginxRefuses are bad requests before anything else is looked at.
func TestPathsThatNginxRefuses(t *testing.T) {
	b := startBackend(t, "b")
	g := startGateway(t, oneRoute(b.URL, "", "paths: [/]"), Options{})
	for target, want := range map[string]int{
		"/%00": 400, "/a%00b?x": 400, "/..": 400, "/a/../../b": 400, "/%2e%2e/a": 400, "/a%2f..%2f..": 400,
		"/a/..": 200, "/a//../b": 200, "/?%00": 200, "/...": 200,
	} {
		response, body := fetch(t, g, "GET", target)
		if response.StatusCode != want || want == 400 && !strings.HasPrefix(body, "Bad request\n") {
			t.Errorf("%s: got %s %q", target, response.Status, body)
		}
	}
}

func TestMethodsThatNginxRefuses(t *testing.T) {
	b := startBackend(t, "b")
	g := startGateway(t, oneRoute(b.URL, "", ""), Options{})
	for method, want := range map[string]int{"TRACE": 405, "BREW": 200, "PROPFIND": 200} {
		if response, body := fetch(t, g, method, "/r"); response.StatusCode != want {
			t.Errorf("%s: got %s %q", method, response.Status, body)
		}
	}
}

func TestErrorPages(t *testing.T) {
	g := startGateway(t, oneRoute(fmt.Sprintf("http://127.0.0.1:%d", closedPort), "retries: 0", ""), Options{})
	for _, tt := range []struct{ target, accept, contentType, body string }{
		{"/none", "", "application/json; charset=utf-8", "{\n  \"message\":\"no Route matched with those values\",\n  \"request_id\":\"ID\"\n}"},
		{"/none", "*/*", "application/json; charset=utf-8", "{\n  \"message\":\"no Route matched with those values\",\n  \"request_id\":\"ID\"\n}"},
		{"/none", "text/plain", "text/plain; charset=utf-8", "no Route matched with those values\nrequest_id: ID\n"},
		{"/none", "application/xml", "application/json; charset=utf-8", "{\n  \"message\":\"no Route matched with those values\",\n  \"request_id\":\"ID\"\n}"},
		{"/r", "", "text/plain; charset=utf-8", "An invalid response was received from the upstream server\nrequest_id: ID\n"},
	} {
		t.Run(tt.target+" "+tt.accept, func(t *testing.T) {
			var header []string
			if tt.accept != "" {
				header = []string{"Accept: " + tt.accept}
			}
			response, body := fetch(t, g, "GET", tt.target, header...)
			body = strings.ReplaceAll(body, response.Header.Get("X-Kong-Request-Id"), "ID")
			if response.Header.Get("Content-Type") != tt.contentType || body != tt.body {
				t.Errorf("got %q %q", response.Header.Get("Content-Type"), body)
			}
		})
	}
}

func TestRetries(t *testing.T) {
	b := startBackend(t, "b")
	upstream := func(retries int) string {
		return oneRoute("http://up", fmt.Sprintf("retries: %d", retries), "") + fmt.Sprintf(
			"upstreams: [{name: up, targets: [{target: '127.0.0.1:%d'}, {target: '%s'}]}]", closedPort, b.address())
	}
	t.Run("another target takes the request", func(t *testing.T) {
		g := startGateway(t, upstream(5), Options{})
		for range 4 {
			if response, body := fetch(t, g, "POST", "/r", "Content-Length: 0"); response.StatusCode != 200 {
				t.Errorf("got %s %q", response.Status, body)
			}
		}
	})
	t.Run("none where the Service allows none", func(t *testing.T) {
		g := startGateway(t, upstream(0), Options{})
		seen := map[int]int{}
		for range 4 {
			response, _ := fetch(t, g, "GET", "/r")
			seen[response.StatusCode]++
		}
		if seen[200] != 2 || seen[502] != 2 {
			t.Errorf("got %v", seen)
		}
	})
}

// TestBrokenAnswers covers a backend that takes requests and ends them.
func TestBrokenAnswers(t *testing.T) {
	b := startBackendWith(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	g := startGateway(t, oneRoute(b.URL, "retries: 2", ""), Options{})
	for method, tries := range map[string]int{"GET": 3, "POST": 1} {
		response, _ := fetch(t, g, method, "/r", "Content-Length: 0")
		if response.StatusCode != http.StatusBadGateway || len(b.last) != tries {
			t.Errorf("%s: %s after %d tries", method, response.Status, len(b.last))
		}
		for len(b.last) > 0 {
			<-b.last
		}
	}
}

func TestTimeout(t *testing.T) {
	done := make(chan struct{})
	b := startBackendWith(t, func(http.ResponseWriter, *http.Request) { <-done })
	defer close(done)
	g := startGateway(t, oneRoute(b.URL, "retries: 0\n  read_timeout: 50", ""), Options{})
	response, body := fetch(t, g, "GET", "/r", "Accept: */*")
	if response.StatusCode != http.StatusGatewayTimeout || message(body) != "The upstream server is timing out" {
		t.Errorf("got %s %q", response.Status, body)
	}
}

func TestWeightsOfAnUpstream(t *testing.T) {
	a, b := startBackend(t, "a"), startBackend(t, "b")
	g := startGateway(t, oneRoute("http://up", "", "")+fmt.Sprintf(
		"upstreams: [{name: up, targets: [{target: '%s', weight: 200}, {target: '%s', weight: 100}]}]",
		a.address(), b.address()), Options{Workers: 2})
	seen := map[string]int{}
	for range 60 {
		_, body := fetch(t, g, "GET", "/r")
		seen[body[:1]]++
	}
	if seen["a"] != 40 || seen["b"] != 20 {
		t.Errorf("got %v, want 40 and 20", seen)
	}
}

// TestOtherAlgorithms are balanced by round-robin, and the log says so.
func TestOtherAlgorithms(t *testing.T) {
	log := &testLog{t: t}
	startGateway(t, `{_format_version: "3.0", upstreams: [{name: up, hash_on: ip}]}`, Options{ErrorLog: log})
	if !strings.Contains(log.String(), "upstream up: this gateway balances by round-robin, not by consistent-hashing") {
		t.Error("the log does not say it")
	}
}

func TestResolve(t *testing.T) {
	b := startBackend(t, "b")
	g := startGateway(t, oneRoute(fmt.Sprintf("http://Shop.test:%d", b.port), "", ""),
		Options{Resolve: map[string]string{"shop.TEST": "127.0.0.1"}})
	if _, body := fetch(t, g, "GET", "/r"); body != fmt.Sprintf("b GET / Shop.test:%d", b.port) {
		t.Errorf("got %q", body)
	}
}

// TestCloseWaitsForRequests closes the gateway while one is answered.
func TestCloseWaitsForRequests(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	b := startBackendWith(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-answer
		_, _ = w.Write([]byte("late"))
	})
	g := startGateway(t, oneRoute(b.URL, "", ""), Options{})
	got := make(chan string)
	go func() {
		_, body := fetch(t, g, "GET", "/r")
		got <- body
	}()
	<-arrived
	closed := make(chan error)
	go func() { closed <- g.Close() }()
	for { // until it listens no more
		conn, err := net.Dial("tcp", g.ProxyAddr())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(answer)
	if body := <-got; body != "late" {
		t.Errorf("got %q", body)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
