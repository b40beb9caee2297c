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
	for i := range p.rule.refs {
		if ref := &p.rule.refs[i]; *ref.ref.Weight > maxTargetWeight {
			d.leave(ref.at.field("weight"), "Kong's ingress controller makes of it the weight of targets, of which Kong takes %d at most, and otherwise nothing of the controller's configuration: divide the weights of the rule", maxTargetWeight)
		}
	}
	for i := range p.rule.matches {
		if m := &p.rule.matches[i]; len(m.queries) > 0 && c.options.Flavor != Expressions {
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

// refuseTimeouts reports rules by which the webhook of the ingress controller refuses the
// route.
func (r *route) refuseTimeouts() {
	var first *gateway.Duration
	for i := range r.rules {
		var own *gateway.Duration
		if t := r.rules[i].timeouts; t != nil {
			own = t.BackendRequest
		}
		switch {
		case first == nil:
			first = own
		case own == nil || *own != *first:
			r.doc.leave(r.rules[i].at.fields("timeouts", "backendRequest"), "the webhook of Kong's ingress controller refuses a route whose rules have not all the same one")
			return
		}
	}
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
func (c *converter) dropRefused(r *route, manifest *yaml.Node) {
	metadata := get(manifest, "metadata")
	if annotations := get(metadata, "annotations"); annotations != nil {
		if named := get(annotations, "konghq.com/plugins"); named != nil {
			others := slices.DeleteFunc(strings.Split(named.Value, ","), func(name string) bool {
				return c.isOwn(r.doc, (*trail)(nil).fields("metadata", "annotations", "konghq.com/plugins"), strings.TrimSpace(name))
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
	for i, rule := range items(get(manifest, "spec"), "rules") {
		if refs := get(rule, "backendRefs"); refs != nil {
			refs.Content = slices.DeleteFunc(refs.Content, func(ref *yaml.Node) bool {
				return !slices.Contains([]string{"", "Service"}, text(ref, "kind")) || !slices.Contains([]string{"", "core"}, text(ref, "group"))
			})
		}
		filters := get(rule, "filters")
		if filters == nil {
			continue
		}
		at := r.rules[i].at.field("filters")
		filters.Content = slices.DeleteFunc(filters.Content, func(f *yaml.Node) bool {
			return !slices.Contains(kicFilters, gateway.HTTPRouteFilterType(text(f, "type"))) || c.isOwn(r.doc, at, text(f, "extensionRef", "name"))
		})
		if len(filters.Content) == 0 {
			drop(rule, "filters")
		}
	}
}

// isOwn reports whether the KongPlugin that a route names is one of ours, and reports one
// that is called so and not in the manifests.
func (c *converter) isOwn(d *document, at *trail, plugin string) bool {
	found := c.find(d, plugin)
	if found == nil && plugin == pluginName {
		d.leave(at, "the KongPlugin %s is not in the manifests: add it, so that its config goes to that of the rules; beside theirs, Kong would refuse all that the ingress controller has", plugin)
	}
	return found != nil && found.name == pluginName
}
