package check

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
)

var noWeight = &Check{
	ID: "no-weight", Severity: Error,
	Doc: "No backend has a weight above 0, a lone one of weight 0 included: each request that no rule decides gets a 500.",
	split: func(u *use, r report) {
		if len(u.Backends) == 0 || u.Ramp != nil { // a ramp has needed another weight
			return
		}
		for _, b := range u.Backends {
			if b.Weight > 0 {
				return
			}
		}
		if len(u.Backends) == 1 {
			r(at("backends", 0, "weight"), "the only backend has the weight 0, so that it takes no request, and each one gets a 500: leave weight out")
			return
		}
		r(at("backends"), "all weights are 0, so that each request that no rule decides gets a 500: give one of them a weight above 0")
	},
}

var upstreamMissing = &Check{
	ID: "upstream-missing", Severity: Error,
	Doc: "A backend's `upstream` is the name of no Upstream in the files of Kong's that are given: its share is answered with an error, or by others.",
	split: func(u *use, r report) {
		for i, b := range u.Backends {
			if b.Upstream != "" && len(u.kongs) > 0 && u.upstream(b.Upstream) == nil && !u.lack("upstreams") {
				r(at("backends", i, "upstream"), "%q is the name of no Upstream of Kong's: add it to upstreams, or write host for a host name", b.Upstream)
			}
		}
	},
}

var upstreamEmpty = &Check{
	ID: "upstream-empty", Severity: Warning,
	Doc: "A backend's Upstream has no target with a weight above 0: Kong answers with 503.",
	split: func(u *use, r report) {
		for i, b := range u.Backends {
			up := u.upstream(b.Upstream)
			if b.Upstream == "" || up == nil || u.lack("targets") {
				continue
			}
			weight := 0
			for _, t := range up.Targets {
				weight += t.Weight
			}
			if weight == 0 {
				r(at("backends", i, "upstream"), "the Upstream %q has no target with a weight above 0, so that Kong answers with 503: give it one", b.Upstream)
			}
		}
	},
}

var hostIsUpstream = &Check{
	ID: "host-is-upstream", Severity: Warning,
	Doc: "A backend's `host` is the name of an Upstream: Kong goes to that Upstream's targets and ignores the port.",
	split: func(u *use, r report) {
		for i, b := range u.Backends {
			if b.Host != "" && slices.ContainsFunc(u.in, func(k *Kong) bool { return k.upstreams[b.Host] != nil }) {
				what := "whose targets Kong takes, whatever the port"
				if u.Retry != nil {
					what += ", so that no request that fails there is tried on another backend"
				}
				r(at("backends", i, "host"), "%q is the name of an Upstream, %s: write upstream in the place of host, or call the Upstream something else", b.Host, what)
			}
		}
	},
}

// upstream returns an Upstream of the files that are given; nil: there is none.
func (u *use) upstream(name string) *declarative.Upstream {
	for _, k := range u.kongs {
		if up := k.upstreams[name]; up != nil {
			return up
		}
	}
	return nil
}

var sameDestination = &Check{
	ID: "same-destination", Severity: Warning,
	Doc: "Two backends have one destination, with the same path and headers, those of responses too: they are two names for one thing, so that a rollout between them changes nothing. `service: true` is the route's Service.",
	split: func(u *use, r report) {
		for i := range u.Backends {
			for j := range i {
				if u.same(&u.Backends[j], &u.Backends[i]) {
					r(at("backends", i), "goes where backends[%d] goes (%q and %q): take one of them out, or give it its own destination", j, u.Backends[j].Name, u.Backends[i].Name)
					break
				}
			}
		}
	},
}

// same reports whether requests to two backends are the same.
func (u *use) same(a, b *config.Backend) bool {
	if reflect.DeepEqual(u.request(*a), u.request(*b)) {
		return true
	}
	if len(u.routes) == 0 || a.Service == b.Service {
		return false
	}
	for _, route := range u.routes { // one of them is the route's Service
		if s := route.service; s == nil || !u.isService(a, s) || !u.isService(b, s) {
			return false
		}
	}
	return true
}

// request is what of a backend decides what is sent where, and what clients get.
func (u *use) request(b config.Backend) config.Backend {
	b.Name, b.Weight, b.Health, b.SlowStart = "", 0, nil, 0
	if b.Host != "" {
		if u.upstream(b.Host) != nil { // whose names are as they are written
			b.Upstream = b.Host
		}
		b.Host = strings.ToLower(b.Host)
		b.Protocol = cmp.Or(b.Protocol, u.protocol())
	}
	return b
}

// isService reports whether a backend is what a Service is.
func (u *use) isService(b *config.Backend, s *declarative.Service) bool {
	if b.Service {
		return reflect.DeepEqual(u.request(*b), config.Backend{Service: true, RequestHeaders: b.RequestHeaders}) && reflect.ValueOf(b.RequestHeaders).IsZero()
	}
	want := u.request(config.Backend{Host: s.Host, Port: s.Port, Protocol: cmp.Or(b.Protocol, s.Protocol)})
	if b.Upstream != "" {
		want = config.Backend{Upstream: s.Host, Protocol: b.Protocol}
	}
	has := u.request(*b)
	has.Protocol = cmp.Or(has.Protocol, want.Protocol)
	return s.Path == "" && reflect.DeepEqual(has, want) && (b.Protocol == "" || b.Protocol == s.Protocol)
}

// protocol returns what backends without a protocol of their own are spoken to by on all
// routes; empty: there are several, or none is known.
func (u *use) protocol() (protocol string) {
	for _, r := range u.routes {
		if r.service == nil && r.Service != nil {
			return ""
		}
		its := serviceOfPlugin(r.service).Protocol
		if r.service == nil && isStream(r.Protocols) || protocol != "" && its != protocol {
			return ""
		}
		protocol = its
	}
	return protocol
}

var portOfOtherProtocol = &Check{
	ID: "port-of-other-protocol", Severity: Warning,
	Doc: "A backend on port 443 that is spoken to by http, or one on port 80 by https, perhaps as that is the protocol of the route's Service.",
	split: func(u *use, r report) {
		for i, b := range u.Backends {
			protocol := cmp.Or(b.Protocol, u.protocol())
			field, whose := "port", ""
			if b.Protocol == "" {
				whose = ", the Service's protocol"
				if slices.ContainsFunc(u.routes, func(r onRoute) bool { return r.Service == nil }) {
					whose = ", as the route has no Service"
				}
			}
			switch {
			case b.Host == "":
			case protocol == "http" && b.Port == 443:
				r(at("backends", i, field), "port 443 is spoken to by http%s: add protocol: https", whose)
			case protocol == "https" && b.Port == 80:
				r(at("backends", i, field), "port 80 is spoken to by https%s: write port: 443, or protocol: http", whose)
			}
		}
	},
}
