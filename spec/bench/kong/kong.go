// Package kong runs a real Kong for the measurements. It owns its environment, its
// commands, and the wait for what it needs.
package kong

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Patience is how long anything may take that has to come: an answer, a metric, the
// readiness of a process. On a machine that is busy with other things, a reload takes Kong
// half of it.
const Patience = time.Minute

// A Kong is one that may run: without a database, and with nothing listening but
// what its settings say.
type Kong struct {
	Executable string // of Kong's command
	Prefix     string // a folder that Kong makes
	Config     string // a file in Kong's declarative format
	Workers    int
	Settings   map[string]string // more of Kong's, as its environment has them
}

// Environment is this process's own, with the settings of Kong in place of those that
// it may have.
func (k Kong) Environment() (env []string) {
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "KONG_") {
			env = append(env, entry)
		}
	}
	all := map[string]string{
		"KONG_ADMIN_GUI_LISTEN":       "off",
		"KONG_ANONYMOUS_REPORTS":      "off",
		"KONG_DATABASE":               "off",
		"KONG_DECLARATIVE_CONFIG":     k.Config,
		"KONG_LOG_LEVEL":              "notice",
		"KONG_NGINX_WORKER_PROCESSES": strconv.Itoa(k.Workers),
		"KONG_PREFIX":                 k.Prefix,
		"KONG_STATUS_LISTEN":          "off",
	}
	if u, err := user.Current(); err == nil && u.Uid == "0" {
		all["KONG_NGINX_USER"] = u.Username // who may use the plugin server's socket
	}
	maps.Copy(all, k.Settings)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		env = append(env, name+"="+all[name])
	}
	return env
}

// Command runs a command of Kong's: start, reload or stop.
func (k Kong) Command(ctx context.Context, name string) error {
	cmd := exec.CommandContext(ctx, k.Executable, name, "-p", k.Prefix)
	cmd.Env = k.Environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kong %s: %w\n%s", name, err, out)
	}
	return nil
}

// Stop is kong stop, whatever has been cancelled.
func (k Kong) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return k.Command(ctx, "stop")
}

// Master is the process id of nginx's master, once Kong has started.
func (k Kong) Master() (int, error) {
	text, err := os.ReadFile(filepath.Join(k.Prefix, "pids", "nginx.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Await asks again and again until the answer is yes.
func Await(what string, happened func() bool) error {
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if happened() {
			return nil
		}
	}
	return fmt.Errorf("%s: it did not come within %v", what, Patience)
}

// FreePorts finds ports of loopback that nobody listens on.
func FreePorts(n int) (ports []int, err error) {
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
