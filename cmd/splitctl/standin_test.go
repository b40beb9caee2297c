package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// run runs splitctl until ctx ends, and returns the lines that it writes.
func run(ctx context.Context, t *testing.T, args ...string) (lines <-chan string, ended <-chan error) {
	t.Helper()
	r, w := io.Pipe()
	written, done := make(chan string, 1000), make(chan error, 1)
	go func() {
		text := make([]byte, 4096)
		for {
			n, err := r.Read(text)
			for line := range strings.Lines(string(text[:n])) {
				written <- strings.TrimSpace(line)
			}
			if err != nil {
				close(written)
				return
			}
		}
	}()
	go func() {
		cmd := rootCommand()
		cmd.SetArgs(args)
		cmd.SetErr(w)
		done <- cmd.ExecuteContext(ctx)
		_ = w.Close()
	}()
	return written, done
}

// next waits for a line that matches, and returns its first group.
func next(t *testing.T, lines <-chan string, pattern string) string {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("it ended without a line like %q", pattern)
			}
			if found := regexp.MustCompile(pattern).FindStringSubmatch(line); found != nil {
				return found[len(found)-1]
			}
		case <-timeout:
			t.Fatalf("no line like %q", pattern)
		}
	}
}

// TestStandin starts, reloads and ends a gateway as a user does.
func TestStandin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kong.yml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`_format_version: "3.0"`)
	t.Setenv("KONG_DECLARATIVE_CONFIG", "/nowhere.yml") // the flag wins
	t.Setenv("KONG_LOG_LEVEL", "crit")
	ctx, stop := context.WithCancel(t.Context())
	lines, ended := run(ctx, t, "standin", "--declarative-config", file,
		"--proxy-listen", "127.0.0.1:0", "--stream-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--workers", "2", "--resolve", "a.test=127.0.0.1")
	proxy := next(t, lines, "^proxy listening on (.+)$")
	stream, admin := next(t, lines, "^stream listening on (.+)$"), next(t, lines, "^admin listening on (.+)$")
	get := func(address, path string) (int, string) {
		response, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	if status, _ := get(proxy, "/"); status != 404 {
		t.Errorf("without a route: %d", status)
	}
	// A file that is wrong changes nothing, and says why.
	write("a: [")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	next(t, lines, "^nginx: .error. init_by_lua error: error parsing declarative config file "+regexp.QuoteMeta(file))
	write(fmt.Sprintf(`{_format_version: "3.0", services: [{url: "http://a.test:%[1]s", routes: [{paths: [/]}]},
		{url: "tcp://a.test:%[1]s", routes: [{protocols: [tcp], destinations: [{ip: 127.0.0.1}]}]}]}`,
		admin[strings.LastIndex(admin, ":")+1:]))
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		status, text := get(proxy, "/status")
		if status == 200 && strings.Contains(text, `"reachable":true`) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("got %d %s", status, text)
		}
	}
	if status, _ := get(stream, "/status"); status != 200 {
		t.Errorf("as a stream: %d", status)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestStandinThatCannotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no file", []string{"--declarative-config", "/nowhere.yml"}, "nginx: [error] init_by_lua error: error parsing declarative config file /nowhere.yml:\nopen /nowhere.yml: no such file or directory"},
		{"no dump", []string{"--plugin-query-cmd", "true"}, "nginx: [error] init_by_lua error: failed loading external plugins: failed decoding plugin info: unexpected end of JSON input"},
		{"an address in use", []string{"--proxy-listen", address}, "nginx: [emerg] listen tcp " + address + ": bind: address already in use"},
		{"no worker", []string{"--workers", "0"}, "--workers 0 is less than 1"},
		{"an argument", []string{"now"}, `unknown command "now" for "splitctl standin"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines, ended := run(t.Context(), t, append([]string{"standin", "--proxy-listen", "off", "--admin-listen", "off"}, tt.args...)...)
			for range lines { // until it ends
			}
			if err := <-ended; err == nil || err.Error() != tt.want {
				t.Errorf("got %v", err)
			}
		})
	}
}
