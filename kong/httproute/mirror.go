package httproute

import (
	"cmp"
	"reflect"

	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// mirror is a filter that has requests of a rule copied.
type mirror struct {
	at     *trail // of its requestMirror
	filter *gateway.HTTPRequestMirrorFilter
}

// mirrorTo is where copies go.
type mirrorTo struct {
	mirror
	target
	sources []*backend // whose requests are copied, all with the same filters; nil: those of all backends
}

// part is how many of the requests are copied; empty: all.
func (m mirror) part() object {
	switch f := m.filter.Fraction; {
	case m.filter.Percent != nil && *m.filter.Percent != 100:
		return object{{"percent", *m.filter.Percent}}
	case f != nil:
		return object{{"fraction", object{{"numerator", f.Numerator}, {"denominator", *cmp.Or(f.Denominator, new(int32(100)))}}}}
	}
	return nil
}

// mirrors finds out where the copies of a rule's requests go.
func (c *converter) mirrors(p *plan) {
	for _, m := range p.changes.mirrors {
		c.mirror(p, m, nil)
	}
	for i := range p.backends {
		for _, m := range p.backends[i].changes.mirrors {
			c.mirror(p, m, &p.backends[i])
		}
	}
}

// mirror finds out where the copies of a backend's requests go; nil: of all of them.
func (c *converter) mirror(p *plan, m mirror, source *backend) {
	d := p.rule.route.doc
	switch {
	case p.rule.route.grpc:
		d.leave(m.at, "calls of gRPC cannot be copied")
		return
	case p.stripsOwn && c.options.To != KIC:
		d.leave(m.at, "cannot stand beside backends of which one has its prefix replaced: Kong does not tell the copies' path then")
		return
	case source != nil && source.changes.path != nil:
		d.leave(m.at, "cannot stand beside another path of the same backend: copies have that of the rule")
		return
	}
	ref := gateway.BackendRef{BackendObjectReference: m.filter.BackendRef}
	t := c.resolve(p.rule, &backendRef{at: m.at.field("backendRef"), ref: ref})
	if t.missing {
		return
	}
	to := mirrorTo{mirror: m, target: t}
	if source != nil {
		for i := range p.mirrors {
			if other := &p.mirrors[i]; other.equal(&to, source) {
				other.sources = append(other.sources, source)
				return
			}
		}
		to.sources = []*backend{source}
	}
	p.mirrors = append(p.mirrors, to)
}

// equal reports whether a mirror of other backends does what one of source is to do.
func (m *mirrorTo) equal(of *mirrorTo, source *backend) bool {
	if len(m.sources) == 0 || m.host != of.host || m.hostPort != of.hostPort || m.protocol != of.protocol || !reflect.DeepEqual(m.part(), of.part()) {
		return false
	}
	own := &m.sources[0].changes
	return own.hostname == source.changes.hostname && reflect.DeepEqual(own.request, source.changes.request)
}

// mirrorConfig is the mirror of a split. Copies have what the filters of the rule ask for, and
// those of the backend that has the mirror; the path of the rule Kong tells the plugin.
func (c *converter) mirrorConfig(p *plan) (all []object) {
	for _, m := range p.mirrors {
		o := object{{"host", m.host}, {"port", m.hostPort}}
		of, hostname, request := p.backends[p.service].protocol, p.changes.hostname, p.changes.request
		if c.options.To == KIC { // whose Service is http, and whose plugins have changed the rule's headers before
			of, request = "http", headers{}
		}
		if m.protocol != of {
			o.put("protocol", m.protocol)
		}
		var sources []string
		if len(m.sources) > 0 {
			hostname, request = p.hostname(m.sources[0]), request.then(m.sources[0].changes.request)
			for _, b := range m.sources {
				sources = append(sources, b.name)
			}
		}
		o.putSome("host_header", hostname)
		if len(p.backends) > 1 {
			o.putSome("sources", sources)
		}
		o = append(o, m.part()...)
		o.putSome("request_headers", headerConfig(request))
		all = append(all, o)
	}
	return all
}
