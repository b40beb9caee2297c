package httproute_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// kongPath is the executable of a real Kong, by which the forms are tried, too; empty: none.
// Its plugin server would have to be another one for each split file, so it has no splits.
var kongPath = os.Getenv("SPEC_KONG")

// startKong starts a real Kong with one worker, for a plugin server that listens on a socket.
func (s *stage) startKong(f form, socket string) (*kong, error) {
	var ports [2]string
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		ports[i] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	k := &kong{proxy: "127.0.0.1:" + ports[0], admin: "127.0.0.1:" + ports[1], prefix: filepath.Join(s.dir, "kong-"+string(f.to)+"-"+f.flavor)}
	cmd := exec.Command(kongPath, "start", "-p", k.prefix)
	cmd.Env = append(os.Environ(),
		"KONG_ADMIN_GUI_LISTEN=off", "KONG_ADMIN_LISTEN="+k.admin, "KONG_PROXY_LISTEN="+k.proxy, "KONG_STATUS_LISTEN=off",
		"KONG_ANONYMOUS_REPORTS=off", "KONG_DATABASE=off", "KONG_LOG_LEVEL=info", "KONG_NGINX_WORKER_PROCESSES=1", "KONG_NGINX_USER=root",
		"KONG_PLUGINS=bundled,traffic-split", "KONG_PLUGINSERVER_NAMES=traffic-split", "KONG_ROUTER_FLAVOR="+f.flavor,
		"KONG_PLUGINSERVER_TRAFFIC_SPLIT_QUERY_CMD=cat "+filepath.Join(s.dir, "dump"), "KONG_PLUGINSERVER_TRAFFIC_SPLIT_SOCKET="+socket,
	)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return k, await(func() bool { return strings.Contains(k.log(), "is ready to accept events") })
}

// kong is a real one.
type kong struct{ proxy, admin, prefix string }

func (k *kong) ProxyAddr() string { return k.proxy }
func (k *kong) AdminAddr() string { return k.admin }

func (k *kong) Close() error { return exec.Command(kongPath, "stop", "-p", k.prefix).Run() }

func (k *kong) log() string {
	text, _ := os.ReadFile(filepath.Join(k.prefix, "logs", "error.log")) // not there before the start
	return string(text)
}

// reconfigured waits until the worker has the configuration that was posted when the log was
// that long.
func (k *kong) reconfigured(logged int) error {
	return await(func() bool { return strings.Contains(k.log()[logged:], "declarative reconfigure took") })
}

func await(done func() bool) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if done() {
			return nil
		}
	}
	return errors.New("waited too long")
}
