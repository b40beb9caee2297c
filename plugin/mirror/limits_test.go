package mirror

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// hanging is a shadow that answers nothing until the test ends.
func hanging(t *testing.T) Target {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	return at(t, "http", server.Listener.Addr())
}

// A shadow that hangs gets so many copies and no more; what is too much is dropped at once,
// and other shadows get theirs.
func TestQueueIsBounded(t *testing.T) {
	s := New()
	target := hanging(t)
	done := make(results, maxInFlight+maxWaiting)
	c := done.of(Copy{Target: target, Method: "GET", URI: "/", Host: "a"})
	sent := 0
	for range 3 * (maxInFlight + maxWaiting) {
		switch drop := s.Send(c); drop {
		case "":
			sent++
		case QueueFull:
		default:
			t.Fatal(drop)
		}
	}
	// Workers may not have taken all that they can when the queue is full.
	if sent < maxWaiting || sent > maxInFlight+maxWaiting {
		t.Errorf("%d are on their way or wait", sent)
	}
	waitFor(t, "all workers have a copy", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.shadows[target].workers == maxInFlight && len(s.shadows[target].waiting) == sent-maxInFlight
	})
	for s.Send(c) == "" {
		sent++
	}
	if sent != maxInFlight+maxWaiting {
		t.Errorf("%d are on their way or wait, not %d", sent, maxInFlight+maxWaiting)
	}
	if drop := s.Admit(target, time.Now()); drop != QueueFull {
		t.Errorf("admitted: %q", drop)
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if r := one(t, s, Copy{Target: at(t, "http", server.Listener.Addr()), Method: "GET", URI: "/", Host: "a"}); r.Status != 404 {
		t.Error(r)
	}
	began := time.Now()
	s.Close()
	if took := time.Since(began); took > Timeout/5 {
		t.Errorf("the end takes %v", took)
	}
	for range sent {
		if r := <-done; r != (Result{Drop: Closed}) {
			t.Errorf("at the end: %+v", r)
		}
	}
	if s.bytes != 0 || s.files != 0 {
		t.Errorf("%d bytes and %d files are left", s.bytes, s.files)
	}
	if drop := s.Send(c); drop != Closed || s.Admit(target, time.Now()) != Closed {
		t.Errorf("sent after the end: %q", drop)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s := New()
	target := hanging(t)
	c := Copy{Target: target, Method: "POST", URI: "/", Host: "a", Body: Content(make([]byte, 1<<20)), Done: func(Result) {}}
	sent := 0
	for ; s.Send(&c) == ""; sent++ {
	}
	if most := maxShadowBytes / c.size(); sent != most {
		t.Errorf("%d copies of 1 MiB, not %d", sent, most)
	}
	if drop := s.Send(&c); drop != MemoryFull {
		t.Error(drop)
	}
	small := c
	if small.Body = Content(nil); s.Send(&small) != "" {
		t.Error("there is no room for a small one")
	}
	s.Close()
	if s.bytes != 0 {
		t.Errorf("%d bytes are left", s.bytes)
	}
}

// A shadow that hangs does not take all the files that may be open.
func TestFilesAreBounded(t *testing.T) {
	s := New()
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	var bodies []Body
	for i := range maxFiles/maxShadowFiles + 1 {
		target := hanging(t)
		for j := range maxShadowFiles + 1 {
			body, err := OpenBody(path)
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, body)
			want := Drop("")
			if i == maxFiles/maxShadowFiles || j == maxShadowFiles {
				want = MemoryFull
			}
			if drop := s.Send(&Copy{Target: target, Method: "POST", URI: "/", Host: "a", Body: body, Done: func(Result) {}}); drop != want {
				t.Fatalf("shadow %d, file %d: %q", i, j, drop)
			}
		}
	}
	s.Close()
	for i, body := range bodies {
		if _, err := body.file.Stat(); err == nil {
			t.Errorf("file %d is still open", i)
		}
	}
}

// A shadow that does not answer gets one copy a second, until one is answered.
func TestShadowDown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := at(t, "http", listener.Addr())
	_ = listener.Close()
	s := sendersOf(t)
	get := Copy{Target: target, Method: "GET", URI: "/", Host: "a"}
	for range downAfter {
		if r := one(t, s, get); r.Err == nil {
			t.Fatal(r)
		}
	}
	if r := one(t, s, get); r.Err == nil { // the first to be tried again
		t.Fatal(r)
	}
	now := time.Now()
	if drop := s.Admit(target, now); drop != ShadowDown {
		t.Errorf("admitted: %q", drop)
	}
	if r := one(t, s, get); r.Drop != ShadowDown {
		t.Error(r)
	}
	if drop := s.Admit(target, now.Add(retryPause)); drop != "" {
		t.Errorf("not admitted after a second: %q", drop)
	}
	listener, err = net.Listen("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Listener = listener
	server.Start()
	defer server.Close()
	waitFor(t, "a copy is answered", func() bool { return one(t, s, get).Status == 404 })
	if drop := s.Admit(target, time.Now()); drop != "" {
		t.Errorf("not admitted once it answers: %q", drop)
	}
	if r := one(t, s, get); r.Status != 404 {
		t.Error(r)
	}
}

// A shadow that had no copies for long is forgotten once there is a new one.
func TestOldShadowsAreForgotten(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	s := sendersOf(t)
	first := at(t, "http", server.Listener.Addr())
	one(t, s, Copy{Target: first, Method: "GET", URI: "/", Host: "a"})
	waitFor(t, "its worker has ended", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.shadows[first].workers == 0
	})
	s.shadows[first].idle = time.Now().Add(-2 * idleTime)
	one(t, s, Copy{Target: at(t, "http", other.Listener.Addr()), Method: "GET", URI: "/", Host: "a"})
	if s.shadows[first] != nil {
		t.Error("it is still there")
	}
}

// Shadows that hang do not take all of the server's connections: together they have so many,
// and each has one.
func TestWorkersAreBounded(t *testing.T) {
	s := New()
	defer s.Close()
	const shadows = 6
	for range shadows {
		target := hanging(t)
		for range maxInFlight {
			if drop := s.Send(&Copy{Target: target, Method: "GET", URI: "/", Host: "a", Done: func(Result) {}}); drop != "" {
				t.Fatal(drop)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if full := maxWorkers / maxInFlight; s.workers != maxWorkers+shadows-full {
		t.Errorf("%d workers", s.workers)
	}
}
