package mirror

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxAnswer is how much of an answer is read, in bytes, so that its connection can be used
// again. The connection of one that is longer, or takes longer than drainTime, is closed.
const (
	maxAnswer = 64 << 10 // and of its head
	drainTime = time.Second
	// maxIdle is how many connections to a shadow wait for its next copies.
	maxIdle = 16
)

var errTimeout = fmt.Errorf("no answer within %v", Timeout)

// shortened is an error whose text may be what a shadow has written.
type shortened struct{ error }

func (s shortened) Error() string { return fmt.Sprintf("%.200v", s.error) }
func (s shortened) Unwrap() error { return s.error }

// shadow is a target that copies go to. All but its transport is guarded by the lock of the
// Senders.
type shadow struct {
	transport *http.Transport
	waiting   []*Copy
	workers   int       // each with a copy on its way
	bytes     int       // of the copies that wait or are on their way
	files     int       // likewise, their bodies
	failures  int       // copies in a row that found nobody, or nobody who answered in time
	retry     time.Time // when the next copy may be tried, after so many
	idle      time.Time // since when there are no workers
}

// newShadow returns the shadow at a target. It has a transport of its own: connections are
// pooled by the name that TLS asks for, which may be another one than that of the target.
func newShadow(t Target) *shadow {
	dialer := &net.Dialer{Timeout: Timeout}
	return &shadow{transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, t.address())
		},
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true}, // as Kong does by default
		TLSHandshakeTimeout:    Timeout,
		MaxIdleConnsPerHost:    maxIdle,
		MaxIdleConns:           maxIdle,
		MaxResponseHeaderBytes: maxAnswer,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true,
	}}
}

// isDown reports whether the shadow is down: it gets one copy each retryPause.
func (w *shadow) isDown() bool { return w.failures >= downAfter }

// work sends the copies that wait, one after another, until there are none.
func (s *Senders) work(w *shadow) {
	for {
		c, drop := s.next(w)
		if c == nil {
			return
		}
		r := Result{Drop: drop}
		if drop == "" {
			r = w.send(s.ctx, c)
		}
		s.ended(w, c, r)
	}
}

// next takes the copy that has waited for longest, and reports whether it is dropped; nil:
// there is none, and the worker ends.
func (s *Senders) next(w *shadow) (c *Copy, drop Drop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(w.waiting) == 0 {
		w.workers--
		s.workers--
		w.idle = now
		return nil, ""
	}
	c, w.waiting[0] = w.waiting[0], nil // which the array behind the slice would keep
	w.waiting = w.waiting[1:]
	switch {
	case !w.isDown():
	case now.Before(w.retry):
		return c, ShadowDown
	default:
		w.retry = now.Add(retryPause)
	}
	return c, ""
}

// ended counts what has become of a copy, and says it.
func (s *Senders) ended(w *shadow, c *Copy, r Result) {
	s.mu.Lock()
	s.count(w, c, -1)
	switch {
	case r.Err != nil && isAway(r.Err):
		w.failures++
	case r.Drop == "":
		w.failures = 0
	}
	s.mu.Unlock()
	c.end(r)
}

// isAway reports whether an error says that nobody is there, or answers in time. Others may
// be about one copy alone.
func isAway(err error) bool {
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "dial" {
		return true
	}
	return errors.Is(err, errTimeout)
}

// end closes the body of a copy, and says what has become of it.
func (c *Copy) end(r Result) {
	c.Body.close()
	c.Done(r)
}

// send sends a copy, and returns what has become of it.
func (w *shadow) send(ctx context.Context, c *Copy) Result {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	answer, err := w.transport.RoundTrip(c.request(ctx))
	if err != nil {
		if ctx.Err() == context.Canceled {
			return Result{Drop: Closed}
		}
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return Result{Err: errTimeout}
		}
		return Result{Err: shortened{err}}
	}
	if answer.StatusCode != http.StatusSwitchingProtocols { // of which no end comes, and no context ends it
		late := time.AfterFunc(drainTime, cancel)
		_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
		late.Stop()
	}
	_ = answer.Body.Close()
	return Result{Status: answer.StatusCode}
}
