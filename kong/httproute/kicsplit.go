package httproute

import (
	"bytes"
	"cmp"
	"strconv"

	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// kicSplits writes a split file for the routes that Kong's ingress controller makes: an
// entry for each rule and match. It joins matches of rules with the same backendRefs to
// one Kong route, named by the first of them, so some entries are not asked for; which
// ones changes with the weights.
func (c *converter) kicSplits(plans []*plan) []byte {
	splits := object{}
	for _, p := range plans {
		if p.changes.redirect != nil {
			continue // Kong answers before it comes to a backend
		}
		split := c.kicSplit(p)
		for i := range p.rule.matches {
			splits.put(p.rule.name()+"."+strconv.Itoa(i), split)
		}
	}
	var b bytes.Buffer
	object{{"splits", splits}}.write(&b, 0)
	return b.Bytes()
}

// kicSplit is the config of a split of a rule under Kong's ingress controller. There the
// Kong Service is an Upstream with the pods of all backends, so that no backend is the
// Service; and what the rule's own filters ask for is done by other plugins, before.
func (c *converter) kicSplit(p *plan) object {
	var backends []object
	for i := range p.backends {
		backends = append(backends, c.kicBackend(p, &p.backends[i]))
	}
	if len(backends) == 0 {
		backends = append(backends, object{{"name", "none"}, p.nowhere(p.rule.name())})
	}
	o := object{{"backends", backends}}
	o.putSome("session", c.session(p))
	o.putSome("mirror", c.mirrorConfig(p))
	return append(o, p.ownConfig...)
}

const keepsPath = "with the router's flavor expressions, Kong's ingress controller makes routes that keep the path and do not tell the plugin what of it they match: annotate the route with konghq.com/strip-path: \"true\""

func (c *converter) kicBackend(p *plan, b *backend) object {
	if b.missing {
		return p.missing(b)
	}
	o := object{{"name", b.name}}
	strips, _ := strconv.ParseBool(p.rule.route.annotations["konghq.com/strip-path"])
	if b.changes.redirect != nil {
		if b.changes.replacesPrefix() && !strips && c.options.Flavor == Expressions {
			p.rule.route.doc.leave(b.changes.redirectAt().field("path"), keepsPath)
		}
		o.put("redirect", p.redirectConfig(b.changes.redirect, p.protocols()))
		o.put("weight", b.weight)
		return o
	}
	o.put("host", b.host)
	o.put("port", b.hostPort)
	if b.protocol == "https" { // the Service's is http
		o.put("protocol", b.protocol)
	}
	switch {
	case b.whole != "":
		o.put("replace_path", b.whole)
	case b.changes.path != nil:
		switch {
		case strips:
			o.putSome("path", b.path)
		case c.options.Flavor == Expressions: // with which Kong does not tell what has matched
			at := b.changes.at[gateway.HTTPRouteFilterURLRewrite].fields("urlRewrite", "path")
			p.rule.route.doc.leave(at, keepsPath)
		default:
			o.put("replace_prefix", cmp.Or(b.path, "/"))
		}
	}
	o.putSome("host_header", p.hostname(b))
	o.put("weight", b.weight)
	o.putSome("request_headers", headerConfig(b.changes.request))
	o.putSome("response_headers", headerConfig(b.changes.response))
	return o
}
