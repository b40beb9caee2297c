package standin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"kong-traffic-split/kong/wire"

	"github.com/Kong/go-pdk"
	"github.com/google/go-cmp/cmp"
)

// The gateway offers what the list has, and nothing else.
func TestMethodsOfTheList(t *testing.T) {
	listed := map[string]bool{}
	for _, m := range wire.Methods {
		listed[m.Name] = true
		if pdkMethods[m.Name].call == nil {
			t.Errorf("%s is missing", m.Name)
		}
	}
	for method := range pdkMethods {
		if !listed[method] {
			t.Errorf("%s is not in wire.Methods", method)
		}
	}
}

// TestWhatPluginsAsk asks for headers and for what Kong has made of a request.
func TestWhatPluginsAsk(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	got := map[string]string{}
	p.access = func(kong *pdk.PDK, conn net.Conn, _ map[string]any) {
		for _, name := range []string{"X-Twice", "x-one", "Host", "X-None"} {
			got[name], _ = kong.Request.GetHeader(name)
		}
		for _, name := range []string{"http_host", "http_x_twice", "http_cookie", "upstream_uri"} {
			got[name], _ = kong.Nginx.GetVar(name)
		}
		reply, err := ask(conn, "kong.nginx.get_ctx", encodeText("route"))
		if err != nil {
			t.Error(err)
		}
		route, err := decodeValue(reply)
		row, _ := route.(map[string]any)
		got["route"] = fmt.Sprint(row["name"], row["paths"], row["preserve_host"], err) // false is nil on the way to a plugin
	}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	dialRaw(t, g).send("POST /r/%61?q=a%20b HTTP/1.1", "Host: Example.com:80", "X-Twice: 1", "X-Twice: 2",
		"X-One: 1, 2", "Cookie: a=b", "Cookie: session=s1; c=d", "Content-Length: 0")
	want := map[string]string{
		"X-Twice": "1", "x-one": "1, 2", "Host": "Example.com:80", "X-None": "",
		"http_host": "Example.com:80", "http_x_twice": "1, 2", "http_cookie": "a=b; session=s1; c=d",
		"upstream_uri": "/a", "route": "route[/r] <nil> <nil>",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestFactsForADecision asks, in access, for what a plugin may choose by.
func TestFactsForADecision(t *testing.T) {
	type facts struct {
		Method, Path, Query, IP, Scheme, Cookies, Consumer, Credential string
		Unnamed                                                        []string
		Named                                                          map[string]string
	}
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	var got facts
	p.access = func(kong *pdk.PDK, conn net.Conn, _ map[string]any) {
		got = facts{}
		got.Method, _ = kong.Request.GetMethod()
		got.Path, _ = kong.Request.GetPath()
		got.Query, _ = kong.Request.GetRawQuery()
		got.IP, _ = kong.Client.GetForwardedIp()
		got.Scheme, _ = kong.Request.GetForwardedScheme()
		got.Cookies, _ = kong.Nginx.GetVar("http_cookie")
		consumer, err := kong.Client.GetConsumer()
		if err != nil {
			t.Error(err)
		}
		got.Consumer = consumer.Username + "/" + consumer.CustomId
		credential, err := kong.Client.GetCredential()
		if err != nil {
			t.Error(err)
		}
		got.Credential = credential.Id + credential.ConsumerId
		unnamed, named, err := kong.Request.GetUriCaptures()
		if err != nil {
			t.Error(err)
		}
		for _, group := range unnamed {
			got.Unnamed = append(got.Unnamed, string(group))
		}
		for name, group := range named {
			if got.Named == nil {
				got.Named = map[string]string{}
			}
			got.Named[name] = string(group)
		}
	}
	config := fmt.Sprintf(`
_format_version: "3.0"
services: [{url: "%s", routes: [
  {paths: [/r], plugins: [{name: fake}]},
  {paths: ["~/u/(?<user>[^/]+)/(\\d+)$"], plugins: [{name: fake}]},
  {paths: [/k], plugins: [{name: fake}, {name: key-auth}]}]}]
consumers: [{username: ann, custom_id: "7", keyauth_credentials: [{key: secret, id: 33333333-3333-4333-8333-333333333333}]}]
`, b.URL)
	for _, tt := range []struct {
		name, target string
		trusted      []string
		header       []string
		want         facts
	}{
		{
			"a path is normalised, a query is not", "/r/../r/%7Euser/%2F//./x?b=%20&a&b=2", nil, nil,
			facts{Method: "GET", Path: "/r/~user/%2F/x", Query: "b=%20&a&b=2", IP: "127.0.0.1", Scheme: "http", Consumer: "/"},
		},
		{
			"a client is not believed", "/r", nil,
			[]string{"X-Real-IP: 10.1.1.1", "X-Forwarded-Proto: https"},
			facts{Method: "GET", Path: "/r", IP: "127.0.0.1", Scheme: "http", Consumer: "/"},
		},
		{
			"a trusted proxy is", "/r",
			[]string{"127.0.0.0/8"},
			[]string{"X-Real-IP: 10.1.1.1", "X-Forwarded-Proto: HTTPS"},
			facts{Method: "GET", Path: "/r", IP: "10.1.1.1", Scheme: "https", Consumer: "/"},
		},
		{
			"several cookies", "/r", nil,
			[]string{"Cookie: a=1; b=2", "Cookie: c=3"},
			facts{Method: "GET", Path: "/r", IP: "127.0.0.1", Scheme: "http", Cookies: "a=1; b=2; c=3", Consumer: "/"},
		},
		{
			"captures", "/u/ann%20b/12", nil, nil,
			facts{
				Method: "GET", Path: "/u/ann b/12", IP: "127.0.0.1", Scheme: "http", Consumer: "/",
				Unnamed: []string{"ann b", "12"}, Named: map[string]string{"user": "ann b"},
			},
		},
		{
			"a consumer", "/k", nil,
			[]string{"apikey: secret"},
			facts{Method: "GET", Path: "/k", IP: "127.0.0.1", Scheme: "http", Consumer: "ann/7", Credential: "33333333-3333-4333-8333-333333333333"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := startGateway(t, config, Options{PluginServers: p.server(), TrustedIPs: tt.trusted})
			fetch(t, g, "GET", tt.target, tt.header...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWhatPluginsChange has a plugin change one request, of which the backend
// tells "METHOD URI HOST", and what it got of the header X-A.
func TestWhatPluginsChange(t *testing.T) {
	b := startBackendWith(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.RequestURI, r.Host, strings.Join(r.Header.Values("X-A"), "|"))
	})
	address := b.address()
	p := servePlugin(t, nil)
	g := startGateway(t, oneRoute("http://localhost:1/base", "", "plugins: [{name: fake}]")+fmt.Sprintf(
		"upstreams: [{name: up, targets: [{target: '%s'}]}]", address), Options{PluginServers: p.server()})
	toBackend := func(kong *pdk.PDK) error { return kong.Service.SetTarget("127.0.0.1", b.port) }
	for _, tt := range []struct {
		name   string
		change func(kong *pdk.PDK) error
		want   string
	}{
		{"the target", toBackend, "GET /base/x?y=1 127.0.0.1 client"},
		{"the target, by name", func(kong *pdk.PDK) error {
			return kong.Service.SetTarget("localhost", b.port)
		}, "GET /base/x?y=1 localhost client"},
		{"the target, to an Upstream's name", func(kong *pdk.PDK) error {
			return kong.Service.SetTarget("up", 1)
		}, "GET /base/x?y=1 up client"},
		{"the Upstream", func(kong *pdk.PDK) error {
			return kong.Service.SetUpstream("up")
		}, "GET /base/x?y=1 " + address + " client"},
		{"the Host after the target", func(kong *pdk.PDK) error {
			return errors.Join(toBackend(kong), kong.ServiceRequest.SetHeader("Host", "shop"))
		}, "GET /base/x?y=1 shop client"},
		{"the Host before the target", func(kong *pdk.PDK) error {
			return errors.Join(kong.ServiceRequest.SetHeader("Host", "shop"), toBackend(kong))
		}, "GET /base/x?y=1 127.0.0.1 client"},
		{"the path", func(kong *pdk.PDK) error {
			return errors.Join(toBackend(kong), kong.ServiceRequest.SetPath("/new path"))
		}, "GET /new%20path?y=1 127.0.0.1 client"},
		{"a header", func(kong *pdk.PDK) error {
			return errors.Join(toBackend(kong), kong.ServiceRequest.SetHeader("X-A", "plugin"))
		}, "GET /base/x?y=1 127.0.0.1 plugin"},
		{"a header more", func(kong *pdk.PDK) error {
			return errors.Join(toBackend(kong), kong.ServiceRequest.AddHeader("X-A", "plugin"))
		}, "GET /base/x?y=1 127.0.0.1 client|plugin"},
		{"headers", func(kong *pdk.PDK) error {
			return errors.Join(toBackend(kong), kong.ServiceRequest.SetHeaders(map[string][]string{"X-A": {"1", "2"}}))
		}, "GET /base/x?y=1 127.0.0.1 1|2"},
		{"headers, to none", func(kong *pdk.PDK) error {
			return errors.Join(toBackend(kong), kong.ServiceRequest.SetHeaders(map[string][]string{"X-A": {}}))
		}, "GET /base/x?y=1 127.0.0.1 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.access = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
				if err := tt.change(kong); err != nil {
					t.Error(err)
				}
			}
			if _, body := fetch(t, g, "GET", "/r/x?y=1", "X-A: client"); body != tt.want {
				t.Errorf("got %q, want %q", body, tt.want)
			}
		})
	}
}

// TestListsWhereLuaHasTables covers values that reach the backend as the address
// of a Lua table.
func TestListsWhereLuaHasTables(t *testing.T) {
	got := make(chan string, 1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 4096)
			n, _ := conn.Read(buffer)
			got <- string(buffer[:n])
			_, _ = conn.Write([]byte("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	p := servePlugin(t, nil)
	g := startGateway(t, oneRoute("http://"+listener.Addr().String(), "", "plugins: [{name: fake}]"),
		Options{PluginServers: p.server()})
	list := appendBytes(appendText(nil, 1, "X-A"), 2, encodeValue([]any{"1", "2"}))
	p.access = func(kong *pdk.PDK, conn net.Conn, _ map[string]any) {
		_, _ = ask(conn, "kong.service.request.add_header", list)
	}
	fetch(t, g, "GET", "/r", "X-A: client")
	if text := <-got; !strings.Contains(text, "X-A: client\r\n") || !strings.Contains(text, "X-A: table: 0x") {
		t.Errorf("got\n%s", text)
	}
}

// TestLinesOfThePlugin stand in the error log as they are, without the
// plugin's name.
func TestLinesOfThePlugin(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	log, logged := &testLog{t: t}, make(chan struct{})
	p.access = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) { _ = kong.Log.Err("in ", "access ", 1) }
	p.log = func(kong *pdk.PDK, conn net.Conn, _ map[string]any) {
		_ = kong.Log.Warn("in log")
		_, _ = ask(conn, "kong.request.get_method", nil) // Kong ends the connection
		logged <- struct{}{}
	}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server(), ErrorLog: log})
	fetch(t, g, "GET", "/r")
	<-logged
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`(?m)^\S+ \S+ \[error\] \d+#0: \*1 \[kong\] pb_rpc\.lua:233 in access 1, client: 127\.0\.0\.1, server: kong, request: "GET /r HTTP/1\.1"`,
		`(?m)^\S+ \S+ \[warn\] \d+#0: \*1 \[kong\] pb_rpc\.lua:233 in log, context: ngx\.timer, client: 127\.0\.0\.1, server: `,
		`(?m)^\S+ \S+ \[error\] \d+#0: \*1 lua entry thread aborted: runtime error: API disabled in the context of ngx\.timer, context: `,
	} {
		if !regexp.MustCompile(want).MatchString(log.String()) {
			t.Errorf("the log has no line like %s", want)
		}
	}
}

func TestCallsThatRaiseErrors(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	log := &testLog{t: t}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server(), ErrorLog: log})
	for _, tt := range []struct {
		method, log string
		args        []byte
	}{
		{"service.request.set_scheme", "invalid scheme: ftp", encodeText("ftp")},
		{"service.request.set_path", "path must start with /", encodeText("x")},
		{"service.request.set_header", `invalid header value for "X": got nil, expected array of string, string, number or boolean`, appendText(nil, 1, "X")},
		{"service.set_target", "port must be an integer between 0 and 65535: given 65536", appendInt(appendText(nil, 1, "h"), 2, 65536)},
		{"request.get_headers", "max_headers must be >= 1", nil},
		{"request.get_headers", "max_headers must be <= 1000", encodeInt(1001)},
		{"response.get_status", "function cannot be called in access phase (only in: response, header_filter, body_filter, log, error, admin_api)", nil},
		{"response.exit", "code must be a number between 100 and 599", encodeInt(99)},
		{"nginx.get_var", "the stand-in does not know nginx's variable uri", encodeText("uri")},
		{"request.get_header", "invalid message", []byte{0xff}},
		{"node.get_id", `pluginserver error: method "kong.node.get_id" not found`, nil}, // though Kong has it
		{"no.such_method", `pluginserver error: method "kong.no.such_method" not found`, nil},
	} {
		t.Run(tt.method, func(t *testing.T) {
			p.access = func(_ *pdk.PDK, conn net.Conn, _ map[string]any) {
				if _, err := ask(conn, "kong."+tt.method, tt.args); err == nil {
					t.Error("Kong answers nothing, it ends the connection")
				}
				_ = conn.Close()
			}
			response, body := fetch(t, g, "GET", "/r?flag", "Accept: */*")
			if response.StatusCode != 500 || message(body) != "An unexpected error occurred" {
				t.Errorf("got %s %q", response.Status, body)
			}
			if !strings.Contains(log.String(), tt.log) {
				t.Errorf("the log does not say %q", tt.log)
			}
		})
	}
}

