package httproute

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// Kong's plugin redirect has one URL to lead to, and takes nothing of the request but the
// whole path. So a redirect to the host that was asked is a route for each hostname, and
// one to the scheme that was asked a route for each protocol. What it cannot do ours does:
// another prefix, the host of a route that has none or a wildcard, and single backends.

// besideRedirects are filters that a redirect leaves nothing to do for.
var besideRedirects = []gateway.HTTPRouteFilterType{gateway.HTTPRouteFilterRequestHeaderModifier, gateway.HTTPRouteFilterResponseHeaderModifier, gateway.HTTPRouteFilterRequestMirror}

// onlyRedirects reports what cannot stand beside a redirect, and what is wrong with it.
func (c *converter) onlyRedirects(d *document, ch *changes) {
	for _, kind := range besideRedirects {
		if at := ch.at[kind]; at != nil {
			d.leave(at.field("type"), "cannot stand beside a RequestRedirect: Kong answers that by itself")
		}
	}
	at, ok := ch.redirectAt().field("path"), true
	switch m := ch.redirect.Path; {
	case m == nil:
	case m.ReplacePrefixMatch != nil:
		_, ok = prefixOf(d, *m.ReplacePrefixMatch, at.field("replacePrefixMatch"))
	default:
		_, ok = wholePathOf(d, *m.ReplaceFullPath, at.field("replaceFullPath"))
	}
	ch.broken = ch.broken || !ok
}

func (ch *changes) redirectAt() *trail {
	return ch.at[gateway.HTTPRouteFilterRequestRedirect].field("requestRedirect")
}

// replacesPrefix reports whether a redirect takes another prefix.
func (ch *changes) replacesPrefix() bool {
	return ch.redirect != nil && ch.redirect.Path != nil && ch.redirect.Path.ReplacePrefixMatch != nil
}

// toHTTPS reports whether Kong's routes can do the redirect by themselves: everything but
// the scheme stays.
func (p *plan) toHTTPS() bool {
	r := p.changes.redirect
	return r.Scheme != nil && *r.Scheme == "https" && r.Hostname == nil && r.Path == nil &&
		(r.Port == nil || *r.Port == 443) && slices.Contains([]int{301, 302, 307, 308}, *r.StatusCode)
}

// takesPlugin reports whether the redirect of an entry takes our plugin.
func (p *plan) takesPlugin(e *entry) bool {
	isWildcard := func(h string) bool { return strings.HasPrefix(h, "*") }
	anyHost := len(e.hostnames) == 0 || slices.ContainsFunc(e.hostnames, isWildcard)
	return !p.toHTTPS() && (p.changes.replacesPrefix() || p.changes.redirect.Hostname == nil && anyHost)
}

// redirects are the entries of a redirect, one for each host and protocol that it has to
// tell apart.
func (c *converter) redirects(p *plan) (entries []*entry) {
	r := p.changes.redirect
	for _, e := range p.kept() {
		if p.takesPlugin(e) && !c.canRedirect(p) {
			continue
		}
		if p.toHTTPS() || p.takesPlugin(e) {
			entries = append(entries, e)
			continue
		}
		hosts := [][]string{e.hostnames}
		if r.Hostname == nil {
			hosts = nil
			for _, h := range e.hostnames {
				hosts = append(hosts, []string{h})
			}
		}
		protocols := [][]string{e.protocols}
		if r.Scheme == nil {
			protocols = nil
			for _, protocol := range e.protocols {
				protocols = append(protocols, []string{protocol})
			}
		}
		for _, h := range hosts {
			for _, protocol := range protocols {
				one := *e
				one.hostnames, one.protocols = h, protocol
				entries = append(entries, &one)
			}
		}
	}
	return entries
}

// canRedirect reports whether our plugin can do the redirect of a rule, or what it cannot.
func (c *converter) canRedirect(p *plan) bool {
	if c.options.To == Native {
		p.rule.route.doc.leave(p.changes.redirectAt(), "a redirect that replaces a prefix, or is to the host that was asked on a route that has not only hostnames without a wildcard, needs the plugin: convert it --to kong")
	}
	return c.options.To != Native
}

