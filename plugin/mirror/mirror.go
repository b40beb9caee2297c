// Package mirror owns the copies of requests that shadows get: it sends each, and says what
// has become of it. Whoever hands it a copy never waits: what is too much for a shadow, or
// for the memory, is dropped, and a shadow that does not answer is left alone but for one
// copy a second.
//
// It knows hosts and ports, and nothing of splits or Kong.
package mirror

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"
)

const (
	// MarkHeader and Mark are the header by which a copy is known as one.
	MarkHeader = "X-Shadow"
	Mark       = "traffic-split"
)

const (
	// Timeout is how long a copy may take, from the connection to the head of the answer.
	Timeout = 10 * time.Second
	// maxInFlight and maxWaiting are how many copies are on their way to a shadow, and how
	// many wait for that, at most.
	maxInFlight, maxWaiting = 64, 1024
	// maxWorkers is how many copies are on their way to all shadows together; of each shadow
	// there may be one all the same.
	maxWorkers = 256
	// maxShadowBytes and maxBytes are how much memory copies to a shadow, and all of them,
	// take at most, in bytes.
	maxShadowBytes, maxBytes = 16 << 20, 64 << 20
	// maxShadowFiles and maxFiles are how many bodies of copies to a shadow, and of all, are
	// open files, at most.
	maxShadowFiles, maxFiles = 64, 256
	// downAfter is after how many copies in a row without an answer a shadow is down, and
	// retryPause is how often it gets one then.
	downAfter, retryPause = 5, time.Second
	// idleTime is after how long a shadow that gets no copies is forgotten.
	idleTime = time.Minute
)

// A Target is where a shadow is. It can be compared.
type Target struct {
	Protocol string // http or https
	Host     string // a name or an address, without brackets
	Port     int
}

func (t Target) address() string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }

// A Copy is a request for a shadow.
type Copy struct {
	Target Target
	Method string
	URI    string // the path, and the query if there is one, as they are sent
	Host   string // the Host header
	// Header has the other headers. What is of one connection only, by its name, is left out.
	Header map[string][]string
	Body   Body
	// Done is called once with what has become of it, unless [Senders.Send] has dropped it.
	// It must not wait, and may be called until [Senders.Close] has returned.
	Done func(Result)
}

// Result is what has become of a copy: exactly one of these.
type Result struct {
	Status int   // of the answer
	Err    error // why there is none
	Drop   Drop  // why it was dropped after all
}

// Drop is why a copy is not sent; empty: it is.
type Drop string

// The reasons.
const (
	Invalid    Drop = "invalid"     // it cannot be sent by HTTP as it is
	QueueFull  Drop = "queue_full"  // too many copies wait for the shadow
	MemoryFull Drop = "memory_full" // copies that wait take too much memory, or too many files
	ShadowDown Drop = "shadow_down" // the shadow does not answer
	Closed     Drop = "closed"      // the server ends
)

// Senders send copies, those to one target independently of all others. Its methods are safe
// for concurrent use.
type Senders struct {
	ctx  context.Context // of all copies
	stop context.CancelFunc

	mu       sync.Mutex
	shadows  map[Target]*shadow
	workers  int // of all shadows
	bytes    int // of all copies
	files    int
	closed   bool
	inFlight sync.WaitGroup // workers
}

// New returns senders. They use no resources before the first copy.
func New() *Senders {
	s := &Senders{shadows: map[Target]*shadow{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Admit reports whether a copy to a target would be dropped at now, so that nobody makes it in
// vain.
func (s *Senders) Admit(t Target, now time.Time) Drop {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.shadows[t]
	switch {
	case s.closed:
		return Closed
	case w == nil:
		return ""
	case w.isDown() && now.Before(w.retry):
		return ShadowDown
	case len(w.waiting) >= maxWaiting:
		return QueueFull
	}
	return ""
}

// Send has a copy sent, or drops it. It does not wait. The copy, and its body, are the
// senders' from then on.
func (s *Senders) Send(c *Copy) Drop {
	drop := Invalid
	if c.isValid() {
		drop = s.take(c)
	}
	if drop != "" {
		c.Body.close()
	}
	return drop
}

func (s *Senders) take(c *Copy) Drop {
	size := c.size()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Closed
	}
	w := s.shadow(c.Target)
	switch {
	case len(w.waiting) >= maxWaiting:
		return QueueFull
	case w.bytes+size > maxShadowBytes || s.bytes+size > maxBytes,
		c.Body.file != nil && (w.files >= maxShadowFiles || s.files >= maxFiles):
		return MemoryFull
	}
	s.count(w, c, 1)
	w.waiting = append(w.waiting, c)
	if w.workers == 0 || w.workers < maxInFlight && s.workers < maxWorkers {
		w.workers++
		s.workers++
		s.inFlight.Go(func() { s.work(w) })
	}
	return ""
}

// count counts what a copy takes, or with -1 no longer takes.
func (s *Senders) count(w *shadow, c *Copy, sign int) {
	w.bytes += sign * c.size()
	s.bytes += sign * c.size()
	if c.Body.file != nil {
		w.files += sign
		s.files += sign
	}
}

// shadow returns the shadow at a target. With a new one, those that have had no copies for
// long are forgotten: they may be in no config any more.
func (s *Senders) shadow(t Target) *shadow {
	if w := s.shadows[t]; w != nil {
		return w
	}
	for other, w := range s.shadows {
		if w.workers == 0 && time.Since(w.idle) > idleTime {
			w.transport.CloseIdleConnections()
			delete(s.shadows, other)
		}
	}
	w := newShadow(t)
	s.shadows[t] = w
	return w
}

// Close drops the copies that wait, and those on their way, of which what was sent was sent:
// requests wait for the end of this process where another one goes on with them, and not for
// a shadow. When it returns, no Done is called any more.
func (s *Senders) Close() {
	s.mu.Lock()
	s.closed = true
	var dropped []*Copy
	for _, w := range s.shadows {
		for _, c := range w.waiting {
			s.count(w, c, -1)
		}
		dropped = append(dropped, w.waiting...)
		w.waiting = nil
	}
	s.mu.Unlock()
	for _, c := range dropped {
		c.end(Result{Drop: Closed})
	}
	s.stop()
	s.inFlight.Wait()
	for _, w := range s.shadows {
		w.transport.CloseIdleConnections()
	}
}
