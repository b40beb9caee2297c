package doctor

import (
	"slices"

	"kong-traffic-split/kong/admin"
	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/status"
)

// fromFile reports whether a row takes its backends from the server's split files.
func fromFile(r row) bool { return r.config != nil && len(r.config.Backends) == 0 }

// splitsOf returns the names of splits that a row looks for in the split files: its own, or
// those of the routes that it is on.
func (k *kongFacts) splitsOf(r *row) (names []string) {
	if r.config.Split != "" {
		return []string{r.config.Split}
	}
	for i := range k.routes {
		if route := &k.routes[i]; route.Name != "" && isOn(&r.Row, route) {
			names = append(names, route.Name)
		}
	}
	return names
}

// isOn reports whether a row is on a route, by itself or by its Service, or on all.
func isOn(r *admin.Row, route *admin.Route) bool {
	return (r.Route == nil || r.Route.ID == route.ID) && (r.Service == nil || route.Service != nil && route.Service.ID == r.Service.ID)
}

// inFiles returns a split of a server's split files; nil: there is none.
func inFiles(r *status.Report, name string) *plugin.SplitStatus {
	for i := range r.Splits {
		if s := &r.Splits[i]; s.ID == "" && s.Split == name {
			return s
		}
	}
	return nil
}

// namedInFiles returns the Upstreams that splits of the servers' split files name, as far as
// rows use them.
func (f *facts) namedInFiles() namers {
	all := namers{}
	for i := range f.kong.rows {
		if !fromFile(f.kong.rows[i]) {
			continue
		}
		for _, name := range f.kong.splitsOf(&f.kong.rows[i]) {
			for _, r := range f.others {
				if s := inFiles(r, name); s != nil {
					for _, b := range s.Backends {
						all.add(b.Upstream, "the split "+name)
					}
				}
			}
		}
	}
	return all
}

// checkSplits looks whether the servers have the splits that rows take from split files, and
// Kong the Upstreams of these.
func checkSplits(f *facts, found report) {
	const fix = "add it to a split file of the server's (-file), or write the name of another one in the row's split; splitctl check compares files before they go live"
	for i := range f.kong.rows {
		r := &f.kong.rows[i]
		if !fromFile(*r) {
			continue
		}
		names := f.kong.splitsOf(r)
		if len(names) == 0 && r.Route != nil {
			found(Error, "give the route a name, or the row a split or backends", "the row %s has no backends, and its route no name by which a split could be found: each request gets a 500", r.name())
			continue
		}
		for address, report := range f.others {
			has := slices.ContainsFunc(names, func(name string) bool { return inFiles(report, name) != nil })
			switch {
			case has:
			case r.Route != nil:
				found(Error, fix, "the row %s takes the split %s from split files, and the server at %s has none of that name: each request gets a 500", r.name(), names[0], address)
			case r.config.Split != "":
				found(Error, fix, "the row %s takes the split %s from split files, and the server at %s has none of that name: requests pass without one", r.name(), names[0], address)
			default:
				found(Warning, "add a split with the name of a route, or write the name of one in the row's split", "the row %s takes the split of each route's name from split files, and the server at %s has one for none of its routes: requests pass without one", r.name(), address)
			}
		}
	}
	f.kong.checkNamed(f.namedInFiles(), found)
}
