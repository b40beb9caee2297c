//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/server"
)

// A supervisor is told, as systemd is, how a server does.
type supervisor struct {
	t    *testing.T
	sock *net.UnixConn
	path string
}

func newSupervisor(t *testing.T) *supervisor {
	t.Helper()
	path := filepath.Join(filepath.Dir(socketPath(t)), "notify")
	sock, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sock.Close() })
	raw, err := sock.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err != nil {
		t.Fatal(err)
	}
	return &supervisor{t, sock, path}
}

// start starts a server that has this supervisor, whose watchdog has so much time.
func (v *supervisor) start(watchdog time.Duration, socket *os.File, args ...string) *serving {
	v.t.Helper()
	env := []string{"NOTIFY_SOCKET=" + v.path}
	if watchdog > 0 {
		env = append(env, fmt.Sprint("WATCHDOG_USEC=", watchdog.Microseconds()))
	}
	return startIn(v.t, env, socket, args...)
}

// told waits for a message of s that matches, and returns it. All have to come from the
// process that was started, as systemd takes none of others.
func (v *supervisor) told(s *serving, pattern string) string {
	v.t.Helper()
	text := regexp.MustCompile(`(?s)^` + pattern + `$`)
	var all []string
	for end := time.Now().Add(patience); ; {
		_ = v.sock.SetReadDeadline(end)
		buf, oob := make([]byte, 4<<10), make([]byte, 1<<10)
		n, oobn, _, _, err := v.sock.ReadMsgUnix(buf, oob)
		if err != nil {
			v.t.Fatalf("waiting for %s: %v, after %q\n%s", pattern, err, all, s.log)
		}
		controls, _ := unix.ParseSocketControlMessage(oob[:oobn])
		if len(controls) == 0 {
			v.t.Fatal("a message without its sender")
		}
		if from, err := unix.ParseUnixCredentials(&controls[0]); err != nil || int(from.Pid) != s.cmd.Process.Pid {
			v.t.Fatalf("process %v has sent %q, and not %d: %v", from, buf[:n], s.cmd.Process.Pid, err)
		}
		if all = append(all, string(buf[:n])); text.MatchString(all[len(all)-1]) {
			return all[len(all)-1]
		}
	}
}

// descendants are the processes below pid.
func descendants(pid int) (all []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(append(all, child), descendants(child)...)
			}
		}
	}
	return all
}

func TestASupervisorIsTold(t *testing.T) {
	for name, args := range map[string][]string{
		"supervise":                   nil,
		"supervise, on its socket":    nil,
		"supervise, takes over":       {"-takeover"},
		"no supervise":                {"-supervise=false"},
		"no supervise, on its socket": {"-supervise=false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, path := newSupervisor(t), socketPath(t)
			var socket *os.File
			if strings.HasSuffix(name, "on its socket") {
				socket = handedOver(t, path)
			}
			s := v.start(3*time.Second, socket, append(args, "-socket", path)...)
			ready := v.told(s, `READY=1\nSTATUS=Serves on `+regexp.QuoteMeta(path)+`.*`)
			if err := server.Healthcheck(t.Context(), path, plugin.Name); err != nil {
				t.Errorf("it is ready, and: %v", err)
			}
			children := descendants(s.cmd.Process.Pid)
			for _, pid := range children {
				environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
				if err != nil || regexp.MustCompile(`NOTIFY_SOCKET|WATCHDOG_|LISTEN_(PID|FDS)=`).Match(environ) {
					t.Errorf("process %d inherits the supervisor, or: %v", pid, err)
				}
			}
			if args == nil && (len(children) != 1 || !strings.HasSuffix(ready, fmt.Sprint(" by process ", children[0]))) {
				t.Errorf("it is told %q, and the children are %v", ready, children)
			}
			v.told(s, "WATCHDOG=1")
			v.told(s, "WATCHDOG=1") // and again
			s.signal(syscall.SIGTERM)
			v.told(s, `STOPPING=1\n.*`)
			if code := s.ends(); code != 0 {
				t.Errorf("it ends with %d:\n%s", code, s.log)
			}
		})
	}
}

