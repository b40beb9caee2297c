package standin

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
)

// A plugin that asks for the body gets it when all of it is there: in memory, or, where it is
// long, in a file that is there until the end of the request. The Service gets it as well.
func TestRawBody(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	var got, path string
	p.access = func(_ *pdk.PDK, conn net.Conn, _ map[string]any) {
		got, path = "", ""
		for range 2 {
			reply, err := ask(conn, "kong.request.get_raw_body", nil)
			var body kong_plugin_protocol.RawBodyResult
			if err == nil {
				err = proto.Unmarshal(reply, &body)
			}
			if err != nil {
				t.Error(err)
			}
			got = string(body.GetContent())
			if path = body.GetBodyFilepath(); path != "" {
				content, err := os.ReadFile(path)
				if err != nil {
					t.Error(err)
				}
				got = string(content)
			}
		}
	}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	for length, inFile := range map[int]bool{0: false, 1: false, bodyBuffer: false, bodyBuffer + 1: true} {
		want := strings.Repeat("x", length)
		response, err := http.Post("http://"+g.ProxyAddr()+"/r", "text/plain", strings.NewReader(want))
		if err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 2*bodyBuffer)
		n, _ := response.Body.Read(answer)
		_ = response.Body.Close()
		if got != want || inFile != (path != "") {
			t.Errorf("%d bytes came as %d, in %q", length, len(got), path)
		}
		if length > 0 && !strings.Contains(string(answer[:n]), want[:1]) {
			t.Errorf("the Service got %s", answer[:n])
		}
		for inFile { // it goes with the request, which ends after the answer
			if _, err := os.Stat(path); err != nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// What the Service will be told of the client is in nginx's variables.
func TestVariablesOfTheClient(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	got := map[string]string{}
	p.access = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
		for _, name := range []string{"server_protocol", "remote_addr"} {
			got[name], _ = kong.Nginx.GetVar(name)
		}
		for _, name := range []string{"For", "Proto", "Host", "Port", "Path", "Prefix"} {
			got[name], _ = kong.Nginx.GetVar("upstream_x_forwarded_" + strings.ToLower(name))
		}
	}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	dialRaw(t, g).send("GET /r/a HTTP/1.1", "Host: Example.com:80", "X-Forwarded-For: 1.2.3.4")
	r := <-b.last
	for _, name := range []string{"For", "Proto", "Host", "Port", "Path", "Prefix"} {
		if sent := r.Header.Get("X-Forwarded-" + name); got[name] == "" || got[name] != sent {
			t.Errorf("X-Forwarded-%s: %q, and the Service got %q", name, got[name], sent)
		}
	}
	if who := fmt.Sprint(got["server_protocol"], " ", got["remote_addr"]); who != "HTTP/1.1 127.0.0.1" {
		t.Error(who)
	}
}
