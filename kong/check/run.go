package check

import (
	"fmt"
	"maps"
	"slices"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
)

// A use is a split with what is known of where it runs.
type use struct {
	*config.Config
	entry  bool // of a split file
	file   string
	tree   *config.Node // of the file
	place  []any        // of the config in the file
	kongs  []*Kong      // files of Kong's that have been given
	in     []*Kong      // those of them in which it is used, or all where it is in none
	routes []onRoute    // those for whose requests it decides, of these files
}

// onRoute is a route with its Service, nil where it has none, and its file.
type onRoute struct {
	*declarative.Route
	service *declarative.Service
	kong    *Kong
	own     bool // the row that uses the split is the route's own
}

// found adds a finding of any file.
type found func(file string, tree *config.Node, place []any, format string, args ...any)

// run runs the checks of what Kong and the plugin accept.
func (c *checker) run() {
	for _, k := range c.kongs {
		k.others = slices.DeleteFunc(slices.Clone(c.kongs), func(other *Kong) bool { return other == k })
	}
	uses := c.uses()
	for _, check := range checks {
		add := func(file string, tree *config.Node, place []any, format string, args ...any) {
			p := problemAt(tree, place)
			p.Message = fmt.Sprintf(format, args...)
			c.report(check, file, p)
		}
		inside := func(file string, tree *config.Node, outer []any) report {
			return func(place []any, format string, args ...any) {
				add(file, tree, slices.Concat(outer, place), format, args...)
			}
		}
		if check.split != nil {
			for _, u := range uses {
				check.split(u, inside(u.file, u.tree, u.place))
			}
		}
		for _, k := range c.kongs {
			if check.kong != nil {
				check.kong(k, inside(k.Name, k.tree, nil))
			}
			for _, row := range k.rows {
				if check.row != nil && row.loaded != nil {
					check.row(row, inside(k.Name, k.tree, row.Place))
				}
			}
		}
		if check.all != nil {
			check.all(c, add)
		}
	}
}

// uses returns the splits that are right, each once: those of rows, and those of split
// files with the routes of all rows that use them.
func (c *checker) uses() (all []*use) {
	entries := map[string][]onRoute{}
	for _, k := range c.kongs {
		for _, row := range k.rows {
			if row.Config == nil || row.loaded == nil {
				continue
			}
			routes := k.withServices(row.Routes)
			if len(row.Config.Backends) > 0 {
				all = append(all, &use{
					Config: row.Config, file: k.Name, tree: k.tree, place: append(slices.Clip(row.Place), "config"), kongs: c.kongs, in: []*Kong{k},
					routes: routes,
				})
				continue
			}
			for _, r := range routes {
				r.own = row.loaded.Route != nil
				if name := splitOf(row, r.Route); name != "" {
					entries[name] = append(entries[name], r)
				}
			}
		}
	}
	for _, f := range c.splits {
		for _, name := range slices.Sorted(maps.Keys(f.splits)) {
			u := &use{
				Config: f.splits[name], entry: true, file: f.name, tree: f.tree, place: append(slices.Clip(f.place), "splits", name), kongs: c.kongs,
				routes: entries[name],
			}
			for _, r := range u.routes {
				if !slices.Contains(u.in, r.kong) {
					u.in = append(u.in, r.kong)
				}
			}
			if u.in == nil {
				u.in = c.kongs
			}
			all = append(all, u)
		}
	}
	return all
}

// splitOf returns the name of the split in a split file that a row uses for a route.
func splitOf(row *Row, r *declarative.Route) string {
	if row.Config.Split != "" {
		return row.Config.Split
	}
	return r.Name
}

// withServices returns routes of a file with their Services.
func (k *Kong) withServices(routes []*declarative.Route) (all []onRoute) {
	for _, r := range routes {
		all = append(all, onRoute{Route: r, service: k.services[declarative.IDOf(r.Service)], kong: k})
	}
	return all
}

// inKong reports whether it is known what Kong has, and whether some file of Kong's holds.
func (u *use) inKong(holds func(*Kong) bool) bool { return slices.ContainsFunc(u.kongs, holds) }

// lack reports whether Kong refuses some row of an entity, so that what is not there may be.
func (u *use) lack(entity string) bool {
	return u.inKong(func(k *Kong) bool { return k.lacks(entity) })
}

// names returns the names of routes, for a message: three at most.
func names(routes []*declarative.Route) string {
	text := ""
	for i, r := range routes {
		switch {
		case i == 3:
			return fmt.Sprintf("%s and %d more", text, len(routes)-i)
		case i > 0:
			text += ", "
		}
		text += nameOf(r)
	}
	return text
}
