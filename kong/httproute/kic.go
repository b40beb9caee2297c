package httproute

import (
	"bytes"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"
)

// writeKIC writes the routes for Kong's ingress controller, each rule that has a split with
// a KongPlugin. What the controller does of a rule by itself stays in the route; what it
// ignores or refuses, filters of single backends, mirrors and sessions, goes to the plugin.
func (c *converter) writeKIC(plans []*plan) *Output {
	for _, p := range plans {
		c.refuseKIC(p)
	}
	if c.options.SplitsOnly {
		for _, p := range plans {
			if p.needsKongPlugin() {
				c.splits = append(c.splits, &checkedSplit{plan: p, config: c.kicSplit(p)})
			}
		}
		return &Output{Splits: c.kicSplits(plans)}
	}
	return &Output{Kong: c.kicManifests(plans), Splits: c.kicSplits(plans)}
}

// kicManifests writes the routes, each with the KongPlugins of its rules.
func (c *converter) kicManifests(plans []*plan) []byte {
	var b bytes.Buffer
	b.WriteString("# Made by splitctl convert: change the routes, not this file.\n")
	byRoute := map[*route][]*plan{}
	for _, p := range plans {
		byRoute[p.rule.route] = append(byRoute[p.rule.route], p)
	}
	for _, r := range c.objects.routes {
		if r.doc.partial && c.hasUnknown(r) {
			continue
		}
		var plugins []object
		manifest := withoutDefaults(r.doc.root)
		c.dropRefused(r, manifest, byRoute[r])
		for _, p := range byRoute[r] {
			if !p.needsKongPlugin() {
				continue
			}
			split := c.kicSplit(p)
			c.splits = append(c.splits, &checkedSplit{plan: p, config: split})
			plugins = append(plugins, c.kongPluginOf(p, manifest, split))
		}
		if manifest = withoutStatus(manifest); len(plugins) == 0 && len(byRoute[r]) == 0 {
			continue
		}
		b.WriteString("---\n")
		e := yaml.NewEncoder(&b)
		e.SetIndent(2)
		if err := e.Encode(manifest); err != nil {
			r.doc.refuse(nil, "cannot be written: %v", err)
		}
		e.Close()
		for _, plugin := range plugins {
			b.WriteString("---\n")
			plugin.write(&b, 0)
		}
	}
	return b.Bytes()
}

// needsKongPlugin reports whether the ingress controller alone cannot do what the rule asks
// for, exactly.
func (p *plan) needsKongPlugin() bool {
	if p.changes.redirect != nil {
		return false
	}
	return p.answer != 0 || len(p.backends) != 1 || p.backends[0].weight == 0 || len(p.ownConfig) > 0 || len(p.changes.mirrors) > 0 || len(p.rule.refs) > 0 && len(p.rule.refs[0].filters) > 0
}

// kongPluginOf makes the KongPlugin of a rule, and has the rule of the manifest name it.
func (c *converter) kongPluginOf(p *plan, manifest *yaml.Node, split object) object {
	d := p.rule.route.doc
	plugin := d.name + "-" + strconv.Itoa(p.rule.index) + "-" + pluginName
	if c.objects.plugins[name{d.namespace, plugin}] != nil {
		d.leave(p.rule.at, "the KongPlugin %s is there already, by whose name the rule's split would go", plugin)
	}
	spec := get(manifest, "spec")
	if len(items(spec, "rules")) == 0 { // there is one by default
		drop(spec, "rules")
		spec.Content = append(spec.Content, scalar("rules", spec), &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{mapping()}})
	}
	rule := items(spec, "rules")[p.rule.index]
	drop(rule, "sessionPersistence")
	for _, ref := range items(rule, "backendRefs") {
		drop(ref, "filters")
	}
	switch {
	case !p.rule.route.grpc:
		filter := mapping("type", "ExtensionRef")
		filter.Content = append(filter.Content, scalar("extensionRef", rule), mapping("group", kongGroup, "kind", "KongPlugin", "name", plugin))
		filters := get(rule, "filters")
		if filters == nil {
			filters = &yaml.Node{Kind: yaml.SequenceNode}
			rule.Content = append(rule.Content, scalar("filters", rule), filters)
		}
		filters.Content = append(filters.Content, filter)
	case len(p.rule.route.rules) > 1:
		d.leave(p.rule.at.field("backendRefs"), "Kong's ingress controller has plugins for all rules of a GRPCRoute only: make a route of this rule")
	default:
		metadata := get(manifest, "metadata")
		annotations := get(metadata, "annotations")
		if annotations == nil {
			annotations = mapping()
			metadata.Content = append(metadata.Content, scalar("annotations", metadata), annotations)
		}
		if named := get(annotations, "konghq.com/plugins"); named != nil {
			named.Value += "," + plugin
		} else {
			annotations.Content = append(annotations.Content, scalar("konghq.com/plugins", annotations), scalar(plugin, annotations))
		}
	}
	return object{
		{"apiVersion", kongGroup + "/v1"},
		{"kind", "KongPlugin"},
		{"metadata", object{{"name", plugin}, {"namespace", d.namespace}}},
		{"plugin", pluginName},
		{"config", split},
	}
}

func mapping(pairs ...string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range pairs {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s})
	}
	return n
}

// drop removes a field of a mapping.
func drop(n *yaml.Node, field string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == field {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

// withoutDefaults is a copy of an object without what checkObject has added.
func withoutDefaults(n *yaml.Node) *yaml.Node {
	out := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Line: n.Line}
	for i := 0; i < len(n.Content); i++ {
		if n.Kind == yaml.MappingNode && i%2 == 0 && n.Content[i].HeadComment == addedByDefault {
			i++
			continue
		}
		out.Content = append(out.Content, withoutDefaults(n.Content[i]))
	}
	return out
}

// withoutStatus drops what only the API server writes.
func withoutStatus(n *yaml.Node) *yaml.Node {
	drop(n, "status")
	if metadata := get(n, "metadata"); metadata != nil {
		for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"} {
			drop(metadata, field)
		}
	}
	return n
}
