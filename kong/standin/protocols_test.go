package standin

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
)

// client is an HTTP client of these protocols, which trusts anybody.
func client(t *testing.T, set func(*http.Protocols)) *http.Client {
	t.Helper()
	protocols := &http.Protocols{}
	set(protocols)
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestHTTP2(t *testing.T) {
	b := startBackend(t, "b")
	g := startGateway(t, oneRoute(b.URL, "", ""), Options{
		ProxyListen: "127.0.0.1:0 http2, 127.0.0.1:0 ssl http2, 127.0.0.1:0 ssl",
	})
	addresses := g.ProxyAddrs()
	for _, tt := range []struct {
		name, url string
		set       func(*http.Protocols)
		proto     string
		forwarded string
	}{
		{"prior knowledge", "http://" + addresses[0], func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, "HTTP/2.0", "http"},
		{"HTTP/1.1 on the same port", "http://" + addresses[0], func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/1.1", "http"},
		{"TLS", "https://" + addresses[1], func(p *http.Protocols) { p.SetHTTP2(true) }, "HTTP/2.0", "https"},
		{"TLS without http2", "https://" + addresses[2], func(p *http.Protocols) { p.SetHTTP2(true); p.SetHTTP1(true) }, "HTTP/1.1", "https"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			response, err := client(t, tt.set).Post(tt.url+"/r?x", "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.Proto != tt.proto || string(body) != "b POST /?x "+b.address()+` "body"` {
				t.Errorf("got %s %q", response.Proto, body)
			}
			if got := (<-b.last).Header.Get("X-Forwarded-Proto"); got != tt.forwarded {
				t.Errorf("X-Forwarded-Proto: %q", got)
			}
		})
	}
}

// TestTLSToTheService has the server name follow the Host, as in Kong.
func TestTLSToTheService(t *testing.T) {
	serverNames := make(chan string, 10)
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serverNames <- r.TLS.ServerName
	}))
	b.StartTLS()
	t.Cleanup(b.Close)
	port := b.Listener.Addr().(*net.TCPAddr).Port
	p := servePlugin(t, nil)
	for _, tt := range []struct {
		name, service, route string
		change               func(kong *pdk.PDK)
		want                 string
	}{
		{"the Service's host", fmt.Sprintf("https://localhost:%d", port), "", nil, "localhost"},
		{"the client's host", fmt.Sprintf("https://localhost:%d", port), "preserve_host: true", nil, "example.com"},
		{"the plugin's host", fmt.Sprintf("http://localhost:%d", port), "", func(kong *pdk.PDK) {
			_ = kong.ServiceRequest.SetScheme("https")
			_ = kong.ServiceRequest.SetHeader("Host", "shop.test:1")
		}, "shop.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.access = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
				if tt.change != nil {
					tt.change(kong)
				}
			}
			g := startGateway(t, oneRoute(tt.service, "", tt.route+"\n    plugins: [{name: fake}]"),
				Options{PluginServers: p.server()})
			if response, body := fetch(t, g, "GET", "/r"); response.StatusCode != 200 {
				t.Fatalf("got %s %q", response.Status, body)
			}
			if got := <-serverNames; got != tt.want {
				t.Errorf("server name %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWebSocket(t *testing.T) {
	b := startBackendWith(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || !strings.Contains(r.Header.Get("Connection"), "Upgrade") {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: %s\r\n\r\nhello", r.Header.Get("Sec-WebSocket-Key"))
		_ = buffered.Flush()
		_, _ = io.Copy(conn, buffered) // an echo
	})
	p := servePlugin(t, func(kong *pdk.PDK) { _ = kong.Response.SetHeader("X-Fake", "ran") })
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	c := dialRaw(t, g)
	fmt.Fprintf(c.conn, "GET /r HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\n")
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 101 || response.Header.Get("Upgrade") != "websocket" ||
		response.Header.Get("Sec-Websocket-Accept") != "k" || response.Header.Get("X-Fake") != "ran" {
		t.Errorf("got %s %v", response.Status, response.Header)
	}
	for _, text := range []string{"hello", "one", strings.Repeat("two", 100_000)} {
		if text != "hello" {
			go func() { _, _ = io.WriteString(c.conn, text) }()
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(c.r, got); err != nil || string(got) != text {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	}
	// Close ends what is still open.
	closed := make(chan error)
	go func() { closed <- g.Close() }()
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("got %v, want the end", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestGRPC sends frames both ways at the same time, and expects the trailers.
func TestGRPC(t *testing.T) {
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("X-Seen", r.Proto+" "+r.RequestURI+" "+r.Host+" "+r.Header.Get("Te"))
		controller := http.NewResponseController(w)
		_ = controller.Flush()
		for {
			message, err := readMessage(r.Body)
			if err != nil {
				break
			}
			_, _ = w.Write(grpcMessage(bytes.ToUpper(message)))
			_ = controller.Flush()
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "7")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "no")
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	g := startGateway(t, fmt.Sprintf(`{_format_version: "3.0", services: [{name: s, url: "grpc://%s",
		routes: [{name: r, protocols: [grpc], paths: [/echo.Echo]}]}]}`, listener.Addr()),
		Options{ProxyListen: "127.0.0.1:0 http2"})
	in, out := io.Pipe()
	request, err := http.NewRequest("POST", "http://"+g.ProxyAddr()+"/echo.Echo/Say", in)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	response, err := client(t, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got, want := response.Header.Get("X-Seen"), "HTTP/2.0 /echo.Echo/Say "+listener.Addr().String()+" trailers"; got != want {
		t.Errorf("the Service saw %q, want %q", got, want)
	}
	for _, text := range []string{"one", "two"} {
		if _, err := out.Write(grpcMessage([]byte(text))); err != nil {
			t.Fatal(err)
		}
		message, err := readMessage(response.Body)
		if err != nil || string(message) != strings.ToUpper(text) {
			t.Fatalf("got %q, %v", message, err)
		}
	}
	_ = out.Close()
	if _, err := io.ReadAll(response.Body); err != nil {
		t.Error(err)
	}
	if response.Trailer.Get("Grpc-Status") != "7" || response.Trailer.Get("Grpc-Message") != "no" {
		t.Errorf("trailers %v", response.Trailer)
	}
	if via := response.Header.Get("Via"); via != "2 kong/3.9.3" {
		t.Errorf("Via: %q", via)
	}
}

func grpcMessage(text []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...)
}

func readMessage(r io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	text := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(r, text)
	return text, err
}

// TestGRPCErrors are Kong's own answers to a gRPC client.
func TestGRPCErrors(t *testing.T) {
	g := startGateway(t, fmt.Sprintf(`{_format_version: "3.0", services: [{name: s, url: "grpc://127.0.0.1:%d", retries: 0,
		routes: [{name: r, protocols: [grpc], paths: [/echo.Echo]}]}]}`, closedPort),
		Options{ProxyListen: "127.0.0.1:0 http2"})
	c := client(t, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
	for _, tt := range []struct {
		path, contentType string
		status            int
		grpcStatus        string
	}{
		{"/none", "application/grpc", 404, "5"},
		{"/echo.Echo/Say", "text/plain", 415, ""},
		{"/echo.Echo/Say", "application/grpc", 502, "13"},
	} {
		response, err := c.Post("http://"+g.ProxyAddr()+tt.path, tt.contentType, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != tt.status || response.Header.Get("Grpc-Status") != tt.grpcStatus {
			t.Errorf("%s as %s: %s, grpc-status %q", tt.path, tt.contentType, response.Status, response.Header.Get("Grpc-Status"))
		}
	}
	t.Run("HTTP/1.1", func(t *testing.T) {
		response, body := fetch(t, g, "POST", "/echo.Echo/Say", "Content-Type: application/grpc", "Content-Length: 0")
		if response.StatusCode != 426 || message(body) != "Please use HTTP2 protocol" {
			t.Errorf("got %s %q", response.Status, body)
		}
	})
}

// TestSchemeOfAGRPCService covers a plugin that sets a scheme that gRPC does not have.
func TestSchemeOfAGRPCService(t *testing.T) {
	p := servePlugin(t, func(kong *pdk.PDK) { _ = kong.ServiceRequest.SetScheme("http") })
	g := startGateway(t, fmt.Sprintf(`{_format_version: "3.0", services: [{name: s, url: "grpc://127.0.0.1:%d",
		routes: [{name: r, protocols: [grpc], paths: [/], plugins: [{name: fake}]}]}]}`, closedPort),
		Options{ProxyListen: "127.0.0.1:0 http2", PluginServers: p.server()})
	response, err := client(t, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }).
		Post("http://"+g.ProxyAddr()+"/", "application/grpc", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 500 {
		t.Errorf("got %s", response.Status)
	}
}

// TestStreaming has a body go through in both directions, piece by piece.
func TestStreaming(t *testing.T) {
	b := startBackendWith(t, func(w http.ResponseWriter, r *http.Request) {
		controller := http.NewResponseController(w)
		_ = controller.EnableFullDuplex()
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, "echo "+line)
			_ = controller.Flush()
		}
	})
	g := startGateway(t, oneRoute(b.URL, "", ""), Options{})
	in, out := io.Pipe()
	answered := make(chan *http.Response)
	go func() {
		response, err := client(t, func(p *http.Protocols) { p.SetHTTP1(true) }).Post("http://"+g.ProxyAddr()+"/r", "text/plain", in)
		if err != nil {
			t.Error(err)
		}
		answered <- response
	}()
	if _, err := io.WriteString(out, "one\n"); err != nil {
		t.Fatal(err)
	}
	response := <-answered
	if response == nil {
		return
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for _, text := range []string{"one\n", "two\n"} {
		if text == "two\n" {
			if _, err := io.WriteString(out, text); err != nil {
				t.Fatal(err)
			}
		}
		if line, err := lines.ReadString('\n'); err != nil || line != "echo "+text {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	_ = out.Close()
}

// TestLargeBodies go through whole.
func TestLargeBodies(t *testing.T) {
	b := startBackendWith(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	g := startGateway(t, oneRoute(b.URL, "", ""), Options{})
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	response, err := client(t, func(p *http.Protocols) { p.SetHTTP1(true) }).
		Post("http://"+g.ProxyAddr()+"/r", "text/plain", bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got, err := io.ReadAll(response.Body); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes came back, %v", len(got), len(sent), err)
	}
}

// TestAnswerThatIsCutOff reaches the client as such.
func TestAnswerThatIsCutOff(t *testing.T) {
	b := startBackendWith(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "short")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	g := startGateway(t, oneRoute(b.URL, "", ""), Options{})
	response, err := client(t, func(p *http.Protocols) { p.SetHTTP1(true) }).Get("http://" + g.ProxyAddr() + "/r")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != io.ErrUnexpectedEOF {
		t.Errorf("got %q, %v", body, err)
	}
}
