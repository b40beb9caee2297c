package httproute

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// Kong's plugin redirect has one URL to lead to, and takes nothing of the request but the
// whole path. So a redirect to the host that was asked is a route for each hostname, and
// one to the scheme that was asked a route for each protocol.

// onlyRedirects reports what cannot stand beside a redirect.
func (c *converter) onlyRedirects(p *plan) {
	d := p.rule.route.doc
	for _, kind := range []gateway.HTTPRouteFilterType{gateway.HTTPRouteFilterRequestHeaderModifier, gateway.HTTPRouteFilterResponseHeaderModifier, gateway.HTTPRouteFilterRequestMirror} {
		if at := p.changes.at[kind]; at != nil {
			d.leave(at.field("type"), "cannot stand beside a RequestRedirect: Kong answers that by itself")
		}
	}
	at := p.redirectAt()
	switch m := p.changes.redirect.Path; {
	case m == nil:
	case m.ReplacePrefixMatch != nil:
		d.leave(at.field("path"), "a redirect cannot replace a prefix: Kong's plugin redirect takes the whole path of a request or none of it; use ReplaceFullPath")
		p.changes.broken = true
	case strings.ContainsAny(*m.ReplaceFullPath, "?#") || !strings.HasPrefix(*m.ReplaceFullPath, "/"):
		d.leave(at.fields("path", "replaceFullPath"), "%s is not a path: it starts with a slash and has neither ? nor #", quote(*m.ReplaceFullPath))
		p.changes.broken = true
	}
}

func (p *plan) redirectAt() *trail {
	return p.changes.at[gateway.HTTPRouteFilterRequestRedirect].field("requestRedirect")
}

// toHTTPS reports whether Kong's routes can do the redirect by themselves: everything but
// the scheme stays.
func (p *plan) toHTTPS() bool {
	r := p.changes.redirect
	return r.Scheme != nil && *r.Scheme == "https" && r.Hostname == nil && r.Path == nil &&
		(r.Port == nil || *r.Port == 443) && slices.Contains([]int{301, 302, 307, 308}, *r.StatusCode)
}

// redirects are the entries of a redirect, one for each host and protocol that it has to
// tell apart.
func (c *converter) redirects(p *plan) (entries []*entry) {
	r := p.changes.redirect
	for _, e := range p.kept() {
		if p.toHTTPS() {
			entries = append(entries, e)
			continue
		}
		hosts := [][]string{e.hostnames}
		if r.Hostname == nil {
			hosts = nil
			for _, h := range e.hostnames {
				if strings.HasPrefix(h, "*") {
					hosts = nil
					break
				}
				hosts = append(hosts, []string{h})
			}
			if hosts == nil {
				p.rule.route.doc.leave(p.redirectAt(), "a redirect needs a hostname here, as the route has not only hostnames without a wildcard: Kong's plugin redirect has one URL to lead to")
				continue
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

// location is where a redirect leads to.
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
	if port != 0 && port != map[string]int{"http": 80, "https": 443}[u.Scheme] {
		u.Host += ":" + strconv.Itoa(port)
	}
	if r.Path == nil {
		return u.String(), true
	}
	return strings.TrimSuffix(u.String(), "/") + *r.Path.ReplaceFullPath, false
}
