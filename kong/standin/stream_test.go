package standin

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/google/go-cmp/cmp"
)

// lineServer answers each line with its name, the server name that a client of
// TLS has asked for, and the line. The line "bye" ends the connection.
func lineServer(t *testing.T, name string, secured bool) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	p := make(chan struct{})
	go func() {
		defer close(p)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				sni := "-"
				if secured {
					server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
					if server.Handshake() != nil {
						return
					}
					conn, sni = server, server.ConnectionState().ServerName
				}
				lines := bufio.NewScanner(conn)
				for lines.Scan() && lines.Text() != "bye" {
					fmt.Fprintf(conn, "%s %s %s\n", name, sni, lines.Text())
				}
			}()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-p
	})
	return listener.Addr().(*net.TCPAddr).Port
}

// tcpClient is a client that speaks in lines.
type tcpClient struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// dialStream connects to the gateway's stream listener of that index.
func dialStream(t *testing.T, g *Gateway, i int) *tcpClient {
	t.Helper()
	conn, err := net.Dial("tcp", g.StreamAddrs()[i])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &tcpClient{t, conn, bufio.NewReader(conn)}
}

// secure begins TLS.
func (c *tcpClient) secure(name string) *tcpClient {
	c.t.Helper()
	secured := tls.Client(c.conn, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err := secured.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	return &tcpClient{c.t, secured, bufio.NewReader(secured)}
}

// ask sends a line and returns the line that comes back, or how the connection
// ended.
func (c *tcpClient) ask(line string) string {
	c.t.Helper()
	_, _ = io.WriteString(c.conn, line+"\n") // the gateway may have ended it
	return c.read()
}

func (c *tcpClient) read() string {
	text, err := c.r.ReadString('\n')
	if err != nil && text == "" {
		return "ended"
	}
	return strings.TrimSuffix(text, "\n")
}

// tcpRoute is a configuration with one route for all that comes to any listener.
func tcpRoute(service, route, rest string) string {
	return fmt.Sprintf(`{_format_version: "3.0", services: [{name: s, %s, routes: [{name: route,
		sources: [{ip: 0.0.0.0/0}], %s}]}], %s}`, service, route, rest)
}

// tcpPlugin puts the plugin on the route of such a configuration.
func tcpPlugin(service string) string {
	return tcpRoute(service, "protocols: [tcp], plugins: [{name: fake, protocols: [tcp]}]", "")
}

func TestTCP(t *testing.T) {
	g := startGateway(t, tcpRoute(fmt.Sprintf("protocol: tcp, host: 127.0.0.1, port: %d", lineServer(t, "b", false)),
		"protocols: [tcp]", ""), Options{StreamListen: "127.0.0.1:0, [::1]:0"})
	c := dialStream(t, g, 0)
	for _, line := range []string{"one", "two"} {
		if got := c.ask(line); got != "b - "+line {
			t.Errorf("got %q", got)
		}
	}
	if got := c.ask("bye"); got != "ended" {
		t.Errorf("the Service has ended it: got %q", got)
	}
	// There is no route for IPv6.
	if got := dialStream(t, g, 1).ask("one"); got != "ended" {
		t.Errorf("without a route: got %q", got)
	}
}

// TestClientThatSaysItHasFinished covers nginx without proxy_half_close, which
// ends both directions.
func TestClientThatSaysItHasFinished(t *testing.T) {
	g := startGateway(t, tcpRoute(fmt.Sprintf("protocol: tcp, host: 127.0.0.1, port: %d", lineServer(t, "b", false)),
		"protocols: [tcp]", ""), Options{StreamListen: "127.0.0.1:0"})
	c := dialStream(t, g, 0)
	c.ask("one")
	if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := c.read(); got != "ended" {
		t.Errorf("got %q", got)
	}
}

func TestCloseEndsStreams(t *testing.T) {
	g := startGateway(t, tcpRoute(fmt.Sprintf("protocol: tcp, host: 127.0.0.1, port: %d", lineServer(t, "b", false)),
		"protocols: [tcp]", ""), Options{StreamListen: "127.0.0.1:0, 127.0.0.1:0 ssl"})
	c := dialStream(t, g, 0)
	c.ask("one")
	waiting := dialStream(t, g, 1) // its client says nothing yet
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if got := c.read() + " " + waiting.read(); got != "ended ended" {
		t.Errorf("got %q", got)
	}
}

// TestTLS has routes for the names that clients ask for.
func TestTLS(t *testing.T) {
	plain, secured := lineServer(t, "plain", false), lineServer(t, "secured", true)
	g := startGateway(t, fmt.Sprintf(`
_format_version: "3.0"
services:
- {name: plain, protocol: tcp, host: 127.0.0.1, port: %[1]d, routes: [
    {protocols: [tls], snis: [plain.test]},
    {protocols: [tcp], snis: [], destinations: [{ip: 127.0.0.2}]}]}
- {name: secured, protocol: tls, host: backend.test, port: %[2]d, routes: [
    {protocols: [tls], snis: [secured.test]},
    {protocols: [tls], snis: [preserved.test], preserve_host: true},
    {protocols: [tls_passthrough], snis: [passed.test]}]}
- {name: nothing, protocol: tls, host: 127.0.0.1, port: %[1]d, retries: 0, routes: [
    {protocols: [tls], snis: [nothing.test]}]}
`, plain, secured), Options{
		StreamListen: "127.0.0.1:0 ssl, 127.0.0.2:0 ssl",
		Resolve:      map[string]string{"backend.test": "127.0.0.1"},
	})
	for name, want := range map[string]string{
		"plain.test":     "plain - hi",
		"secured.test":   "secured backend.test hi", // the name is the Service's
		"preserved.test": "secured preserved.test hi",
		"passed.test":    "secured passed.test hi", // TLS is with the Service itself
		"nothing.test":   "ended",                  // the Service does not speak TLS
	} {
		if got := dialStream(t, g, 0).secure(name).ask("hi"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for name, c := range map[string]*tcpClient{
		"a name without a route":             dialStream(t, g, 0),
		"a route that is only for plain TCP": dialStream(t, g, 1),
	} {
		if err := tls.Client(c.conn, &tls.Config{ServerName: "other.test"}).Handshake(); err == nil {
			t.Errorf("%s: TLS was terminated", name)
		}
	}
	if got := dialStream(t, g, 0).ask("a line of text"); got != "ended" {
		t.Errorf("without TLS: got %q", got)
	}
}

// TestTLSWithoutAName covers a client that names no server: once its TLS was
// terminated, Kong takes it for plain TCP, for which names do not count.
func TestTLSWithoutAName(t *testing.T) {
	b := lineServer(t, "b", false)
	g := startGateway(t, tcpRoute(fmt.Sprintf("protocol: tcp, host: 127.0.0.1, port: %d", b), "protocols: [tls]", ""),
		Options{StreamListen: "127.0.0.1:0 ssl"})
	if got := dialStream(t, g, 0).secure("127.0.0.1").ask("hi"); got != "b - hi" {
		t.Errorf("got %q", got)
	}
}

func TestRetriesOfStreams(t *testing.T) {
	for retries, want := range map[int]string{0: "ended", 1: "b - hi"} {
		g := startGateway(t, tcpRoute(fmt.Sprintf("protocol: tcp, host: up, port: 1, retries: %d", retries), "protocols: [tcp]",
			fmt.Sprintf(`upstreams: [{name: up, targets: [{target: "127.0.0.1:%d"}, {target: "127.0.0.1:%d"}]}]`,
				closedPort, lineServer(t, "b", false))), Options{StreamListen: "127.0.0.1:0"})
		got := []string{dialStream(t, g, 0).ask("hi"), dialStream(t, g, 0).ask("hi")}
		if !strings.Contains(strings.Join(got, ", "), want) || retries == 1 && got[0] != got[1] {
			t.Errorf("%d retries: got %q", retries, got)
		}
	}
}

// TestStreamsAreAnotherSubsystem has one worker with a row for requests and
// streams: nginx's subsystems know nothing of each other, and number their rows
// from 1 each.
func TestStreamsAreAnotherSubsystem(t *testing.T) {
	b, lines := startBackend(t, "b"), lineServer(t, "l", false)
	p := servePlugin(t, saysHeader)
	p.preread = func(*pdk.PDK, net.Conn, map[string]any) {}
	g := startGateway(t, fmt.Sprintf(`
_format_version: "3.0"
plugins: [{name: fake, protocols: [http, tcp]}]
services:
- {url: "%s", routes: [{paths: [/r]}]}
- {protocol: tcp, host: 127.0.0.1, port: %d, routes: [{protocols: [tcp], sources: [{ip: 127.0.0.1}]}]}
`, b.URL, lines), Options{StreamListen: "127.0.0.1:0", PluginServers: p.server()})
	both := func() {
		fetch(t, g, "GET", "/r")
		if got := dialStream(t, g, 0).ask("hi"); got != "l - hi" {
			t.Errorf("got %q", got)
		}
	}
	both()
	both()
	want := []string{"start 1", "access 1", "start 1", "preread 1", "access 1", "preread 1"}
	if diff := cmp.Diff(want, p.noted("")); diff != "" {
		t.Error(diff)
	}
}

func TestStreamWorkers(t *testing.T) {
	p := servePlugin(t, nil)
	p.preread = func(*pdk.PDK, net.Conn, map[string]any) {}
	g := startGateway(t, tcpPlugin(fmt.Sprintf("protocol: tcp, host: 127.0.0.1, port: %d", lineServer(t, "l", false))),
		Options{Workers: 3, StreamListen: "127.0.0.1:0", PluginServers: p.server()})
	for range 6 {
		dialStream(t, g, 0).ask("hi")
	}
	if starts := p.noted("start"); len(starts) != 3 {
		t.Errorf("started %v", starts)
	}
}

func TestPrereadRunsWhereTheProtocolsAreOfStreams(t *testing.T) {
	b := lineServer(t, "l", false)
	for protocols, runs := range map[string]int{"[tcp]": 1, "[tls, udp]": 1, "[http, https]": 0} {
		p := servePlugin(t, nil)
		p.preread = func(*pdk.PDK, net.Conn, map[string]any) {}
		g := startGateway(t, tcpRoute(fmt.Sprintf("protocol: tcp, host: 127.0.0.1, port: %d", b),
			"protocols: [tcp], plugins: [{name: fake, protocols: "+protocols+"}]", ""),
			Options{StreamListen: "127.0.0.1:0", PluginServers: p.server()})
		if got := dialStream(t, g, 0).ask("hi"); got != "l - hi" || len(p.noted("preread")) != runs {
			t.Errorf("protocols %s: got %q, ran %v", protocols, got, p.noted(""))
		}
	}
}
