package plugin

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/health"
	"kong-traffic-split/plugin/split"
)

// Probers watch targets: a [health.Probers], or in tests what needs no network.
type Probers interface {
	Watch(t health.Target) health.Watch
}

// watches are those of a live split's backends. They start with its first request,
// since a backend without a protocol of its own speaks that of the Service, or with
// those of the split before it, and stop with the split. Safe for concurrent use.
type watches struct {
	// byBackend has nil for a backend that is not probed. It is nil until the watches
	// start.
	byBackend atomic.Pointer[[]health.Watch]
	requested atomic.Bool // there was a request

	mu       sync.Mutex // held to start and to stop
	stopped  bool
	protocol string // the Service's
}

// unhealthy returns the backends of l whose probes fail.
func (r *request) unhealthy(l *live) (split.Set, error) {
	if !l.probed {
		return 0, nil
	}
	s, err := r.askService()
	if err != nil {
		return 0, err
	}
	if !l.watches.requested.Load() {
		l.watches.start(r.plugin.Probers, l.backends, s.Protocol)
		l.watches.requested.Store(true)
	}
	return l.watches.unhealthy(), nil
}

// unhealthy returns the backends whose probes fail.
func (w *watches) unhealthy() (unhealthy split.Set) {
	if all := w.byBackend.Load(); all != nil {
		for i, watch := range *all {
			if watch != nil && !watch.Healthy() {
				unhealthy = unhealthy.With(i)
			}
		}
	}
	return unhealthy
}

// changed returns when the probes of a backend found it to be as it is; zero: it has been so
// from the start, or is not probed.
func (w *watches) changed(backend int) (at time.Time) {
	if all := w.byBackend.Load(); all != nil && (*all)[backend] != nil {
		at = (*all)[backend].Changed()
	}
	return at
}

// start starts the watches of backends behind a Service of that protocol, unless they
// have started with that protocol already.
func (w *watches) start(probers Probers, backends []backend, protocol string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.byBackend.Load()
	if w.stopped || before != nil && w.protocol == protocol {
		return
	}
	all := make([]health.Watch, len(backends))
	for i := range backends {
		if b := &backends[i].Backend; isProbed(b) {
			all[i] = probers.Watch(targetOf(b, protocol))
		}
	}
	w.protocol = protocol
	w.byBackend.Store(&all)
	stop(before)
}

// startFrom starts the watches of l if those of the split before it have started, so
// that the condition of backends that are in both is kept.
func (w *watches) startFrom(before *watches, probers Probers, l *live) {
	before.mu.Lock()
	defer before.mu.Unlock()
	if before.byBackend.Load() != nil && l.probed {
		w.start(probers, l.backends, before.protocol)
	}
}

// stop stops the watches; they do not start again.
func (w *watches) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.stopped = true
		stop(w.byBackend.Load())
	}
}

func stop(all *[]health.Watch) {
	if all == nil {
		return
	}
	for _, watch := range *all {
		if watch != nil {
			watch.Stop()
		}
	}
}

// condition returns what the probes of a backend have found; nil: it is not probed.
func (w *watches) condition(backend int) *health.Condition {
	all := w.byBackend.Load()
	if all == nil || (*all)[backend] == nil {
		return nil
	}
	return new((*all)[backend].Condition())
}

// isProbed reports whether b has active health checks.
func isProbed(b *config.Backend) bool { return b.Health != nil && b.Health.Active != nil }

// targetOf returns how b, which is probed, is probed behind a Service of that
// protocol: by a connection alone unless it speaks HTTP/1.
func targetOf(b *config.Backend, serviceProtocol string) health.Target {
	a := b.Health.Active
	t := health.Target{
		Host: b.Host, Port: b.Port, Protocol: health.TCP,
		Interval: config.Seconds(a.Interval), Timeout: config.Seconds(a.Timeout),
		Healthy: a.Healthy, Unhealthy: a.Unhealthy,
	}
	switch protocol := health.Protocol(cmp.Or(b.Protocol, serviceProtocol)); protocol {
	case health.HTTP, health.HTTPS:
		t.Protocol, t.Path = protocol, a.Path
		if b.HostHeader != "preserve" {
			t.HostHeader = b.HostHeader
		}
	}
	return t
}
