package check

import (
	"fmt"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
)

var repeatedKey = &Check{
	ID: "repeated-key", Severity: Error,
	Doc: "A map has a key twice in a file of Kong's: Kong takes the last one and ignores the others.",
}

var secondDocument = &Check{
	ID: "second-document", Severity: Error,
	Doc: "A file of Kong's has a second YAML document, which Kong ignores.",
}

var pluginName = &Check{
	ID: "plugin-name", Severity: Error,
	Doc: "A row of a plugin, or a KongPlugin, whose name is almost `traffic-split`: Kong refuses it, or runs another plugin.",
	kong: func(k *Kong, r report) {
		for _, p := range k.config.Plugins {
			if isAlmostOurs(p.Name) {
				r(append(slices.Clip(k.places[p.ID]), "name"), almostOurs, p.Name, PluginName)
			}
		}
	},
}

const almostOurs = "%q is not the plugin: it is called %s"

// isAlmostOurs reports whether the name of a plugin is likely to be meant for ours.
func isAlmostOurs(name string) bool {
	plain := strings.NewReplacer("_", "", "-", "", ".", "", " ", "").Replace(strings.ToLower(name))
	for _, end := range []string{"ting", "ter", "s"} {
		plain = strings.TrimSuffix(plain, end)
	}
	return name != PluginName && plain == "trafficsplit"
}

var rowUnused = &Check{
	ID: "row-unused", Severity: Warning,
	Doc: "A row for which there is no request: its Service has no route or is not enabled, or more specific rows take its place on all of its routes. Also one that takes the split of each route's name from split files, where these have none of them.",
	all: func(c *checker, f found) {
		known := c.splitNames()
		for _, k := range c.kongs {
			for _, row := range k.rows {
				if len(c.splits) == 0 || row.Config == nil || row.loaded == nil || len(row.Config.Backends) > 0 || row.Config.Split != "" || row.loaded.Route != nil || len(row.Routes) == 0 {
					continue
				}
				if !slices.ContainsFunc(slices.Concat(row.Routes, row.elsewhere()), func(r *declarative.Route) bool { return known[r.Name] }) {
					f(k.Name, k.tree, row.Place, "takes the split of each route's name from the split files, and these have none for the %s, so that requests pass without one: add one, or name one in the row's split", names(row.Routes))
				}
			}
		}
	},
	row: func(row *Row, r report) {
		k, p := row.file, row.loaded
		routes := k.on(p)
		if k.lacks("routes") || k.lacks("services") || len(row.elsewhere()) > 0 {
			return
		}
		if s := k.services[serviceOf(k, p)]; s != nil && !s.Enabled {
			r(nil, "never runs, as its Service %q is not enabled", s.Name)
			return
		}
		switch {
		case len(routes) == 0 && p.Service != nil && p.Route == nil && len(k.leadTo[p.Service.ID]) == 0:
			r(nil, "never runs, as its Service has no route in the file: give it one")
		case len(routes) == 0 && p.Route == nil && p.Service == nil && len(k.config.Routes) == 0:
			r(nil, "never runs, as there is no route in the file")
		case len(routes) == 0 && p.Route != nil && p.Service != nil:
			r(nil, "never runs, as its route does not lead to its Service: leave the Service out")
		case len(routes) > 0 && len(row.Routes) == 0 && !k.hasTwin(p):
			r(nil, "never runs, as rows of the plugin that are more specific take its place on all of its routes: take it out")
		}
	},
}

// hasTwin reports whether another row is on the same.
func (k *Kong) hasTwin(p *declarative.Plugin) bool { return len(k.scopes[p.Name][p.Scope()]) > 1 }

// serviceOf returns the id of the Service that a row is on, or its route.
func serviceOf(k *Kong, p *declarative.Plugin) string {
	if p.Route != nil && k.routes[p.Route.ID] != nil {
		return declarative.IDOf(k.routes[p.Route.ID].Service)
	}
	return declarative.IDOf(p.Service)
}

