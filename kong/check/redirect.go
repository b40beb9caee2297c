package check

import (
	"slices"

	"kong-traffic-split/kong/declarative"
)

var redirectLoop = &Check{
	ID: "redirect-loop", Severity: Warning,
	Doc: "A backend redirects to the URL that the client has asked for, on a route by which that comes again: `scheme: https` alone where the route takes https, too, or a `status` alone, but for 303, which makes a GET of a POST.",
	split: func(u *use, r report) {
		for i := range u.Backends {
			to := u.Backends[i].Redirect
			switch {
			case to == nil || to.Hostname != "" || to.Port != 0 || to.Path != "" || to.ReplacePrefix != "":
			case to.Scheme == "" && to.Status != 303:
				r(at("backends", i, "redirect"), "leads to the URL that was asked, without end: say what is to be another one")
			case to.Scheme != "":
				for _, route := range u.routes {
					if takes(route.Route, to.Scheme) {
						r(at("backends", i, "redirect"), "leads requests by %s to the URL that they have asked for, without end, as the %s takes them: give it the protocols of the others alone", to.Scheme, nameOf(route.Route))
						break
					}
				}
			}
		}
	},
}

// takes reports whether a route takes requests by a protocol: http and https by default.
func takes(r *declarative.Route, protocol string) bool {
	return len(r.Protocols) == 0 || slices.Contains(r.Protocols, protocol)
}
