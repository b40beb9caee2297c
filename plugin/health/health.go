// Package health owns the active health checks: what a target of probes is, how it is
// probed, and whether it is healthy. A target is probed while somebody watches it, and
// once however many do. Which targets are unhealthy, and which have recovered within a day,
// is part of the saved state.
//
// It knows hosts and ports, and nothing of splits or Kong.
package health

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"kong-traffic-split/plugin/state"
)

// Probers probe targets, each target by one prober however many watch it. Its
// methods, and those of its watches, are safe for concurrent use.
type Probers struct {
	log    *slog.Logger
	saved  state.Store
	places *places
	dial   dialFunc
	// phase is when in its interval a prober probes. It is random, so that the
	// probers of one server, or of many that were started together, do not all
	// probe at the same moment.
	phase func(interval time.Duration) time.Duration

	mu       sync.Mutex
	byTarget map[Target]*prober
	closed   bool
	running  sync.WaitGroup
}

// New returns probers. They log each change of a target's health, and keep the targets
// that are watched in saved where they are unhealthy or have recovered a day ago at most,
// with the time. Targets that are there already begin so. Those that are unhealthy are
// probed for an hour, even if nothing watches them: otherwise one that has recovered in the
// meantime would still be unhealthy when it is watched again, and would be saved for ever.
func New(log *slog.Logger, saved state.Store) *Probers {
	p := prepare(log, saved)
	p.recallAll()
	return p
}

func prepare(log *slog.Logger, saved state.Store) *Probers {
	return &Probers{
		log: log, saved: saved,
		places:   newPlaces(log, limitOf(files())),
		dial:     (&net.Dialer{}).DialContext,
		phase:    rand.N[time.Duration],
		byTarget: map[Target]*prober{},
	}
}

// Counts returns how many probes are in flight, wait and could not be judged.
func (p *Probers) Counts() Counts { return p.places.counts() }

// Watch has a target probed until the watch is stopped. To go from one configuration
// to the next, watch the new targets before you stop the old watches: the condition of
// targets that are in both is kept then.
func (p *Probers) Watch(t Target) Watch {
	t = t.normal()
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.byTarget[t]
	if r == nil || r.watches == 0 {
		r = p.start(t, r)
		p.byTarget[t] = r
	}
	r.watches++
	return &watch{probers: p, prober: r}
}

// start starts a target's prober. It begins when the prober before it, if there is
// one, has ended. The caller holds the lock.
func (p *Probers) start(t Target, before *prober) *prober {
	r := &prober{
		target: t, key: t.Key(), log: p.log, changed: func() { p.save(t) }, places: p.places,
		probe: newProbe(t, p.dial), phase: p.phase(t.Interval),
		since: time.Now(), done: make(chan struct{}),
	}
	r.healthy.Store(true)
	if known := cmp.Or(p.record(unhealthyPrefix, r.key), p.record(recoveredPrefix, r.key)); known != nil {
		r.take(known)
	}
	if !r.healthy.Load() {
		r.phase = 0 // at once: it may be healthy by now
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	if p.closed {
		stop()
	}
	p.running.Go(func() {
		if before != nil {
			<-before.done
		}
		r.run(ctx)
		p.forget(r)
		close(r.done)
	})
	return r
}

// forget drops a prober that has ended, unless another has taken its place.
func (p *Probers) forget(r *prober) {
	p.mu.Lock()
	if p.byTarget[r.target] == r {
		delete(p.byTarget, r.target)
	}
	p.mu.Unlock()
	p.save(r.target)
}

// Close ends all probers and waits for them. Watches keep the condition that they had
// then; targets that are watched later are never probed, and healthy.
func (p *Probers) Close() {
	p.mu.Lock()
	p.closed = true
	for _, r := range p.byTarget {
		r.stop()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// A Watch has a target probed until it is stopped. It is an interface so that tests
// can do without a network. Its methods are safe for concurrent use.
type Watch interface {
	// Healthy reports whether the target is healthy. It takes no lock, so that it can
	// be called for every request, even after Stop.
	Healthy() bool
	// Changed returns when the target became healthy or unhealthy, on the monotonic clock;
	// zero: it has been healthy from the start, or for a day. It takes no lock either.
	Changed() time.Time
	// Condition returns what the probes have found so far.
	Condition() Condition
	// Stop ends the watch, and with the last watch of a target its prober. It does not
	// wait for a probe in flight, whose result is ignored. A second Stop does nothing.
	Stop()
}

// A Condition is what the probes of a target have found so far.
type Condition struct {
	Target  string `json:"target"` // as [Target.String] has it
	Healthy bool   `json:"healthy"`
	// Since is when it became healthy or unhealthy, or was first watched.
	Since time.Time `json:"since"`
	// LastError is why the last probe that failed did so; empty: none has failed.
	LastError string `json:"last_error,omitempty"`
}

type watch struct {
	probers *Probers
	prober  *prober
	stopped bool // guarded by the probers' lock
}

func (w *watch) Healthy() bool { return w.prober.healthy.Load() }

func (w *watch) Changed() (at time.Time) {
	if became := w.prober.became.Load(); became != nil {
		at = *became
	}
	return at
}

func (w *watch) Condition() Condition { return w.prober.condition() }

func (w *watch) Stop() {
	w.probers.mu.Lock()
	defer w.probers.mu.Unlock()
	if w.stopped {
		return
	}
	w.stopped = true
	if w.prober.watches--; w.prober.watches == 0 {
		w.prober.stop()
	}
}
