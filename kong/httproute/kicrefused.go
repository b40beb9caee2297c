package httproute

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"kong-traffic-split/kong/companion"
)

// refuseKIC reports what the ingress controller ignores without a word, and what it or Kong
// refuses.
func (c *converter) refuseKIC(p *plan) {
	d := p.rule.route.doc
	for _, e := range p.entries {
		e.checkMatch()
	}
	if t := p.rule.timeouts; t != nil && t.Request != nil {
		d.leave(p.rule.at.fields("timeouts", "request"), "Kong's ingress controller ignores it; backendRequest is what it knows")
	}
	if p.rule.index == 0 && !c.options.SplitsOnly {
		p.rule.route.refuseTimeouts()
	}
	if p.rule.retry != nil {
		d.leave(p.rule.at.field("retry"), "Kong's ingress controller ignores it")
	}
	const noCompanion = "takes a row of " + companion.Plugin + " beside the plugin, which is not made here; splitctl companion shows it"
	if p.retried() {
		p.ownFrom["retry"].doc.leave((*trail)(nil).fields("config", "retry"), noCompanion)
	}
	report := d.refuse // in part, too: the weight stays in the route
	if c.options.SplitsOnly {
		report = d.leave
	}
	for i := range p.rule.refs {
		if ref := &p.rule.refs[i]; *ref.ref.Weight > maxTargetWeight {
			report(ref.at.field("weight"), "Kong's ingress controller makes of it the weight of targets, of which Kong takes %d at most, and otherwise nothing of the controller's configuration: divide the weights of the rule", maxTargetWeight)
		}
	}
	if c.severalWithPlugins(p) {
		d.refuse(p.rule.at.field("backendRefs"), AnnotatedServices)
	}
	for i := range p.rule.matches {
		if m := &p.rule.matches[i]; c.unknown(m) {
			d.leave(m.at.field("queryParams"), "with Kong's router_flavor traditional, Kong's ingress controller makes nothing of a route that has it: --flavor expressions where Kong has that one")
		}
	}
	for _, b := range p.backends {
		if r := b.changes.response; len(r.set)+len(r.remove) > 0 {
			d.leave(b.changes.at[gateway.HTTPRouteFilterResponseHeaderModifier].field("responseHeaderModifier"), "set or remove of a single backend "+noCompanion)
		}
	}
	if p.rule.route.grpc && len(p.rule.filters) > 0 {
		d.leave(p.rule.at.field("filters"), "Kong's ingress controller ignores the filters of a GRPCRoute")
	}
}

// AnnotatedServices is the message about a rule with several Services of which one has the
// annotation.
const AnnotatedServices = "the annotation konghq.com/plugins of Services is for rules with one Service: of this one Kong's ingress controller makes no Kong route, or, where all of them have it, a configuration of which Kong refuses all, for all routes: annotate the route"

// severalWithPlugins reports whether a rule has several Services, and one of them names
// KongPlugins.
func (c *converter) severalWithPlugins(p *plan) bool {
	var services []string
	named := false
	for i := range p.backends {
		b := &p.backends[i]
		s := c.objects.services[b.service]
		if s == nil && b.missing {
			continue
		}
		services = append(services, b.service.String())
		named = named || s != nil && s.annotations["konghq.com/plugins"] != ""
	}
	return named && len(distinct(services)) > 1
}

// unknown reports whether the ingress controller makes nothing of a route with this match.
func (c *converter) unknown(m *match) bool {
	return len(m.queries) > 0 && c.options.Flavor != Expressions
}

// hasUnknown reports whether a route has a match of which the ingress controller makes nothing.
func (c *converter) hasUnknown(r *route) bool {
	return slices.ContainsFunc(r.rules, func(rule *rule) bool {
		return slices.ContainsFunc(rule.matches, func(m match) bool { return c.unknown(&m) })
	})
}

// refuseTimeouts reports a rule by which the webhook of the ingress controller refuses the
// route.
func (r *route) refuseTimeouts() {
	if other, first := r.otherTimeout(); other != nil {
		r.doc.leave(other.at.fields("timeouts", "backendRequest"), "the webhook of Kong's ingress controller refuses the route: an earlier rule has %s, and all behind that one need the same", first)
	}
}

