package standin

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestRedirect has what Kong 3.9.3 answers.
func TestRedirect(t *testing.T) {
	b := startBackend(t, "b")
	for _, tt := range []struct{ config, target, want string }{
		{`location: "http://other.example:8080/x y", status_code: 307`, "/r/a?b", "307 http://other.example:8080/x y"},
		{`location: "https://Example.org:443/base?x#f", keep_incoming_path: true`, "/r/a%20b/%7Bx%7D?q=%20'a&b", "301 https://example.org/r/a%20b/%7Bx%7D?q=%20%27a&b#f"},
		{`location: "http://h:80", keep_incoming_path: true`, "/r?", "301 http://h/r"},
		{`location: "http://u:p@h:443", keep_incoming_path: true`, "/r/%c3%bc", "301 http://u:p@h:443/r/%C3%BC"},
	} {
		g := startGateway(t, oneRoute(b.URL, "", "plugins: [{name: redirect, config: {"+tt.config+"}}]"), Options{})
		response, body := fetch(t, g, "GET", tt.target)
		got := response.Status[:3] + " " + response.Header.Get("Location")
		if got != tt.want || body != "redirecting" || response.Header["Content-Type"] != nil {
			t.Errorf("%s, %s: got %s %q %v", tt.config, tt.target, got, body, response.Header)
		}
	}
}

func TestResponseTransformer(t *testing.T) {
	b := startBackendWith(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-One"] = []string{"1", "2"}
		w.Header().Set("X-Two", "2")
		w.Header().Set("Server", "backend")
	})
	for _, tt := range []struct {
		config string
		want   []string // X-One, X-Two, X-New, Server, Content-Type
	}{
		{"remove: {headers: [x-one, X-None]}", []string{"", "2", "", "backend", "absent"}},
		{"rename: {headers: ['X-One:X-New']}", []string{"", "2", "1|2", "backend", "absent"}},
		{"replace: {headers: ['X-One:a:b', 'X-New:n']}", []string{"a:b", "2", "", "backend", "absent"}},
		{"add: {headers: ['X-One:a', 'X-New: n ']}", []string{"1|2", "2", "n", "backend", "absent"}},
		{"append: {headers: ['X-One:a', 'X-New:n', 'X-New:m']}", []string{"1|2|a", "2", "n|m", "backend", "absent"}},
		// What was removed does not come back, as add asks of what there was.
		{"remove: {headers: [X-Two, Server]}, add: {headers: ['X-Two:a', 'Content-Type:t/x']}", []string{"1|2", "", "", "kong/3.9.3", "t/x"}},
	} {
		g := startGateway(t, oneRoute(b.URL, "", "plugins: [{name: response-transformer, config: {"+tt.config+"}}]"), Options{})
		response, _ := fetch(t, g, "GET", "/r")
		var got []string
		for _, name := range []string{"X-One", "X-Two", "X-New", "Server"} {
			got = append(got, strings.Join(response.Header.Values(name), "|"))
		}
		kind := "absent"
		if values := response.Header.Values("Content-Type"); len(values) > 0 {
			kind = values[0]
		}
		if got = append(got, kind); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.config, got, tt.want)
		}
	}
}

// TestResponseTransformerOfOwnAnswers changes what Kong itself answers, too.
func TestResponseTransformerOfOwnAnswers(t *testing.T) {
	for _, plugin := range []string{"", "{name: request-termination, config: {status_code: 404, message: x}}, "} {
		g := startGateway(t, oneRoute("http://127.0.0.1:1", "retries: 0", "plugins: ["+plugin+
			"{name: response-transformer, config: {add: {headers: ['X-Add:1']}, replace: {headers: ['content-type:text/x']}}}]"), Options{})
		response, _ := fetch(t, g, "GET", "/r")
		if response.Header.Get("X-Add") != "1" || response.Header.Get("Content-Type") != "text/x" {
			t.Errorf("%s: got %v", response.Status, response.Header)
		}
	}
}

func TestRequestTransformer(t *testing.T) {
	b := startBackend(t, "b")
	for _, tt := range []struct {
		config string
		want   string // what the Service gets: URI, Host, X-One, X-New
	}{
		{"remove: {headers: [x-one, host]}", "/ " + b.address() + " [] []"},
		{"rename: {headers: ['X-One:X-New']}", "/ " + b.address() + " [] [1 2]"},
		{"replace: {headers: ['X-One:a:b', 'X-New:n']}", "/ " + b.address() + " [a:b] []"},
		{"replace: {headers: ['Host:other.example']}", "/ other.example [1 2] []"},
		{"add: {headers: ['X-One:a', 'X-New:n', 'Host:no.example']}", "/ " + b.address() + " [1 2] [n]"},
		{"append: {headers: ['X-One:a', 'X-New:n']}", "/ " + b.address() + " [1 2 a] [n]"},
		{"replace: {uri: /else/where}", "/else/where " + b.address() + " [1 2] []"},
		{"remove: {headers: [X-One]}, add: {headers: ['X-One:a']}", "/ " + b.address() + " [a] []"},
	} {
		g := startGateway(t, oneRoute(b.URL, "", "plugins: [{name: request-transformer, config: {"+tt.config+"}}]"), Options{})
		response, _ := fetch(t, g, "GET", "/r", "X-One: 1", "X-One: 2")
		if response.StatusCode != 200 {
			t.Errorf("%s: %s", tt.config, response.Status)
			continue
		}
		r := <-b.last
		got := strings.Join([]string{
			r.RequestURI, r.Host, "[" + strings.Join(r.Header.Values("X-One"), " ") + "]",
			"[" + strings.Join(r.Header.Values("X-New"), " ") + "]",
		}, " ")
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.config, got, tt.want)
		}
	}
}

// TestTransformationsThatAreNotDone are refused, not left out.
func TestTransformationsThatAreNotDone(t *testing.T) {
	b := startBackend(t, "b")
	for _, row := range []string{
		"{name: response-transformer, config: {add: {json: ['a:1']}}}",
		"{name: request-transformer, config: {add: {querystring: ['a:1']}}}",
		"{name: request-transformer, config: {remove: {body: [a]}}}",
		"{name: request-transformer, config: {http_method: POST}}",
		"{name: request-transformer, config: {replace: {uri: '/$(uri_captures[1])'}}}",
		"{name: request-transformer, config: {add: {headers: ['a:$(headers.b)']}}}",
	} {
		g := startGateway(t, oneRoute(b.URL, "", "plugins: ["+row+"]"), Options{})
		if response, _ := fetch(t, g, "GET", "/r"); response.StatusCode != 500 {
			t.Errorf("%s: %s", row, response.Status)
		}
	}
}