func TestCallsInTheLogPhase(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	calls, ended := make(chan string), make(chan bool)
	p.log = func(_ *pdk.PDK, conn net.Conn, _ map[string]any) {
		_, err := ask(conn, <-calls, encodeText("route"))
		if err != nil {
			_ = conn.Close()
		}
		ended <- err != nil
	}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	for method, ends := range map[string]bool{
		"kong.nginx.get_ctx": false, "kong.ctx.shared.get": false, "kong.request.get_header": false,
		"kong.client.get_consumer": false, "kong.client.get_credential": false, "kong.request.get_uri_captures": false,
		"kong.nginx.get_var": true, "kong.node.get_id": true, "kong.request.get_raw_query": true,
		"kong.client.get_forwarded_ip": true, "kong.service.set_target": true, "kong.response.set_header": true,
	} {
		fetch(t, g, "GET", "/r")
		calls <- method
		if got := <-ended; got != ends {
			t.Errorf("%s ends the connection: %v", method, got)
		}
	}
}

func TestAnswersOfPlugins(t *testing.T) {
	b := startBackendWith(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "service=1")
		w.Header().Set("X-Both", "service")
	})
	p := servePlugin(t, nil)
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	t.Run("headers stand beside the Service's", func(t *testing.T) {
		p.access = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
			_ = kong.Response.AddHeader("Set-Cookie", "plugin=1")
			_ = kong.Response.SetHeader("X-Both", "plugin")
		}
		response, _ := fetch(t, g, "GET", "/r")
		got := map[string]string{}
		for _, name := range []string{"Set-Cookie", "X-Both"} {
			got[name] = strings.Join(response.Header.Values(name), "|")
		}
		want := map[string]string{"Set-Cookie": "plugin=1|service=1", "X-Both": "plugin|service"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("exit", func(t *testing.T) {
		p.access = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
			_ = kong.Response.SetHeader("X-Before", "1")
			kong.Response.Exit(418, []byte("short\xff"), map[string][]string{"X-Exit": {"1", "2"}})
		}
		response, body := fetch(t, g, "GET", "/r")
		if response.StatusCode != 418 || body != "short\xff" || response.Header.Get("X-Before") != "1" ||
			strings.Join(response.Header.Values("X-Exit"), "|") != "1|2" || response.Header.Get("Via") != "" {
			t.Errorf("got %s %q %v", response.Status, body, response.Header)
		}
	})
}
