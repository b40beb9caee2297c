//go:build linux

package main

import (
	"net"
	"os"
	"syscall"
	"testing"
)

// handedOver is a socket at path as systemd makes one for a server.
func handedOver(t *testing.T, path string) *os.File {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	t.Cleanup(func() { _ = l.Close() })
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// A server takes the socket that it is handed over at once: what it reaches there itself
// is its own backlog, with connections that wait, and no other server.
func TestAServerOnASocketOfSystemdIsRestarted(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	socket := handedOver(t, path)
	for range 2 {
		waiting, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer waiting.Close()
		s := start(t, socket, "-socket", path)
		s.answers(path)
		s.signal(syscall.SIGTERM)
		if code := s.ends(); code != 0 {
			t.Errorf("it ends with %d:\n%s", code, s.log)
		}
	}
}

// One that stands by is there when the server on systemd's socket ends, and that one,
// started again, when the other does: whether it is stopped or killed.
func TestAnotherServerThanOnASocketOfSystemd(t *testing.T) {
	t.Parallel()
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		path := socketPath(t)
		socket := handedOver(t, path)
		first := start(t, socket, "-socket", path)
		first.answers(path)
		other := start(t, nil, "-socket", path)
		other.says("this one stands by")
		first.says("another server stands by")
		first.signal(end)
		first.ends()
		other.says("msg=serving")
		again := start(t, socket, "-socket", path)
		again.says("this one stands by")
		other.says("another server stands by")
		other.signal(end)
		other.ends()
		again.says("the socket that systemd has handed over is not at its path any more")
		again.says("msg=serving")
		again.answers(path)
	}
}

// And so it is with one that takes over.
func TestAServerOnASocketOfSystemdIsTakenOver(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	first := start(t, handedOver(t, path), "-socket", path)
	first.answers(path)
	other := start(t, nil, "-takeover", "-socket", path)
	first.says("this server stands by from now on")
	other.says("another server stands by")
	other.signal(syscall.SIGTERM)
	if code := other.ends(); code != 0 {
		t.Errorf("the other one ends with %d:\n%s", code, other.log)
	}
	first.answers(path)
	first.signal(syscall.SIGTERM)
	if code := first.ends(); code != 0 {
		t.Errorf("it ends with %d:\n%s", code, first.log)
	}
}

// Without a parent process servers stand by as well.
func TestServersWithoutAParentProcessStandBy(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	first := start(t, nil, "-supervise=false", "-socket", path)
	first.answers(path)
	second := start(t, nil, "-supervise=false", "-socket", path)
	second.says("this one stands by")
	third := start(t, nil, "-supervise=false", "-socket", path)
	third.says("this one stands by")
	third.signal(syscall.SIGTERM)
	if code := third.ends(); code != 0 {
		t.Errorf("one that stands by ends with %d:\n%s", code, third.log)
	}
	first.signal(syscall.SIGTERM)
	first.ends()
	second.says("msg=serving")
	taking := start(t, nil, "-supervise=false", "-takeover", "-socket", path)
	taking.says("msg=serving")
	second.says("another server has taken the socket")
	taking.signal(syscall.SIGTERM)
	taking.ends()
	second.says("the socket was gone, and is opened anew")
	second.answers(path)
}
