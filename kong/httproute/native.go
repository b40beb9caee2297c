package httproute

import (
	"net"
	"slices"
	"strconv"

	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// upstream is the Upstream of a rule with more than one backend.
func (p *plan) upstream() object {
	if len(p.backends) < 2 {
		return nil
	}
	var targets []object
	for _, b := range p.backends {
		address := net.JoinHostPort(b.host, strconv.Itoa(b.hostPort))
		i := slices.IndexFunc(targets, func(t object) bool { return t[0].value == address })
		if i < 0 {
			targets = append(targets, object{{"target", address}, {"weight", b.weight}})
			continue
		}
		targets[i][1].value = targets[i][1].value.(int) + b.weight
	}
	return object{{"name", p.rule.name()}, {"targets", targets}}
}

// maxTargetWeight is that of a target of Kong's.
const maxTargetWeight = 65535

// refuseNative reports what Kong's weighted targets cannot do, and whether there is such.
func (c *converter) refuseNative(p *plan) bool {
	d := p.rule.route.doc
	before := len(d.problems)
	missing := false // which was said
	filter := func(ch changes, kind gateway.HTTPRouteFilterType, what string) {
		if at := ch.at[kind]; at != nil {
			d.leave(at.field("type"), "%s the plugin: convert it --to kong", what)
		}
	}
	filter(p.changes, gateway.HTTPRouteFilterRequestHeaderModifier, "changes of the request need")
	filter(p.changes, gateway.HTTPRouteFilterRequestMirror, "copies of requests need")
	if p.changes.hostname != "" {
		filter(p.changes, gateway.HTTPRouteFilterURLRewrite, "another hostname needs")
	}
	if len(p.ownConfig) > 0 {
		d.leave(p.rule.at, "a KongPlugin of %s needs the plugin: convert it --to kong", pluginName)
	}
	if p.rule.session != nil && len(p.backends) > 1 {
		d.leave(p.rule.at.field("sessionPersistence"), "sessions need the plugin: convert it --to kong")
	}
	for _, b := range p.backends {
		for _, kind := range sortedKeys(b.changes.at) {
			filter(b.changes, kind, "filters of a single backend need")
		}
		switch {
		case b.missing && !d.partial:
			missing = true
		case b.missing:
			d.leave(b.ref.at, "a backendRef that leads nowhere needs the plugin, which answers its share with an error: convert it --to kong")
		case b.weight > maxTargetWeight:
			d.leave(b.ref.at.field("weight"), "%d is more than %d, the most that a target of Kong's can have: divide the weights, or convert it --to kong", b.weight, maxTargetWeight)
		case b.protocol != p.backends[p.service].protocol:
			d.leave(b.ref.at, "is reached by %s and another backend by %s, which needs the plugin: convert it --to kong", b.protocol, p.backends[p.service].protocol)
		}
	}
	return missing || len(d.problems) > before
}
