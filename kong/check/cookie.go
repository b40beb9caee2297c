package check

import (
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"kong-traffic-split/kong/declarative"
)

var cookieDomain = &Check{
	ID: "cookie-domain", Severity: Warning,
	Doc: "A session's `domain` that a host of the route is not in, or in which anybody can have a host, such as `co.uk`: browsers drop the cookie.",
	split: func(u *use, r report) {
		if u.Session == nil || u.Session.Domain == "" {
			return
		}
		domain := strings.ToLower(strings.TrimPrefix(u.Session.Domain, "."))
		if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain {
			r(at("session", "domain"), "anybody can have a host in %q, so that browsers drop the cookie: leave domain out, or write your own", u.Session.Domain)
			return
		}
		for _, route := range u.routes {
			for _, host := range route.Hosts {
				if !inDomain(host, domain) {
					r(at("session", "domain"), "the host %s of the %s is not in %q, so that browsers drop the cookie: leave domain out, or write one that all hosts are in", host, nameOf(route.Route), u.Session.Domain)
					return
				}
			}
		}
	},
}

// inDomain reports whether browsers take a cookie for a domain from a route's host, which
// may have a wildcard at its beginning or its end, and a port.
func inDomain(host, domain string) bool {
	host, _, _ = strings.Cut(strings.ToLower(host), ":")
	if strings.HasSuffix(host, ".*") {
		return true // it may be
	}
	host = strings.TrimPrefix(host, "*.")
	return host == domain || strings.HasSuffix(host, "."+domain)
}

var cookiePath = &Check{
	ID: "cookie-path", Severity: Warning,
	Doc: "A session's `path` under which the route has no path: clients never send the cookie.",
	split: func(u *use, r report) {
		if u.Session == nil {
			return
		}
		if path := strings.TrimSuffix(u.Session.Path, "/"); path != "" && u.noPath(path) {
			r(at("session", "path"), "the %s has no path below %q, so that clients never send the cookie: write /, or the path of the route as the client asks for it", u.routeNames(), u.Session.Path)
		}
	},
}

var cookieSecure = &Check{
	ID: "cookie-secure", Severity: Warning,
	Doc: "A session's cookie for https alone (`secure: always`, `same_site: None`, `partitioned`, or a name with `__Host-` or `__Secure-`) on a route that has the protocol http only: browsers drop it, unless something before Kong ends TLS.",
	split: func(u *use, r report) {
		if u.Session == nil {
			return
		}
		var place []any
		switch s := u.Session; {
		case s.Secure == "always":
			place = at("session", "secure")
		case s.Partitioned:
			place = at("session", "partitioned")
		case s.SameSite == "None":
			place = at("session", "same_site")
		case strings.HasPrefix(strings.ToLower(s.Cookie), "__host-"), strings.HasPrefix(strings.ToLower(s.Cookie), "__secure-"):
			place = at("session", "cookie")
		default:
			return
		}
		for _, route := range u.routes {
			if slices.Equal(route.Protocols, []string{"http"}) {
				r(place, "makes the cookie one for https alone, and the %s has the protocol http only: browsers drop it, unless a load balancer before Kong ends TLS; then ignore this, else add https to the route's protocols", nameOf(route.Route))
				return
			}
		}
	},
}

var cookiePartitioned = &Check{
	ID: "cookie-partitioned", Severity: Warning,
	Doc: "A session that is `partitioned` without `same_site: None`: browsers send no such cookie where another site embeds this one, so that nobody is pinned there.",
	split: func(u *use, r report) {
		if s := u.Session; s != nil && s.Partitioned && s.SameSite != "None" {
			r(at("session", "partitioned"), "has no effect with same_site %q: browsers send no such cookie where another site embeds this one; write same_site: None, or leave partitioned out", s.SameSite)
		}
	},
}

var cookieGRPC = &Check{
	ID: "cookie-grpc", Severity: Warning,
	Doc: "A session on a route for gRPC, whose clients keep no cookies.",
	split: func(u *use, r report) {
		if u.Session == nil {
			return
		}
		for _, route := range u.routes {
			if !slices.ContainsFunc(route.Protocols, func(p string) bool { return !strings.HasPrefix(p, "grpc") }) {
				r(at("session"), "clients of gRPC, which the %s is for, keep no cookies, so that nobody is pinned: write hash_on in the place of session", nameOf(route.Route))
				return
			}
		}
	},
}

var cookieShared = &Check{
	ID: "cookie-shared", Severity: Warning,
	Doc: "Two splits with one session cookie on routes that have a host in common: each overwrites what the other one has set.",
	all: func(c *checker, f found) {
		by := map[string][]*use{} // by the cookie
		for _, u := range c.uses() {
			if u.Session == nil || u.Session.Cookie == "" {
				continue
			}
			for _, other := range by[u.Session.Cookie] {
				if a, b := commonHost(u, other); a != nil {
					f(u.file, u.tree, append(slices.Clip(u.place), "session", "cookie"), "%q is the cookie of another split too, and the %s and the %s have a host in common, so that each overwrites what the other one has set: give each its own, or leave cookie out", u.Session.Cookie, nameOf(a), nameOf(b))
					break
				}
			}
			by[u.Session.Cookie] = append(by[u.Session.Cookie], u)
		}
	},
}

// commonHost returns routes of two splits for one host; nil: there are none.
func commonHost(a, b *use) (*declarative.Route, *declarative.Route) {
	for _, r := range a.routes {
		for _, other := range b.routes {
			if !covers(a.Session.Path, b.Session.Path) || a.Session.Domain != b.Session.Domain {
				continue
			}
			if r.kong != other.kong { // perhaps alternatives, of which one is loaded
				continue
			}
			if r.Expression != nil || other.Expression != nil { // the hosts are in there
				continue
			}
			common := slices.ContainsFunc(r.Hosts, func(h string) bool { return slices.Contains(other.Hosts, h) })
			if common || len(r.Hosts) == 0 || len(other.Hosts) == 0 {
				return r.Route, other.Route
			}
		}
	}
	return nil, nil
}

// covers reports whether cookies for two paths take each other's place: it is the same one.
func covers(a, b string) bool { return a == b }

var wrongIgnore = &Check{
	ID: "wrong-ignore", Severity: Warning,
	Doc: "A comment `splitctl:ignore` with no check's name, or that of one that cannot be ignored.",
}
