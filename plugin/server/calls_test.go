package server

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	pdk "github.com/Kong/go-pdk"
	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/kong/wire"
)

// A tapped listener notes each write to its connections.
type tapped struct {
	net.Listener
	mu     sync.Mutex
	writes []string
}

type tappedConn struct {
	*net.UnixConn
	to *tapped
}

func (l *tapped) Accept() (net.Conn, error) {
	sock, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tappedConn{sock.(*net.UnixConn), l}, nil
}

func (c *tappedConn) Write(p []byte) (int, error) {
	c.to.mu.Lock()
	c.to.writes = append(c.to.writes, string(p))
	c.to.mu.Unlock()
	return c.UnixConn.Write(p)
}

// frames returns bodies as frames, one after another.
func frames(bodies ...string) string {
	var all []byte
	for _, body := range bodies {
		all = wire.AppendFrame(all, []byte(body))
	}
	return string(all)
}

func TestAnEventIsOneWriteForEachReplyThatItWaitsFor(t *testing.T) {
	path := socketPath(t)
	l, err := Listen(path, Access{Mode: 0o600}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	tap := &tapped{Listener: l}
	s := serveOn(t, tap, path, pluginOf(func(phase string, kong *pdk.PDK) error {
		if phase == "log" {
			return nil
		}
		set := kong.Service.SetTarget("canary", 80)
		_, err := kong.Request.GetHost()
		return errors.Join(set, err, kong.ServiceRequest.SetPath("X"), kong.ServiceRequest.SetPath("Y"))
	}))
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	for _, phase := range []string{"access", "log"} {
		if _, err := kong.event(id, phase, nil); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		frames("kong.service.set_target", "\x0a\x06canary\x10\x50", "kong.request.get_host", ""),
		frames("kong.service.request.set_path", "\x0a\x01X", "kong.service.request.set_path", "\x0a\x01Y", "", "\x08\x02"),
		frames("", "\x08\x03"),
	}
	tap.mu.Lock()
	defer tap.mu.Unlock()
	if diff := cmp.Diff(want, tap.writes[1:]); diff != "" { // the first one is the start's
		t.Errorf("the server's writes (-want +got):\n%s", diff)
	}
}

// What go-pdk writes may arrive in pieces of any length.
func TestCallsFindTheFramesInAnyPieces(t *testing.T) {
	const lost, method, args = "kong.ctx.shared.set", "kong.service.set_path", "\x0a\x01/"
	for _, tt := range []struct {
		name    string
		written string
		kept    string
	}{
		{"a call", frames(method, args), frames(method, args)},
		{"a call without arguments", frames(method, ""), frames(method, "")},
		{"two calls", frames(method, args, method, args), frames(method, args, method, args)},
		{"a method alone", frames(lost), ""},
		{"two methods alone", frames(lost, lost), ""},
		{"a method alone before a call", frames(lost, method, args), frames(method, args)},
		{"a method alone between calls", frames(method, args, lost, method, ""), frames(method, args, method, "")},
		{"a method alone after a call", frames(method, args, lost), frames(method, args)},
		{"half a frame after a call", frames(method, args) + frames(lost)[:9], frames(method, args)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.written); size++ {
				k := newCalls(newConn(New(Plugin{}, quiet), fleeting{}))
				for piece := range slices.Chunk([]byte(tt.written), size) {
					if _, err := k.Write(piece); err != nil {
						t.Fatal(err)
					}
				}
				if got := string(k.conn.out[:k.whole]); got != tt.kept {
					t.Fatalf("in pieces of %d bytes:\n got %q\nwant %q", size, got, tt.kept)
				}
			}
		})
	}
}

func TestAReplyIsNotAwaitedWithoutACall(t *testing.T) {
	for name, written := range map[string]string{
		"nothing was written":      "",
		"a method alone":           frames("kong.request.get_host"),
		"a reply was read already": frames("kong.service.request.set_path", "\x0a\x01X"),
		"a method after it":        frames("kong.service.request.set_path", "\x0a\x01X", "kong.request.get_host"),
	} {
		t.Run(name, func(t *testing.T) {
			k := newCalls(newConn(New(Plugin{}, quiet), fleeting{}))
			if _, err := k.Write([]byte(written)); err != nil {
				t.Fatal(err)
			}
			reply := make([]byte, len(emptyFrame))
			if len(k.conn.owed) > 0 {
				if _, err := io.ReadFull(k, reply); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.ReadFull(k, reply); !errors.Is(err, errNoCall) {
				t.Errorf("Read returns %v", err)
			}
		})
	}
}

// A reply of any length is one that go-pdk can read.
func TestALargeReply(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	got := make(chan string, 1)
	s := serve(t, pluginOf(func(_ string, kong *pdk.PDK) error {
		body, err := kong.Request.GetPath()
		got <- body
		return err
	}))
	kong := dial(t, s.path)
	id := kong.start(`{"__seq__":1}`)
	for range 2 {
		_, err := kong.event(id, "access", func(pdkCall) ([]byte, error) {
			return append([]byte("\x0a\x80\x80\x40"), large...), nil
		})
		if body := <-got; err != nil || body != large {
			t.Errorf("the handler gets %d bytes, the event %v, want %d bytes", len(body), err, len(large))
		}
	}
}

func TestAConnectionKeepsNoLargeBuffers(t *testing.T) {
	c := newConn(New(Plugin{}, quiet), fleeting{})
	c.in, c.out = make([]byte, keep), make([]byte, keep+1)
	c.trim()
	if cap(c.in) != keep || cap(c.out) != 0 {
		t.Errorf("it keeps %d and %d bytes, want %d and none", cap(c.in), cap(c.out), keep)
	}
}
