package doctor

import (
	"encoding/json"

	"kong-traffic-split/kong/admin"
	"kong-traffic-split/kong/companion"
)

// takesCompanion reports whether the split that a row has, or takes from a split file for a
// route, needs the companion.
func (f *facts) takesCompanion(r *row, route *admin.Route) bool {
	switch {
	case r.config == nil:
		return false
	case !fromFile(*r):
		return r.config.NeedsCompanion()
	}
	name := r.config.Split
	if name == "" {
		name = route.Name
	}
	for _, report := range f.others {
		if s := inFiles(report, name); s != nil && s.Companion != "" {
			return true
		}
	}
	return false
}

// functionsOn returns the row of post-function that Kong runs on a route: of several the most
// specific one; nil: there is none.
func (k *kongFacts) functionsOn(route *admin.Route) (found *admin.Row) {
	specific := func(r *admin.Row) (n int) {
		if r.Route != nil {
			n += 2
		}
		if r.Service != nil {
			n++
		}
		return n
	}
	for i := range k.functions {
		r := &k.functions[i]
		if r.Enabled && isOn(r, route) && (found == nil || specific(r) > specific(found)) {
			found = r
		}
	}
	return found
}

// checkCompanion looks whether Kong runs the companion for each split that takes it. Where the
// server is told outcomes, it says so by itself once there were requests.
func checkCompanion(f *facts, found report) {
	for i := range f.kong.rows {
		r := &f.kong.rows[i]
		for j := range f.kong.routes {
			route := &f.kong.routes[j]
			if !isOn(&r.Row, route) || !f.takesCompanion(r, route) {
				continue
			}
			name := route.Name
			if name == "" {
				name = route.ID
			}
			const effect = "no request is tried on another backend there, and no response header is set or removed"
			functions := f.kong.functionsOn(route)
			if functions == nil {
				found(Error, "splitctl companion FILE writes it into the file that the route comes from; splitctl companion --route "+name+" -o json shows it for POST /plugins of the Admin API",
					"the split of the row %s takes the companion, and the route %s has no row of %s: %s", r.name(), name, companion.Plugin, effect)
				continue
			}
			phases := map[string][]string{}
			_ = json.Unmarshal(functions.Config, &phases) // of lists of texts, as Kong takes nothing else
			if s := companion.Of(phases); !s.Complete() {
				found(Error, "splitctl companion FILE puts them into the file that the row comes from",
					"the split of the row %s takes the companion, and the row of %s on the route %s has not the functions of this version: %s", r.name(), companion.Plugin, name, effect)
			}
		}
	}
}
