package check

// What the plugin refuses of a split depends on the routes that use it. That of a row is
// looked at with the row, see [Kong.refusedOnRoutes]; that of a split file here.

const noHTTP = "%s: Kong does not look into the TCP or TLS connections of the %s: leave it out, or put the plugin on another route"

func entryNeedsHTTP(u *use, r report) {
	needs := u.NeedsHTTP()
	if !u.entry || needs == "" {
		return
	}
	for _, route := range u.routes {
		if isStream(route.Protocols) {
			r(nil, noHTTP, needs, nameOf(route.Route))
		}
	}
}

func entryWithoutService(u *use, r report) {
	for _, route := range u.routes {
		if !u.entry || !route.own {
			continue
		}
		for i := range u.Backends {
			if err := cannotReachAlone(route.Route, &u.Backends[i]); err != nil {
				r(at("backends", i), "%v (on the %s)", err, nameOf(route.Route))
			}
		}
	}
}

func entryUnreachable(u *use, r report) {
	if !u.entry {
		return
	}
	for _, route := range u.routes {
		if route.service == nil && route.Service != nil {
			continue
		}
		if err := cannotRetry(route.service, route.Route, u.Config); err != nil {
			r(at("retry"), "%v (on the %s)", err, nameOf(route.Route))
		}
		for i := range u.Backends {
			if err := cannotReach(route.service, route.Route, &u.Backends[i]); err != nil {
				r(at("backends", i), "%v (on the %s)", err, nameOf(route.Route))
			}
		}
	}
}