// otherTimeout returns the first rule that has not the backendRequest of those before it, and
// that one; nil: there is none.
func (r *route) otherTimeout() (other *rule, first gateway.Duration) {
	for _, rule := range r.rules {
		var own gateway.Duration
		if t := rule.timeouts; t != nil && t.BackendRequest != nil {
			own = *t.BackendRequest
		}
		switch first {
		case "":
			first = own
		case own:
		default:
			return rule, first
		}
	}
	return nil, ""
}

// kicFilters are the filters of rules that the ingress controller knows.
var kicFilters = []gateway.HTTPRouteFilterType{
	gateway.HTTPRouteFilterRequestHeaderModifier, gateway.HTTPRouteFilterResponseHeaderModifier,
	gateway.HTTPRouteFilterRequestRedirect, gateway.HTTPRouteFilterURLRewrite, gateway.HTTPRouteFilterExtensionRef,
}

// dropRefused drops from the manifest of a route what is reported already and for which the
// ingress controller refuses the route, and the names of the KongPlugins whose config the
// new ones have: with two rows of a plugin on a route, Kong refuses all that the ingress
// controller has.
func (c *converter) dropRefused(r *route, manifest *yaml.Node, plans []*plan) {
	metadata, beside := get(manifest, "metadata"), slices.ContainsFunc(plans, (*plan).needsKongPlugin)
	if annotations := get(metadata, "annotations"); annotations != nil {
		if named := get(annotations, "konghq.com/plugins"); named != nil {
			others := slices.DeleteFunc(strings.Split(named.Value, ","), func(name string) bool {
				return c.isOwn(r.doc, (*trail)(nil).fields("metadata", "annotations", "konghq.com/plugins"), strings.TrimSpace(name), beside)
			})
			if named.Value = strings.Join(others, ","); named.Value == "" {
				drop(annotations, "konghq.com/plugins")
			}
			if len(annotations.Content) == 0 {
				drop(metadata, "annotations")
			}
		}
	}
	if r.grpc {
		return // whose filters it passes over
	}
	other, _ := r.otherTimeout()
	for i, rule := range items(get(manifest, "spec"), "rules") {
		if timeouts := get(rule, "timeouts"); timeouts != nil && other != nil {
			if drop(timeouts, "backendRequest"); len(timeouts.Content) == 0 {
				drop(rule, "timeouts")
			}
		}
		if refs := get(rule, "backendRefs"); refs != nil {
			refs.Content = slices.DeleteFunc(refs.Content, func(ref *yaml.Node) bool {
				return !slices.Contains([]string{"", "Service"}, text(ref, "kind")) || !slices.Contains([]string{"", "core"}, text(ref, "group"))
			})
		}
		beside := slices.ContainsFunc(plans, func(p *plan) bool { return p.rule == r.rules[i] && p.needsKongPlugin() })
		c.dropFilters(r.rules[i], rule, beside)
	}
}

// dropFilters drops those of a rule of a manifest.
func (c *converter) dropFilters(r *rule, manifest *yaml.Node, beside bool) {
	filters := get(manifest, "filters")
	if filters == nil {
		return
	}
	filters.Content = slices.DeleteFunc(filters.Content, func(f *yaml.Node) bool {
		kind := gateway.HTTPRouteFilterType(text(f, "type"))
		return !slices.Contains(kicFilters, kind) || kind == gateway.HTTPRouteFilterExtensionRef && c.isOwn(r.route.doc, r.at.field("filters"), text(f, "extensionRef", "name"), beside)
	})
	if len(filters.Content) == 0 {
		drop(manifest, "filters")
	}
}

// isOwn reports whether the KongPlugin that a route names is one of ours, and reports one
// that is not in the manifests and may be, beside one that is made here.
func (c *converter) isOwn(d *document, at *trail, plugin string, beside bool) bool {
	names := pluginNames(d, plugin)
	found := c.find(names)
	if found == nil && beside && plugin != "" {
		report := d.warn
		if names[0].name == pluginName { // as in the guide
			report = d.leave
		}
		report(at, "the KongPlugin %s is not in the manifests: if it is of %s, add it, so that its config goes to that of the rules; beside theirs, Kong would refuse all that the ingress controller has", plugin, pluginName)
	}
	return found != nil && found.name == pluginName
}
