package plugin

import (
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/plugin/config"
)

// What a request may have to be asked for besides the facts.
var (
	getRoute = textCall("kong.nginx.get_ctx", "route")
	getHost  = textCall("kong.request.get_header", "host")
	getURI   = textCall("kong.nginx.get_var", "upstream_uri")
)

// wants is what a backend depends on, as direct and apply ask for it.
type wants uint16

const (
	wantsRoute               wants = 1 << iota
	wantsService                   // its protocol and its kind of host
	wantsServiceHost               // the kind of its host, of TCP and TLS connections too
	wantsHost                      // the client's
	wantsHostIfPreserved           // likewise, where the route preserves it
	wantsHostUnlessPreserved       // likewise, where it does not
	wantsURI
	wantsBalancer
	wantsMatching       // what of the path the route has matched
	wantsWhetherService // whether the route has one
)

func wantsOf(b *config.Backend, retried bool) (w wants) {
	if b.Redirect != nil {
		if b.Redirect.ReplacePrefix != "" {
			w = wantsRoute
		}
		return w | wantsService // whether it speaks gRPC
	}
	overridden := b.HasLimits() || retried
	if !b.Service {
		w |= wantsWhetherService
	}
	switch {
	case overridden:
		w |= wantsBalancer
	case b.Named():
		w |= wantsService | wantsServiceHost
	}
	if b.Protocol != "" || b.Path != "" || b.ReplacePath != "" {
		w |= wantsService
	}
	if b.ReplacePrefix != "" {
		w |= wantsService | wantsRoute | wantsMatching
	}
	if b.Path != "" {
		w |= wantsURI
	}
	switch {
	case b.HostHeader == "preserve" && b.Upstream != "":
		w |= wantsRoute | wantsHostUnlessPreserved
	case b.HostHeader == "preserve":
		w |= wantsHost
	case b.HostHeader == "" && b.Host != "" && !overridden:
		w |= wantsRoute | wantsHostIfPreserved
		if b.Protocol == "" && (b.Port == 80 || b.Port == 443) { // of which one is implied
			w |= wantsService
		}
	}
	return w
}

// Reads lists what the handler may ask Kong for, so that it can be asked for at once.
// First come the facts that any decision may depend on, and what is not remembered of
// what all the backends depend on: to ask for more would cost every request what few of
// them need. Later comes what only a client without a session needs.
func (i *Instance) Reads(phase string, now time.Time) (first []call, later [][]call) {
	if phase == "log" {
		return i.outcomeReads(now), nil
	}
	l, w := i.wants(phase == "preread", now)
	if l != nil {
		first, later = l.reads, l.laterReads
	}
	if l != nil && l.entry == "" && !i.begun.Load() {
		w |= i.placement.namedBy()
	}
	rt, routeKnown := i.route.known(now)
	s, serviceKnown := i.service.known(now)
	if s.IsIP && l != nil && l.wantedByAll&wantsServiceHost != 0 {
		w |= wantsBalancer
	}
	var stripped, unstripped wants
	if m, known := i.matching.known(now); known && m.StripPath {
		stripped = wantsMatching
	} else if known {
		unstripped = wantsMatching
	}
	ifPreserved := wantsHostUnlessPreserved
	if rt.preserveHost {
		ifPreserved = wantsHostIfPreserved
	}
	for _, r := range [...]struct {
		wanted bool
		call
	}{
		{w&wantsRoute != 0 && !routeKnown, getRoute},
		{w&(wantsService|wantsWhetherService) != 0 && !serviceKnown, getService},
		{w&(wantsHost|ifPreserved) != 0 && (l == nil || !l.allHeaders), getHost},
		{w&(wantsURI|stripped) != 0, getURI},
		{w&unstripped != 0 && (l == nil || !l.path), getPath},
		{w&wantsBalancer != 0, getBalancer},
	} {
		if r.wanted {
			first = append(first[:len(first):len(first)], r.call)
		}
	}
	return first, later
}

// wants returns the split that a request will most likely be for, and what its backends
// depend on. One that is named like the route is not known before the route is.
func (i *Instance) wants(stream bool, now time.Time) (*live, wants) {
	s := i.serving.Load()
	if s == nil || s.err != nil {
		return nil, 0
	}
	l := s.live
	if l == nil {
		name := s.entry
		if name == "" {
			rt, known := i.route.known(now)
			if !known {
				return nil, wantsRoute
			}
			name = rt.name
		}
		if files := i.plugin.file.current.Load(); i.placement.RouteID == "" {
			l = files.splits[name]
		} else {
			l = files.get(name)
		}
	}
	if l == nil || stream && l.needsHTTP != "" { // it is refused, and to ask would be an error in Kong
		return nil, 0
	}
	w := l.wantedByAll
	if i.placement.RouteID != "" {
		w |= l.wanted & (wantsRoute | wantsService | wantsServiceHost | wantsWhetherService) // which is remembered
	}
	if l.probed {
		w |= wantsService | wantsServiceHost
	}
	if i.placement.ServiceID != "" {
		w &^= wantsWhetherService
	}
	if stream {
		w = serviceOfStream(w)
	}
	return l, w
}

