//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// saves waits until the file at path is saved by s, or by the keeper that it stands for.
func (s *serving) saves(path string) {
	s.t.Helper()
	s.await("it saves", func() bool {
		text, _ := os.ReadFile(path + ".lock")
		pid, own := strings.TrimSpace(string(text)), strconv.Itoa(s.cmd.Process.Pid)
		status, _ := os.ReadFile("/proc/" + pid + "/status")
		_, err := os.Stat(path)
		return err == nil && (pid == own || strings.Contains(string(status), "\nPPid:\t"+own+"\n"))
	})
}

// A server that takes another one's place has its file too, without a word about that.
func TestTheStateOfAServerThatIsSucceeded(t *testing.T) {
	t.Parallel()
	for _, supervise := range []string{"true", "false"} {
		path := socketPath(t)
		saved := filepath.Join(filepath.Dir(path), "saved")
		args := []string{"-socket", path, "-state", saved, "-supervise=" + supervise}
		former := start(t, nil, args...)
		former.answers(path)
		former.saves(saved)
		next := start(t, nil, append(args, "-takeover")...)
		if supervise == "true" {
			former.says("this one is no longer needed")
			next.saves(saved) // before the end of the former one
		} else {
			next.says("another server has the socket")
		}
		former.signal(syscall.SIGTERM)
		if code := former.ends(); code != 0 {
			t.Errorf("the former one ends with %d:\n%s", code, former.log)
		}
		next.saves(saved)
		next.signal(syscall.SIGTERM)
		next.signal(syscall.SIGTERM) // it need not wait for another one
		if code := next.ends(); code != 0 || strings.Contains(next.log.String(), "level=ERROR") {
			t.Errorf("the next one ends with %d:\n%s", code, next.log)
		}
	}
}

// Under systemd the state is in the folder that systemd has made for it.
func TestTheStateFolderOfSystemd(t *testing.T) {
	for folders, want := range map[string]string{"": "", "/var/lib/a": "/var/lib/a/traffic-split.state", "/var/lib/a:/var/lib/b": "/var/lib/a/traffic-split.state"} {
		t.Setenv("STATE_DIRECTORY", folders)
		o, err := parse(nil, os.Stderr)
		if err != nil || o.state != want {
			t.Errorf("%q: got %q, %v", folders, o.state, err)
		}
		if o, err = parse([]string{"-state", "/elsewhere"}, os.Stderr); err != nil || o.state != "/elsewhere" {
			t.Errorf("%q: got %q, %v", folders, o.state, err)
		}
	}
}
