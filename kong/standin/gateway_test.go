package standin

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startGateway runs a gateway on free ports until the test ends.
func startGateway(t *testing.T, config string, o Options) *Gateway {
	t.Helper()
	file := t.TempDir() + "/kong.yml"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	o.DeclarativeConfig = file
	if o.ProxyListen == "" {
		o.ProxyListen = "127.0.0.1:0"
	}
	o.AdminListen = "127.0.0.1:0"
	o.Prefix = t.TempDir()
	if o.ErrorLog == nil {
		o.ErrorLog = &testLog{t: t}
	}
	if o.Workers == 0 {
		o.Workers = 1
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// testLog shows the error log with the test, and keeps it.
type testLog struct {
	t    *testing.T
	mu   sync.Mutex
	text strings.Builder
}

func (l *testLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Log(strings.TrimSpace(string(line)))
	return l.text.Write(line)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// shortDir is a folder whose path leaves room for the name of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// rawClient is a connection of a client that sends what it is told.
type rawClient struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func dialRaw(t *testing.T, g *Gateway) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", g.ProxyAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &rawClient{t, conn, bufio.NewReader(conn)}
}

// get sends a request and returns the status of the answer.
func (c *rawClient) get(target string, header ...string) int {
	c.t.Helper()
	response, _ := c.send("GET "+target+" HTTP/1.1", header...)
	return response.StatusCode
}

// send sends a request without a body and reads the answer with its body.
func (c *rawClient) send(line string, header ...string) (*http.Response, string) {
	c.t.Helper()
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	lines := append([]string{line}, header...)
	if _, err := io.WriteString(c.conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response, string(body)
}

// postConfig gives the gateway another configuration.
func postConfig(t *testing.T, g *Gateway, config string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"config": config})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post("http://"+g.AdminAddr()+"/config", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if response.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(response.Body)
		t.Fatalf("POST /config: %s: %s", response.Status, text)
	}
}

// await asks again and again until the answer is yes.
func await(t *testing.T, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
	}
}
