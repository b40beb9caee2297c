package standin

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/google/go-cmp/cmp"
)

// TestWhatPluginsAsk has a plugin ask for facts of one request.
func TestWhatPluginsAsk(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	var got map[string]any
	p.access = func(kong *pdk.PDK, conn net.Conn, _ map[string]any) {
		got = map[string]any{}
		take := func(name string) func(any, error) {
			return func(v any, err error) {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				got[name] = v
			}
		}
		text := func(name string, ask func() (string, error)) {
			v, err := ask()
			take(name)(v, err)
		}
		text("client.get_ip", kong.Client.GetIp)
		text("client.get_forwarded_ip", kong.Client.GetForwardedIp)
		text("client.get_protocol", func() (string, error) { return kong.Client.GetProtocol(true) })
		text("request.get_scheme", kong.Request.GetScheme)
		text("request.get_host", kong.Request.GetHost)
		text("request.get_forwarded_scheme", kong.Request.GetForwardedScheme)
		text("request.get_forwarded_host", kong.Request.GetForwardedHost)
		text("request.get_method", kong.Request.GetMethod)
		text("request.get_path", kong.Request.GetPath)
		text("request.get_path_with_query", kong.Request.GetPathWithQuery)
		text("request.get_raw_query", kong.Request.GetRawQuery)
		text("nginx.get_subsystem", kong.Nginx.GetSubsystem)
		for _, name := range []string{
			"host", "http_x_twice", "http_cookie", "cookie_session", "arg_q", "request_uri", "uri", "upstream_uri", "upstream_scheme",
			"upstream_host", "request_method", "upstream_x_forwarded_path", "no_such_variable",
		} {
			text("nginx.get_var "+name, func() (string, error) { return kong.Nginx.GetVar(name) })
		}
		for _, name := range []string{"X-Twice", "x-one", "Host", "X-None"} {
			text("request.get_header "+name, func() (string, error) { return kong.Request.GetHeader(name) })
		}
		for _, name := range []string{"q", "twice", "empty", "none"} {
			text("request.get_query_arg "+name, func() (string, error) { return kong.Request.GetQueryArg(name) })
		}
		body, err := kong.Request.GetRawBody()
		take("request.get_raw_body")(string(body), err)
		version, err := kong.Request.GetHttpVersion()
		take("request.get_http_version")(version, err)
		trusted, err := ask(conn, "kong.ip.is_trusted", encodeText("10.0.0.1"))
		take("ip.is_trusted")(fmt.Sprintf("%x", trusted), err)
		route, err := ask(conn, "kong.nginx.get_ctx", encodeText("route"))
		take("")(nil, err)
		delete(got, "")
		decoded, err := decodeValue(route)
		row, _ := decoded.(map[string]any)
		take("nginx.get_ctx route")([]any{row["name"], row["paths"], row["preserve_host"]}, err)
	}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	client := dialRaw(t, g)
	client.send("POST /r/%61?q=a%20b&twice=1&twice=2&empty= HTTP/1.1", "Host: Example.com:80", "X-Twice: 1", "X-Twice: 2",
		"X-One: 1, 2", "Cookie: a=b", "Cookie: session=s1; c=d", "X-Forwarded-Proto: https", "Content-Length: 0")
	want := map[string]any{
		"client.get_ip": "127.0.0.1", "client.get_forwarded_ip": "127.0.0.1", "client.get_protocol": "http",
		"request.get_scheme": "http", "request.get_host": "example.com",
		"request.get_forwarded_scheme": "http", "request.get_forwarded_host": "example.com",
		"request.get_method": "POST", "request.get_path": "/r/a",
		"request.get_path_with_query": "/r/%61?q=a%20b&twice=1&twice=2&empty=",
		"request.get_raw_query":       "q=a%20b&twice=1&twice=2&empty=",
		"nginx.get_subsystem":         "http",
		"nginx.get_var host":          "example.com", "nginx.get_var http_x_twice": "1, 2",
		"nginx.get_var http_cookie":    "a=b; session=s1; c=d",
		"nginx.get_var cookie_session": "s1", "nginx.get_var arg_q": "a%20b",
		"nginx.get_var request_uri": "/r/%61?q=a%20b&twice=1&twice=2&empty=", "nginx.get_var uri": "/r/a",
		"nginx.get_var upstream_uri": "/a", "nginx.get_var upstream_scheme": "http",
		"nginx.get_var upstream_host": "", "nginx.get_var request_method": "POST",
		"nginx.get_var upstream_x_forwarded_path": "/r/%61", "nginx.get_var no_such_variable": "",
		"request.get_header X-Twice": "1", "request.get_header x-one": "1, 2",
		"request.get_header Host": "Example.com:80", "request.get_header X-None": "",
		"request.get_query_arg q": "a b", "request.get_query_arg twice": "1",
		"request.get_query_arg empty": "", "request.get_query_arg none": "",
		"request.get_raw_body": "", "request.get_http_version": 1.1,
		"ip.is_trusted": "0800", // Kong writes false
		// a Value that is false counts as nil when it comes from a plugin
		"nginx.get_ctx route": []any{"route", []any{"/r"}, nil},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestFactsForADecision asks, in access, for what a plugin may choose by.
func TestFactsForADecision(t *testing.T) {
	type facts struct {
		Method, Path, Query, IP, Scheme, Cookies, Consumer string
		Unnamed                                            []string
		Named                                              map[string]string
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
consumers: [{username: ann, custom_id: "7", keyauth_credentials: [{key: secret}]}]
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
			facts{Method: "GET", Path: "/k", IP: "127.0.0.1", Scheme: "http", Consumer: "ann/7"},
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
			return first2(toBackend(kong), kong.ServiceRequest.SetHeader("Host", "shop"))
		}, "GET /base/x?y=1 shop client"},
		{"the Host before the target", func(kong *pdk.PDK) error {
			return first2(kong.ServiceRequest.SetHeader("Host", "shop"), toBackend(kong))
		}, "GET /base/x?y=1 127.0.0.1 client"},
		{"the path", func(kong *pdk.PDK) error {
			return first2(toBackend(kong), kong.ServiceRequest.SetPath("/new path"))
		}, "GET /new%20path?y=1 127.0.0.1 client"},
		{"the query", func(kong *pdk.PDK) error {
			return first2(toBackend(kong), kong.ServiceRequest.SetRawQuery("a=%20"))
		}, "GET /base/x?a=%20 127.0.0.1 client"},
		{"no query", func(kong *pdk.PDK) error {
			return first2(toBackend(kong), kong.ServiceRequest.SetRawQuery(""))
		}, "GET /base/x 127.0.0.1 client"},
		{"the query's arguments", func(kong *pdk.PDK) error {
			return first2(toBackend(kong), kong.ServiceRequest.SetQuery(map[string][]string{"b": {"2 3"}, "a": {"1", "&"}}))
		}, "GET /base/x?a=1&a=%26&b=2%203 127.0.0.1 client"},
		{"the method", func(kong *pdk.PDK) error {
			return first2(toBackend(kong), kong.ServiceRequest.SetMethod("DELETE"))
		}, "DELETE /base/x?y=1 127.0.0.1 client"},
		{"a header", func(kong *pdk.PDK) error {
			return first2(toBackend(kong), kong.ServiceRequest.SetHeader("X-A", "plugin"))
		}, "GET /base/x?y=1 127.0.0.1 plugin"},
		{"a header more", func(kong *pdk.PDK) error {
			return first2(toBackend(kong), kong.ServiceRequest.AddHeader("X-A", "plugin"))
		}, "GET /base/x?y=1 127.0.0.1 client|plugin"},
		{"a header less", func(kong *pdk.PDK) error {
			return first2(toBackend(kong), kong.ServiceRequest.ClearHeader("X-A"))
		}, "GET /base/x?y=1 127.0.0.1 "},
		{"headers", func(kong *pdk.PDK) error {
			return first2(toBackend(kong), kong.ServiceRequest.SetHeaders(map[string][]string{"X-A": {"1", "2"}}))
		}, "GET /base/x?y=1 127.0.0.1 1|2"},
		{"headers, to none", func(kong *pdk.PDK) error {
			return first2(toBackend(kong), kong.ServiceRequest.SetHeaders(map[string][]string{"X-A": {}}))
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

// first2 is the first error.
func first2(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// TestListsWhereLuaHasTables is of values that reach the backend as the address
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
		_, _ = ask(conn, "kong.service.response.get_status", nil) // Kong ends the connection
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
		{"service.request.set_method", "invalid method: BREW", encodeText("BREW")},
		{"service.request.set_header", `invalid header value for "X": got nil, expected array of string, string, number or boolean`, appendText(nil, 1, "X")},
		{"service.set_target", "port must be an integer between 0 and 65535: given 65536", appendInt(appendText(nil, 1, "h"), 2, 65536)},
		{"request.get_headers", "max_headers must be >= 1", nil},
		{"request.get_query", "max_args must be <= 1000", encodeInt(1001)},
		{"request.get_query_arg", "string expected for field 'v', got boolean", encodeText("flag")},
		{"response.get_status", "function cannot be called in access phase (only in: response, header_filter, body_filter, log, error, admin_api)", nil},
		{"service.response.get_status", "function cannot be called in access phase (only in: response, header_filter, body_filter, log)", nil},
		{"log.serialize", "function cannot be called in access phase (only in: log)", nil},
		{"response.exit", "code must be a number between 100 and 599", encodeInt(99)},
		{"client.load_consumer", "cannot load a consumer with an id that is not a uuid", encodeText("ann")},
		{"client.authenticate", "either credential or consumer must be provided", nil},
		{"request.get_scheme", "invalid message", nil}, // see below
		{"no.such_method", `pluginserver error: method "kong.no.such_method" not found`, nil},
	} {
		t.Run(tt.method, func(t *testing.T) {
			if tt.log == "invalid message" {
				tt.method, tt.args = "ip.is_trusted", []byte{0xff}
			}
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
		"kong.response.get_header": false, "kong.node.get_id": false, "kong.log.serialize": false,
		"kong.nginx.get_var": true, "kong.service.response.get_header": true, "kong.request.get_raw_query": true,
		"kong.client.get_ip": true, "kong.service.set_target": true, "kong.response.set_header": true,
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
			_ = kong.Response.SetHeader("X-Gone", "1")
			_ = kong.Response.AddHeader("Set-Cookie", "plugin=1")
			_ = kong.Response.SetHeader("X-Both", "plugin")
			_ = kong.Response.ClearHeader("X-Gone")
		}
		response, _ := fetch(t, g, "GET", "/r")
		got := map[string]string{}
		for _, name := range []string{"Set-Cookie", "X-Both", "X-Gone"} {
			got[name] = strings.Join(response.Header.Values(name), "|")
		}
		want := map[string]string{"Set-Cookie": "plugin=1|service=1", "X-Both": "plugin|service", "X-Gone": ""}
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
