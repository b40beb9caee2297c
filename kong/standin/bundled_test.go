package standin

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
)

func TestKeyAuth(t *testing.T) {
	b := startBackend(t, "b")
	consumers := "consumers: [{username: ann, custom_id: a-1, keyauth_credentials: [{key: k1}]}, {username: nobody}]"
	for _, tt := range []struct {
		name, config, target string
		header               []string
		status               int
		want                 string // message, or what the Service sees of the consumer
	}{
		{"a key in a header", "{}", "/r", []string{"apikey: k1"}, 200, "ann a-1  k1"},
		{"a key in the query", "{}", "/r?apikey=k1", nil, 200, "ann a-1  "},
		{"a hidden key", "{hide_credentials: true}", "/r?a&apikey=k1&b", nil, 200, "ann a-1  "},
		{"another name", "{key_names: [x-key]}", "/r", []string{"X-Key: k1"}, 200, "ann a-1  "},
		{"no key", "{}", "/r", nil, 401, "No API key found in request"},
		{"an empty key", "{}", "/r?apikey=", nil, 401, "No API key found in request"},
		{"an unknown key", "{}", "/r?apikey=k2", nil, 401, "Unauthorized"},
		{"two keys", "{}", "/r?apikey=k1&apikey=k1", nil, 401, "Duplicate API key found"},
		{"a key where none is read", "{key_in_query: false}", "/r?apikey=k1", nil, 401, "No API key found in request"},
		{"anonymous", "{anonymous: nobody}", "/r", []string{"X-Consumer-Username: forged"}, 200, "nobody  true "},
		{"an unknown anonymous", "{anonymous: someone}", "/r", nil, 500, "An unexpected error occurred"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := startGateway(t, oneRoute(b.URL, "", "plugins: [{name: key-auth, config: "+tt.config+"}]")+consumers, Options{})
			response, body := fetch(t, g, "GET", tt.target, tt.header...)
			got := message(body)
			if response.StatusCode == 200 {
				r := <-b.last
				got = fmt.Sprintf("%s %s %s %s", r.Header.Get("X-Consumer-Username"), r.Header.Get("X-Consumer-Custom-Id"),
					r.Header.Get("X-Anonymous-Consumer"), r.Header.Get("apikey"))
				if strings.Contains(tt.name, "hidden") && r.RequestURI != "/?a&b" {
					t.Errorf("the Service got %s", r.RequestURI)
				}
			}
			if response.StatusCode != tt.status || got != tt.want {
				t.Errorf("got %s %q", response.Status, got)
			}
			if response.StatusCode == 401 && response.Header.Get("WWW-Authenticate") != "Key" {
				t.Errorf("WWW-Authenticate: %q", response.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

// TestPluginsRunInOrder has key-auth keep a request from the plugin.
func TestPluginsRunInOrder(t *testing.T) {
	b := startBackend(t, "b")
	p := servePlugin(t, nil)
	username := ""
	p.access = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
		consumer, err := kong.Client.GetConsumer()
		if err != nil {
			t.Error(err)
		}
		username = consumer.Username
	}
	g := startGateway(t, oneRoute(b.URL, "", "plugins: [{name: fake}, {name: key-auth}]")+
		"consumers: [{username: ann, keyauth_credentials: [{key: k1}]}]", Options{PluginServers: p.server()})
	if response, _ := fetch(t, g, "GET", "/r"); response.StatusCode != 401 || len(p.noted("access")) != 0 {
		t.Errorf("got %s, and the plugin ran %v", response.Status, p.noted("access"))
	}
	if response, _ := fetch(t, g, "GET", "/r", "apikey: k1"); response.StatusCode != 200 || username != "ann" {
		t.Errorf("got %s as %q", response.Status, username)
	}
}

func TestFileLog(t *testing.T) {
	b, path := startBackend(t, "b"), t.TempDir()+"/log"
	p := servePlugin(t, nil)
	p.access = func(_ *pdk.PDK, conn net.Conn, _ map[string]any) {
		value := appendBytes(appendText(nil, 1, "split.backend"), 2, encodeValue("canary"))
		if _, err := ask(conn, "kong.log.set_serialize_value", value); err != nil {
			t.Error(err)
		}
	}
	g := startGateway(t, oneRoute(b.URL, "", fmt.Sprintf("plugins: [{name: fake}, {name: file-log, config: {path: %s}}]", path)),
		Options{PluginServers: p.server()})
	fetch(t, g, "GET", "/r?q=1", "Authorization: secret")
	fetch(t, g, "GET", "/r")
	g.http.workers[0].requests.Wait()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	var got struct {
		Split    struct{ Backend string }
		Request  struct{ Headers, Querystring map[string]string }
		Response struct{ Status int }
		Tries    []struct{ IP string }
		Service  struct{ Name string }
	}
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	if got.Split.Backend != "canary" || got.Request.Headers["authorization"] != "REDACTED" ||
		got.Request.Querystring["q"] != "1" || got.Response.Status != 200 || got.Service.Name != "service" ||
		len(got.Tries) != 1 || got.Tries[0].IP != "127.0.0.1" {
		t.Errorf("got %s", lines[0])
	}
}
