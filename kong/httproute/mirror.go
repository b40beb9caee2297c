package httproute

import (
	"math"
	"slices"

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
	percent float64
}

// mirrors finds out where the copies of a rule's requests go.
func (c *converter) mirrors(p *plan) {
	d := p.rule.route.doc
	for _, m := range p.changes.mirrors {
		switch {
		case c.options.To == KIC:
			d.leave(m.at, "Kong's ingress controller refuses a route with it: take mirror of a KongPlugin of %s", pluginName)
			continue
		case p.rule.route.grpc:
			d.leave(m.at, "calls of gRPC cannot be copied")
			continue
		case slices.ContainsFunc(p.backends, func(b backend) bool { return b.path != "" }):
			d.leave(m.at, "cannot stand beside backends of which one has its prefix replaced: Kong does not tell the copies' path then")
			continue
		}
		ref := gateway.BackendRef{BackendObjectReference: m.filter.BackendRef}
		t := c.resolve(p.rule, &backendRef{at: m.at.field("backendRef"), ref: ref})
		if !t.missing {
			p.mirrors = append(p.mirrors, mirrorTo{m, t, percentOf(d, m)})
		}
	}
}

// percentOf is how many of the requests are copied. The plugin takes two decimals.
func percentOf(d *document, m mirror) float64 {
	switch f := m.filter.Fraction; {
	case m.filter.Percent != nil:
		return float64(*m.filter.Percent)
	case f != nil:
		whole := int32(100)
		if f.Denominator != nil {
			whole = *f.Denominator
		}
		exact := 100 * float64(f.Numerator) / float64(max(whole, 1))
		rounded := math.Round(100*exact) / 100
		if rounded != exact {
			d.warn(m.at.field("fraction"), "becomes %v percent: the plugin takes two decimals", rounded)
		}
		return rounded
	}
	return 100
}

// mirrorConfig is the mirror of a split. Copies have what the rule's own filters ask for; the
// path of the rule is the Service's, which Kong tells the plugin.
func (p *plan) mirrorConfig() (all []object) {
	for _, m := range p.mirrors {
		o := object{{"host", m.host}, {"port", m.hostPort}}
		if m.protocol != p.backends[p.service].protocol {
			o.put("protocol", m.protocol)
		}
		o.putSome("host_header", p.changes.hostname)
		if m.percent != 100 {
			o.put("percent", m.percent)
		}
		o.putSome("request_headers", headerConfig(p.changes.request))
		all = append(all, o)
	}
	return all
}
