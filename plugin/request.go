package plugin

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	pdk "github.com/Kong/go-pdk"

	"kong-traffic-split/plugin/split"
)

// request is one request, or connection, in the phase that Kong has called for it.
type request struct {
	*Instance
	kong       *pdk.PDK
	now        time.Time // when it came, or in the log phase, when that did
	stream     bool      // it is a TCP or TLS connection: Kong does not look into it
	host       *string   // the Host header that the client has sent; nil: not known yet
	balancer   []byte    // balancer_data, an encoded Value; nil: not read
	saved      bool      // it is to be written back where the request goes to the Service
	overridden bool      // Kong was told by it where the request goes
	own        *service  // the Service of its route; nil: Kong was not asked for this request

	// serviceless says that its route has no Service, where what it is for depends on that.
	serviceless bool
}

// decide has the request decided, and records how it went.
func (r *request) decide() error {
	s, err := r.enter(r.stream, r.now)
	if err != nil {
		return err
	}
	if s.good != nil {
		if err := r.logWrong(r.wrong.Load(), r.inUse()); err != nil {
			return err
		}
	}
	l, err := r.split(s)
	if err == nil && l != nil {
		err = r.send(l)
	}
	var wrong *refusal
	switch {
	case err == nil && s.good == nil:
		r.row.succeeded(r.Instance, r.now)
	case errors.As(err, &wrong) && wrong.message == misconfiguredMessage:
		f := &failure{error: wrong.reason, ofFiles: s.live == nil, files: r.plugin.file.current.Load()}
		if was := r.failed.Swap(f); was == nil || was.ofFiles && was.files != f.files || was.Error() != f.Error() {
			r.row.fails(r.Instance, r.now)
		}
	}
	return err
}

// logWrong tells Kong's log what is wrong that the client does not notice.
func (r *request) logWrong(wrong error, inUse string) error {
	reason := wrong.Error()
	if !r.row.mayLog(reason, r.now) {
		return nil
	}
	return r.kong.Log.Err("[" + Name + "] " + reason + "; in use is " + inUse)
}

// split returns the split that the request is for. It is nil where the request is
// to pass untouched: a row on a service, a consumer or everywhere meets routes
// that have no entry in the split files.
func (r *request) split(s *serving) (*live, error) {
	if s.live != nil {
		return s.live, nil
	}
	name := s.entry
	if name == "" {
		rt, err := r.askRoute()
		if err != nil {
			return nil, err
		}
		name = rt.name
	}
	files := r.plugin.file.current.Load()
	if r.placement.RouteID == "" {
		return files.splits[name], nil
	}
	l, vanished := r.plugin.file.onRoute(files, name, r.now)
	switch {
	case vanished:
		return l, r.logWrong(goneError{name}, l.inUse())
	case l != nil:
		return l, nil
	case !files.loaded:
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
		return refuseHTTP(l.needsHTTP)
	}
	if err := r.rememberEntities(l.wanted); err != nil {
		return err
	}
	f := split.Facts{Now: r.now, Changed: l.changed}
	if err := r.learn(&f, l.facts); err != nil {
		return err
	}
	var failed error // what Kong was asked for or told
	if len(l.more) > 0 {
		f.More = func(f *split.Facts) error {
			failed = r.learn(f, l.more)
			return failed
		}
	}
	if l.split.Algorithm == split.Random {
		f.Random = rand.Uint64()
	}
	var err error
	if f.Unhealthy, err = r.unhealthy(l); err != nil {
		return err
	}
	if !r.begun.Load() {
		if err := r.learnName(l); err != nil {
			return err
		}
		if r.begun.CompareAndSwap(false, true) {
			l.state.Doubt() // Kong has another configuration
			if l.tally.companion != nil {
				l.tally.companion.forget()
			}
		}
	}
	var asked *backend // at last
	d, err := split.Choose(l.split, l.state, &f, func(i int, chosen bool) (found bool, err error) {
		asked = &l.backends[i]
		if !chosen && l.service >= 0 { // for which the request may be all the same
			if found, failed = r.saveDestination(); !found {
				return false, failed
			}
		}
		if found, failed = r.direct(asked, chosen); failed == nil {
			r.logMissing(l, i, found)
		}
		return found, failed
	})
	switch {
	case err == nil:
		copied, err := r.copy(l, d.Copies)
		if err != nil {
			return err
		}
		var url askedURL
		if to := asked.Redirect; to != nil {
			if url, err = r.askURL(to); err != nil {
				return err
			}
		}
		if err := r.apply(asked); err != nil {
			return err
		}
		if err := r.offer(l, &f, &d); err != nil {
			return err
		}
		r.logKept(l, d.Kept&f.Unhealthy)
		if l.state.Kept() != split.Set(l.savedKept.Load()) {
			r.plugin.saveState(l)
		}
		if err := r.conclude(l, d, copied); err != nil || asked.Redirect == nil {
			return err
		}
		r.redirect(asked.Redirect, &url)
		return nil
	case err == failed:
		return err
	case f.Down != 0:
		err = fmt.Errorf("no Upstream named %q in Kong (create it, or mend the name): %w", asked.Upstream, err)
	}
	l.tally.unavailable.Add(1)
	return r.unavailable(err)
}

