package httproute

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// attachment is where the requests of a route come in: by its hostnames and those of the
// listeners that it is attached to.
type attachment struct {
	hostnames []string // none: any
	protocols []string // http, https or both
	ports     map[string]int
}

// attach finds the listeners of a route. A Gateway that the manifests do not have is
// taken for one that has a listener for everything.
func (o *objects) attach(r *route) (attachment, bool) {
	out := attachment{ports: map[string]int{}}
	everything := attachment{hostnames: r.hostnames, protocols: []string{"http", "https"}}
	at := (*trail)(nil).fields("spec", "parentRefs")
	if len(r.parents) == 0 {
		return everything, true
	}
	anyHost, refused := false, false
	for i, parent := range r.parents {
		if *parent.Kind != "Gateway" || *parent.Group != gatewayGroup {
			r.doc.leave(at.item(i).field("kind"), "%s cannot be a parent here, only a Gateway", *parent.Kind)
			refused = true
			continue
		}
		key := name{r.doc.namespace, string(parent.Name)}
		if parent.Namespace != nil {
			key.namespace = string(*parent.Namespace)
		}
		g, ok := o.gateways[key]
		if !ok {
			return everything, true
		}
		var hosts []string
		found, allowed := false, false
		for _, l := range g.spec.Listeners {
			if parent.SectionName != nil && *parent.SectionName != l.Name || parent.Port != nil && *parent.Port != l.Port {
				continue
			}
			found = true
			protocol := strings.ToLower(string(l.Protocol))
			if protocol != "http" && protocol != "https" || !o.allows(g, l, r) {
				continue
			}
			allowed = true
			shared, some := intersect(r.hostnames, l.Hostname)
			if !some {
				continue
			}
			if len(shared) == 0 {
				anyHost = true
			}
			hosts = append(hosts, shared...)
			if !slices.Contains(out.protocols, protocol) {
				out.protocols = append(out.protocols, protocol)
				out.ports[protocol] = int(l.Port)
			}
			out.hostnames = append(out.hostnames, shared...)
		}
		switch {
		case !found:
			r.doc.leave(at.item(i), "the Gateway %s has no such listener", key)
			refused = true
		case !allowed:
			r.doc.leave(at.item(i), "no listener of the Gateway %s takes this route: see allowedRoutes and protocol there", key)
			refused = true
		case len(hosts) == 0 && !anyHost:
			r.doc.leave((*trail)(nil).fields("spec", "hostnames"), "no listener of the Gateway %s has one of these hostnames", key)
			refused = true
		}
	}
	if len(out.protocols) == 0 {
		return attachment{}, !refused && len(r.parents) == 0
	}
	if anyHost {
		out.hostnames = nil
	}
	slices.Sort(out.protocols)
	out.hostnames = distinct(out.hostnames)
	return out, true
}

// distinct leaves out what was there before, and keeps the order.
func distinct(all []string) (out []string) {
	for _, s := range all {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// intersect returns the hostnames that both a route and a listener have, the more specific
// one of each pair; none and true: any.
func intersect(hostnames []string, listener *gateway.Hostname) (shared []string, some bool) {
	switch {
	case listener == nil || *listener == "":
		return hostnames, true
	case len(hostnames) == 0:
		return []string{string(*listener)}, true
	}
	for _, h := range hostnames {
		switch l := string(*listener); {
		case covers(l, h):
			shared = append(shared, h)
		case covers(h, l):
			shared = append(shared, l)
		}
	}
	return distinct(shared), len(shared) > 0
}

// covers reports whether all hosts of the hostname b are hosts of a. A wildcard stands for
// one label or more.
func covers(a, b string) bool {
	if suffix, ok := strings.CutPrefix(a, "*"); ok {
		return strings.HasSuffix(strings.TrimPrefix(b, "*"), suffix) && (a == b || len(b) > len(suffix))
	}
	return a == b
}

// allows reports whether a listener takes a route.
func (o *objects) allows(g *gatewayObject, l gateway.Listener, r *route) bool {
	from, kinds := gateway.NamespacesFromSame, []gateway.RouteGroupKind(nil)
	var selector *metav1.LabelSelector
	if l.AllowedRoutes != nil {
		kinds = l.AllowedRoutes.Kinds
		if n := l.AllowedRoutes.Namespaces; n != nil && n.From != nil {
			from, selector = *n.From, n.Selector
		}
	}
	if len(kinds) > 0 && !slices.ContainsFunc(kinds, func(k gateway.RouteGroupKind) bool { return string(k.Kind) == r.doc.kind }) {
		return false
	}
	switch from {
	case gateway.NamespacesFromAll:
		return true
	case gateway.NamespacesFromSame:
		return g.doc.namespace == r.doc.namespace
	case gateway.NamespacesFromSelector:
		s, err := metav1.LabelSelectorAsSelector(selector)
		return err == nil && s.Matches(labelsOf(o.namespaces[r.doc.namespace], r.doc.namespace))
	}
	return false
}
