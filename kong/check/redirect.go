package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
)

var redirectLoop = &Check{
	ID: "redirect-loop", Severity: Warning,
	Doc: "A redirect leads to a URL for which there is the same redirect again, without end: `scheme: https` alone where the route takes https, too, a `status` alone, or a path that the route takes itself and no other one does. It is found where requests meet such redirects alone, or clients keep their backend by a session or a hash, and no rule can tell the next request from the first.",
	split: func(u *use, r report) {
		for i := range u.Backends {
			b := &u.Backends[i]
			if b.Redirect == nil || !u.byWeight(b) || u.tellsApart(b) {
				continue
			}
			if to := *b.Redirect; len(u.routes) == 0 && to == (config.Redirect{Status: to.Status}) && to.Status != 303 {
				r(at("backends", i, "redirect"), "%s", sameURL)
			}
			for j := range u.routes {
				if why := u.routes[j].again(b.Redirect); why != "" && u.endless(&u.routes[j]) {
					r(at("backends", i, "redirect"), "%s", why)
					break
				}
			}
		}
	},
}

// byWeight reports whether a backend gets requests that no rule decides.
func (u *use) byWeight(b *config.Backend) bool {
	return b.Weight > 0 || u.Ramp != nil && u.Ramp.Backend == b.Name
}

// tellsApart reports whether a rule may lead the request that comes after a redirect elsewhere,
// by what is another than it was in the first one. Query, consumer and address are not.
func (u *use) tellsApart(b *config.Backend) bool {
	looks := func(c *config.Conditions) bool {
		return c != nil && (c.Headers != nil || c.Cookies != nil || c.Methods != nil || c.PathPrefix != "")
	}
	return slices.ContainsFunc(u.Rules, func(rule config.Rule) bool {
		return rule.Backend != b.Name && (looks(&rule.Match.Conditions) || looks(rule.Match.Not))
	})
}

// endless reports whether who is redirected to where the route is again is redirected each
// time: there is nothing else, or the client keeps its backend.
func (u *use) endless(route *onRoute) bool {
	if u.Session != nil || slices.Contains([]string{"consumer", "ip", "header", "cookie", "query_arg"}, u.HashOn) {
		return true
	}
	return !slices.ContainsFunc(u.Backends, func(b config.Backend) bool {
		return u.byWeight(&b) && (b.Redirect == nil || route.again(b.Redirect) == "")
	})
}

const sameURL = "leads to the URL that was asked, without end: say what is to be another one"

// again returns why the route takes the request to which a redirect of one of its requests
// leads; empty: it does not, or that is not known.
func (r *onRoute) again(to *config.Redirect) string {
	if to.Hostname != "" || to.Port != 0 || isStream(r.Protocols) {
		return ""
	}
	path := cmp.Or(to.Path, to.ReplacePrefix)
	q := Request{Scheme: to.Scheme, Path: path}
	if to.Status < 307 { // clients make a GET of a POST
		q.Method = "GET"
	}
	switch {
	case q.refusedBy(r.Route) != nil:
		return ""
	case path != "":
		if r.Expression != nil && strings.Contains(*r.Expression, "http.path.segments") || r.otherTakes(&q) {
			return ""
		}
		return fmt.Sprintf("leads to %s, which the %s takes, too, so that it is redirected again, without end: give that path a route of its own, or take it out of this one", path, nameOf(r.Route))
	case to.Scheme != "":
		return fmt.Sprintf("leads requests by %s to the URL that they have asked for, without end, as the %s takes them: take %s out of the route's protocols", to.Scheme, nameOf(r.Route), to.Scheme)
	}
	return sameURL
}

// otherTakes reports whether another route may take a request. One of that name in another file
// is an alternative.
func (r *onRoute) otherTakes(q *Request) bool {
	return slices.ContainsFunc(append(slices.Clip(r.kong.others), r.kong), func(k *Kong) bool {
		return slices.ContainsFunc(k.config.Routes, func(other *declarative.Route) bool {
			return other != r.Route && (other.Name == "" || other.Name != r.Name) && !isStream(other.Protocols) && q.refusedBy(other) == nil
		})
	})
}
