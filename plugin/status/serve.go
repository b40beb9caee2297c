package status

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	// pause is how long to wait before an address is tried again: a process that is
	// about to be replaced may still have it.
	pause = 100 * time.Millisecond
	// patience is how often it is tried so before the log says that something is wrong:
	// 3 seconds, longer than a process takes to hand over. From then on, longPause is
	// how long to wait.
	patience  = 30
	longPause = 5 * time.Second
	// maxConnections bounds what whoever asks can take from Kong's connections, and
	// readTime how long one that says nothing keeps its place.
	maxConnections = 64
	readTime       = 5 * time.Second
)

// Serve answers on a TCP address until the context ends. Where it cannot listen
// there, it says so in the log and goes on trying: no request has to wait for it.
func Serve(ctx context.Context, address string, h http.Handler, log *slog.Logger) {
	socket := await(ctx, address, new(net.ListenConfig).Listen, log)
	if socket == nil {
		return
	}
	log.Info("status is served", "address", socket.Addr())
	serve(ctx, socket, h, readTime, log)
}

func serve(ctx context.Context, socket net.Listener, h http.Handler, readTime time.Duration, log *slog.Logger) {
	s := &http.Server{
		Handler:        h,
		ReadTimeout:    readTime,         // of a whole request
		WriteTimeout:   30 * time.Second, // from the request's head to the answer's end
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelError), // of panics
	}
	s.SetKeepAlivesEnabled(false) // who asks every few seconds need not keep a connection
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(&places{Listener: socket, most: maxConnections}); ctx.Err() == nil {
		log.Error("status is served no more", "address", socket.Addr(), "error", err)
	}
}

type listenFunc func(ctx context.Context, network, address string) (net.Listener, error)

// await listens as soon as that is possible. It returns nil when the context ends
// before.
func await(ctx context.Context, address string, listen listenFunc, log *slog.Logger) net.Listener {
	for tries := 1; ; tries++ {
		socket, err := listen(ctx, "tcp", address)
		if err == nil {
			return socket
		}
		last := patience // from then on something is wrong
		if !errors.Is(err, syscall.EADDRINUSE) {
			last = 1 // nobody is about to give such an address up
		}
		switch tries {
		case last:
			log.Error("status cannot be served, trying on", "address", address, "error", err)
		case 1:
			log.Info("status is not served yet, waiting for the address: a process that is about to be replaced may have it", "address", address, "error", err)
		}
		wait := pause
		if tries >= last {
			wait = longPause
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}
