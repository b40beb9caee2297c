package plugin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"kong-traffic-split/plugin/config"
)

// What a redirect keeps of a request is of the URL that its client sees: Kong believes what a
// load balancer says of that in X-Forwarded-Proto and X-Forwarded-Host where trusted_ips has
// it, as for its own redirects to https.
var (
	getScheme        = call{Method: "kong.request.get_forwarded_scheme"}
	getForwardedHost = textCall("kong.nginx.get_var", "upstream_x_forwarded_host")
)

// askedURL is the URL that a client has asked for, as far as a redirect keeps it. The parts may
// have any bytes.
type askedURL struct {
	scheme    string
	forwarded string // the host, with a port only where a load balancer says one
	host      string // the Host header; empty: there is none, or its port does not matter
	path      string // as Kong normalises it, or escaped already
	query     string // without the ?
}

func keepsHost(to *config.Redirect) bool { return to.Hostname == "" }
func keepsPort(to *config.Redirect) bool { return to.Port == 0 && to.Scheme == "" }

// askPart asks for a part of the URL.
type askPart struct {
	call
	wanted bool
	to     *string
}

// parts are those that a redirect keeps, but for what the Host header and a prefix make of it.
func (a *askedURL) parts(to *config.Redirect) []askPart {
	return []askPart{
		{getScheme, to.Scheme == "", &a.scheme},
		{getForwardedHost, keepsHost(to) || keepsPort(to), &a.forwarded},
		{getPath, to.Path == "", &a.path},
		{getQuery, true, &a.query},
	}
}

// redirectReads are the calls that a redirect takes. A prefix may take one more.
func redirectReads(to *config.Redirect) (reads []call) {
	for _, p := range new(askedURL).parts(to) {
		if p.wanted {
			reads = append(reads, p.call)
		}
	}
	if keepsPort(to) {
		reads = append(reads, getHost)
	}
	return reads
}

// readForRedirects has the calls of redirects asked for together: with the facts where all
// requests take them, else once one is for a backend that redirects.
func (l *live) readForRedirects(backends []config.Backend) {
	same := func(a, b call) bool { return a.Method == b.Method && string(a.Args) == string(b.Args) }
	isRead := func(c call) bool {
		return l.allHeaders && same(c, getHost) || slices.ContainsFunc(l.reads, func(r call) bool { return same(r, c) })
	}
	// What a request for another backend may ask for by itself would have it ask for all.
	isShared := func(c call) bool {
		return same(c, getPath) && l.wanted&(wantsURI|wantsMatching) != 0 ||
			same(c, getHost) && l.wanted&(wantsHost|wantsHostIfPreserved|wantsHostUnlessPreserved) != 0
	}
	for i := range backends {
		to := backends[i].Redirect
		if to == nil {
			continue
		}
		reads := slices.DeleteFunc(redirectReads(to), func(c call) bool { return isRead(c) || isShared(c) })
		if len(backends) == 1 {
			l.reads = append(slices.Clip(l.reads), reads...)
		} else if len(reads) > 0 {
			l.laterReads = append(l.laterReads, reads)
		}
	}
}

// askURL asks Kong for what a redirect keeps of the request.
func (r *request) askURL(to *config.Redirect) (a askedURL, err error) {
	for _, p := range a.parts(to) {
		if !p.wanted {
			continue
		}
		if *p.to, err = r.askText(p.call); err != nil {
			return a, fmt.Errorf("asking Kong for what a redirect keeps: %s: %w", p.Method, err)
		}
	}
	if keepsPort(to) {
		if a.host, err = r.askHost(); err != nil {
			return a, err
		}
	}
	if to.ReplacePrefix == "" {
		return a, nil
	}
	m, err := r.askMatching()
	switch {
	case err != nil:
	case m.Known():
		a.path, err = r.join(to.ReplacePrefix, m.Rest(a.path))
	default: // with strip_path, by which Kong has taken the prefix off
		a.path, err = r.replacePrefix(to.ReplacePrefix)
	}
	return a, err
}

// redirect answers the request with a redirect. Kong is told nothing after that.
func (r *request) redirect(to *config.Redirect, a *askedURL) {
	r.kong.Response.Exit(to.Status, nil, map[string][]string{"Location": {a.location(to)}})
}

// location is the URL that a redirect leads to. What comes from the client is escaped where it
// could mean something else there: it makes no other header, and no other host than the one
// that the client has asked itself.
func (a *askedURL) location(to *config.Redirect) string {
	scheme := to.Scheme
	if scheme == "" {
		scheme = "http"
		if a.scheme == "https" {
			scheme = "https"
		}
	}
	host, port := hostAndPort(a.forwarded)
	if name, itsPort := hostAndPort(a.host); port == "" && strings.EqualFold(name, host) {
		port = itsPort
	}
	if !keepsPort(to) {
		port = ""
	}
	if to.Port != 0 {
		port = strconv.Itoa(to.Port)
	}
	switch {
	case strings.Contains(to.Hostname, ":"):
		host = "[" + to.Hostname + "]"
	case to.Hostname != "":
		host = to.Hostname
	}
	path := "/" + strings.TrimLeft(escaped(cmp.Or(to.Path, a.path), inPath), "/")
	if a.query != "" {
		path += "?" + escaped(a.query, inQuery)
	}
	switch {
	case host == "": // of HTTP/1.0: where the client is
		return path
	case port != "" && port != map[string]string{"http": "80", "https": "443"}[scheme]:
		host += ":" + port
	}
	return scheme + "://" + host + path
}

// hostAndPort takes the host of a URL apart. The host is escaped; the port is empty where there
// is none.
func hostAndPort(authority string) (host, port string) {
	authority, _, _ = strings.Cut(authority, ",") // of several load balancers, the client's
	if end := strings.IndexByte(authority, ']'); end > 0 && authority[0] == '[' {
		if ip, err := netip.ParseAddr(authority[1:end]); err == nil && ip.Zone() == "" {
			host, port = authority[:end+1], authority[end+1:]
		}
	}
	if host == "" {
		name, _, _ := strings.Cut(authority, ":")
		host, port = escaped(name, inHost), authority[len(name):]
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(port, ":"), 10, 16)
	if err != nil || n == 0 {
		return host, ""
	}
	return host, strconv.FormatUint(n, 10)
}

// What stands for itself in parts of a URL beside letters and digits (RFC 3986). Of a path and
// of a query, % is part of what is escaped already; browsers send some more in queries.
const (
	inHost  = "-._~!$&'()*+;="
	inPath  = "-._~!$&'()*+,;=:@/%"
	inQuery = inPath + "?[]{}|^`"
)

// escaped returns text with all other bytes as %XX.
func escaped(text, kept string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		isAlphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if isAlphanumeric || strings.IndexByte(kept, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
