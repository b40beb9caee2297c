package deck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTime is how long a program may take to start. The machine may be busy.
const startTime = 2 * time.Minute

// programs are built once.
type programs struct{ deck, splitctl, server string }

func build(t *testing.T) programs {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: decK is not built")
	}
	dir := t.TempDir()
	p := programs{filepath.Join(dir, "deck"), filepath.Join(dir, "splitctl"), filepath.Join(dir, "traffic-split")}
	for out, of := range map[string]string{p.deck: "github.com/kong/deck", p.splitctl: "./cmd/splitctl", p.server: "./cmd/traffic-split"} {
		cmd := exec.Command("go", "build", "-o", out, of)
		if of[0] == '.' {
			cmd.Dir = "../.."
		}
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v\n%s", of, err, text)
		}
	}
	return p
}

// run runs a program to its end, and returns what it has written.
func run(t *testing.T, path string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	return string(out), err
}

// start starts a program that runs until the test ends.
func start(t *testing.T, env []string, path string, args ...string) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), log.String())
		}
	})
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(startTime); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func port(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// gateway is a stand-in or a Kong, with a plugin server beside it.
type gateway struct{ admin string }

// startGateway starts one with a declarative file, or, if that is empty, with a database.
// kong is the executable of a real Kong; empty: it is the stand-in.
func startGateway(t *testing.T, p programs, kong, file string, more ...string) *gateway {
	t.Helper()
	dir, err := os.MkdirTemp("", "deck") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, info := filepath.Join(dir, "s"), filepath.Join(dir, "info.json")
	start(t, nil, p.server, "-socket", socket, "-info-file", info)
	await(t, "the plugin server", func() bool { _, err := os.Stat(info); return err == nil })
	g := &gateway{fmt.Sprintf("http://127.0.0.1:%d", port(t))}
	env := append([]string{
		"KONG_ADMIN_GUI_LISTEN=off", "KONG_ADMIN_LISTEN=" + strings.TrimPrefix(g.admin, "http://"), "KONG_ANONYMOUS_REPORTS=off",
		"KONG_DATABASE=off", "KONG_DECLARATIVE_CONFIG=" + file, "KONG_LOG_LEVEL=info", "KONG_NGINX_WORKER_PROCESSES=2",
		"KONG_PLUGINS=key-auth,request-termination,file-log,traffic-split", "KONG_PLUGINSERVER_NAMES=traffic-split",
		"KONG_PREFIX=" + filepath.Join(dir, "kong"), fmt.Sprintf("KONG_PROXY_LISTEN=127.0.0.1:%d", port(t)), "KONG_STATUS_LISTEN=off",
		"KONG_PLUGINSERVER_TRAFFIC_SPLIT_QUERY_CMD=cat " + info, "KONG_PLUGINSERVER_TRAFFIC_SPLIT_SOCKET=" + socket,
	}, more...)
	if u, err := user.Current(); err == nil && u.Uid == "0" {
		env = append(env, "KONG_NGINX_USER="+u.Username)
	}
	if kong == "" {
		start(t, env, p.splitctl, "standin")
	} else {
		startKong(t, kong, filepath.Join(dir, "kong"), env, len(more) > 0)
	}
	await(t, "the Admin API", func() bool {
		answer, err := http.Get(g.admin + "/plugins")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return g
}

func startKong(t *testing.T, kong, prefix string, env []string, migrate bool) {
	t.Helper()
	commands := [][]string{{"start", "-p", prefix}}
	if migrate {
		commands = append([][]string{{"migrations", "bootstrap", "-p", prefix}}, commands...)
	}
	for _, args := range commands {
		cmd := exec.Command(kong, args...)
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("kong %s: %v\n%s", args[0], err, out)
		}
	}
	t.Cleanup(func() {
		file := filepath.Join(prefix, "pids", "nginx.pid")
		text, _ := os.ReadFile(file)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGTERM)
			await(t, "the end of Kong", func() bool { _, err := os.Stat(file); return errors.Is(err, os.ErrNotExist) })
		}
	})
}

// startPostgres starts a PostgreSQL and returns Kong's settings for it. The test is skipped
// where there is none.
func startPostgres(t *testing.T) []string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		t.Skip("there is no PostgreSQL (Debian: postgresql)")
	}
	dir, err := os.MkdirTemp("", "deckpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	as := func(name string, args ...string) []string {
		return append([]string{filepath.Join(found[0], name)}, args...)
	}
	if os.Getuid() == 0 { // PostgreSQL does not run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("there is no user postgres, and PostgreSQL does not run as root")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		plain := as
		as = func(name string, args ...string) []string {
			return append([]string{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}, plain(name, args...)...)
		}
	}
	data, number := filepath.Join(dir, "data"), strconv.Itoa(port(t))
	initdb := as("initdb", "-D", data, "-A", "trust", "-U", "kong", "--no-sync")
	if out, err := run(t, initdb[0], initdb[1:]...); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := as("postgres", "-D", data, "-p", number, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+dir, "-c", "fsync=off")
	start(t, nil, server[0], server[1:]...)
	await(t, "PostgreSQL", func() bool {
		return exec.Command(filepath.Join(found[0], "createdb"), "-h", "127.0.0.1", "-p", number, "-U", "kong", "kong").Run() == nil
	})
	return []string{
		"KONG_DATABASE=postgres", "KONG_DECLARATIVE_CONFIG=", "KONG_PG_HOST=127.0.0.1", "KONG_PG_PORT=" + number,
		"KONG_PG_USER=kong", "KONG_PG_DATABASE=kong",
	}
}
