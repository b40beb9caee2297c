package health

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// maxInFlight is how many probes may be in flight. If the process may open few files
	// it is fewer: one in filesShare of these. A probe needs one file, and two more while
	// a name is looked up. Kong's connections need the rest.
	maxInFlight = 256
	filesShare  = 16
	// shortagePause is the shortest time between two log lines about too few files.
	shortagePause = time.Minute
)

// Counts are the numbers of probes of a process.
type Counts struct {
	InFlight, Waiting, Limit int // Limit is the most that may be in flight
	// Unjudged are the probes so far that failed because this process or machine had no
	// file descriptor or no memory for them. They are no evidence about their target.
	Unjudged uint64
}

// places limits the probes in flight. One that has to wait is late, which is no evidence
// about its target. Its methods are safe for concurrent use.
type places struct {
	log      *slog.Logger
	taken    chan struct{}
	waiting  atomic.Int64
	unjudged atomic.Uint64

	mu     sync.Mutex
	logged time.Time // when a shortage was logged last
}

func newPlaces(log *slog.Logger, limit int) *places {
	return &places{log: log, taken: make(chan struct{}, limit)}
}

// limitOf returns how many probes may be in flight in a process that may have so many
// files open.
func limitOf(files uint64) int { return int(min(max(files/filesShare, 1), maxInFlight)) }

// files returns how many files this process may have open.
func files() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur)
}

// take waits for a place, and reports whether it got one before the context ended.
func (p *places) take(ctx context.Context) bool {
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	select {
	case p.taken <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *places) leave() { <-p.taken }

func (p *places) counts() Counts {
	return Counts{len(p.taken), int(p.waiting.Load()), cap(p.taken), p.unjudged.Load()}
}

// shortage counts a probe that could not be judged, and logs it now and then.
func (p *places) shortage(t Target, err error) {
	p.unjudged.Add(1)
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.logged.IsZero() && now.Sub(p.logged) < shortagePause {
		return
	}
	p.logged = now
	p.log.Error("backends cannot be probed, and stay healthy or unhealthy as they are: this server has too few files; "+
		"raise its limit (LimitNOFILE= of systemd, ulimit -n, ulimits in compose)",
		"target", t.String(), "limit", files(), "error", err)
}

// shortageError is the error of a probe that is no evidence about its target.
type shortageError struct{ error }

// isShortage reports whether err means that this process or machine has no file
// descriptor or no memory left. EADDRNOTAVAIL does not: a machine without IPv6 has it for
// an IPv6 address, which it can never reach.
func isShortage(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	lookup, ok := errors.AsType[*net.DNSError](err)
	if !ok {
		return false
	}
	if strings.Contains(lookup.Err, syscall.EMFILE.Error()) || strings.Contains(lookup.Err, syscall.ENFILE.Error()) {
		return true // it does not wrap the errno
	}
	// A look-up that cannot open its own files finds no such host.
	file, err := os.Open(os.DevNull)
	if err != nil {
		return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
	}
	_ = file.Close()
	return false
}
