package check

import (
	"fmt"
	"slices"
	"strings"

	"kong-traffic-split/kong/companion"
	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

var companionMissing = &Check{
	ID: "companion-missing", Severity: Error,
	Doc: "A split has `retry`, or `response_headers` with `set` or `remove`, and a route that uses it no row of `post-function` with the companion, or with that of another version: no request is tried on another backend there, and no such header changes. `splitctl companion` writes it.",
	split: func(u *use, r report) {
		if !u.NeedsCompanion() || u.lack("plugins") {
			return
		}
		place, effect := at("retry"), "no request is tried on another backend"
		if u.Retry == nil {
			i := slices.IndexFunc(u.Backends, func(b config.Backend) bool { return b.ResponseHeaders.Replaces() })
			place, effect = at("backends", i, "response_headers"), "no header is set or removed"
		}
		for i := range u.routes {
			row, has := u.routes[i].companion()
			name := nameOf(u.routes[i].Route)
			switch {
			case row == nil && u.routes[i].companionElsewhere():
				continue
			case row == nil:
				r(place, "the %s has no row of %s with the companion, so that %s: splitctl companion FILE writes it", name, companion.Plugin, effect)
			case has.Complete():
				continue
			case has.Version == "":
				r(place, "the row of %s on the %s has not the companion's functions, so that %s: splitctl companion FILE adds them", companion.Plugin, name, effect)
			default:
				r(place, "the companion on the %s is that of another version, or was changed (%s): splitctl companion FILE writes it anew", name, strings.Join(has.Lacks, ", "))
			}
			return
		}
	},
}

var retryIdle = &Check{
	ID: "retry-idle", Severity: Warning,
	Doc: "A `retry` by which no request can be tried on another backend, as there is none that may be: the only one, or no other with a weight above 0, or the one that it names gets all requests itself.",
	split: func(u *use, r report) {
		if why := u.RetryIdle(); why != "" {
			r(at("retry"), "no request is tried on another backend, as %s: add one, give one a weight, or leave retry out", why)
		}
	},
}

var companionIdle = &Check{
	ID: "companion-idle", Severity: Warning,
	Doc: "A row of `post-function` has the companion, and no split that takes it is used where the row runs: it has nothing to do there.",
	all: func(c *checker, f found) {
		takes := map[string]bool{} // ids of routes
		for _, u := range c.uses() {
			for _, r := range u.routes {
				if u.NeedsCompanion() {
					takes[r.ID] = true
				}
			}
		}
		for _, k := range c.kongs {
			if k.origins != nil || k.lacks("plugins") || k.lacks("routes") || c.unread(k) {
				continue
			}
			for _, p := range k.config.Plugins {
				if p.Name != companion.Plugin || !p.Enabled || companionOf(p).Version == "" {
					continue
				}
				isElsewhere := p.Scope() == declarative.Scope{} && len(k.others) > 0 && len(takes) > 0
				if !isElsewhere && !slices.ContainsFunc(k.routesOf(p), func(r *declarative.Route) bool { return takes[r.ID] }) {
					f(k.Name, k.tree, k.places[p.ID], "has the companion, and no split on its routes has retry, or response_headers to set or remove: leave the row out")
				}
			}
		}
	},
}

// unread reports whether a file of Kong's has rows whose split is not among the files.
func (c *checker) unread(k *Kong) bool {
	return slices.ContainsFunc(k.rows, func(r *Row) bool {
		return r.Config == nil || r.loaded == nil || len(r.Config.Backends) == 0 && len(c.splits) == 0
	})
}

// companion returns the row of post-function that runs on a route, and what it has of the
// companion; nil: there is none.
func (r *onRoute) companion() (*declarative.Plugin, companion.State) {
	row := r.kong.scopes[companion.Plugin].run(r.Route, "")
	if row == nil {
		return nil, companion.State{}
	}
	return row, companionOf(row)
}

// companionElsewhere reports whether another file has the companion for all routes, or for
// one of that name.
func (r *onRoute) companionElsewhere() bool {
	return slices.ContainsFunc(r.kong.others, func(k *Kong) bool {
		row := k.scopes[companion.Plugin].run(k.alike(r.Route), "")
		return row != nil && companionOf(row).Complete()
	})
}

// disabled returns a row of post-function of the route's own that is not enabled; nil: there is
// none.
func (r *onRoute) disabled() *declarative.Plugin {
	for _, p := range r.kong.config.Plugins {
		if p.Name == companion.Plugin && !p.Enabled && p.Scope() == (declarative.Scope{Route: r.ID}) {
			return p
		}
	}
	return nil
}

func companionOf(row *declarative.Plugin) companion.State {
	phases := map[string][]string{}
	for phase, value := range row.Config {
		list, _ := value.([]any)
		for _, v := range list {
			text, _ := v.(string)
			phases[phase] = append(phases[phase], text)
		}
	}
	return companion.Of(phases)
}

// AddCompanions puts the companion on all routes of a declarative file of Kong's that use a
// split that takes it, be it in the file or in one of the split files: a row of post-function
// that runs there gets its functions, behind its own, or in the place of those of another
// version; where there is none, the route gets one. It returns the text, and a line for each
// row that has changed.
func AddCompanions(name, text string, splits []Source, lookup func(string) (string, bool)) (string, []string, error) {
	deck, err := declarative.ParseDeck([]byte(text), lookup)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	c := newChecker(Options{Lookup: lookup})
	c.read(Source{Name: name, Data: []byte(text)})
	if len(c.kongs) == 0 && len(c.findings) == 0 {
		return "", nil, fmt.Errorf("%s: is no declarative file of Kong's: it has no _format_version", name)
	}
	for _, s := range splits {
		c.read(s)
	}
	if len(c.kongs) > 1 {
		return "", nil, fmt.Errorf("%s: is a declarative file of Kong's, too: give one at a time, and split files behind it", c.kongs[1].Name)
	}
	c.refuse()
	if HasErrors(c.findings) {
		return "", nil, Findings(c.sorted())
	}
	var changes []string
	done := map[string]bool{}
	after := deck.Text
	for _, u := range c.uses() {
		for i := range u.routes {
			r := &u.routes[i]
			row, has := r.companion()
			if !u.NeedsCompanion() || has.Complete() && row != nil {
				continue
			}
			steps, change := r.kong.places[r.ID], "a row of "+companion.Plugin+" on the "+nameOf(r.Route)
			edits := addRow
			if off := r.disabled(); row == nil && off != nil {
				return "", nil, fmt.Errorf("%s: %s is a row of %s that is not enabled, and a route can have one only: enable it, or take it out", name, pathOf(r.kong.places[off.ID]), companion.Plugin)
			}
			if row != nil {
				steps, edits = r.kong.places[row.ID], addFunctions
				change = "the companion's functions in " + pathOf(steps)
			}
			if done[pathOf(steps)] {
				continue
			}
			done[pathOf(steps)] = true
			var problem *config.Problem
			if after, problem = file.Edit(after, steps, edits(walk(r.kong.tree, steps))...); problem != nil {
				return "", nil, file.Problems{{File: name, Problem: *problem}}
			}
			changes = append(changes, change)
		}
	}
	after, err = deck.Restore(after)
	return after, changes, err
}

// addRow adds a row with the companion to the rows of a route.
func addRow(route *config.Node) []config.Edit {
	row := Companion()
	if rows := route.Get("plugins"); rows != nil && rows.Kind == config.List {
		return []config.Edit{{Path: at("plugins", len(rows.Items)), Value: row, Insert: true}}
	}
	return []config.Edit{{Path: at("plugins"), Value: listNode(row)}}
}

// Companion returns a row of post-function with the companion.
func Companion() *config.Node {
	functions, row := &config.Node{Kind: config.Map}, &config.Node{Kind: config.Map}
	for _, f := range companion.Functions() {
		put(functions, f.Phase, listNode(textNode(f.Text)))
	}
	put(row, "name", textNode(companion.Plugin))
	put(row, "config", functions)
	return row
}

// addFunctions puts the companion's functions into a row of post-function.
func addFunctions(row *config.Node) (edits []config.Edit) {
	for _, f := range companion.Functions() {
		list := row.At("config", f.Phase)
		if list == nil || list.Kind != config.List {
			edits = append(edits, config.Edit{Path: at("config", f.Phase), Value: listNode(textNode(f.Text))})
			continue
		}
		var own []int
		for i, n := range list.Items {
			if companion.VersionOf(n.Text) != "" {
				own = append(own, i)
			}
		}
		if len(own) == 0 {
			edits = append(edits, config.Edit{Path: at("config", f.Phase, len(list.Items)), Value: textNode(f.Text), Insert: true})
			continue
		}
		for _, i := range slices.Backward(own[1:]) {
			edits = append(edits, config.Edit{Path: at("config", f.Phase, i)})
		}
		if i := own[0]; list.Items[i].Text != f.Text {
			// Inserted, it is written in lines.
			edits = append(edits, config.Edit{Path: at("config", f.Phase, i), Value: textNode(f.Text), Insert: true}, config.Edit{Path: at("config", f.Phase, i+1)})
		}
	}
	return edits
}

func put(to *config.Node, key string, value *config.Node) {
	to.Members = append(to.Members, config.Member{Key: key, Value: value})
}

func textNode(text string) *config.Node { return &config.Node{Kind: config.String, Text: text} }

func listNode(items ...*config.Node) *config.Node {
	return &config.Node{Kind: config.List, Items: items}
}
