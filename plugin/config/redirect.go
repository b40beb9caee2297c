package config

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// String returns the URL that a redirect leads to, with a star for each part that is the
// request's: https://*/v2/*.
func (r *Redirect) String() string {
	var b strings.Builder
	if b.WriteString("//"); r.Scheme != "" {
		b.Reset()
		b.WriteString(r.Scheme + "://")
	}
	host := cmp.Or(r.Hostname, "*")
	if r.Port != 0 {
		host = net.JoinHostPort(host, strconv.Itoa(r.Port))
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	b.WriteString(host)
	switch {
	case r.Path != "":
		b.WriteString(r.Path)
	case r.ReplacePrefix != "":
		b.WriteString(strings.TrimSuffix(r.ReplacePrefix, "/") + "/*")
	default:
		b.WriteString("/*")
	}
	return b.String()
}

// finishRedirect checks what a backend that redirects has of what others have, too.
func (r *reader) finishRedirect(b *Backend, n *Node, path string) {
	if b.Redirect != nil && !n.set("redirect") {
		r.report(n.Get("redirect"), Join(path, "redirect"), "is empty, and would lead to the URL that was asked: say what is to be another one, or give it a status")
	}
	if b.Redirect != nil {
		for _, name := range slices.Sorted(maps.Keys(b.ResponseHeaders.Add)) {
			if strings.EqualFold(name, "Location") || strings.EqualFold(name, "Content-Length") {
				r.report(n.Get("response_headers").orItself("add").orItself(name), Join(Join(Join(path, "response_headers"), "add"), name), "is the redirect's own: leave it out")
			}
		}
	}
	if b.Redirect != nil && b.ResponseHeaders.Replaces() {
		headers := n.Get("response_headers")
		r.report(headers, Join(path, "response_headers"), "can be added only to a redirect, which has no headers of a backend: leave set and remove out")
	}
}

// finishGuard reports a guard that could never judge, as the answers of redirects are none of
// a backend's.
func (r *reader) finishGuard(c *Config, n *Node, path string) {
	i, guard := c.index(c.Ramp.Backend), c.Ramp.Guard
	if i < 0 || guard == nil {
		return
	}
	isCompared := func(b Backend) bool { return b.Redirect == nil && b.Name != c.Ramp.Backend }
	switch {
	case c.Backends[i].Redirect != nil:
		r.report(n.Get("guard"), Join(path, "guard"), "cannot judge backends[%d], which answers with a redirect: leave it out", i)
	case guard.MaxErrorExcess > 0 && len(c.Backends) > 1 && !slices.ContainsFunc(c.Backends, isCompared):
		r.report(n.Get("guard").orItself("max_error_excess"), Join(Join(path, "guard"), "max_error_excess"), "has nothing to compare with, as all other backends answer with a redirect: use max_error_ratio")
	}
}
