package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	pdk "github.com/Kong/go-pdk"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

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

// What go-pdk writes may come in pieces of any length. Methods whose arguments it could
// not encode stand alone; they are not sent.
func TestCallsFindTheFramesInAnyPieces(t *testing.T) {
	const lost, method, args = "kong.ctx.shared.set", "kong.service.set_target", "\x0a\x01/"
	for _, tt := range []struct {
		name    string
		written []string // before each reply that go-pdk reads
		after   string   // written after the last one
		kept    string
	}{
		{"a call", []string{frames(method, args)}, "", frames(method, args)},
		{"a call without arguments", []string{frames(method, "")}, "", frames(method, "")},
		{"arguments that look like a method", []string{frames(method, lost)}, "", frames(method, lost)},
		{"two calls", []string{frames(method, args), frames(method, args)}, "", frames(method, args, method, args)},
		{"a method alone", nil, frames(lost), ""},
		{"two methods alone", nil, frames(lost, lost), ""},
		{"a method alone before a call", []string{frames(lost, method, args)}, "", frames(method, args)},
		{"methods alone before a call", []string{frames(lost, lost, method, args)}, "", frames(method, args)},
		{"a method alone between calls", []string{frames(method, args), frames(lost, method, "")}, "", frames(method, args, method, "")},
		{"a method alone after a call", []string{frames(method, args)}, frames(lost), frames(method, args)},
		{"half a frame after a call", []string{frames(method, args)}, frames(lost)[:9], frames(method, args)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for size := range len(frames(lost, lost, method, args)) {
				k := newCalls(newConn(New(Plugin{}, quiet), fleeting{}))
				write := func(written string) {
					for piece := range slices.Chunk([]byte(written), size+1) {
						if _, err := k.Write(piece); err != nil {
							t.Fatal(err)
						}
					}
				}
				for _, written := range tt.written {
					write(written)
					if reply, err := io.ReadAll(io.LimitReader(k, int64(len(emptyFrame)))); err != nil || !bytes.Equal(reply, emptyFrame) {
						t.Fatalf("the reply is %q, %v", reply, err)
					}
				}
				write(tt.after)
				if got := string(k.conn.out[:k.written]); got != tt.kept {
					t.Fatalf("in pieces of %d bytes:\n got %q\nwant %q", size+1, got, tt.kept)
				}
			}
		})
	}
}

func TestAReplyIsNotAwaitedWithoutACall(t *testing.T) {
	call := frames("kong.service.set_target", "\x0a\x01X")
	for name, written := range map[string][]string{
		"nothing was written":      {""},
		"a method alone":           {frames("kong.request.get_host")},
		"half a call":              {call[:len(call)-1]},
		"half a length":            {call[:2]},
		"a reply was read already": {call, ""},
		"a method after it":        {call, frames("kong.request.get_host")},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCalls(newConn(New(Plugin{}, quiet), fleeting{}))
			var err error
			for i, text := range written {
				if err != nil {
					t.Fatalf("reply %d: %v", i, err)
				}
				if _, err := k.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
				_, err = io.ReadFull(k, make([]byte, len(emptyFrame)))
			}
			if !errors.Is(err, errNoCall) {
				t.Errorf("Read returns %v", err)
			}
		})
	}
}

// What is not known to be silent is waited for.
func TestOnlySilentMethodsAreNotAwaited(t *testing.T) {
	for name, want := range map[string]bool{
		"kong.service.set_target":          true,
		"kong.service.request.set_headers": true,
		"kong.ctx.shared.set":              true,
		"kong.nginx.set_ctx":               true,
		"kong.log.err":                     true,

		"kong.response.exit":        false, // Kong closes the connection instead of a reply
		"kong.service.set_upstream": false, // whether there is one
		"kong.response.get_status":  false,
		"kong.response.set_headers": false, // the plugin does not call it
		"kong.no.such_method":       false,
	} {
		m, isKnown := knownMethods[name]
		if got := isKnown && m.Silent(); got != want {
			t.Errorf("%s is silent: %v, want %v", name, got, want)
		}
	}
}

// Whatever a handler calls, in whichever order, Kong gets the calls that go-pdk could
// encode, whole and in their order, and no other.
func TestKongGetsTheCallsThatCanBeEncoded(t *testing.T) {
	type step struct {
		method string // that Kong gets; empty: none
		call   func(kong *pdk.PDK) error
		fails  bool
	}
	steps := map[string]step{
		"silent":                          {"service.set_target", func(kong *pdk.PDK) error { return kong.Service.SetTarget("a", 80) }, false},
		"asked":                           {"request.get_host", func(kong *pdk.PDK) error { _, err := kong.Request.GetHost(); return err }, false},
		"read before":                     {"", func(kong *pdk.PDK) error { _, err := kong.Request.GetPath(); return err }, false},
		"silent, not UTF-8":               {"", func(kong *pdk.PDK) error { return kong.Service.SetTarget("\xff", 80) }, true},
		"asked, not UTF-8":                {"", func(kong *pdk.PDK) error { _, err := kong.Nginx.GetVar("kong.\xff"); return err }, true},
		"not UTF-8 before it is a method": {"", func(kong *pdk.PDK) error { return kong.Ctx.SetShared("\xff", "kong.log.err") }, true},
		"a reply that is not UTF-8":       {"request.get_method", func(kong *pdk.PDK) error { _, err := kong.Request.GetMethod(); return err }, true},
		"a panic while it is encoded": {"", func(kong *pdk.PDK) (err error) {
			defer func() { err = fmt.Errorf("%v", recover()) }()
			return kong.Log.Ask("kong.log.err", panics{}, nil)
		}, true},
	}
	names := slices.Sorted(maps.Keys(steps))
	var course []string
	var wrong string
	plugin := pluginOf(nil)
	plugin.Start = func([]byte) (Instance, error) {
		return reading{func(_ string, kong *pdk.PDK) error {
			for _, name := range course {
				if err := steps[name].call(kong); (err != nil) != steps[name].fails {
					wrong = fmt.Sprintf("%s: %v", name, err)
				}
			}
			return nil
		}, []Call{{"kong.request.get_path", nil}}, nil}, nil
	}
	s := serve(t, plugin)
	kong := dial(t, s.path)
	id := kong.start(`{}`)
	rapid.Check(t, func(t *rapid.T) {
		course = rapid.SliceOf(rapid.SampledFrom(names)).Draw(t, "course")
		want := []string{"request.get_path"}
		for _, name := range course {
			if method := steps[name].method; method != "" {
				want = append(want, method)
			}
		}
		wrong = ""
		calls, err := kong.event(id, "access", func(call pdkCall) ([]byte, error) {
			if call.Method == "kong.request.get_method" {
				return []byte("\x0a\x01\xff"), nil
			}
			return nil, nil
		})
		if got := methods(calls); err != nil || wrong != "" || got != strings.Join(want, " ") {
			t.Fatalf("Kong gets %q, %v, want %q; %s", got, err, want, wrong)
		}
	})
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
	c.reset()
	if cap(c.in) != keep || cap(c.out) != 0 {
		t.Errorf("it keeps %d and %d bytes, want %d and none", cap(c.in), cap(c.out), keep)
	}
}