// redirectRow is the row of the plugin that does the redirect of an entry.
func (c *converter) redirectRow(p *plan, e *entry, splits *object) object {
	config := object{{"backends", []object{{{"redirect", p.redirectConfig(p.changes.redirect, e.protocols)}}}}}
	c.splits = append(c.splits, &checkedSplit{plan: p, config: config})
	if c.options.To == Splits {
		*splits = append(*splits, member{e.name, config})
		return object{{"name", pluginName}}
	}
	return object{{"name", pluginName}, {"instance_name", e.name}, {"config", config}}
}

// redirectConfig is the redirect of a backend of our plugin, for requests that come by these
// protocols.
func (p *plan) redirectConfig(r *gateway.HTTPRequestRedirectFilter, protocols []string) (o object) {
	if r.Scheme != nil {
		o.put("scheme", *r.Scheme)
	}
	if r.Hostname != nil {
		o.put("hostname", string(*r.Hostname))
	}
	if r.Port != nil {
		o.put("port", int(*r.Port))
	} else if r.Scheme == nil {
		o.putSome("port", p.listenerPort(protocols))
	}
	switch m := r.Path; {
	case m == nil:
	case m.ReplacePrefixMatch != nil:
		o.put("replace_prefix", cmp.Or(strings.TrimSuffix(*m.ReplacePrefixMatch, "/"), "/"))
	default:
		o.put("path", cmp.Or(*m.ReplaceFullPath, "/"))
	}
	if *r.StatusCode != 302 || len(o) == 0 {
		o.put("status", *r.StatusCode)
	}
	return o
}

var ownPorts = map[string]int{"http": 80, "https": 443}

// listenerPort is the port that requests come by where that is known, the same for all, and
// not their protocol's own; 0: it is that of the URL which the client has asked for.
func (p *plan) listenerPort(protocols []string) (port int) {
	for _, protocol := range protocols {
		its := p.ports[protocol]
		if its == 0 || its == ownPorts[protocol] || port != 0 && its != port {
			return 0
		}
		port = its
	}
	return port
}

// location is where a redirect of Kong's plugin leads to.
func (p *plan) location(e *entry) (location string, keepPath bool) {
	r := p.changes.redirect
	u := url.URL{Scheme: e.protocols[0], Path: "/"}
	port := p.ports[e.protocols[0]] // that of the listener
	if r.Scheme != nil {
		u.Scheme, port = *r.Scheme, 0
	}
	if r.Port != nil {
		port = int(*r.Port)
	}
	if r.Hostname != nil {
		u.Host = string(*r.Hostname)
	} else {
		u.Host = e.hostnames[0]
	}
	if port != 0 && port != ownPorts[u.Scheme] {
		u.Host += ":" + strconv.Itoa(port)
	}
	if r.Path == nil {
		return u.String(), true
	}
	return strings.TrimSuffix(u.String(), "/") + cmp.Or(*r.Path.ReplaceFullPath, "/"), false
}

// redirectBackends checks the redirects of single backends.
func (c *converter) redirectBackends(p *plan) {
	d := p.rule.route.doc
	for i := range p.backends {
		b := &p.backends[i]
		if b.changes.redirect == nil {
			continue
		}
		c.onlyRedirects(d, &b.changes)
		b.changes.request, b.changes.response, b.changes.mirrors = headers{}, headers{}, nil
		b.missing = b.missing || b.changes.broken
		if p.changes.path != nil || p.changes.hostname != "" {
			d.leave(b.changes.redirectAt(), "cannot stand beside another path or Host of the rule: a redirect is of the URL that was asked")
			b.missing = true
		}
	}
}

// protocols are those by which the requests of a rule come.
func (p *plan) protocols() (all []string) {
	for _, e := range p.entries {
		all = append(all, e.protocols...)
	}
	return distinct(all)
}
