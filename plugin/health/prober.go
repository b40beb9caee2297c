package health

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A prober probes one target, one probe at a time.
type prober struct {
	target  Target
	key     string // the target's
	log     *slog.Logger
	changed func() // called when it became healthy or unhealthy
	places  *places
	probe   probeFunc
	phase   time.Duration

	watches int    // guarded by the Probers' lock; 0: it is ending
	stop    func() // ends run
	done    chan struct{}

	healthy atomic.Bool
	became  atomic.Pointer[time.Time] // when it became healthy or unhealthy; nil: it has been so from the start
	probed  atomic.Bool               // a probe could be judged
	against int                       // probes in a row that contradict healthy; only run uses it

	mu        sync.Mutex
	since     time.Time
	lastError string
}

// run probes until the context ends.
func (r *prober) run(ctx context.Context) {
	first := time.NewTimer(r.phase)
	defer first.Stop()
	select {
	case <-ctx.Done():
	case <-first.C:
	}
	// A ticker drops ticks during a slow probe, and keeps its phase.
	ticks := time.NewTicker(r.target.Interval)
	defer ticks.Stop()
	for ctx.Err() == nil {
		err := r.once(ctx)
		if ctx.Err() != nil {
			return // the probe was cancelled
		}
		if short, ok := errors.AsType[shortageError](err); ok {
			r.places.shortage(r.target, short)
			r.failed(short)
		} else {
			r.count(err)
		}
		select {
		case <-ctx.Done():
		case <-ticks.C:
		}
	}
}

// once waits for a place and probes. The timeout starts when it has its place.
func (r *prober) once(ctx context.Context) error {
	if !r.places.take(ctx) {
		return ctx.Err()
	}
	defer r.places.leave()
	ctx, cancel := context.WithTimeout(ctx, r.target.Timeout)
	defer cancel()
	return r.probe(ctx)
}

// failed records why a probe has failed.
func (r *prober) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastError = err.Error()
}

// count counts the result of a probe.
func (r *prober) count(err error) {
	r.probed.Store(true)
	if err != nil {
		r.failed(err)
	}
	healthy, enough := r.healthy.Load(), r.target.Healthy
	if healthy {
		enough = r.target.Unhealthy
	}
	if healthy == (err == nil) {
		r.against = 0
		return
	}
	if r.against++; r.against == enough {
		r.against = 0
		r.change(!healthy, err)
	}
}

func (r *prober) change(healthy bool, err error) {
	now := time.Now()
	r.mu.Lock()
	before := now.Sub(r.since)
	r.since = now
	r.became.Store(&now)
	r.healthy.Store(healthy)
	r.mu.Unlock()
	if healthy {
		r.log.Info("backend is healthy again", "target", r.target.String(), "unhealthy_for", before)
	} else {
		r.log.Warn("backend is unhealthy", "target", r.target.String(), "failed", r.target.Unhealthy, "error", err)
	}
	r.changed()
}

// recall takes over what another process has found, unless a probe that was judged here
// says otherwise.
func (r *prober) recall(before *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.probed.Load() && (r.became.Load() != nil || r.healthy.Load() != before.healthy) {
		return
	}
	r.take(before)
}

// take has the target be as it is known to have been before. The caller holds mu, or is
// alone.
func (r *prober) take(before *record) {
	if !before.Since.IsZero() {
		r.since = before.Since
		r.became.Store(&before.Since)
	}
	r.healthy.Store(before.healthy)
}

// record returns what is to be saved of the target.
func (r *prober) record(t Target) *record {
	r.mu.Lock()
	defer r.mu.Unlock()
	is := &record{Target: t, healthy: r.healthy.Load()}
	if became := r.became.Load(); became != nil {
		is.Since = *became
	}
	return is
}

func (r *prober) condition() Condition {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Condition{r.target.String(), r.healthy.Load(), r.since, r.lastError}
}
