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
// whole path and the query. What it cannot do ours does: the scheme or the host that was
// asked, another path, and single backends.

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

// takesPlugin reports whether the redirect of a rule takes our plugin.
func (p *plan) takesPlugin() bool {
	r := p.changes.redirect
	return !p.toHTTPS() && (r.Scheme == nil || r.Hostname == nil || r.Path != nil)
}

// canRedirect reports whether the redirect of a rule can be done, or what cannot.
func (c *converter) canRedirect(p *plan) bool {
	if p.takesPlugin() && c.options.To == Native {
		p.rule.route.doc.leave(p.changes.redirectAt(), "a redirect that keeps the scheme or the host that was asked, or takes another path, needs the plugin: convert it --to kong")
		return false
	}
	return true
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

// location is where a redirect of Kong's plugin leads to, with the path that was asked.
func (p *plan) location() string {
	r := p.changes.redirect
	u := url.URL{Scheme: *r.Scheme, Host: string(*r.Hostname), Path: "/"}
	if r.Port != nil && int(*r.Port) != ownPorts[u.Scheme] {
		u.Host += ":" + strconv.Itoa(int(*r.Port))
	}
	return u.String()
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
