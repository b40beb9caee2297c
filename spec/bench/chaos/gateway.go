package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"kong-traffic-split/spec/bench/kong"
)

// A gateway is the stand-in or a real Kong, set up by the same variables.
type gateway struct {
	proxy, admin string // addresses
	stream       int    // a port

	kong    kong.Kong // without an executable: the stand-in, which is
	standin *exec.Cmd
	ended   chan error // then
}

// startGateway starts a gateway for a run, whose plugin server is there already.
func startGateway(ctx context.Context, o Options, bin string, r *run) (*gateway, error) {
	ports, err := kong.FreePorts(3)
	if err != nil {
		return nil, err
	}
	g := &gateway{
		proxy: fmt.Sprintf("127.0.0.1:%d", ports[0]), admin: fmt.Sprintf("127.0.0.1:%d", ports[1]), stream: ports[2],
	}
	r.config.stream = g.stream
	file := filepath.Join(r.dir, "kong.yml")
	if err := os.WriteFile(file, []byte(r.config.text()), 0o644); err != nil {
		return nil, err
	}
	g.kong = kong.Kong{
		Executable: o.Kong, Prefix: filepath.Join(r.dir, "kong"), Config: file, Workers: o.Workers,
		Settings: map[string]string{
			"KONG_ADMIN_LISTEN":                         g.admin,
			"KONG_PLUGINS":                              "traffic-split,post-function",
			"KONG_PLUGINSERVER_NAMES":                   "traffic-split",
			"KONG_PLUGINSERVER_TRAFFIC_SPLIT_QUERY_CMD": "cat " + r.server.info,
			"KONG_PLUGINSERVER_TRAFFIC_SPLIT_SOCKET":    r.server.socket,
			"KONG_PROXY_LISTEN":                         g.proxy,
			"KONG_STREAM_LISTEN":                        fmt.Sprintf("127.0.0.1:%d", g.stream),
		},
	}
	return g, g.start(ctx, bin, r.dir)
}

func (g *gateway) start(ctx context.Context, bin, dir string) error {
	if g.kong.Executable != "" {
		if err := g.kong.Command(ctx, "start"); err != nil {
			return err
		}
		return kong.Await("Kong", g.serves)
	}
	log, err := os.Create(filepath.Join(dir, "standin.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	g.standin = exec.Command(filepath.Join(bin, "splitctl"), "standin")
	g.standin.Env, g.standin.Stdout, g.standin.Stderr = g.kong.Environment(), log, log
	if err := g.standin.Start(); err != nil {
		return err
	}
	g.ended = make(chan error, 1)
	go func() { g.ended <- g.standin.Wait() }()
	if err := kong.Await("the stand-in", g.serves); err != nil {
		text, _ := os.ReadFile(log.Name())
		return errors.Join(fmt.Errorf("%w:\n%s", err, text), g.stop())
	}
	return nil
}

// serves reports whether the gateway takes connections and its Admin API answers.
func (g *gateway) serves() bool {
	conn, err := net.Dial("tcp", g.proxy)
	if err != nil {
		return false
	}
	_ = conn.Close()
	r, err := http.Get("http://" + g.admin + "/status")
	if err != nil {
		return false
	}
	return r.Body.Close() == nil
}

// errExiting is that a worker of Kong's has the request that is about to end.
var errExiting = errors.New("the worker is about to end")

// post gives the gateway another configuration, and reports whether it was taken.
func (g *gateway) post(ctx context.Context, declarative string) (taken bool, err error) {
	err = errExiting
	for end := time.Now().Add(kong.Patience); errors.Is(err, errExiting) && time.Now().Before(end); {
		taken, err = g.postOnce(ctx, declarative)
	}
	return taken, err
}

func (g *gateway) postOnce(ctx context.Context, declarative string) (taken bool, err error) {
	body, err := json.Marshal(map[string]string{"config": declarative})
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, kong.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+g.admin+"/config", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return false, err
	case answer.StatusCode == http.StatusCreated:
		return true, nil
	case answer.StatusCode == http.StatusBadRequest:
		return false, nil
	case answer.StatusCode == http.StatusServiceUnavailable:
		return false, fmt.Errorf("POST /config: %w: %s", errExiting, text)
	}
	return false, fmt.Errorf("POST /config: status %d: %s", answer.StatusCode, text)
}

// reload is kong reload.
func (g *gateway) reload(ctx context.Context) error {
	if g.kong.Executable != "" {
		return g.kong.Command(ctx, "reload")
	}
	return g.standin.Process.Signal(syscall.SIGHUP)
}

func (g *gateway) stop() error {
	http.DefaultClient.CloseIdleConnections()
	if g.kong.Executable != "" {
		return g.kong.Stop()
	}
	_ = g.standin.Process.Signal(syscall.SIGTERM) // or it has ended
	select {
	case err := <-g.ended:
		return err
	case <-time.After(kong.Patience):
		return errors.Join(errors.New("the stand-in does not end"), g.standin.Process.Kill())
	}
}
