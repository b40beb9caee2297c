package httproute

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// addUnsound takes the rules of a route that are right, though something else in the
// document is not: nothing is written then, but what cannot be converted is said as well.
func (o *objects) addUnsound(d *document) {
	add := known[version{text(d.root, "apiVersion"), d.kind}]
	if d.kind != "HTTPRoute" && d.kind != "GRPCRoute" || add == nil {
		return
	}
	rules := (*trail)(nil).fields("spec", "rules")
	list, _ := rules.find(d.root)
	if list == nil || list.Kind != yaml.SequenceNode || d.hasProblem(rules, true) {
		return
	}
	for i := range list.Content {
		if d.hasProblem(rules.item(i), false) {
			list.Content[i] = &yaml.Node{Kind: yaml.MappingNode, Line: list.Content[i].Line, Column: list.Content[i].Column}
		}
	}
	before := len(o.routes)
	add(o, d)
	r := o.routes[before]
	o.routes = o.routes[:before]
	r.rules = slices.DeleteFunc(r.rules, func(rule *rule) bool { return d.hasProblem(rule.at, false) })
	o.unsound = append(o.unsound, r)
}

// hasProblem reports whether something is wrong with a field itself, or within it, too.
func (d *document) hasProblem(at *trail, itself bool) bool {
	path := at.String()
	return slices.ContainsFunc(d.problems, func(p Problem) bool {
		rest, within := strings.CutPrefix(p.Path, path)
		return within && (rest == "" || !itself && (rest[0] == '.' || rest[0] == '['))
	})
}

// examine reports what cannot be converted of a route that is not written.
func (c *converter) examine(r *route) {
	for _, rule := range r.rules {
		p := c.plan(rule)
		for i := range rule.matches {
			p.entries = append(p.entries, &entry{rule: rule, match: &rule.matches[i], protocols: protocols([]string{"http"}, r.grpc)})
		}
		if c.options.To != KIC {
			c.prepare(p)
			c.add(&written{}, p, Expressions)
			continue
		}
		c.refuseKIC(p)
		if p.changes.redirect == nil {
			c.splits = append(c.splits, &checkedSplit{plan: p, config: c.kicSplit(p)})
		}
	}
}
