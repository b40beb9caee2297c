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
	// maxInFlight is how many probes there are at the same time at most, and filesShare
	// the part of the process's files that they may take: one in so many. A probe takes
	// one file, and two more while a name is looked up. Kong's connections need the rest.
	maxInFlight = 256
	filesShare  = 16
	// shortagePause is the time between two lines of the log about too few files.
	shortagePause = time.Minute
)

// Counts are how the probes of a process do.
type Counts struct {
	InFlight, Waiting, Limit int
	// Unjudged are the probes so far that have said nothing of their target, as this
	// process or machine had no file descriptor or no memory for them.
	Unjudged uint64
}

// places bounds the probes in flight. One that has to wait for its place is late, which
// says nothing of its target.
type places struct {
	log      *slog.Logger
	taken    chan struct{}
	waiting  atomic.Int64
	unjudged atomic.Uint64

	mu   sync.Mutex
	said time.Time // when the log told of a shortage last
}

func newPlaces(log *slog.Logger, limit int) *places {
	return &places{log: log, taken: make(chan struct{}, limit)}
}

// limitOf is how many probes there may be at the same time in a process that may have
// so many files.
func limitOf(files uint64) int { return int(min(max(files/filesShare, 1), maxInFlight)) }

// files is how many files this process may have open.
func files() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur)
}

// take waits for a place until the context ends, and reports whether there is one.
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

// shortage counts a probe that failed for want of what this machine has too little of,
// and says so now and then.
func (p *places) shortage(t Target, err error) {
	p.unjudged.Add(1)
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.said.IsZero() && now.Sub(p.said) < shortagePause {
		return
	}
	p.said = now
	p.log.Error("backends cannot be probed, and stay healthy or unhealthy as they are: this server has too few files; "+
		"raise its limit (LimitNOFILE= of systemd, ulimit -n, ulimits in compose)",
		"target", t.String(), "limit", files(), "error", err)
}

// shortageError is that of a probe which says nothing of its target.
type shortageError struct{ error }

// ofShortage reports whether err says that this process, or this machine, has no file
// descriptor or no memory left. EADDRNOTAVAIL is none of these: it is also what a
// machine without IPv6 says of an IPv6 address, which then cannot be reached at all.
func ofShortage(err error) bool {
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
		return true // it wraps none
	}
	// Without its own files a look-up finds that there is no such host.
	file, err := os.Open(os.DevNull)
	if err != nil {
		return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
	}
	_ = file.Close()
	return false
}
