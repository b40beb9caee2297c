//go:build linux

package main

import (
	"bytes"
	"flag"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mainEnv makes the test executable the plugin server; with the value "activated"
// as one that systemd has started.
const mainEnv = "TRAFFIC_SPLIT_TEST_MAIN"

// patience bounds what a test waits for.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	switch os.Getenv(mainEnv) {
	case "":
		_ = flag.Set("test.parallel", "8") // they wait for processes more than they work
		os.Exit(m.Run())
	case "activated":
		_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())) // only the process itself knows
		_ = os.Setenv("LISTEN_FDS", "1")
	}
	main()
}

// serving is a plugin server that runs.
type serving struct {
	t   *testing.T
	cmd *exec.Cmd
	log *logs
}

// logs is what a server has logged so far.
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

func start(t *testing.T, socket *os.File, args ...string) *serving {
	t.Helper()
	return startIn(t, nil, socket, args...)
}

// startIn starts a server in an environment that has env, too.
func startIn(t *testing.T, env []string, socket *os.File, args ...string) *serving {
	t.Helper()
	s := &serving{t: t, cmd: exec.Command(os.Args[0], args...), log: new(logs)}
	s.cmd.Env = slices.Concat(os.Environ(), env, []string{"GORACE=atexit_sleep_ms=0", mainEnv + "=1"})
	if socket != nil {
		s.cmd.Env = append(s.cmd.Env, mainEnv+"=activated")
		s.cmd.ExtraFiles = []*os.File{socket}
	}
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	return s
}

// ends waits for the end, and returns the exit code.
func (s *serving) ends() int {
	s.t.Helper()
	late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

func (s *serving) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// answers waits until the server at path answers as one does.
func (s *serving) answers(path string) {
	s.t.Helper()
	s.await("it answers", func() bool { return run(options{socket: path, healthcheck: true}, os.Stdout) == nil })
}

// says waits for a text in the log.
func (s *serving) says(text string) {
	s.t.Helper()
	s.await("it says "+text, func() bool { return strings.Contains(s.log.String(), text) })
}

func (s *serving) await(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) { // nothing tells
		if time.Now().After(end) {
			s.t.Fatalf("waiting until %s:\n%s", what, s.log)
		}
	}
}

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ts")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestASocketThatSystemdHandsOver(t *testing.T) {
	t.Parallel()
	for _, supervise := range []string{"true", "false"} {
		t.Run("supervise="+supervise, func(t *testing.T) {
			path := socketPath(t)
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			file, err := l.File()
			if err != nil {
				t.Fatal(err)
			}
			s := start(t, file, "-socket", path+"-other", "-supervise="+supervise)
			_, _ = file.Close(), l.Close() // the server has it
			s.answers(path)
			if supervise == "true" {
				s.signal(syscall.SIGUSR2) // its executable may get the socket's descriptor
				s.await("it is upgraded", func() bool { return strings.Contains(s.log.String(), "msg=upgraded") })
			}
			s.answers(path)
			s.signal(syscall.SIGTERM)
			if code := s.ends(); code != 0 {
				t.Errorf("it ends with %d:\n%s", code, s.log)
			}
			if strings.Contains(s.log.String(), "level=ERROR") {
				t.Errorf("its log:\n%s", s.log)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("the socket is systemd's: %v", err)
			}
		})
	}
}

func TestTheSocketsModeAndOwner(t *testing.T) {
	t.Parallel()
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, supervise := range []string{"true", "false"} {
		for mode, want := range map[string]fs.FileMode{"": 0o660, "0622": 0o622} {
			path := socketPath(t)
			args := []string{"-socket", path, "-supervise=" + supervise, "-socket-owner", self.Uid + ":" + self.Gid}
			if mode != "" {
				args = append(args, "-socket-mode", mode)
			}
			s := start(t, nil, args...)
			s.answers(path)
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			owner := info.Sys().(*syscall.Stat_t)
			if got := info.Mode().Perm(); got != want {
				t.Errorf("-socket-mode %q: %o, want %o", mode, got, want)
			}
			if got := strconv.Itoa(int(owner.Uid)) + ":" + strconv.Itoa(int(owner.Gid)); got != self.Uid+":"+self.Gid {
				t.Errorf("it belongs to %s", got)
			}
			// Successors get connections and saved state: nobody else may ask for them.
			if info, err := os.Lstat(path + ".keeper"); supervise == "true" && (err != nil || info.Mode() != fs.ModeSocket|0o600) {
				t.Errorf("the socket for successors: %v, %v", info, err)
			}
			s.signal(syscall.SIGINT)
			if code := s.ends(); code != 0 {
				t.Errorf("it ends with %d:\n%s", code, s.log)
			}
		}
	}
}