// serviceOfStream is what of w there is to know of a TCP or TLS connection.
func serviceOfStream(w wants) wants {
	if w&(wantsServiceHost|wantsWhetherService) != 0 {
		return wantsService
	}
	return 0
}

// rememberEntities has what is the same for all requests remembered, whichever backend
// this one is for: Reads would list it again and again until the backend's turn comes
// that depends on it.
func (r *request) rememberEntities(w wants) error {
	switch {
	case r.placement.RouteID == "":
		return nil
	case r.stream:
		w = serviceOfStream(w)
	}
	if w&(wantsService|wantsWhetherService) != 0 {
		if _, err := r.askService(); err != nil {
			return err
		}
	}
	if w&wantsRoute != 0 {
		_, err := r.askRoute()
		return err
	}
	return nil
}

// route is what the plugin wants to know of the Kong route of a request.
type route struct {
	name         string
	preserveHost bool
	fields       map[string]*structpb.Value
}

// askRoute returns the route of the request: always the same one for a row
// that is on a route.
func (r *request) askRoute() (route, error) {
	v, isKnown := r.route.known(r.now)
	if isKnown {
		return v, nil
	}
	entity, err := r.askEntity(getRoute)
	if err != nil {
		return v, err
	}
	v = route{name: entity["name"].GetStringValue(), preserveHost: entity["preserve_host"].GetBoolValue(), fields: entity}
	if r.placement.RouteID != "" {
		r.route.set(v, r.now)
	}
	return v, nil
}

// askMatching returns what of a path the route of the request matches: always the same for
// a row that is on a route.
func (r *request) askMatching() (config.Route, error) {
	v, isKnown := r.matching.known(r.now)
	if isKnown {
		return v, nil
	}
	rt, err := r.askRoute()
	if err != nil {
		return v, err
	}
	var paths []string
	for _, path := range rt.fields["paths"].GetListValue().GetValues() {
		paths = append(paths, path.GetStringValue())
	}
	v = config.NewRoute(rt.fields["strip_path"].GetBoolValue(), paths, rt.fields["expression"].GetStringValue())
	if r.placement.RouteID != "" {
		r.matching.set(v, r.now)
	}
	return v, nil
}

// service is what the plugin wants to know of the Service of a request.
type service struct {
	config.Service
	name string
}

// askService returns the Service of the request: always the same one for a row
// that is on a route or on a Service.
func (r *request) askService() (service, error) {
	if r.own != nil {
		return *r.own, nil
	}
	v, isKnown := r.service.known(r.now)
	if isKnown {
		return v, nil
	}
	entity, err := r.askEntity(getService)
	if err != nil {
		return v, err
	}
	v = r.newService(entity)
	r.own = &v
	if r.placement.RouteID != "" || r.placement.ServiceID != "" {
		r.service.set(v, r.now)
	}
	return v, nil
}

// askEntity asks for one of the entities that Kong's router left in the request's
// context. kong.router would answer too, but only outside of preread.
func (r *request) askEntity(c call) (map[string]*structpb.Value, error) {
	var v structpb.Value
	if err := ask(r.kong, c, &v); err != nil {
		return nil, fmt.Errorf("asking Kong for the request's route or Service: %w", err)
	}
	return v.GetStructValue().GetFields(), nil
}

// askAgain is how long an answer about a route or a Service is good. Where Kong has a
// database, an edit of either starts no new instance, and what it makes wrong is so for as
// long as this at most.
const askAgain = time.Second

// remembered keeps the answer to a question about something that is the same
// for all requests of an instance. Safe for concurrent use.
type remembered[T any] struct {
	last atomic.Pointer[answer[T]]
}

type answer[T any] struct {
	value T
	at    time.Time
}

// known returns the answer if there is one that is not too old at now.
func (r *remembered[T]) known(now time.Time) (v T, ok bool) {
	a := r.last.Load()
	if a == nil || now.Sub(a.at) >= askAgain {
		return v, false
	}
	return a.value, true
}

func (r *remembered[T]) set(v T, now time.Time) { r.last.Store(&answer[T]{v, now}) }
