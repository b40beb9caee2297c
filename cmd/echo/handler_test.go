package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHostname(t *testing.T) {
	plain := start(t, nil, "-name", "echo2")
	secure := start(t, map[string]string{"POD_NAME": "echo-658c5ff5ff-tv275"}, "-tls")
	for _, c := range []struct {
		protocol string
		client   *http.Client
		url      string
		want     string
	}{
		{"HTTP/1.1", http1(t), "http://" + plain.address, "echo2"},
		{"HTTP/2.0", h2c(t), "http://" + plain.address, "echo2"},
		{"HTTP/1.1", http1(t), "https://" + secure.address, "echo-658c5ff5ff-tv275"},
		{"HTTP/2.0", http2(t), "https://" + secure.address, "echo-658c5ff5ff-tv275"},
	} {
		t.Run(c.protocol, func(t *testing.T) {
			response, body := fetch(t, c.client, http.MethodGet, c.url+"/hostname?iteration=7", "")
			if response.StatusCode != http.StatusOK || response.Proto != c.protocol {
				t.Errorf("%s %s", response.Proto, response.Status)
			}
			if got := response.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
				t.Errorf("Content-Type %q", got)
			}
			if body != c.want { // and no newline: the guide's curl adds it
				t.Errorf("body %q, want %q", body, c.want)
			}
		})
	}
}

