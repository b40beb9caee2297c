package standin

import (
	"errors"
	"net"
	"sync"
	"testing"

	"kong-traffic-split/kong/wire"
)

// acceptAll takes connections to a socket until the test ends, and hands them
// out.
func acceptAll(t *testing.T) (socket string, accepted <-chan net.Conn) {
	t.Helper()
	socket = shortDir(t) + "/s"
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 100)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns <- conn
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		accepting.Wait()
		close(conns)
		for conn := range conns {
			_ = conn.Close()
		}
	})
	return socket, conns
}

func get(t *testing.T, p *pool) *pluginConn {
	t.Helper()
	c, err := p.get()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPoolGivesTheLastOne(t *testing.T) {
	socket, _ := acceptAll(t)
	p := newPool(socket)
	defer p.close()
	a, b := get(t, p), get(t, p)
	p.put(a)
	p.put(b)
	if get(t, p) != b || get(t, p) != a {
		t.Error("not the one that was used last")
	}
}

func TestPoolKeepsNoMoreThanThirty(t *testing.T) {
	socket, _ := acceptAll(t)
	p := newPool(socket)
	defer p.close()
	var all []*pluginConn
	for range poolSize + 2 {
		all = append(all, get(t, p))
	}
	for _, c := range all {
		p.put(c)
	}
	if len(p.idle) != poolSize || p.idle[0] != all[2] {
		t.Errorf("%d are kept, and not those that were used last", len(p.idle))
	}
}

// TestPoolDropsWhatCannotBeUsed covers connections that were closed, or that
// have something to read.
func TestPoolDropsWhatCannotBeUsed(t *testing.T) {
	for name, spoil := range map[string]func(server net.Conn){
		"closed":            func(server net.Conn) { _ = server.Close() },
		"something to read": func(server net.Conn) { _, _ = server.Write(wire.AppendFrame(nil, nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			socket, accepted := acceptAll(t)
			p := newPool(socket)
			defer p.close()
			used := get(t, p)
			spoil(<-accepted)
			p.put(used)
			if len(p.idle) != 0 {
				t.Error("it is kept although it cannot be used")
			}
			idle := get(t, p)
			p.put(idle)
			spoil(<-accepted)
			<-idle.watched
			if get(t, p) == idle {
				t.Error("it is given out although it cannot be used")
			}
		})
	}
}

func TestPoolThatIsClosed(t *testing.T) {
	socket, _ := acceptAll(t)
	p := newPool(socket)
	used := get(t, p)
	p.close()
	if _, err := used.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection in use: %v", err)
	}
	if _, err := p.get(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a new connection: %v", err)
	}
	p.put(used)
	if len(p.idle) != 0 {
		t.Error("it keeps a connection")
	}
}
