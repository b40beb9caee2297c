package plugin

import (
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/plugin/config"
)

// read is a call that asks Kong for something. The plugin server knows the type
// by what it is made of.
type read = struct {
	Method string
	Args   []byte
}

// What a request may have to be asked for, each as the call that asks for it.
var (
	readRoute   = newRead("kong.nginx.get_ctx", "route")
	readService = newRead("kong.nginx.get_ctx", "service")
	readHost    = newRead("kong.request.get_header", "host")
	readURI     = newRead("kong.nginx.get_var", "upstream_uri")
)

func newRead(method, arg string) read {
	args, err := proto.Marshal(stringArg(arg))
	if err != nil {
		panic(err) // bytes always encode
	}
	return read{method, args}
}

// wants is what the backends of a split depend on.
type wants struct {
	route, service, host, uri bool
	named, probes             bool // both need the Service
}

// of says what b depends on, as apply asks for it.
func (w *wants) of(b *config.Backend) {
	ownHost := b.Upstream == "" && b.HostHeader == ""
	impliedPort := b.Protocol == "" && (b.Port == 80 || b.Port == 443)
	w.route = w.route || ownHost
	w.named = w.named || b.Named()
	w.probes = w.probes || isProbed(b)
	w.service = w.service || w.named || w.probes || b.Protocol != "" || b.Path != "" || ownHost && impliedPort
	w.host = w.host || b.HostHeader == "preserve"
	w.uri = w.uri || b.Path != ""
}

// Reads lists what the handler may ask Kong for, so that it can be asked for at
// once: all that any of the backends depends on and that is not remembered.
func (i *Instance) Reads(phase string) (reads []read) {
	if phase == "log" {
		return i.outcomeReads()
	}
	w, facts := i.wants(phase == "preread")
	for n := range facts {
		if !facts[n].options { // few requests are of that method
			reads = append(reads, facts[n].read)
		}
	}
	rt, routeKnown := i.route.known()
	_, serviceKnown := i.service.known()
	if w.route && !routeKnown {
		reads = append(reads, readRoute)
	}
	if w.service && !serviceKnown {
		reads = append(reads, readService)
	}
	if w.host || w.route && rt.preserveHost {
		reads = append(reads, readHost)
	}
	if w.uri {
		reads = append(reads, readURI)
	}
	return reads
}

// wants says what the split that a request will most likely be for depends on.
// One that is named like the route is not known before the route is.
func (i *Instance) wants(stream bool) (wants, []fact) {
	s := i.serving.Load()
	if s == nil || s.err != nil {
		return wants{}, nil
	}
	l := s.live
	if l == nil {
		name := s.entry
		if name == "" {
			rt, known := i.route.known()
			if !known {
				return wants{route: true}, nil
			}
			name = rt.name
		}
		if l, _ = i.plugin.file.get(name); l == nil && i.placement.RouteID != "" {
			l = i.plugin.file.gone(name)
		}
	}
	switch {
	case l == nil:
		return wants{}, nil
	case !stream:
		return l.wants, l.facts
	case l.needsHTTP != "": // it is refused, and to ask would be an error in Kong
		return wants{}, nil
	}
	return wants{service: l.wants.named || l.wants.probes}, l.facts
}
