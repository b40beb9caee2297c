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
	hosts []hosts
	ports map[string]int // of the listeners, by protocol
}

// hosts are hostnames that come in by the same protocols: http, https or both.
type hosts struct {
	hostnames []string // none: any
	protocols []string
}

// attach finds the listeners of a route. A Gateway that the manifests do not have is
// taken for one that has a listener for everything.
func (o *objects) attach(r *route) attachment {
	everything := attachment{hosts: []hosts{{r.hostnames, []string{"http", "https"}}}}
	if len(r.parents) == 0 {
		return everything
	}
	out := attachment{ports: map[string]int{}}
	protocols := map[string][]string{} // by hostname
	var order []string
	for i, parent := range r.parents {
		at := (*trail)(nil).fields("spec", "parentRefs").item(i)
		if *parent.Kind != "Gateway" || *parent.Group != gatewayGroup {
			r.doc.leave(at.field("kind"), "%s cannot be a parent here, only a Gateway", *parent.Kind)
			continue
		}
		key := r.parentName(parent)
		g, ok := o.gateways[key]
		if !ok {
			return everything
		}
		found, allowed, shares := false, false, false
		for _, l := range g.spec.Listeners {
			if !isParent(parent, l) {
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
			shares = true
			if _, known := out.ports[protocol]; !known {
				out.ports[protocol] = int(l.Port)
			}
			if len(shared) == 0 {
				shared = []string{""}
			}
			for _, host := range shared {
				if protocols[host] == nil {
					order = append(order, host)
				}
				if !slices.Contains(protocols[host], protocol) {
					protocols[host] = append(protocols[host], protocol)
				}
			}
		}
		switch {
		case !found:
			r.doc.leave(at, "the Gateway %s has no such listener", key)
		case !allowed:
			r.doc.leave(at, "no listener of the Gateway %s takes this route: see allowedRoutes and protocol there", key)
		case !shares:
			r.doc.leave((*trail)(nil).fields("spec", "hostnames"), "no listener of the Gateway %s has one of these hostnames", key)
		}
	}
	o.tellApart(r, out.ports, protocols)
	for _, host := range order {
		slices.Sort(protocols[host])
		i := slices.IndexFunc(out.hosts, func(h hosts) bool {
			return host != "" && h.hostnames != nil && slices.Equal(h.protocols, protocols[host])
		})
		switch {
		case i >= 0:
			out.hosts[i].hostnames = append(out.hosts[i].hostnames, host)
		case host == "":
			out.hosts = append(out.hosts, hosts{nil, protocols[host]})
		default:
			out.hosts = append(out.hosts, hosts{[]string{host}, protocols[host]})
		}
	}
	return out
}

// isParent reports whether a parentRef to its Gateway means a listener.
func isParent(parent gateway.ParentReference, l gateway.Listener) bool {
	return (parent.SectionName == nil || *parent.SectionName == l.Name) && (parent.Port == nil || *parent.Port == l.Port)
}

// parentName is the Gateway that a parentRef refers to.
func (r *route) parentName(ref gateway.ParentReference) name {
	if ref.Namespace != nil {
		return name{string(*ref.Namespace), string(ref.Name)}
	}
	return name{r.doc.namespace, string(ref.Name)}
}

// tellApart reports listeners that a route is not attached to, and whose requests it gets all
// the same, as Kong has only one listener for them.
func (o *objects) tellApart(r *route, ports map[string]int, protocols map[string][]string) {
	for i, parent := range r.parents {
		key, at := r.parentName(parent), (*trail)(nil).fields("spec", "parentRefs").item(i)
		g := o.gateways[key]
		if g == nil || slices.ContainsFunc(r.parents[:i], func(p gateway.ParentReference) bool { return r.parentName(p) == key }) {
			continue
		}
		for _, l := range g.spec.Listeners {
			protocol := strings.ToLower(string(l.Protocol))
			port, used := ports[protocol]
			if !used || slices.ContainsFunc(r.parents, func(p gateway.ParentReference) bool { return r.parentName(p) == key && isParent(p, l) }) {
				continue
			}
			if port != int(l.Port) {
				r.doc.leave(at, "the Gateway %s has listeners on the ports %d and %d; Kong does not tell its ports apart, and this route would be on both", key, port, l.Port)
				break
			}
			for _, host := range sortedKeys(protocols) {
				if l.Hostname != nil && host != string(*l.Hostname) && slices.Contains(protocols[host], protocol) && (host == "" || covers(host, string(*l.Hostname))) {
					r.doc.warn(at, "the listener %s of the Gateway %s has the hosts %s for itself; Kong does not tell listeners apart, and what no route of that one takes comes to this route", l.Name, key, *l.Hostname)
					break
				}
			}
		}
	}
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
