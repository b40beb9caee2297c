package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// revisionHeader has the number of the config that a backend's request headers were
// set by: so an answer tells which weights have decided.
const revisionHeader = "X-Revision"

// backendHeader has the name of the backend that answers.
const backendHeader = "X-Backend"

// A backend is one destination of one row. It answers with its name, and notes what
// is not meant for it.
type backend struct {
	name, row string
	port      int
	failing   atomic.Bool // it answers 500, on purpose
	copies    atomic.Int64

	misplaced func(string) // what has come that belongs elsewhere
	end       func() error
}

// address is where it listens.
func (b *backend) address() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

// startHTTP starts a backend of an HTTP row, whose requests begin with the row's name.
func startHTTP(row, name string, misplaced func(string)) (*backend, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &backend{name: name, row: row, port: l.Addr().(*net.TCPAddr).Port, misplaced: misplaced}
	s := &http.Server{Handler: b, ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	b.end = func() error {
		err := s.Close()
		if ended := <-done; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	}
	return b, nil
}

// ServeHTTP implements [http.Handler].
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/"+b.row+"/") {
		b.misplaced(fmt.Sprintf("backend %q of %q got a request for %s", b.name, b.row, r.URL.Path))
	}
	if r.Header.Get("X-Shadow") != "" {
		b.copies.Add(1)
	}
	w.Header().Set(backendHeader, b.name)
	w.Header().Set(revisionHeader, r.Header.Get(revisionHeader))
	if b.failing.Load() {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// startTCP starts a backend of a TCP row: it reads a line, which has to be the row's
// name, answers with its own, and closes.
func startTCP(row, name string, misplaced func(string)) (*backend, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &backend{name: name, row: row, port: l.Addr().(*net.TCPAddr).Port, misplaced: misplaced}
	ctx, cancel := context.WithCancel(context.Background())
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				b.answer(conn)
			})
		}
	})
	b.end = func() error {
		cancel()
		err := l.Close()
		conns.Wait()
		return err
	}
	return b, nil
}

func (b *backend) answer(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	line, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString('\n')
	if err != nil {
		return // the client sees it
	}
	if line != b.row+"\n" {
		b.misplaced(fmt.Sprintf("backend %q of %q got a connection that says %q", b.name, b.row, line))
	}
	_, _ = io.WriteString(conn, b.name+"\n")
}