// logMissing logs that Kong does not have the Upstream of a backend, or has it again:
// once, as long as that stays so.
func (r *request) logMissing(l *live, i int, found bool) {
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

// logKept logs which backends take requests although their probes find them unhealthy, once
// for as long as these are the same. What the log phase keeps is an incident of its own.
func (r *request) logKept(l *live, kept split.Set) {
	before := l.kept.Load()
	if before == uint64(kept) || !l.kept.CompareAndSwap(before, uint64(kept)) {
		return
	}
	for i, b := range l.split.Backends {
		if kept.Has(i) && !split.Set(before).Has(i) {
			r.plugin.Log.Warn("a backend is unhealthy, and takes requests all the same: too much of the weights would be out (max_ejected)", "split", l.split.Identity, "backend", b.Name)
		}
	}
}

// conclude counts a decision, and tells Kong what goes with it besides its
// destination. copied is by what the log phase finds what to compare with the answers of
// shadows; 0: there is nothing.
func (r *request) conclude(l *live, d split.Decision, copied uint64) error {
	l.tally.chose(d)
	if d.SetCookie != "" {
		if err := r.kong.Response.AddHeader("Set-Cookie", d.SetCookie); err != nil {
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
	if l.judged && !r.stream && l.tally.silence.decided(r.now) {
		r.plugin.Log.Error("Kong tells no outcomes of requests, so that guards, passive health checks and comparisons with shadows do not work: "+
			"it has the dump of a server without -outcomes; write it anew and run kong reload", "split", l.split.Identity)
	}
	switch {
	case copied != 0:
		return r.tell(pairCall("kong.ctx.shared.set", markKey, markText(l.entry, d.Subject, copied, l.backends[d.Backend].Name)))
	case l.entry == "" && d.Backend == l.service:
		return nil // which the log phase takes for what is not marked
	}
	return r.tell(l.setMark(d))
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

// refuseHTTP refuses parameters that a TCP or TLS connection cannot have.
func refuseHTTP(parameters string) *refusal {
	return &refusal{500, misconfiguredMessage, fmt.Errorf("%s: Kong does not look into a TCP or TLS connection: leave it out, or put the plugin on another route", parameters)}
}

// unavailable refuses a request that no backend can take: with 503 where there is
// one that is unhealthy, as that will pass, and where it is a call of gRPC, for which
// Kong makes UNAVAILABLE of that and INTERNAL of 500.
func (r *request) unavailable(reason error) error {
	status := 500
	if errors.Is(reason, split.ErrUnhealthy) {
		status = 503
	} else if !r.stream {
		service, err := r.askService()
		if err != nil {
			return err
		}
		if service.IsGRPC() {
			status = 503
		}
	}
	return &refusal{status, "No backend is available for this request", reason}
}

func (r *refusal) Error() string   { return r.reason.Error() }
func (r *refusal) Unwrap() error   { return r.reason }
func (r *refusal) Status() int     { return r.status }
func (r *refusal) Message() string { return r.message }