// The root user may give a socket away.
func TestTheSocketOfAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root may give a socket away")
	}
	path := socketPath(t)
	start(t, nil, "-socket", path, "-socket-owner", "12345:54321").answers(path)
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 12345 || owner.Gid != 54321 {
		t.Errorf("it belongs to %d:%d", owner.Uid, owner.Gid)
	}
}

func TestWhatKeepsTheServerFromStarting(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		code int
		log  string
	}{
		"a mode that is none":        {[]string{"-socket-mode", "rw"}, 2, `invalid value "rw" for flag -socket-mode: not a mode such as 0660`},
		"a port without an address":  {[]string{"-status-listen", "8007"}, 2, `invalid value "8007" for flag -status-listen: not an address and a port such as 127.0.0.1:8007`},
		"a port that is none":        {[]string{"-status-listen", "127.0.0.1:80070"}, 2, `invalid value "127.0.0.1:80070" for flag -status-listen: port "80070" is not in 0..65535`},
		"a name with a port":         {[]string{"-status-host", "split.example.com:8007"}, 2, `invalid value "split.example.com:8007" for flag -status-host: not a host name such as split.example.com, without a port`},
		"a user who is none":         {[]string{"-socket-owner", "no-such-user"}, 1, "the socket's user: user: unknown user no-such-user"},
		"split files that are none":  {[]string{"-file", "/no/such/file"}, 1, "traffic-split: -file /no/such/file:"},
		"a folder that is not there": {[]string{"-socket", "/no/such/folder/s"}, 1, "its folder has to exist and be writable"},
	} {
		for _, supervise := range []string{"true", "false"} {
			s := start(t, nil, append([]string{"-supervise=" + supervise, "-socket", socketPath(t)}, tt.args...)...)
			if code := s.ends(); code != tt.code {
				t.Errorf("%s, supervise=%s: it ends with %d, want %d", name, supervise, code, tt.code)
			}
			if got := s.log.String(); strings.Count(got, tt.log) != 1 {
				t.Errorf("%s, supervise=%s: the log does not have %q once:\n%s", name, supervise, tt.log, got)
			}
		}
	}
}

// Where the split files are wrong, or gone, by the time another server takes the
// place, that one goes on with the splits from before, and so does its next process.
func TestAServerIsSucceededWhileTheSplitFileIsWrong(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	splits := filepath.Join(filepath.Dir(path), "splits.yaml")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(splits, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("splits: {a: {backends: [{host: a}]}}\n")
	former := start(t, nil, "-socket", path, "-file", splits)
	former.answers(path)
	former.says("splits read")

	write("splits: 1\n")
	former.says("the split file is wrong; the splits from before stay in use")
	next := start(t, nil, "-takeover", "-socket", path, "-file", splits)
	next.says("the split file is wrong; the splits from before stay in use")
	next.says(splits + ":1:9: splits: expected a map, not 1")
	former.says("this one is no longer needed")
	next.answers(path)
	former.signal(syscall.SIGTERM)
	if code := former.ends(); code != 0 {
		t.Errorf("the former one ends with %d:\n%s", code, former.log)
	}

	if err := os.Remove(splits); err != nil {
		t.Fatal(err)
	}
	next.says(splits + ": no such file or directory")
	next.signal(syscall.SIGUSR2)
	next.says("msg=upgraded")
	next.answers(path)
	write("splits: {b: {backends: [{host: b}]}}\n")
	next.says("added=[b] removed=[a]")
	next.answers(path)
}
