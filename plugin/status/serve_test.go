package status

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipe is a log of lines.
type pipe chan string

func (p pipe) Write(line []byte) (int, error) {
	p <- string(line)
	return len(line), nil
}

func TestServe(t *testing.T) {
	log := make(pipe, 10)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		logger := slog.New(slog.NewTextHandler(log, nil))
		Serve(ctx, "127.0.0.1:0", Handler(source(), logger), logger)
	}()
	address := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(<-log)[1]
	client := &http.Client{Transport: &http.Transport{}}
	r, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(text), `traffic_split_build_info{commit="0123abc",version="1.2.3"} 1`) {
		t.Errorf("got %v, %s", err, text)
	}
	_ = r.Body.Close()
	idle, err := net.Dial("tcp", address) // ends with the server
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	cancel()
	<-served
	if n, err := idle.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("an idle connection outlives the server")
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Error("it listens after the end")
	}
	client.CloseIdleConnections()
	if len(log) > 0 {
		t.Errorf("the log says of the end: %s", <-log)
	}
}

// serving serves h on a free port until the test ends, or the returned function is
// called, which waits.
func serving(t *testing.T, h http.HandlerFunc, readTime time.Duration) (address string, log pipe, end func()) {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log = make(pipe, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(ctx, socket, h, readTime, slog.New(slog.NewTextHandler(log, nil)))
	}()
	end = func() {
		cancel()
		<-done
	}
	t.Cleanup(end)
	return socket.Addr().String(), log, end
}

// ask begins a request.
func ask(t *testing.T, address, head string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"+head); err != nil {
		t.Fatal(err)
	}
	return conn
}

// Whoever takes all the places, and then says nothing, has to leave them to others: at
// once to one who comes, and after a time anyway.
func TestAllPlacesTaken(t *testing.T) {
	address, _, _ := serving(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }, time.Hour)
	heads := []string{"Content-Length: 1000\r\n\r\n" /* and no body */, "X-Half: ", "Connection: keep-alive\r\n\r\n"}
	for i := range 3 * maxConnections {
		ask(t, address, heads[i%len(heads)])
	}
	for range 3 {
		text, err := io.ReadAll(ask(t, address, "Connection: close\r\n\r\n"))
		if err != nil || !strings.HasSuffix(string(text), "here") {
			t.Errorf("got %q, %v", text, err)
		}
	}
}

func TestWhoSaysNothingHasToLeave(t *testing.T) {
	address, _, _ := serving(t, func(http.ResponseWriter, *http.Request) {}, 10*time.Millisecond)
	if text, err := io.ReadAll(ask(t, address, "X-Half: ")); err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}

// No connection stays for a next request.
func TestNoConnectionIsKept(t *testing.T) {
	address, _, _ := serving(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }, time.Hour)
	text, err := io.ReadAll(ask(t, address, "Connection: keep-alive\r\n\r\n"))
	if err != nil || !strings.HasSuffix(string(text), "here") || !strings.Contains(string(text), "Connection: close") {
		t.Errorf("got %q, %v", text, err)
	}
}

// There are never more connections than there are places; the oldest leave.
func TestPlacesAreBounded(t *testing.T) {
	inside := make(chan net.Conn)
	socket := listener(inside)
	p := &places{Listener: socket, limit: 2}
	accept := func() (server net.Conn, client net.Conn) {
		end, client := net.Pipe()
		go func() { inside <- end }()
		server, err := p.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return server, client
	}
	gone := func(conn net.Conn) bool {
		_ = conn.SetReadDeadline(time.Now().Add(-time.Second))
		_, err := conn.Read(make([]byte, 1))
		return errors.Is(err, io.EOF)
	}
	server1, client1 := accept()
	server2, client2 := accept()
	_, client3 := accept()
	if !gone(client1) || gone(client2) || gone(client3) {
		t.Error("another one than the oldest has left")
	}
	_, _ = server1.Close(), server2.Close() // the first has left its place already
	_, client4 := accept()
	if gone(client3) || gone(client4) {
		t.Error("one has left though there was a place")
	}
	_, client5 := accept()
	if !gone(client3) || gone(client4) || gone(client5) {
		t.Error("another one than the oldest has left")
	}
}

// listener accepts what it is given.
type listener chan net.Conn

func (l listener) Accept() (net.Conn, error) { return <-l, nil }
func (l listener) Close() error              { return nil }
func (l listener) Addr() net.Addr            { return nil }

// An answer in the middle does not hold up the end, which the next process waits for.
func TestTheEndDuringAnAnswer(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	address, _, end := serving(t, func(http.ResponseWriter, *http.Request) {
		close(inside)
		<-leave
	}, time.Minute)
	ask(t, address, "\r\n")
	<-inside
	end()
	close(leave)
}

func TestAPanicIsLogged(t *testing.T) {
	address, log, _ := serving(t, func(http.ResponseWriter, *http.Request) { panic("ouch") }, time.Minute)
	_, _ = io.ReadAll(ask(t, address, "\r\n"))
	if line := <-log; !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "ouch") {
		t.Errorf("the log has %s", line)
	}
}

// An address that another process has is waited for. The log says so at once, and that
// something is wrong where it is not free soon.
func TestAddressInUse(t *testing.T) {
	for _, test := range []struct {
		after, late time.Duration
		logged      int
	}{{0, 0, 0}, {time.Second, pause, 1}, {time.Hour, longPause, 2}} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			socket := new(net.TCPListener)
			listen := func(context.Context, string, string) (net.Listener, error) {
				if time.Since(begin) < test.after {
					return nil, &net.OpError{Op: "listen", Net: "tcp", Err: syscall.EADDRINUSE}
				}
				return socket, nil
			}
			var log bytes.Buffer
			got := await(t.Context(), "127.0.0.1:8007", listen, slog.New(slog.NewTextHandler(&log, nil)))
			if late := time.Since(begin) - test.after; got != net.Listener(socket) || late < 0 || late > test.late {
				t.Errorf("got %v %v after the address is free, at %v", got, late, test.after)
			}
			const about = `address=127.0.0.1:8007 error="listen tcp: address already in use"`
			first, second := "level=INFO msg=\"status is not served yet", "level=ERROR msg=\"status cannot be served"
			if n := strings.Count(log.String(), about); n != test.logged || strings.Contains(log.String(), first) != (n > 0) || strings.Contains(log.String(), second) != (n > 1) {
				t.Errorf("after %v the log has %s", test.after, &log)
			}
		})
	}
}

// What waiting does not mend is an error at once.
func TestAddressThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), pause)
		defer cancel()
		listen := func(context.Context, string, string) (net.Listener, error) { return nil, syscall.EADDRNOTAVAIL }
		var log bytes.Buffer
		await(ctx, "10.1.2.3:8007", listen, slog.New(slog.NewTextHandler(&log, nil)))
		if !strings.Contains(log.String(), `level=ERROR msg="status cannot be served, trying on" address=10.1.2.3:8007 error="cannot assign requested address"`) {
			t.Errorf("the log has %s", &log)
		}
	})
}

func TestAddressInUseUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		listen := func(context.Context, string, string) (net.Listener, error) { return nil, errors.New("in use") }
		if got := await(ctx, "", listen, slog.New(slog.DiscardHandler)); got != nil {
			t.Errorf("got %v", got)
		}
	})
}
