package config

import (
	"cmp"
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

// OnlyRedirects reports whether all backends answer with a redirect, so that no request goes to
// a destination.
func (c *Config) OnlyRedirects() bool {
	return len(c.Backends) > 0 && !slices.ContainsFunc(c.Backends, func(b Backend) bool { return b.Redirect == nil })
}

// finishRedirect checks what a backend that redirects has of what others have, too.
func (r *reader) finishRedirect(b *Backend, n *Node, path string) {
	if b.Redirect != nil && !n.set("redirect") {
		r.report(n.Get("redirect"), Join(path, "redirect"), "is empty, and would lead to the URL that was asked: say what is to be another one, or give it a status")
	}
	if b.Redirect != nil && b.ResponseHeaders.Replaces() {
		headers := n.Get("response_headers")
		r.report(headers, Join(path, "response_headers"), "can be added only to a redirect, which has no headers of a backend: leave set and remove out")
	}
}

// finishGuard reports a guard that could never judge, as the answers of redirects are none of
// a backend's.
func (r *reader) finishGuard(c *Config, n *Node, path string) {
	if i := c.index(c.Ramp.Backend); i >= 0 && c.Ramp.Guard != nil && c.Backends[i].Redirect != nil {
		r.report(n.Get("guard"), Join(path, "guard"), "cannot judge backends[%d], which answers with a redirect: leave it out", i)
	}
}
