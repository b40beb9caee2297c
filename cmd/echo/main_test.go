package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An echoServer is a running echo. stop asks it to end, as SIGTERM does, and
// waits for it; the test's end does so too.
type echoServer struct {
	address string
	stop    func() (code int)
	cancel  context.CancelFunc
}

// start runs echo as main does, on a free port of the loopback.
func start(t *testing.T, env map[string]string, args ...string) *echoServer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"-listen", "127.0.0.1:0"}, args...), environment(env), writer)
		writer.Close()
	}()
	lines := bufio.NewReader(reader)
	line, err := lines.ReadString('\n')
	address, found := strings.CutPrefix(line, "listening on ")
	if !found {
		t.Fatalf("the first line on stderr is %q, %v", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	s := &echoServer{address: strings.TrimSpace(address), cancel: cancel}
	s.stop = sync.OnceValue(func() int { cancel(); return <-done })
	t.Cleanup(func() { s.stop() })
	return s
}

func environment(env map[string]string) func(string) string {
	return func(key string) string { return env[key] }
}

// client speaks one of HTTP/1.1, h2c and, to a server with -tls, HTTP/2.
func client(t *testing.T, set func(*http.Protocols, bool)) *http.Client {
	protocols := new(http.Protocols)
	set(protocols, true)
	transport := &http.Transport{
		Protocols:       protocols,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example"},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func http1(t *testing.T) *http.Client { return client(t, (*http.Protocols).SetHTTP1) }
func http2(t *testing.T) *http.Client { return client(t, (*http.Protocols).SetHTTP2) }
func h2c(t *testing.T) *http.Client   { return client(t, (*http.Protocols).SetUnencryptedHTTP2) }

// fetch sends a request and returns the whole response.
func fetch(t *testing.T, c *http.Client, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(content)
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"help", []string{"-h"}, 0, "Usage of echo:"},
		{"unknown flag", []string{"-port", "80"}, 2, "flag provided but not defined: -port"},
		{"argument", []string{"80"}, 2, `echo: unexpected argument "80": echo takes flags only`},
		{"address without a port", []string{"-listen", "localhost"}, 1, "echo: -listen localhost: listen tcp: address localhost: missing port in address"},
		{"health of an address without a port", []string{"-listen", "localhost", "-healthcheck"}, 1, "echo: -listen localhost: address localhost: missing port in address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr bytes.Buffer
			if code := run(t.Context(), c.args, environment(nil), &stderr); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.HasPrefix(stderr.String(), c.stderr) {
				t.Errorf("stderr %q does not begin with %q", stderr.String(), c.stderr)
			}
		})
	}
}

func TestHealthcheck(t *testing.T) {
	plain, secure := start(t, nil), start(t, nil, "-tls")
	gone := start(t, nil)
	gone.stop()
	_, port, _ := strings.Cut(plain.address, ":")
	for _, c := range []struct {
		name string
		args []string
		code int
	}{
		{"answers", []string{"-listen", plain.address}, 0},
		{"answers, asked as in a container", []string{"-listen", ":" + port}, 0},
		{"answers, asked as in a container of IPv4", []string{"-listen", "0.0.0.0:" + port}, 0},
		{"answers over TLS", []string{"-listen", secure.address, "-tls"}, 0},
		{"TLS where none is spoken", []string{"-listen", plain.address, "-tls"}, 1},
		{"no TLS where it is spoken", []string{"-listen", secure.address}, 1},
		{"stopped", []string{"-listen", gone.address}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr bytes.Buffer
			if code := run(t.Context(), append(c.args, "-healthcheck"), environment(nil), &stderr); code != c.code {
				t.Errorf("exit code %d, want %d; stderr: %s", code, c.code, &stderr)
			}
		})
	}
}

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		":1027":          "127.0.0.1:1027",
		"0.0.0.0:1027":   "127.0.0.1:1027",
		"[::]:1027":      "[::1]:1027",
		"10.0.0.7:1027":  "10.0.0.7:1027",
		"localhost:1027": "localhost:1027",
	} {
		if got, err := reachable(listen); got != want || err != nil {
			t.Errorf("reachable(%q) = %q, %v; want %q", listen, got, err, want)
		}
	}
}

func TestTheSecondEchoOnAPortIsRefused(t *testing.T) {
	first := start(t, nil)
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"-listen", first.address}, environment(nil), &stderr); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if want := "address already in use"; !strings.Contains(stderr.String(), want) {
		t.Errorf("stderr %q does not say %q", stderr.String(), want)
	}
}

func TestStoppingLetsARequestFinish(t *testing.T) {
	for name, newClient := range map[string]func(*testing.T) *http.Client{"HTTP/1.1": http1, "h2c": h2c} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil)
			began := make(chan struct{})
			body := &signalledBody{began: began, release: make(chan struct{})}
			answered := make(chan error, 1)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/", body)
			if err != nil {
				t.Fatal(err)
			}
			// The body is begun once the echo asks for it, and thus has the request in flight.
			request.Header.Set("Expect", "100-continue")
			client := newClient(t)
			client.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
			go func() {
				response, err := client.Do(request)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
				answered <- err
			}()
			<-began
			s.cancel()
			close(body.release)
			if err := <-answered; err != nil {
				t.Errorf("the request in flight failed: %v", err)
			}
			if code := s.stop(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

// A signalledBody is a request body of one byte. It closes began when it is
// first read, and then waits for release.
type signalledBody struct {
	began   chan struct{}
	release chan struct{}
	sent    bool
}

func (b *signalledBody) Read(p []byte) (int, error) {
	if b.sent {
		return 0, io.EOF
	}
	close(b.began)
	<-b.release
	b.sent = true
	p[0] = 'x'
	return 1, nil
}