func TestGreeting(t *testing.T) {
	bare := start(t, nil, "-name", "echo")
	pod := start(t, map[string]string{
		"NODE_NAME": "orbstack", "POD_NAME": "echo-965f7cf84-frpjb", "POD_NAMESPACE": "default",
		"POD_IP": "192.168.194.10", "SERVICE_ACCOUNT": "default",
	}, "-tls")
	for _, c := range []struct{ name, url, body, want string }{
		{"by name alone", "http://" + bare.address, "", "Running on Pod echo.\n\n"},
		{"with a body", "http://" + bare.address, "hello", "Running on Pod echo.\nhello\n"},
		{
			"in a pod", "https://" + pod.address, "",
			"Welcome, you are connected to node orbstack.\n" +
				"Running on Pod echo-965f7cf84-frpjb.\n" +
				"In namespace default.\n" +
				"With IP address 192.168.194.10.\n" +
				"Service account default.\n" +
				"Through HTTPS connection.\n\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, body := fetch(t, http1(t), http.MethodPost, c.url, c.body)
			if diff := cmp.Diff(c.want, body); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestReport(t *testing.T) {
	s := start(t, map[string]string{"NAMESPACE": "ns", "INGRESS_NAME": "in", "SERVICE_NAME": "svc"}, "-name", "echo", "-tls")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://"+s.address+"/a//b/../c%2Fd?q=1&flag", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "api.example:8443"
	request.Header = http.Header{"User-Agent": {"spec"}, "X-List": {"a", "b"}}
	response, err := http2(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got report
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := report{
		Path: "/a//b/../c%2Fd?q=1&flag", Host: "api.example:8443", Method: "PUT", Proto: "HTTP/2.0",
		Headers: map[string][]string{
			"Accept-Encoding": {"gzip"}, "Content-Length": {"0"}, "User-Agent": {"spec"}, "X-List": {"a", "b"},
		},
		HTTPPort: s.address[strings.LastIndex(s.address, ":")+1:], Namespace: "ns", Ingress: "in", Service: "svc", Pod: "echo",
		SNI: "shop.example",
		TLS: &tlsReport{
			Version: "TLSv1.3", ServerName: "shop.example", NegotiatedProtocol: "h2", CipherSuite: "TLS_AES_128_GCM_SHA256",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	if got := response.Header.Get("X-Echo-Name"); got != "echo" {
		t.Errorf("X-Echo-Name %q", got)
	}
}

// The names that Gateway API's conformance tests read.
func TestReportNames(t *testing.T) {
	s := start(t, nil, "-name", "echo")
	_, body := fetch(t, http1(t), http.MethodGet, "http://"+s.address+"/status/", "", "X", "<&>")
	got := make(map[string]any)
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"path": "/status/", "host": s.address, "method": "GET", "proto": "HTTP/1.1",
		"headers":  map[string]any{"Accept-Encoding": []any{"gzip"}, "User-Agent": []any{"Go-http-client/1.1"}, "X": []any{"<&>"}},
		"httpPort": s.address[strings.LastIndex(s.address, ":")+1:], "namespace": "", "ingress": "", "service": "", "pod": "echo", "sni": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !strings.Contains(body, `"<&>"`) {
		t.Errorf("the header's value is not as it came: %s", body)
	}
}

func TestResponseHeadersThatTheClientWants(t *testing.T) {
	s := start(t, nil)
	response, _ := fetch(t, http1(t), http.MethodGet, "http://"+s.address+"/x", "",
		"X-Echo-Set-Header", "Set-Cookie: a=1, X-One:1,nonsense", "X-Echo-Set-Header", "set-cookie:b=2")
	if diff := cmp.Diff([]string{"a=1", "b=2"}, response.Header.Values("Set-Cookie")); diff != "" {
		t.Errorf("Set-Cookie (-want +got)\n%s", diff)
	}
	if got := response.Header.Get("X-One"); got != "1" {
		t.Errorf("X-One %q", got)
	}
}

// A request can have one of several backends fail, whichever answers it.
func TestStatusOfOneBackend(t *testing.T) {
	s := start(t, nil, "-name", "canary")
	for _, c := range []struct {
		wanted  string
		code    int
		message string
	}{
		{"canary=503", 503, ""},
		{"stable=500, canary=503", 503, ""},
		{"stable=500", 200, ""},
		{"canaryx=500", 200, ""},
		{"canary", 400, `status "" is not in 200..599, as in /status/503`},
		{"canary=99", 400, `status "99" is not in 200..599, as in /status/503`},
	} {
		response, body := fetch(t, http1(t), http.MethodGet, "http://"+s.address+"/x", "", "X-Echo-Set-Status", c.wanted)
		if response.StatusCode != c.code {
			t.Errorf("%s: status %d, want %d", c.wanted, response.StatusCode, c.code)
		}
		checkAnswer(t, "/x", c.message, body, true)
	}
}

func TestStatus(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		path    string
		code    int
		message string
	}{
		{"/status/200", 200, ""},
		{"/status/204", 204, ""},
		{"/status/304", 304, ""},
		{"/status/503", 503, ""},
		{"/status/599", 599, ""},
		{"/status/199", 400, `status "199" is not in 200..599, as in /status/503`},
		{"/status/600", 400, `status "600" is not in 200..599, as in /status/503`},
		{"/status/-1", 400, `status "-1" is not in 200..599, as in /status/503`},
		{"/status/ok", 400, `status "ok" is not in 200..599, as in /status/503`},
		{"/status/2e2", 400, `status "2e2" is not in 200..599, as in /status/503`},
	} {
		for protocol, client := range map[string]*http.Client{"HTTP/1.1": http1(t), "h2c": h2c(t)} {
			t.Run(c.path+" "+protocol, func(t *testing.T) {
				response, body := fetch(t, client, http.MethodGet, "http://"+s.address+c.path, "")
				if response.StatusCode != c.code {
					t.Errorf("status %d, want %d", response.StatusCode, c.code)
				}
				checkAnswer(t, c.path, c.message, body, c.code != 204 && c.code != 304)
			})
		}
	}
}

// checkAnswer checks a body: a report of path, or the refusal with message.
func checkAnswer(t *testing.T, path, message, body string, hasBody bool) {
	t.Helper()
	var got struct{ Path, Message string }
	if !hasBody {
		if body != "" {
			t.Errorf("body %q, want none", body)
		}
		return
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	if got.Message != message || message == "" && got.Path != path {
		t.Errorf("got %+v, want path %q or message %q", got, path, message)
	}
}

func TestDelay(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		path    string
		least   time.Duration
		message string
	}{
		{"/delay/0", 0, ""},
		{"/delay/0.05", 50 * time.Millisecond, ""},
		{"/delay/-1", 0, `delay "-1" is not in 0..60 seconds, as in /delay/1.5`},
		{"/delay/60.1", 0, `delay "60.1" is not in 0..60 seconds, as in /delay/1.5`},
		{"/delay/Inf", 0, `delay "Inf" is not in 0..60 seconds, as in /delay/1.5`},
		{"/delay/NaN", 0, `delay "NaN" is not in 0..60 seconds, as in /delay/1.5`},
		{"/delay/1s", 0, `delay "1s" is not in 0..60 seconds, as in /delay/1.5`},
	} {
		t.Run(c.path, func(t *testing.T) {
			began := time.Now()
			response, body := fetch(t, http1(t), http.MethodGet, "http://"+s.address+c.path, "")
			if took := time.Since(began); took < c.least {
				t.Errorf("answered after %v, before %v", took, c.least)
			}
			if want := map[bool]int{true: 200, false: 400}[c.message == ""]; response.StatusCode != want {
				t.Errorf("status %d, want %d", response.StatusCode, want)
			}
			checkAnswer(t, c.path, c.message, body, true)
		})
	}
}

// A client that has gone frees the server: it stops at once, though a delay of
// a minute was asked for.
func TestDelayEndsWithItsClient(t *testing.T) {
	for name, newClient := range map[string]func(*testing.T) *http.Client{"HTTP/1.1": http1, "h2c": h2c} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			waiting, ended := make(chan struct{}), make(chan struct{})
			h := &handler{stopping: t.Context()}
			server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(waiting)
				h.ServeHTTP(w, r)
				close(ended)
			}))
			address := serveHTTP(t, server)
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/delay/60", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			failed := make(chan error, 1)
			go func() {
				_, err := newClient(t).Do(request)
				failed <- err
			}()
			<-waiting
			cancel()
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Errorf("the client saw %v", err)
			}
			<-ended
		})
	}
}

// serveHTTP runs a server on a free port of the loopback until the test ends.
func serveHTTP(t *testing.T, server *http.Server) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return listener.Addr().String()
}

func TestTooLongABody(t *testing.T) {
	s := start(t, nil)
	response, body := fetch(t, http1(t), http.MethodPost, "http://"+s.address+"/", strings.Repeat("x", maxBody+1))
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
	want := fmt.Sprintf(`{"message":"body: http: request body too large; it is given back up to %d bytes"}`+"\n", maxBody)
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
