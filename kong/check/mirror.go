package check

import (
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
)

var mirrorNever = &Check{
	ID: "mirror-never", Severity: Error,
	Doc: "A split has `mirror`, and the Service of a route that uses it speaks gRPC, of which nothing is copied.",
	split: func(u *use, r report) {
		for _, route := range u.routes {
			if s := route.service; len(u.Mirror) > 0 && s != nil && (s.Protocol == "grpc" || s.Protocol == "grpcs") {
				r(at("mirror"), "the Service of the %s speaks %s, and calls of gRPC are not copied: leave mirror out", nameOf(route.Route), s.Protocol)
				return
			}
		}
	},
}

var mirrorIdle = &Check{
	ID: "mirror-idle", Severity: Warning,
	Doc: "A shadow that gets no copies, as no requests go to the backends whose requests are copied: their weights are 0, and no rule, ramp, session or header sends any there.",
	split: func(u *use, r report) {
		if len(u.Rules) > 0 || u.ForceHeader != "" || u.Session != nil || u.Ramp != nil {
			return
		}
		takes := func(b config.Backend) bool {
			return b.Weight > 0 || u.OnUnavailable == "fallback" && b.Name == u.Fallback
		}
		for i := range u.Mirror {
			m := &u.Mirror[i]
			copied := func(b config.Backend) bool {
				return b.Name != m.Backend && (len(m.Sources) == 0 || slices.Contains(m.Sources, b.Name))
			}
			isSource := func(b config.Backend) bool { return takes(b) && copied(b) }
			if part, _ := m.Part(); part > 0 && slices.ContainsFunc(u.Backends, takes) && !slices.ContainsFunc(u.Backends, isSource) {
				r(at("mirror", i), "gets no copies, as no requests go to the backends whose requests are copied: give one of them a weight, name others in sources, or leave it out")
			}
		}
	},
}

var mirrorBodies = &Check{
	ID: "mirror-bodies", Severity: Warning,
	Doc: "A split has `mirror`, and a route that uses it has `request_buffering: false`: requests with a body are not copied, as to read the body first would delay them.",
	split: func(u *use, r report) {
		for _, route := range u.routes {
			if buffers, known := route.Row["request_buffering"].(bool); len(u.Mirror) > 0 && known && !buffers {
				r(at("mirror"), "the %s has request_buffering: false, so that no request with a body is copied: set it to true, or copy what has none", nameOf(route.Route))
				return
			}
		}
	},
}

var mirrorTwice = &Check{
	ID: "mirror-twice", Severity: Warning,
	Doc: "A shadow is where a backend with a share is, or the route's Service: it gets its own requests twice. Also one that is a backend by which `retry` tries requests: it gets those twice.",
	split: func(u *use, r report) {
		for i := range u.Mirror {
			m := &u.Mirror[i]
			if m.Backend != "" { // which does not get its own
				if j := slices.IndexFunc(u.Backends, func(b config.Backend) bool { return b.Name == m.Backend }); u.retries(j) {
					r(at("mirror", i), "gets requests twice that are tried again on it: leave it out of retry by another backend there, or take another shadow")
				}
				continue
			}
			for j := range u.Backends {
				b := &u.Backends[j]
				if b.Weight == 0 && u.Ramp == nil || len(m.Sources) > 0 && !slices.Contains(m.Sources, b.Name) {
					continue
				}
				if b.Host != "" && strings.EqualFold(b.Host, m.Host) && b.Port == m.Port {
					r(at("mirror", i), "is where backends[%d] (%q) is, which gets its own requests twice: write backend: %s, by which it does not", j, b.Name, b.Name)
					break
				}
				if b.Service && slices.ContainsFunc(u.routes, func(route onRoute) bool { return isAt(route.service, m) }) {
					r(at("mirror", i), "is where the route's Service is, which gets its own requests twice: take another host")
					break
				}
			}
		}
	},
}

// retries reports whether requests that have failed are tried on a backend.
func (u *use) retries(backend int) bool {
	switch b := &u.Backends[backend]; {
	case u.Retry == nil:
		return false
	case u.Retry.Backend != "":
		return u.Retry.Backend == b.Name
	default:
		return b.Weight > 0 || u.Ramp != nil
	}
}

// isAt reports whether a shadow is where a Service is.
func isAt(s *declarative.Service, m *config.Mirror) bool {
	return s != nil && strings.EqualFold(s.Host, m.Host) && s.Port == m.Port
}

var mirrorIntoKong = &Check{
	ID: "mirror-into-kong", Severity: Warning,
	Doc: "A shadow has a host that a route of Kong's takes: if that leads to Kong, copies come back as requests. They are not copied again, but go to backends.",
	split: func(u *use, r report) {
		for i := range u.Mirror {
			host := u.Shadow(i).Host
			for _, k := range u.in {
				for _, route := range k.config.Routes {
					if slices.ContainsFunc(route.Hosts, func(taken string) bool { return takesHost(taken, host) }) {
						r(at("mirror", i), "%q is a host of the %s: copies may come back to Kong, and go to its backends; take the shadow's own address", host, nameOf(route))
						return
					}
				}
			}
		}
	},
}
