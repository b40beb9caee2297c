// Package health probes the backends of splits from outside of their requests,
// and tells whether each is well. Whoever wants to know of one watches it; what
// several watch is probed once.
//
// It knows hosts and ports, and nothing of splits or Kong.
package health

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Probers probe targets, each target by one prober however many watch it. All
// methods, and those of the watches, may be called by several goroutines at the
// same time.
type Probers struct {
	log     *slog.Logger
	changed func(Target, bool)
	begins  func(Target) bool
	dial    dialFunc
	// phase is when in its interval a prober probes. It is random, so that the
	// probers of one server, or of many that were started together, do not all
	// probe at the same moment.
	phase func(interval time.Duration) time.Duration

	mu      sync.Mutex
	by      map[Target]*prober
	closed  bool
	running sync.WaitGroup
}

// New returns probers that watch nothing yet. Each change of a target's health
// is logged, and passed to changed unless that is nil. It is called by the
// target's prober, which waits for it: it may call all but Close. A target that is
// watched no more is passed to it as healthy.
//
// begins, unless it is nil, says whether a target is healthy at first; otherwise all
// are. It must call nothing of the probers.
func New(log *slog.Logger, changed func(t Target, healthy bool), begins func(t Target) bool) *Probers {
	return &Probers{
		log: log, changed: changed, begins: begins,
		dial:  (&net.Dialer{}).DialContext,
		phase: rand.N[time.Duration],
		by:    map[Target]*prober{},
	}
}

// Watch has a target probed until the watch is stopped. Who goes from one configuration to the next
// watches the new targets before stopping the old watches: so what is known of
// those in both is kept.
func (p *Probers) Watch(t Target) *Watch {
	t = t.normal()
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.by[t]
	if r == nil || r.watches == 0 {
		r = p.start(t, r)
		p.by[t] = r
	}
	r.watches++
	return &Watch{probers: p, prober: r}
}

// start starts a target's prober, which begins when the one before it, if there
// is one, has ended. The caller holds the lock.
func (p *Probers) start(t Target, before *prober) *prober {
	r := &prober{
		target: t, log: p.log, changed: p.changed,
		probe: newProbe(t, p.dial), phase: p.phase(t.Interval),
		since: time.Now(), done: make(chan struct{}),
	}
	r.healthy.Store(p.begins == nil || p.begins(t))
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
	last := p.by[r.target] == r
	if last {
		delete(p.by, r.target)
	}
	closed := p.closed
	p.mu.Unlock()
	if last && !closed && !r.healthy.Load() && p.changed != nil {
		p.changed(r.target, true)
	}
}

// Close ends all probers and waits for them. The watches keep what they said
// last; those of later are healthy for ever.
func (p *Probers) Close() {
	p.mu.Lock()
	p.closed = true
	for _, r := range p.by {
		r.stop()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// A Watch is one interest in a target.
type Watch struct {
	probers *Probers
	prober  *prober
	stopped bool // guarded by the probers' lock
}

// Healthy tells whether the target is well. It takes no lock and can be called
// for every request, after Stop too.
func (w *Watch) Healthy() bool { return w.prober.healthy.Load() }

// State tells what is known of the target.
func (w *Watch) State() State { return w.prober.state() }

// Stop ends the watch, and the target's prober with the last one. It does not
// wait for a probe in flight, whose result counts for nothing. A second Stop does
// nothing.
func (w *Watch) Stop() {
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

// State is what is known of a target.
type State struct {
	Target  Target
	Healthy bool
	// Since is when it became so, or was first watched.
	Since time.Time
	// LastError is why the last probe that failed did; empty: none has.
	LastError string
}
