package httproute

import (
	"slices"
	"strings"
	"unicode"

	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// changes are what the filters of a rule or of a backendRef ask for.
type changes struct {
	request  headers
	response headers
	hostname string
	path     *gateway.HTTPPathModifier
	redirect *gateway.HTTPRequestRedirectFilter
	plugins  []*kongPlugin
	mirrors  []mirror

	// broken says that something is missing without which no request may go through: a
	// plugin, the right path.
	broken bool

	at map[gateway.HTTPRouteFilterType]*trail
}

// headers are changes to the headers of a request or of a response.
type headers struct {
	set, add []header
	remove   []string
}

type header struct{ name, value string }

func (h headers) empty() bool { return len(h.set) == 0 && len(h.add) == 0 && len(h.remove) == 0 }

func findHeader(all []header, name string) int {
	return slices.IndexFunc(all, func(h header) bool { return strings.EqualFold(h.name, name) })
}

func without(all []header, name string) []header {
	return slices.DeleteFunc(slices.Clone(all), func(h header) bool { return strings.EqualFold(h.name, name) })
}

func withoutName(all []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(n string) bool { return strings.EqualFold(n, name) })
}

// then returns the changes of h followed by those of another filter.
func (h headers) then(next headers) headers {
	for _, name := range next.remove {
		h.set, h.add = without(h.set, name), without(h.add, name)
		h.remove = append(withoutName(h.remove, name), name)
	}
	for _, s := range next.set {
		h.add, h.remove = without(h.add, s.name), withoutName(h.remove, s.name)
		h.set = append(without(h.set, s.name), s)
	}
	for _, a := range next.add {
		switch i := findHeader(h.add, a.name); {
		case slices.ContainsFunc(h.remove, func(n string) bool { return strings.EqualFold(n, a.name) }):
			h.remove = withoutName(h.remove, a.name)
			h.set = append(slices.Clone(h.set), a)
		case i >= 0: // two values of one name are one with a comma (RFC 9110, section 5.3)
			h.add = slices.Clone(h.add)
			h.add[i].value += ", " + a.value
		default:
			h.add = append(slices.Clone(h.add), a)
		}
	}
	return h
}

// headersOf reads a filter, in which the first of two alike names counts.
func headersOf(f *gateway.HTTPHeaderFilter) (h headers) {
	if f == nil {
		return h
	}
	read := func(from []gateway.HTTPHeader) (to []header) {
		for _, one := range from {
			if findHeader(to, string(one.Name)) < 0 {
				to = append(to, header{string(one.Name), one.Value})
			}
		}
		return to
	}
	h.set, h.add, h.remove = read(f.Set), read(f.Add), f.Remove
	return headers{}.then(headers{remove: h.remove}).then(headers{set: h.set}).then(headers{add: h.add})
}

// changes reads the filters of a rule, or of one of its backendRefs.
func (c *converter) changes(d *document, filters []gateway.HTTPRouteFilter, owner *trail, ofBackend bool) changes {
	out := changes{at: map[gateway.HTTPRouteFilterType]*trail{}}
	for i, f := range filters {
		at := owner.field("filters").item(i)
		out.at[f.Type] = at
		switch f.Type {
		case gateway.HTTPRouteFilterRequestHeaderModifier:
			at := at.field("requestHeaderModifier")
			out.request = c.noHost(d, headersOf(f.RequestHeaderModifier), f.RequestHeaderModifier, at, &out)
		case gateway.HTTPRouteFilterResponseHeaderModifier:
			out.response = headersOf(f.ResponseHeaderModifier)
			refuseControl(d, f.ResponseHeaderModifier, at.field("responseHeaderModifier"))
		case gateway.HTTPRouteFilterURLRewrite:
			if h := f.URLRewrite.Hostname; h != nil {
				if out.hostname != "" && out.hostname != string(*h) {
					d.leave(at.fields("urlRewrite", "hostname"), "the Host is set to %s already", quote(out.hostname))
				}
				out.hostname = string(*h)
			}
			out.path = f.URLRewrite.Path
		case gateway.HTTPRouteFilterRequestRedirect:
			out.redirect = f.RequestRedirect
		case gateway.HTTPRouteFilterExtensionRef:
			c.extension(d, f.ExtensionRef, at.field("extensionRef"), ofBackend, &out)
		case gateway.HTTPRouteFilterRequestMirror:
			out.mirrors = append(out.mirrors, mirror{at.field("requestMirror"), f.RequestMirror})
		case gateway.HTTPRouteFilterCORS:
			d.leave(at.field("cors"), "cannot be converted: use Kong's plugin cors, by a KongPlugin that the annotation konghq.com/plugins names")
		default:
			d.leave(at.field("type"), "a filter of the type %s cannot be converted", f.Type)
			out.broken = true
		}
	}
	return out
}

