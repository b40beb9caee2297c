package chaos

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"kong-traffic-split/spec/bench/kong"
)

// A client sends one request of a row, and returns who has answered, by which
// revision, and what is wrong with the answer.
type client func(ctx context.Context) (backend, revision, problem string)

// httpClient returns a client of a row's path on the gateway. An answer 500 of a
// backend's own is an answer like any other.
func httpClient(address, row string) client {
	c := &http.Client{Timeout: kong.Patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	url := fmt.Sprintf("http://%s/%s/", address, row)
	return func(ctx context.Context) (backend, revision, problem string) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", "", err.Error()
		}
		answer, err := c.Do(r)
		if err != nil {
			return "", "", err.Error()
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		backend = answer.Header.Get(backendHeader)
		switch {
		case err != nil:
			return "", "", err.Error()
		case backend == "":
			return "", "", fmt.Sprintf("status %d: %s", answer.StatusCode, strings.TrimSpace(string(body)))
		}
		return backend, answer.Header.Get(revisionHeader), ""
	}
}

// tcpClient returns a client of a TCP row, where no revision is told.
func tcpClient(address, row string) client {
	return func(ctx context.Context) (backend, revision, problem string) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return "", "", err.Error()
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(kong.Patience))
		if _, err := io.WriteString(conn, row+"\n"); err != nil {
			return "", "", err.Error()
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			return "", "", "the connection was closed: " + err.Error()
		}
		return strings.TrimSuffix(line, "\n"), "", ""
	}
}

// load sends requests of all rows until it is stopped, and can be held in between.
type load struct {
	ctx     context.Context
	cancel  context.CancelFunc
	senders sync.WaitGroup
	gate    sync.RWMutex // held for reading during a request
}

func newLoad(ctx context.Context) *load {
	ctx, cancel := context.WithCancel(ctx)
	return &load{ctx: ctx, cancel: cancel}
}

// stop ends the load. It may be called again.
func (l *load) stop() {
	l.cancel()
	l.senders.Wait()
}

// send has n clients of a row send one request after another. pause is between two of
// one client.
func (l *load) send(n int, pause time.Duration, c client, to *ledger) {
	for range n {
		l.senders.Go(func() {
			for l.ctx.Err() == nil {
				l.gate.RLock()
				began := time.Now()
				backend, revision, problem := c(l.ctx)
				switch {
				case l.ctx.Err() != nil: // the end has broken it off
				case problem != "":
					to.failedOne(began, problem)
				default:
					to.answered(backend, revision, began)
				}
				l.gate.RUnlock()
				select {
				case <-time.After(pause):
				case <-l.ctx.Done():
				}
			}
		})
	}
}

// quiet runs do while no request is under way.
func (l *load) quiet(do func() error) error {
	l.gate.Lock()
	defer l.gate.Unlock()
	return do()
}