// A server that stands by for one that serves does what it is started for. Of one that
// stands by for one that does not answer, systemd is not to believe that it is at work.
func TestASupervisorOfAServerThatStandsBy(t *testing.T) {
	for _, supervise := range []string{"true", "false"} {
		t.Run("supervise="+supervise, func(t *testing.T) {
			t.Parallel()
			first, second, path := newSupervisor(t), newSupervisor(t), socketPath(t)
			one := first.start(0, nil, "-socket", path)
			first.told(one, `READY=1\n.*`)
			two := second.start(3*time.Second, nil, "-socket", path, "-supervise="+supervise)
			second.told(two, fmt.Sprintf(`READY=1\nSTATUS=Stands by for process %d, which serves on .*`, one.cmd.Process.Pid))
			second.told(two, "WATCHDOG=1")

			for _, pid := range append(descendants(one.cmd.Process.Pid), one.cmd.Process.Pid) {
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
			}
			hung := fmt.Sprintf(`STATUS=Stands by for process %d, which has .* and does not answer: no answer within 1s`, one.cmd.Process.Pid)
			second.told(two, hung)
			third := newSupervisor(t)
			three := third.start(0, nil, "-socket", path, "-supervise="+supervise)
			third.told(three, hung) // the first thing that it is told
			three.signal(syscall.SIGTERM)
			third.told(three, `STOPPING=1\n.*`)
			three.ends()

			for _, pid := range append(descendants(one.cmd.Process.Pid), one.cmd.Process.Pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			second.told(two, `READY=1\nSTATUS=Serves on .*`)
		})
	}
}

// One from which another server takes over goes on as what it is: it stands by.
func TestASupervisorOfAServerThatIsSucceeded(t *testing.T) {
	t.Parallel()
	first, second, path := newSupervisor(t), newSupervisor(t), socketPath(t)
	one := first.start(3*time.Second, nil, "-socket", path)
	first.told(one, `READY=1\nSTATUS=Serves on .*`)
	two := second.start(0, nil, "-socket", path, "-takeover")
	second.told(two, `READY=1\nSTATUS=Serves on .*`)
	first.told(one, fmt.Sprintf(`READY=1\nSTATUS=Stands by for process %d, .*`, two.cmd.Process.Pid))
	first.told(one, "WATCHDOG=1")
	two.signal(syscall.SIGTERM)
	second.told(two, `STOPPING=1\n.*`)
	first.told(one, `READY=1\nSTATUS=Serves on .*`)
	one.signal(syscall.SIGTERM)
	first.told(one, `STOPPING=1\n.*`)
}

func TestASupervisorOfAServerWhoseProcessHangs(t *testing.T) {
	t.Parallel()
	v, path := newSupervisor(t), socketPath(t)
	s := v.start(0, nil, "-socket", path, "-hang-timeout", "1s")
	v.told(s, `READY=1\n.*`)
	children := descendants(s.cmd.Process.Pid)
	if len(children) != 1 {
		t.Fatalf("the children are %v", children)
	}
	if err := syscall.Kill(children[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	v.told(s, `STATUS=No process serves on .*; 0 have died and 1 hung, the last one at 20.*`)
	v.told(s, `READY=1\nSTATUS=Serves on .*; 0 have died and 1 hung, the last one at 20.*`)
	s.answers(path)
}

// What ends a server is the last thing that its supervisor is told.
func TestASupervisorOfAServerThatCannotStart(t *testing.T) {
	t.Parallel()
	v := newSupervisor(t)
	s := v.start(0, nil, "-socket", "/no/such/folder/s")
	v.told(s, `STATUS=Ends: socket /no/such/folder/s: its folder has to exist and be writable: .*`)
	if code := s.ends(); code != 1 {
		t.Errorf("it ends with %d", code)
	}
}