// noHost takes changes of the Host header out of those of a request.
func (c *converter) noHost(d *document, h headers, f *gateway.HTTPHeaderFilter, at *trail, out *changes) headers {
	if i := findHeader(h.set, "Host"); i >= 0 {
		if out.hostname != "" && out.hostname != h.set[i].value {
			d.leave(at.field("set"), "the Host is set to %s already", quote(out.hostname))
		}
		out.hostname = h.set[i].value
		h.set = without(h.set, "Host")
	}
	for i, a := range f.Add {
		if strings.EqualFold(string(a.Name), "Host") {
			d.leave(at.field("add").item(i), "a request has one Host; set it")
			h.add = without(h.add, "Host")
		}
	}
	for i, name := range f.Remove {
		if strings.EqualFold(name, "Host") {
			d.leave(at.field("remove").item(i), "a request needs a Host; set it")
			h.remove = withoutName(h.remove, "Host")
		}
	}
	return h
}

// refuseControl reports values of headers that would end one and begin another.
func refuseControl(d *document, f *gateway.HTTPHeaderFilter, at *trail) {
	for field, all := range map[string][]gateway.HTTPHeader{"set": f.Set, "add": f.Add} {
		for i, h := range all {
			if strings.ContainsFunc(h.Value, unicode.IsControl) || strings.HasPrefix(h.Value, ":") {
				d.leave(at.field(field).item(i).field("value"), "%s must not have control characters in it, nor a colon at its beginning, which Kong's plugin response-transformer drops", quote(h.Value))
			}
		}
	}
}

// extension reads a reference to a KongPlugin.
func (c *converter) extension(d *document, ref *gateway.LocalObjectReference, at *trail, ofBackend bool, out *changes) {
	out.broken = true
	switch {
	case ofBackend:
		d.leave(at, "a plugin cannot be a single backend's; put the filter into the rule")
	case string(ref.Group) != kongGroup || ref.Kind != "KongPlugin":
		d.leave(at.field("kind"), "%s of the group %s cannot be converted, only KongPlugin of %s", ref.Kind, quote(string(ref.Group)), kongGroup)
	default:
		if p := c.plugin(d, string(ref.Name), at.field("name")); p != nil {
			out.plugins = append(out.plugins, p)
			out.broken = false
		} else if c.options.To == KIC {
			out.broken = false
		}
	}
}

// plugin finds a KongPlugin that a route names. It returns nil if there is none.
func (c *converter) plugin(d *document, given string, at *trail) *kongPlugin {
	names := pluginNames(d, given)
	own := names[0]
	if own.namespace != d.namespace && !c.objects.granted(d, kongGroup, "KongPlugin", own) {
		d.leave(at, "no ReferenceGrant in the namespace %s lets %ss of %s refer to the KongPlugin %s", own.namespace, d.kind, d.namespace, own.name)
		return nil
	}
	if c.objects.wrong["KongPlugin "+own.String()] {
		return nil
	}
	found := c.find(names)
	if found == nil && c.options.To != KIC { // else it may be in the cluster
		d.leave(at, "there is no KongPlugin %s in the manifests", own)
	}
	return found
}

// pluginNames are the KongPlugins that a name in a route stands for, of which the first one
// counts that is there: NAME is one of the route's namespace, NAMESPACE:NAME one of another,
// and each else one of the cluster.
func pluginNames(d *document, given string) []name {
	own := name{d.namespace, given}
	if namespace, rest, ok := strings.Cut(given, ":"); ok {
		own = name{namespace, rest}
	}
	return []name{own, {"", own.name}}
}

// find returns the first KongPlugin of some names that is there, whether the route may refer
// to it or not, or nil.
func (c *converter) find(names []name) *kongPlugin {
	for _, n := range names {
		if p := c.objects.plugins[n]; p != nil {
			return p
		}
	}
	return nil
}
