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
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A gateway is the stand-in or a real Kong, set up by the same variables.
type gateway struct {
	proxy, admin string // addresses
	stream       int    // a port

	kong, prefix string // Kong's executable; empty: the stand-in, which is
	standin      *exec.Cmd
	ended        chan error // then
	env          []string
}

// startGateway starts a gateway for a run, whose plugin server is there already.
func startGateway(ctx context.Context, o Options, bin string, r *run) (*gateway, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	g := &gateway{
		proxy: fmt.Sprintf("127.0.0.1:%d", ports[0]), admin: fmt.Sprintf("127.0.0.1:%d", ports[1]), stream: ports[2],
		kong: o.Kong, prefix: filepath.Join(r.dir, "kong"),
	}
	r.config.stream = g.stream
	file := filepath.Join(r.dir, "kong.yml")
	if err := os.WriteFile(file, []byte(r.config.text()), 0o644); err != nil {
		return nil, err
	}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "KONG_") {
			g.env = append(g.env, entry)
		}
	}
	g.env = append(g.env,
		"KONG_ADMIN_GUI_LISTEN=off",
		"KONG_ADMIN_LISTEN="+g.admin,
		"KONG_ANONYMOUS_REPORTS=off",
		"KONG_DATABASE=off",
		"KONG_DECLARATIVE_CONFIG="+file,
		"KONG_LOG_LEVEL=notice",
		"KONG_NGINX_WORKER_PROCESSES="+strconv.Itoa(o.Workers),
		"KONG_PLUGINS=traffic-split",
		"KONG_PLUGINSERVER_NAMES=traffic-split",
		"KONG_PLUGINSERVER_TRAFFIC_SPLIT_QUERY_CMD=cat "+r.server.info,
		"KONG_PLUGINSERVER_TRAFFIC_SPLIT_SOCKET="+r.server.socket,
		"KONG_PREFIX="+g.prefix,
		"KONG_PROXY_LISTEN="+g.proxy,
		"KONG_STATUS_LISTEN=off",
		fmt.Sprintf("KONG_STREAM_LISTEN=127.0.0.1:%d", g.stream),
	)
	if u, err := user.Current(); err == nil && u.Uid == "0" {
		g.env = append(g.env, "KONG_NGINX_USER="+u.Username) // who may use the socket
	}
	return g, g.start(ctx, bin, r.dir)
}

func (g *gateway) start(ctx context.Context, bin, dir string) error {
	if g.kong != "" {
		if err := g.command(ctx, "start"); err != nil {
			return err
		}
		return await("Kong", g.serves)
	}
	log, err := os.Create(filepath.Join(dir, "standin.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	g.standin = exec.Command(filepath.Join(bin, "splitctl"), "standin")
	g.standin.Env, g.standin.Stdout, g.standin.Stderr = g.env, log, log
	if err := g.standin.Start(); err != nil {
		return err
	}
	g.ended = make(chan error, 1)
	go func() { g.ended <- g.standin.Wait() }()
	if err := await("the stand-in", g.serves); err != nil {
		text, _ := os.ReadFile(log.Name())
		return errors.Join(fmt.Errorf("%w:\n%s", err, text), g.stop())
	}
	return nil
}

// command runs a command of Kong's executable.
func (g *gateway) command(ctx context.Context, name string) error {
	cmd := exec.CommandContext(ctx, g.kong, name, "-p", g.prefix)
	cmd.Env = g.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kong %s: %w\n%s", name, err, out)
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
	for end := time.Now().Add(patience); errors.Is(err, errExiting) && time.Now().Before(end); {
		taken, err = g.postOnce(ctx, declarative)
	}
	return taken, err
}

func (g *gateway) postOnce(ctx context.Context, declarative string) (taken bool, err error) {
	body, err := json.Marshal(map[string]string{"config": declarative})
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
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
	if g.kong != "" {
		return g.command(ctx, "reload")
	}
	return g.standin.Process.Signal(syscall.SIGHUP)
}

func (g *gateway) stop() error {
	http.DefaultClient.CloseIdleConnections()
	if g.kong != "" {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return g.command(ctx, "stop")
	}
	_ = g.standin.Process.Signal(syscall.SIGTERM) // or it has ended
	select {
	case err := <-g.ended:
		return err
	case <-time.After(patience):
		return errors.Join(errors.New("the stand-in does not end"), g.standin.Process.Kill())
	}
}

// await asks again and again until the answer is yes.
func await(what string, happened func() bool) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if happened() {
			return nil
		}
	}
	return fmt.Errorf("%s: it did not come within %v", what, patience)
}

// freePorts finds ports that nobody listens on.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // once all are found, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
