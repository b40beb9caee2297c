package health

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitOfProbes(t *testing.T) {
	for files, want := range map[uint64]int{0: 1, 16: 1, 100: 6, 1024: 64, 1 << 20: maxInFlight} {
		if got := limitOf(files); got != want {
			t.Errorf("%d files: got %d, want %d", files, got, want)
		}
	}
	if got := prepare(nil, nil).Counts().Limit; got != limitOf(files()) {
		t.Errorf("got %d", got)
	}
}

// Many that hang take no more than their places. The others are probed late, and are as
// healthy as they were.
func TestProbesWaitForTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		p, _ := newProbers(t, b)
		p.places = newPlaces(p.log, 6)
		hang := &backend{takes: time.Hour}
		p.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "hangs") {
				return hang.dial(ctx, network, address)
			}
			return b.dial(ctx, network, address)
		}
		var hanging []Watch
		for i := range 62 {
			hanging = append(hanging, p.Watch(Target{Host: "hangs", Port: i + 1}))
		}
		synctest.Wait()
		w := p.Watch(one)
		after(500 * time.Millisecond)
		if got, want := p.Counts(), (Counts{InFlight: 6, Waiting: 57, Limit: 6}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		after(2 * time.Minute)
		if hang.most != 6 || b.dialled() < 5 || !w.Healthy() || w.Condition().LastError != "" {
			t.Errorf("%d hang at the same time, and the other one was probed %d times: %+v", hang.most, b.dialled(), w.Condition())
		}
		for _, h := range hanging {
			if h.Healthy() || h.Condition().LastError != "no answer within 1s" {
				t.Fatalf("got %+v", h.Condition())
			}
			h.Stop()
		}
		synctest.Wait()
		if got := p.Counts(); got.InFlight != 0 || got.Waiting != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

// A probe that fails for want of files says nothing of its target.
func TestProbesWithoutFiles(t *testing.T) {
	open := func(errno error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", errno)}
	}
	for name, test := range map[string]struct {
		err  error
		says bool
	}{
		"too many of the process": {open(syscall.EMFILE), true},
		"too many of the machine": {open(syscall.ENFILE), true},
		"no buffers":              {open(syscall.ENOBUFS), true},
		"a look-up without files": {&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
			Err: "dial udp 127.0.0.53:53: socket: too many open files", Name: "a", IsTemporary: true,
		}}, true},
		"no such host": {&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "a", IsNotFound: true}}, false},
		"refused":      {open(syscall.ECONNREFUSED), false},
		"no address":   {open(syscall.EADDRNOTAVAIL), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{down: test.err}
				p, log := newProbers(t, b)
				w := p.Watch(one)
				after(50*time.Second + time.Millisecond)
				if w.Healthy() != test.says || !strings.Contains(w.Condition().LastError, test.err.Error()) {
					t.Errorf("got %+v", w.Condition())
				}
				counted, logged := p.Counts().Unjudged, strings.Count(log.String(), "level=ERROR")
				if test.says != (counted == 11) || test.says != (logged == 1) ||
					test.says && !strings.Contains(log.String(), fmt.Sprintf("LimitNOFILE= of systemd, ulimit -n, ulimits in compose)\" target=tcp://one:1 limit=%d ", files())) {
					t.Errorf("%d are counted, and the log has %s", counted, log)
				}
				// Nor does it make one healthy.
				b.set(errDown)
				after(time.Minute)
				b.set(test.err)
				after(time.Minute)
				if w.Healthy() {
					t.Error("it is healthy")
				}
			})
		})
	}
}

// With a real limit too: names and addresses.
func TestProbesAtTheLimitOfFiles(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "a.invalid"} {
		target := at(t, listener.Addr())
		target.Host = host
		limit := before
		limit.Cur = 4 // which are open
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		err := probeOnce(t, target)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
		if _, short := err.(shortageError); !short {
			t.Errorf("%s: got %v", host, err)
		}
	}
}
