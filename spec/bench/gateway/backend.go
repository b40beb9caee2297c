package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"kong-traffic-split/spec/bench/kong"
)

// backendNames are the backends, each of which listens on a port of its own.
var backendNames = []string{"a", "b"}

// answer is what a backend answers with, in nginx's variables: who it is, and what of
// the request shows whether the contestant has done its part.
const answer = `%s $http_host $uri variant=$http_x_variant debug=$http_x_debug`

// backendConfig is nginx's, for backends on ports.
func backendConfig(ports []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `daemon off;
master_process off;
pid backend.pid;
error_log backend.log warn;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  default_type text/plain;
  client_body_temp_path tmp;
  proxy_temp_path tmp;
  fastcgi_temp_path tmp;
  uwsgi_temp_path tmp;
  scgi_temp_path tmp;
`)
	for i, name := range backendNames {
		fmt.Fprintf(&b, "  server { listen 127.0.0.1:%d; location / { return 200 \"%s\"; } }\n", ports[i], fmt.Sprintf(answer, name))
	}
	b.WriteString("}\n")
	return b.String()
}

// startBackends starts nginx from Kong's own executable, and waits until it listens.
// The end is the caller's to call.
func startBackends(ctx context.Context, master int, dir string, ports []int) (end func() error, err error) {
	executable, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", master))
	if err != nil {
		return nil, fmt.Errorf("finding Kong's nginx as Linux tells it: %w", err)
	}
	config := filepath.Join(dir, "backend.conf")
	if err := os.WriteFile(config, []byte(backendConfig(ports)), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, executable, "-p", dir, "-c", config, "-e", filepath.Join(dir, "backend.log"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	end = func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // or it has ended
		err := <-ended
		if ctx.Err() != nil { // which has killed it
			return nil
		}
		return err
	}
	var failed error
	err = kong.Await("the backend", func() bool {
		select {
		case failed = <-ended:
			ended <- failed
			return true
		default:
		}
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	if failed != nil {
		return nil, fmt.Errorf("the nginx of Kong, %s, does not run by itself as a backend: %w\n%s", executable, failed, &said)
	}
	if err != nil {
		return nil, errors.Join(err, end())
	}
	return end, nil
}
