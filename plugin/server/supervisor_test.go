package server

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// supervised sets the environment of a process that has a supervisor at name.
func supervised(t *testing.T, name, pid, usec string) {
	t.Helper()
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_PID", pid)
	t.Setenv("WATCHDOG_USEC", usec)
}

// receiver is a supervisor's socket. What it returns takes the next message; "": there is
// none.
func receiver(t *testing.T, name string) func() string {
	t.Helper()
	addr := &net.UnixAddr{Name: name, Net: "unixgram"}
	sock, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sock.Close() })
	read := func() string {
		t.Helper()
		buf := make([]byte, 4<<10)
		n, err := sock.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	return func() string {
		t.Helper()
		if _, err := sock.WriteToUnix([]byte("end"), addr); err != nil { // comes after what there is
			t.Fatal(err)
		}
		text := read()
		if text == "end" {
			return ""
		}
		if next := read(); next != "end" {
			t.Errorf("after %q it is told %q at once", text, next)
		}
		return text
	}
}

func TestTheSupervisorIsTold(t *testing.T) {
	for _, name := range []string{socketPath(t), "@traffic-split-" + strconv.Itoa(os.Getpid())} {
		if name[0] == '@' && runtime.GOOS != "linux" {
			continue
		}
		got := receiver(t, name)
		supervised(t, name, strconv.Itoa(os.Getpid()), "60000000")
		logs := &logs{}
		s := SupervisorOf(slog.New(slog.NewTextHandler(logs, nil)))
		for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"} {
			if value, ok := os.LookupEnv(name); ok {
				t.Errorf("%s=%s would be inherited", name, value)
			}
		}
		for _, step := range []struct {
			do   func()
			want string
		}{
			{func() { s.Status("Stands by\n for\x1b another") }, "STATUS=Stands by for another"},
			{func() { s.Ready("Serves") }, "READY=1\nSTATUS=Serves"},
			{func() { s.Ready("Serves") }, ""}, // it knows
			{s.Ping, "WATCHDOG=1"},
			{s.Ping, ""}, // a moment later
			{func() { s.Status("Serves") }, "STATUS=Serves"},
			{s.Stopping, "STOPPING=1\nSTATUS=Stops"},
		} {
			step.do()
			if text := got(); text != step.want {
				t.Errorf("it is told %q, want %q", text, step.want)
			}
		}
		if text := logs.String(); text != "" {
			t.Errorf("the log: %s", text)
		}
	}
}

func TestWhatTheEnvironmentSaysOfASupervisor(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		socket, pid, usec string
		is, watches       bool
		log               string
	}{
		{"", own, "60000000", false, false, ""},
		{"/run/s", "", "", true, false, ""},
		{"/run/s", own, "60000000", true, true, ""},
		{"/run/s", "", "60000000", true, true, ""},
		{"/run/s", "1", "60000000", true, false, ""}, // another process is watched
		{"@s", own, "18446744073709551615", true, false, "has no time that is understood"},
		{"@s", own, "4611686018427387903", true, true, ""},
		{"@s", own, "1000000", true, true, "may end this server for nothing"},
		{"@s", own, "0", true, false, "has no time that is understood"},
		{"@s", own, "soon", true, false, "has no time that is understood"},
		{"vsock:2:1234", own, "60000000", false, false, "only paths and abstract sockets are known"},
	} {
		supervised(t, tt.socket, tt.pid, tt.usec)
		logs := &logs{}
		s := SupervisorOf(slog.New(slog.NewTextHandler(logs, nil)))
		if is := s != nil; is != tt.is || s.Watches() != tt.watches {
			t.Errorf("%+v: there is one: %v, it watches: %v", tt, is, s.Watches())
		}
		if text := logs.String(); !strings.Contains(text, tt.log) || tt.log == "" && text != "" {
			t.Errorf("%+v: the log: %s", tt, text)
		}
		if s != nil && s.Watches() && s.every < time.Second/3 {
			t.Errorf("%+v: it is told each %v", tt, s.every)
		}
	}
}

func TestNobodySupervises(*testing.T) {
	var s *Supervisor
	s.Ready("Serves")
	s.Status("Serves")
	s.Ping()
	s.Stopping()
}

// What a supervisor that is busy, or begins anew, could not be told, it is told later.
func TestASupervisorThatIsAway(t *testing.T) {
	path := filepath.Join(filepath.Dir(socketPath(t)), "notify")
	supervised(t, path, "", "")
	logs := &logs{}
	s := SupervisorOf(slog.New(slog.NewTextHandler(logs, nil)))
	s.Ready("Serves")
	s.Ping()
	if got := strings.Count(logs.String(), "the supervisor cannot be told how this server does"); got != 1 {
		t.Errorf("the log says so %d times:\n%s", got, logs)
	}
	got := receiver(t, path)
	s.Ping()
	if text := got(); text != "READY=1\nSTATUS=Serves" {
		t.Errorf("it is told %q", text)
	}
}

// The watchdog is told in time, and not with each call.
func TestAWatchdogIsToldInTime(t *testing.T) {
	path := socketPath(t)
	receiver(t, path)
	supervised(t, path, "", "30000000")
	s := SupervisorOf(slog.New(slog.DiscardHandler))
	var at []time.Duration
	synctest.Test(t, func(*testing.T) {
		began := time.Now()
		for range 31 {
			before := s.pinged
			s.Ping()
			if s.pinged != before {
				at = append(at, time.Since(began))
			}
			time.Sleep(time.Second)
		}
	})
	if want := []time.Duration{0, 10 * time.Second, 20 * time.Second, 30 * time.Second}; !slices.Equal(at, want) {
		t.Errorf("it is told after %v, want %v", at, want)
	}
}
