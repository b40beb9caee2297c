package plugin

import (
	"sync"
	"sync/atomic"
	"time"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// Probers probe backends, each once however many watch it. Safe for concurrent
// use.
type Probers interface {
	// Watch has a backend probed until the watch is stopped.
	Watch(p Probe) Watch
}

// A Watch is one interest in a backend. Safe for concurrent use.
type Watch interface {
	// Healthy is asked for each request.
	Healthy() bool
	Status() ProbeStatus
	Stop()
}

// A Probe says how a backend is probed.
type Probe struct {
	Host       string
	Port       int
	Protocol   string // http, https or tcp
	Path       string // empty: a connection that can be made is well
	HostHeader string // empty: the backend's own address

	Interval, Timeout  time.Duration
	Healthy, Unhealthy int // results in a row that change what it is taken for
}

// watches are those of a live split. They begin with its first request, since the
// Service says what a backend without a protocol of its own speaks, or with those
// of the split before it, and end with the split. Safe for concurrent use.
type watches struct {
	// byIndex are those of the backends; nil where there are none yet.
	byIndex atomic.Pointer[[]Watch]
	asked   atomic.Bool // there was a request

	mu       sync.Mutex // held to start and to stop
	stopped  bool
	protocol string // the Service's
}

// unhealthy are the backends of l whose probes fail.
func (r *request) unhealthy(l *live) (unhealthy split.Set, err error) {
	if !l.probed {
		return 0, nil
	}
	s, err := r.askService()
	if err != nil {
		return 0, err
	}
	if !l.watches.asked.Load() {
		l.watches.start(r.plugin, l, s.Protocol)
		l.watches.asked.Store(true)
	}
	return l.watches.unhealthy(), nil
}

// unhealthy are the backends whose probes fail.
func (w *watches) unhealthy() (unhealthy split.Set) {
	if all := w.byIndex.Load(); all != nil {
		for i, w := range *all {
			if w != nil && !w.Healthy() {
				unhealthy = unhealthy.With(i)
			}
		}
	}
	return unhealthy
}

// start begins the watches of l, if they have not begun for that protocol.
func (w *watches) start(p *Plugin, l *live, protocol string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.byIndex.Load()
	if w.stopped || before != nil && w.protocol == protocol {
		return
	}
	all := make([]Watch, len(l.backends))
	for i := range l.backends {
		if probe, probed := probeOf(&l.backends[i].Backend, protocol); probed {
			all[i] = p.Probers.Watch(probe)
		}
	}
	w.protocol = protocol
	w.byIndex.Store(&all)
	stop(before)
}

// after begins the watches of l with those of the split before it, so that what
// is known of backends that are in both is kept.
func (w *watches) after(before *watches, p *Plugin, l *live) {
	before.mu.Lock()
	defer before.mu.Unlock()
	if before.byIndex.Load() != nil && l.probed {
		w.start(p, l, before.protocol)
	}
}

// stop ends the watches.
func (w *watches) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.stopped = true
		stop(w.byIndex.Load())
	}
}

func stop(all *[]Watch) {
	if all == nil {
		return
	}
	for _, one := range *all {
		if one != nil {
			one.Stop()
		}
	}
}

// isProbed says whether b is to be probed.
func isProbed(b *config.Backend) bool { return b.Health != nil && b.Health.Active != nil }

// probeOf says how b is probed behind a Service of a protocol. What is no HTTP/1
// is probed by a connection.
func probeOf(b *config.Backend, service string) (p Probe, probed bool) {
	if !isProbed(b) {
		return Probe{}, false
	}
	a := b.Health.Active
	p = Probe{
		Host: b.Host, Port: b.Port, Protocol: "tcp",
		Interval: config.Seconds(a.Interval), Timeout: config.Seconds(a.Timeout),
		Healthy: a.Healthy, Unhealthy: a.Unhealthy,
	}
	protocol := b.Protocol
	if protocol == "" {
		protocol = service
	}
	if protocol == "http" || protocol == "https" {
		p.Protocol, p.Path = protocol, a.Path
		if b.HostHeader != "preserve" {
			p.HostHeader = b.HostHeader
		}
	}
	return p, true
}
