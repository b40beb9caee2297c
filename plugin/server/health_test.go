package server

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestHealthcheck(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s := serve(t, pluginOf(nil))
	none, left := socketPath(t), socketPath(t)
	stale(t, left)
	for _, tt := range []struct{ path, name, want string }{
		{s.path, "traffic-split", ""},
		{s.path, "other", "on " + s.path + ` answers a server of ["traffic-split"], not of "other"`},
		{none, "traffic-split", "no plugin server answers on " + none + ": dial unix " + none + ": connect: no such file or directory"},
		{left, "traffic-split", "no plugin server answers on " + left + ": dial unix " + left + ": connect: connection refused"},
	} {
		got := ""
		if err := Healthcheck(ctx, tt.path, tt.name); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("Healthcheck(%s, %s) returns %q, want %q", tt.path, tt.name, got, tt.want)
		}
	}
}

func TestAHealthcheckWaitsNoLongerThanItsContext(t *testing.T) {
	path := socketPath(t)
	l, err := net.Listen("unix", path) // accepts nothing, answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = Healthcheck(ctx, path, "traffic-split")
	if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Healthcheck returns %v", err)
	}
}

func TestAHealthcheckOfSomethingElse(t *testing.T) {
	path := socketPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		sock, err := l.Accept()
		if err != nil {
			return
		}
		defer sock.Close()
		_, _ = sock.Read(make([]byte, 1024))
		_, _ = sock.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := Healthcheck(ctx, path, "traffic-split"); err == nil || !strings.Contains(err.Error(), "frame of 1347703880 bytes") {
		t.Errorf("Healthcheck returns %v", err)
	}
}
