package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pdk "github.com/Kong/go-pdk"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// quiet logs nowhere.
var quiet = slog.New(slog.DiscardHandler)

// patience bounds what a test waits for, so that a server that hangs fails it.
const patience = 30 * time.Second

// A handler is an instance that is one function.
type handler func(phase string, kong *pdk.PDK) error

func (h handler) Handle(phase string, _ time.Time, kong *pdk.PDK) error { return h(phase, kong) }
func (h handler) Close()                                                {}

// pluginOf returns a plugin whose instances all are h.
func pluginOf(h handler) Plugin {
	return Plugin{
		Name:    "traffic-split",
		Version: "0.1",
		Phases:  []string{"rewrite", "access", "response", "preread", "log"},
		Schema:  []byte(`{"name":"traffic-split","fields":[]}`),
		Start:   func(config []byte) (Instance, error) { return ofRow(h, config), nil },
	}
}

// A rowInstance is an instance of a plugin row.
type rowInstance struct {
	Instance
	id string
}

func (i rowInstance) PluginID() string { return i.id }

// ofRow is an instance as one of the row that a config names.
func ofRow(i Instance, config []byte) Instance {
	var row struct {
		ID string `json:"__plugin_id"`
	}
	_ = json.Unmarshal(config, &row)
	return rowInstance{i, row.ID}
}

// A serving is a server that runs on a Unix socket until the test ends.
type serving struct {
	*Server
	path string
	logs *logs
	stop context.CancelFunc
	end  func() error // waits for Serve, and returns what it returns
}

// serve runs a server of plugin. Changes are made before it runs.
func serve(t testing.TB, plugin Plugin, changes ...func(*Server)) *serving {
	t.Helper()
	path := socketPath(t)
	l, err := Listen(path, Access{Mode: 0o600}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, path, plugin, changes...)
}

func serveOn(t testing.TB, l net.Listener, path string, plugin Plugin, changes ...func(*Server)) *serving {
	t.Helper()
	logs := &logs{}
	s := New(plugin, slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelInfo})))
	s.Drain = 2 * patience // a stop that needs it fails the test
	for _, change := range changes {
		change(s)
	}
	ctx, stop := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx, l) }()
	end := sync.OnceValue(func() error {
		select {
		case err := <-result:
			return err
		case <-time.After(patience):
			return errors.New("Serve does not return")
		}
	})
	t.Cleanup(func() {
		stop()
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return &serving{Server: s, path: path, logs: logs, stop: stop, end: end}
}

// socketPath returns a path for a socket, short enough for one.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ts")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// logs collects what is logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// withoutTime returns what was logged, without the time of each line.
func (l *logs) withoutTime() string {
	return regexp.MustCompile(`(?m)^time=\S+ `).ReplaceAllString(l.String(), "")
}

// A clock stands still until it is advanced.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 11, 23, 6, 22, 55, 0, time.UTC).UnixNano())
	return c
}

// set sets the clock to a time, unless that is zero.
func (c *clock) set(now time.Time) {
	if !now.IsZero() {
		c.nanos.Store(now.UnixNano())
	}
}

func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }
func (c *clock) use(s *Server)           { s.now = func() time.Time { return time.Unix(0, c.nanos.Load()) } }
