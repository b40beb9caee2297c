package plugin

import (
	"kong-traffic-split/plugin/config"
)

// What a request may have to be asked for besides the facts.
var (
	getRoute   = textCall("kong.nginx.get_ctx", "route")
	getService = textCall("kong.nginx.get_ctx", "service")
	getHost    = textCall("kong.request.get_header", "host")
	getURI     = textCall("kong.nginx.get_var", "upstream_uri")
)

// wants is what a backend depends on, as direct and apply ask for it.
type wants uint8

const (
	wantsRoute               wants = 1 << iota
	wantsService                   // its protocol and its kind of host
	wantsServiceHost               // the kind of its host, of TCP and TLS connections too
	wantsHost                      // the client's
	wantsHostIfPreserved           // likewise, where the route preserves it
	wantsHostUnlessPreserved       // likewise, where it does not
	wantsURI
)

func wantsOf(b *config.Backend) (w wants) {
	if b.Named() {
		w |= wantsService | wantsServiceHost
	}
	if b.Protocol != "" || b.Path != "" {
		w |= wantsService
	}
	if b.Path != "" {
		w |= wantsURI
	}
	switch {
	case b.HostHeader == "preserve" && b.Upstream != "":
		w |= wantsRoute | wantsHostUnlessPreserved
	case b.HostHeader == "preserve":
		w |= wantsHost
	case b.HostHeader == "" && b.Host != "":
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
func (i *Instance) Reads(phase string) (first, later []call) {
	if phase == "log" {
		if i.observes() {
			first = outcomeReads
		}
		return first, nil
	}
	l, w := i.wants(phase == "preread")
	if l != nil {
		first, later = l.reads, l.laterReads
	}
	rt, routeKnown := i.route.known()
	_, serviceKnown := i.service.known()
	ifPreserved := wantsHostUnlessPreserved
	if rt.preserveHost {
		ifPreserved = wantsHostIfPreserved
	}
	for _, r := range [...]struct {
		wanted bool
		call
	}{
		{w&wantsRoute != 0 && !routeKnown, getRoute},
		{w&wantsService != 0 && !serviceKnown, getService},
		{w&(wantsHost|ifPreserved) != 0 && (l == nil || !l.allHeaders), getHost},
		{w&wantsURI != 0, getURI},
	} {
		if r.wanted {
			first = append(first[:len(first):len(first)], r.call)
		}
	}
	return first, later
}

// wants returns the split that a request will most likely be for, and what its backends
// depend on. One that is named like the route is not known before the route is.
func (i *Instance) wants(stream bool) (*live, wants) {
	s := i.serving.Load()
	if s == nil || s.err != nil {
		return nil, 0
	}
	l := s.live
	if l == nil {
		name := s.entry
		if name == "" {
			rt, known := i.route.known()
			if !known {
				return nil, wantsRoute
			}
			name = rt.name
		}
		if l, _ = i.plugin.file.get(name); l == nil && i.placement.RouteID != "" {
			l = i.plugin.file.gone(name)
		}
	}
	if l == nil || stream && l.needsHTTP != "" { // it is refused, and to ask would be an error in Kong
		return nil, 0
	}
	w := l.wantedByAll
	if i.placement.RouteID != "" {
		w |= l.wanted & (wantsRoute | wantsService | wantsServiceHost) // which is remembered
	}
	if l.probed {
		w |= wantsService | wantsServiceHost
	}
	if stream {
		w = serviceOfStream(w)
	}
	return l, w
}

// serviceOfStream is what of w there is to know of a TCP or TLS connection.
func serviceOfStream(w wants) wants {
	if w&wantsServiceHost != 0 {
		return wantsService
	}
	return 0
}