var twoSplits = &Check{
	ID: "two-splits", Severity: Warning,
	Doc: "A route has two rows of the plugin, such as one on itself and one on its Service: Kong runs the most specific one alone, and the shares of the other one have no part in it.",
	row: func(row *Row, r report) {
		k, p := row.file, row.loaded
		if len(row.Routes) == 0 && !k.hasTwin(p) || k.forGroup(p) {
			return // rowUnused has it, or it runs for some requests
		}
		var routes []*declarative.Route
		var instead *declarative.Plugin
		for _, route := range k.on(p) {
			other := k.scopes[PluginName].run(route, declarative.IDOf(p.Consumer))
			if other == p || other == nil {
				continue
			}
			if p.Scope() == other.Scope() {
				r(nil, "is on the same as %s, and Kong runs only one of them: take one out", k.at(other))
				return
			}
			if routes = append(routes, route); instead == nil {
				instead = other
			}
		}
		switch {
		case len(routes) == 1:
			r(nil, "does not run for the %s: there Kong runs %s instead, which is more specific; put all backends into one of the rows", names(routes), k.at(instead))
		case len(routes) > 1:
			r(nil, "does not run for %d routes (%s): there Kong runs rows instead that are more specific, first %s; put all backends into one of the rows", len(routes), names(routes), k.at(instead))
		}
	},
}

// at returns the path and the line of a row.
func (k *Kong) at(p *declarative.Plugin) string {
	problem := problemAt(k.tree, k.places[p.ID])
	if file, path := k.in(problem.Path); k.parts != nil {
		return fmt.Sprintf("%s in %s:%d", path, file, problem.Line)
	}
	return fmt.Sprintf("%s in line %d", problem.Path, problem.Line)
}

var splitMissing = &Check{
	ID: "split-missing", Severity: Error,
	Doc: "A row takes its backends from a split file, and none of those that are given has the split: 500 on a route's row, and nothing is split on a Service's, a consumer's or a global one. Also a row that cannot name one, as its route has no name.",
	all: func(c *checker, f found) {
		known := c.splitNames()
		for _, k := range c.kongs {
			for _, row := range k.rows {
				if row.Config == nil || row.loaded == nil || len(row.Config.Backends) > 0 {
					continue
				}
				name, place := row.Config.Split, row.Place
				if name != "" {
					place = append(slices.Clip(place), "config", "split")
				}
				if route := row.loaded.Route; name == "" && route != nil && k.routes[route.ID] != nil {
					if name = k.routes[route.ID].Name; name == "" {
						f(k.Name, k.tree, row.Place, "has no backends, and its route no name by which a split could be found: give the route a name, or the row a split")
						continue
					}
				}
				switch {
				case name == "" || len(c.splits) == 0 || known[name]:
				case row.loaded.Route != nil:
					f(k.Name, k.tree, place, "there is no split %q in the split files, so that each request gets a 500: add it, or write the name of another one", name)
				default:
					f(k.Name, k.tree, place, "there is no split %q in the split files, so that requests pass without one: add it, or write the name of another one", name)
				}
			}
		}
	},
}

// splitNames are the names of the splits in split files, right or not.
func (c *checker) splitNames() map[string]bool {
	known := map[string]bool{}
	for _, file := range c.splits {
		for _, m := range file.all() {
			known[m.Key] = true
		}
	}
	return known
}

var splitUnused = &Check{
	ID: "split-unused", Severity: Warning,
	Doc: "A split of a split file that no row uses, where files of Kong's are given too.",
	all: func(c *checker, f found) {
		used := map[string]bool{}
		files := 0
		for _, k := range c.kongs {
			if k.origins != nil { // the rows of its routes have their own backends
				continue
			}
			if files++; len(k.problems) > 0 {
				return
			}
			for _, row := range k.rows {
				if row.Config == nil || row.loaded == nil {
					return // which split it would use is not known
				}
				if len(row.Config.Backends) > 0 {
					continue
				}
				if row.Config.Split != "" {
					used[row.Config.Split] = true
				}
				for _, r := range slices.Concat(row.Routes, row.elsewhere()) {
					used[splitOf(row, r)] = true
				}
			}
		}
		for _, file := range c.splits {
			for name := range file.splits {
				if files > 0 && !used[name] {
					f(file.name, file.tree, append(slices.Clip(file.place), "splits", name), "no row of the plugin uses it: name it in a row's split, or give a route with a row of the plugin that name")
				}
			}
		}
	},
}
