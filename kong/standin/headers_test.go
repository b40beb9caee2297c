package standin

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/google/go-cmp/cmp"
)

// TestHeadersInOneCall covers set_headers with texts, which go-pdk does not send:
// Host is then what set_header makes of it, and the name that TLS asks for.
// Seen alike on Kong 3.9.3.
func TestHeadersInOneCall(t *testing.T) {
	names := make(chan string, 1)
	b := &backend{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s [%s] [%s] [%s]", <-names, r.Host, strings.Join(r.Header.Values("X-A"), "|"),
			strings.Join(r.Header.Values("X-B"), "|"), strings.Join(r.Header.Values("X-C"), "|"))
	}))}
	b.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- hello.ServerName
		return nil, nil
	}}
	b.StartTLS()
	t.Cleanup(b.Close)
	b.Config.SetKeepAlivesEnabled(false) // each request has a handshake of its own
	b.port = b.Listener.Addr().(*net.TCPAddr).Port
	p := servePlugin(t, nil)
	g := startGateway(t, oneRoute("https://localhost:1", "", "plugins: [{name: fake}]"), Options{PluginServers: p.server()})
	for _, tt := range []struct {
		name    string
		headers map[string]any
		want    string
	}{
		{"none", map[string]any{}, "localhost localhost [1] [2|3] []"},
		{"the Host", map[string]any{"Host": "shop.example"}, "shop.example shop.example [1] [2|3] []"},
		{"the Host in another case", map[string]any{"hOST": "shop.example"}, "shop.example shop.example [1] [2|3] []"},
		{"the Host with a port", map[string]any{"host": "shop.example:8443"}, "shop.example shop.example:8443 [1] [2|3] []"},
		{"the Host, a header and one less", map[string]any{
			"Host": "shop.example", "X-C": "new", "x-b": []any{},
		}, "shop.example shop.example [1] [] [new]"},
		{"a text for several", map[string]any{"X-B": "only"}, "localhost localhost [1] [only] []"},
		{"several for a text", map[string]any{"x-a": []any{"4", "5"}, "X-C": []any{"6"}}, "localhost localhost [4|5] [2|3] [6]"},
		{"other values", map[string]any{"X-A": 7.0, "X-B": true, "X-C": ""}, "localhost localhost [7] [true] []"},
		{"what is not there is removed", map[string]any{"X-C": []any{}}, "localhost localhost [1] [2|3] []"},
		{"all are removed", map[string]any{"X-A": []any{}, "X-B": []any{}}, "localhost localhost [] [] []"},
		{"bytes that are no text", map[string]any{"X-A": "\xff\xe4"}, "localhost localhost [\xff\xe4] [2|3] []"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.access = func(kong *pdk.PDK, conn net.Conn, _ map[string]any) {
				if err := kong.Service.SetTarget("localhost", b.port); err != nil {
					t.Error(err)
				}
				if reply, err := ask(conn, "kong.service.request.set_headers", encodeStruct(tt.headers)); err != nil || len(reply) > 0 {
					t.Errorf("got %x, %v", reply, err)
				}
			}
			if _, body := fetch(t, g, "GET", "/r", "X-A: 1", "X-B: 2", "X-B: 3"); body != tt.want {
				t.Errorf("got %q, want %q", body, tt.want)
			}
		})
	}
}

// The reply of get_headers is a Struct, with the names in
// lower case and several values of one as a list. Seen alike on Kong 3.9.3.
func TestAllHeaders(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	alone := map[string]any{"host": "example.com", "connection": "close"}
	with := func(name string, value any) map[string]any {
		return map[string]any{"host": "example.com", "connection": "close", name: value}
	}
	many := make([]string, 200)
	for i := range many {
		many[i] = fmt.Sprintf("X-%03d: v", i)
	}
	for _, tt := range []struct {
		name   string
		most   int
		header []string
		want   map[string]any
		count  int // where want is nil
	}{
		{"none of its own", 1000, nil, alone, 0},
		{"one", 1000, []string{"X-Some_Name: a, b"}, with("x-some_name", "a, b"), 0},
		{"several values", 1000, []string{"X-A: 1", "x-a: 2", "X-A: 1"}, with("x-a", []any{"1", "2", "1"}), 0},
		{"an empty value", 1000, []string{"X-A:"}, with("x-a", ""), 0},
		{"a value and an empty one", 1000, []string{"X-A: 1", "X-A:"}, with("x-a", []any{"1", ""}), 0},
		{"bytes that are no text", 1000, []string{"X-A: \xff\xe4"}, with("x-a", "\xff\xe4"), 0},
		{"several cookies", 1000, []string{"Cookie: a=1", "Cookie: b=2"}, with("cookie", []any{"a=1", "b=2"}), 0},
		{"the Host and one more", 2, nil, alone, 0},
		{"as many as there are", 202, many, nil, 202},
		{"fewer than there are", 100, many, nil, 100},
		{"one of many", 1, many, nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var reply []byte
			p.access = func(_ *pdk.PDK, conn net.Conn, _ map[string]any) {
				var err error
				if reply, err = ask(conn, "kong.request.get_headers", encodeInt(tt.most)); err != nil {
					t.Error(err)
				}
			}
			fetch(t, g, "GET", "/r", tt.header...)
			var got map[string]any
			if err := decode(reply, &got); err != nil {
				t.Fatal(err)
			}
			if tt.want == nil {
				if len(got) != tt.count {
					t.Errorf("got %d: %v", len(got), got)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if len(encodeStruct(tt.want)) != len(reply) {
				t.Errorf("got %x, want, in another order perhaps, %x", reply, encodeStruct(tt.want))
			}
		})
	}
	for _, most := range []int{0, -1, 1001} {
		p.access = func(_ *pdk.PDK, conn net.Conn, _ map[string]any) {
			_, _ = ask(conn, "kong.request.get_headers", encodeInt(most))
		}
		if response, _ := fetch(t, g, "GET", "/r"); response.StatusCode != 500 {
			t.Errorf("%d headers at most: got %s", most, response.Status)
		}
	}
}
