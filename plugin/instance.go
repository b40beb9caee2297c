package plugin

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	pdk "github.com/Kong/go-pdk"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// An Instance is the plugin with the config of one plugin row. Its methods may
// be called by several goroutines at once.
type Instance struct {
	plugin    *Plugin
	placement placement

	live    *live // the row's own split; nil where it comes from a split file
	release func()

	file  *fileSplits
	entry string // the split file's entry; empty: the one named like the route

	streams atomic.Bool // it has had TCP or TLS connections, and so has no requests
	begun   atomic.Bool // it has had one of either

	route   remembered[route]
	service remembered[config.Service]
}

// Handle runs a phase of one request. An error that the client is to see has
// the methods Status and Message; Error is for Kong's log.
func (i *Instance) Handle(phase string, k *pdk.PDK) error {
	r := &request{Instance: i, kong: k, stream: phase == "preread"}
	if r.stream && !i.streams.Load() {
		i.streams.Store(true)
	}
	switch phase {
	case "access", "preread":
		l, err := r.split()
		if l == nil || err != nil {
			return err
		}
		return r.send(l)
	case "log":
		return r.observe()
	}
	return nil
}

// Close lets go of the row's state.
func (i *Instance) Close() {
	if i.release != nil {
		i.release()
	}
}

// request is one request, or connection, in the phase that Kong has called for it.
type request struct {
	*Instance
	kong   *pdk.PDK
	stream bool // it is a TCP or TLS connection: Kong does not look into it
}

// split returns the split that the request is for. It is nil where the request is
// to pass untouched: a row on a service, a consumer or everywhere meets routes
// that have no entry in the split files.
func (r *request) split() (*live, error) {
	if r.live != nil {
		return r.live, nil
	}
	name := r.entry
	if name == "" {
		rt, err := r.askRoute()
		if err != nil {
			return nil, err
		}
		name = rt.name
	}
	l, loaded := r.file.get(name)
	if l != nil || r.placement.RouteID == "" {
		return l, nil
	}
	switch {
	case !loaded:
		return nil, misconfigured("the config has no backends, and the server has no split files: set backends, or start the server with -file")
	case name == "":
		return nil, misconfigured("the config has neither backends nor split, and the route has no name to look up in the split files: set one of the three")
	default:
		return nil, misconfigured("no split named %q in the split files: add it, or set backends", name)
	}
}

// send decides which backend gets the request and tells Kong. Kong says only
// when it is told whether it has an Upstream, so a decision may need another.
func (r *request) send(l *live) error {
	if r.stream && l.needsHTTP != "" {
		return misconfigured("%s: Kong does not look into a TCP or TLS connection: leave it out, or put the plugin on another route", l.needsHTTP)
	}
	if err := r.learn(l.wants); err != nil {
		return err
	}
	f, err := r.ask(l.facts)
	if err != nil {
		return err
	}
	if l.split.Algorithm == split.Random {
		f.Random = rand.Uint64()
	}
	if f.Unhealthy, err = r.unhealthy(l); err != nil {
		return err
	}
	if !r.begun.Load() && r.begun.CompareAndSwap(false, true) {
		l.state.Doubt() // Kong has another configuration
	}
	var asked *backend // at last
	var failed error
	d, err := split.Choose(l.split, l.state, &f, func(i int) (found bool, err error) {
		asked = &l.backends[i]
		if found, failed = r.direct(asked); failed == nil {
			r.sayMissing(l, i, found)
		}
		return found, failed
	})
	switch {
	case err == nil:
		if err := r.apply(asked); err != nil {
			return err
		}
		return r.conclude(l, d)
	case err == failed:
		return err
	case f.Down != 0:
		err = fmt.Errorf("no Upstream named %q in Kong (create it, or mend the name): %w", asked.Upstream, err)
	}
	l.tally.unavailable.Add(1)
	return unavailable(err)
}

// sayMissing says that Kong does not have the Upstream of a backend, or has it again:
// once, as long as that stays so.
func (r *request) sayMissing(l *live, i int, found bool) {
	if found != l.state.Missing().Has(i) {
		return
	}
	args := []any{"split", l.split.Identity, "backend", l.split.Backends[i].Name, "upstream", l.backends[i].Upstream}
	if found {
		r.plugin.Log.Info("Kong has the Upstream of a backend again", args...)
	} else {
		r.plugin.Log.Warn("Kong does not have the Upstream of a backend: create it, or mend the name", args...)
	}
}

// conclude counts a decision, and tells Kong what goes with it besides its
// destination.
func (r *request) conclude(l *live, d split.Decision) error {
	l.tally.chose(d)
	if d.SetCookie != "" {
		if err := r.tell(call{"kong.response.add_header", kv("Set-Cookie", d.SetCookie)}); err != nil {
			return err
		}
	}
	if l.logs {
		if err := r.tell(logged(l.backends[d.Backend].Name, d)); err != nil {
			return err
		}
	}
	if !l.observed {
		return nil
	}
	if !r.stream && l.tally.silence.decided(time.Now()) {
		r.plugin.Log.Error("Kong tells no outcomes of requests, so that neither guard nor passive health checks work: "+
			"it has the dump of a server without -outcomes; write it anew and run kong reload", "split", l.split.Identity)
	}
	return r.tell(l.markOf(d))
}

// learn has what is the same for all requests remembered, whichever backend this
// one is for: Reads would list it again and again until the backend's turn comes
// that depends on it.
func (r *request) learn(w wants) error {
	if r.stream || r.placement.RouteID == "" {
		return nil
	}
	if w.service {
		if _, err := r.askService(); err != nil {
			return err
		}
	}
	if w.route {
		_, err := r.askRoute()
		return err
	}
	return nil
}

// askRoute returns the route of the request: always the same one for a row
// that is on a route.
func (r *request) askRoute() (route, error) {
	if r.placement.RouteID == "" {
		return askRoute(r.kong)
	}
	return r.route.get(r.kong, askRoute)
}

// askService returns the Service of the request: always the same one for a row
// that is on a route or on a Service.
func (r *request) askService() (config.Service, error) {
	if r.placement.RouteID == "" && r.placement.ServiceID == "" {
		return askService(r.kong)
	}
	return r.service.get(r.kong, askService)
}

// refusal ends a request with a response of the plugin's own.
type refusal struct {
	status  int
	message string
	reason  error
}

const misconfiguredMessage = "The traffic split of this route is not configured correctly"

// misconfigured refuses a request because of a config that only the plugin, on
// a request, can see to be wrong.
func misconfigured(format string, args ...any) error {
	return &refusal{500, misconfiguredMessage, fmt.Errorf(format, args...)}
}

// unavailable refuses a request that no backend can take: with 503 where there is
// one that is unhealthy, as that will pass.
func unavailable(reason error) error {
	status := 500
	if errors.Is(reason, split.ErrUnhealthy) {
		status = 503
	}
	return &refusal{status, "No backend is available for this request", reason}
}

func (r *refusal) Error() string   { return r.reason.Error() }
func (r *refusal) Unwrap() error   { return r.reason }
func (r *refusal) Status() int     { return r.status }
func (r *refusal) Message() string { return r.message }
