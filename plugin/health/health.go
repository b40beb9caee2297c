// Package health probes the backends of splits from outside of their requests,
// and tells whether each is well. Whoever wants to know of one watches it; what
// several watch is probed once.
//
// It knows hosts and ports, and nothing of splits or Kong.
package health

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"kong-traffic-split/plugin/state"
)

// Probers probe targets, each target by one prober however many watch it. All
// methods, and those of the watches, may be called by several goroutines at the
// same time.
type Probers struct {
	log    *slog.Logger
	saved  state.Store
	places *places
	dial   dialFunc
	// phase is when in its interval a prober probes. It is random, so that the
	// probers of one server, or of many that were started together, do not all
	// probe at the same moment.
	phase func(interval time.Duration) time.Duration

	mu      sync.Mutex
	by      map[Target]*prober
	closed  bool
	running sync.WaitGroup
}

const (
	// savedPrefix is that of the keys of unhealthy targets.
	savedPrefix = "unhealthy/"
	// recallTime is how long what an earlier process has found unhealthy is probed,
	// watched or not: watches begin with the requests.
	recallTime = time.Hour
)

// New returns probers that watch nothing yet. Each change of a target's health is
// logged, and in saved are the targets that somebody watches and that are unhealthy.
// Those that are there already are so at first, and are probed from now on, so that
// one which nobody watches for long is neither unhealthy when somebody does, nor saved
// for ever.
func New(log *slog.Logger, saved state.Store) *Probers {
	p := prepare(log, saved)
	p.goOn()
	return p
}

func prepare(log *slog.Logger, saved state.Store) *Probers {
	return &Probers{
		log: log, saved: saved,
		places: newPlaces(log, limitOf(files())),
		dial:   (&net.Dialer{}).DialContext,
		phase:  rand.N[time.Duration],
		by:     map[Target]*prober{},
	}
}

// goOn probes what an earlier process has found unhealthy.
func (p *Probers) goOn() {
	for _, key := range p.saved.Keys(savedPrefix) {
		p.Noted(key)
	}
}

// Noted takes over what another process has found, and saved under the key, as if it had
// been there from the beginning; of other keys it takes nothing. A target that was probed
// here already is as these probes say.
func (p *Probers) Noted(key string) {
	text := p.saved.Get(key)
	if text == nil || !strings.HasPrefix(key, savedPrefix) {
		return
	}
	var t Target
	if json.Unmarshal(text, &t) != nil || key != savedPrefix+t.Key() {
		p.saved.Set(key, nil) // nobody would ever ask for it
		return
	}
	w := p.Watch(t)
	time.AfterFunc(recallTime, w.Stop)
	p.mu.Lock()
	for _, r := range p.by {
		if r.key == w.prober.key {
			r.recall()
		}
	}
	p.mu.Unlock()
	p.save(t)
}

// Counts says how the probes do.
func (p *Probers) Counts() Counts { return p.places.counts() }

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
		target: t, key: t.Key(), log: p.log, changed: func() { p.save(t) }, places: p.places,
		probe: newProbe(t, p.dial), phase: p.phase(t.Interval),
		since: time.Now(), done: make(chan struct{}),
	}
	if healthy := p.saved.Get(savedPrefix+r.key) == nil; healthy {
		r.healthy.Store(true)
	} else {
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
	if p.by[r.target] == r {
		delete(p.by, r.target)
	}
	p.mu.Unlock()
	p.save(r.target)
}

// save saves whether a target is unhealthy, for whoever probes it in whatever way.
func (p *Probers) save(t Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed { // it is saved as it was
		return
	}
	key := t.Key()
	var value []byte
	for other, r := range p.by {
		if !r.healthy.Load() && r.key == key {
			value, _ = json.Marshal(other) // strings and numbers can be
			break
		}
	}
	if (value == nil) != (p.saved.Get(savedPrefix+key) == nil) {
		p.saved.Set(savedPrefix+key, value)
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
