package splits

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"kong-traffic-split/cmd/traffic-split-controller/cluster"
	"kong-traffic-split/kong/httproute"
)

// Plugin is the plugin's name in Kong.
const Plugin = "traffic-split"

// kongGroup is that of Kong's own kinds.
const kongGroup = "configuration.konghq.com"

// pluginsAnnotation names KongPlugins, with commas between them.
const pluginsAnnotation = "konghq.com/plugins"

// plugins finds for each rule of a route the KongPlugin or KongClusterPlugin that gives
// its Kong routes the plugin, as Kong's ingress controller does: the first one of the
// route's annotation, of the rule's filters, of the annotations of its Services, or a
// global one. It is nil for a rule without. Kong prefers the row of a route to that of a
// Service. The problems are those for which Kong or the controller refuses
// the rule, or may not know its plugin.
func plugins(objects Objects, r *unstructured.Unstructured) (all []*unstructured.Unstructured, problems []string) {
	ofRoute := ours(objects, r, annotated(r))
	global := globalPlugin(objects)
	for i, rule := range rulesOf(r) {
		found := ofRoute
		if r.GetKind() == cluster.HTTPRoute { // in a GRPCRoute the controller passes filters over
			found = append(slices.Clone(ofRoute), ours(objects, r, extensions(rule))...)
		}
		ofServices, services := servicePlugins(objects, rule, r.GetNamespace())
		at := fmt.Sprintf("%s %s: spec.rules[%d]: ", r.GetKind(), nameOf(r), i)
		if len(found) > 1 || len(ofServices) > services {
			problems = append(problems, at+"more than one KongPlugin of "+Plugin+", or the same one twice, by the annotation "+pluginsAnnotation+" and the filters: Kong refuses all that its ingress controller has, for all routes: name one, once")
		} else if len(ofServices) > 0 && services > 1 {
			problems = append(problems, at+httproute.AnnotatedServices)
		}
		if found = append(found, ofServices...); len(found) == 0 {
			found = []*unstructured.Unstructured{global}
		}
		if p := found[0]; p != nil && p.GetKind() == cluster.KongClusterPlugin && !hasClass(p) {
			problem := "KongClusterPlugin " + nameOf(p) + ": it has no annotation " + classAnnotation + ", and Kong's ingress controller takes such a one only where its IngressClass is the default one: annotate it with the class"
			if !slices.Contains(problems, problem) { // of an earlier rule
				problems = append(problems, problem)
			}
		}
		all = append(all, found[0])
	}
	return all, problems
}

// servicePlugins returns the KongPlugins of ours that the annotations of a rule's Services
// name, and the number of its Services.
func servicePlugins(objects Objects, rule map[string]any, namespace string) (all []*unstructured.Unstructured, services int) {
	var references []reference
	for _, ref := range mapsOf(rule["backendRefs"]) {
		references = append(references, service(ref, namespace)...)
	}
	for i, ref := range references {
		if s := objects.Get(cluster.Service, ref.namespace, ref.name); s != nil && !slices.Contains(references[:i], ref) {
			services++
			all = append(all, ours(objects, s, annotated(s))...)
		}
	}
	return all, services
}

// annotated returns the names in the annotation of an object.
func annotated(object *unstructured.Unstructured) []string {
	value := object.GetAnnotations()[pluginsAnnotation]
	if value == "" {
		return nil
	}
	return strings.Split(value, ",")
}

// extensions returns the names of the KongPlugins that the filters of a rule refer to.
func extensions(rule map[string]any) (names []string) {
	for _, filter := range mapsOf(rule["filters"]) {
		if ref, ok := filter["extensionRef"].(map[string]any); ok && ref["kind"] == cluster.KongPlugin {
			if name, ok := ref["name"].(string); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// ours returns those of some KongPlugins that an object names that are of our plugin. A
// name is NAME, of the object's namespace or else of the cluster, or NAMESPACE:NAME, which
// takes a ReferenceGrant.
func ours(objects Objects, from *unstructured.Unstructured, names []string) (all []*unstructured.Unstructured) {
	for _, name := range names {
		namespace, name := from.GetNamespace(), strings.TrimSpace(name)
		if other, rest, ok := strings.Cut(name, ":"); ok {
			namespace, name = strings.TrimSpace(other), strings.TrimSpace(rest)
		}
		if name == "" || namespace == "" || namespace != from.GetNamespace() && !granted(objects, from, namespace, name) {
			continue
		}
		found := objects.Get(cluster.KongPlugin, namespace, name)
		if found == nil {
			found = objects.Get(cluster.KongClusterPlugin, "", name)
		}
		if found != nil && isOurs(found) {
			all = append(all, found)
		}
	}
	return all
}

// granted reports whether a ReferenceGrant lets an object refer to a KongPlugin of another
// namespace.
func granted(objects Objects, from *unstructured.Unstructured, namespace, name string) bool {
	kind := from.GroupVersionKind()
	referrer := gateway.ReferenceGrantFrom{Group: gateway.Group(kind.Group), Kind: gateway.Kind(kind.Kind), Namespace: gateway.Namespace(from.GetNamespace())}
	return slices.ContainsFunc(objects.List(cluster.ReferenceGrant), func(grant *unstructured.Unstructured) bool {
		var decoded gateway.ReferenceGrant
		err := runtime.DefaultUnstructuredConverter.FromUnstructured(grant.Object, &decoded) // none: the API server has checked it
		return err == nil && grant.GetNamespace() == namespace && httproute.Grants(&decoded.Spec, referrer, kongGroup, cluster.KongPlugin, name)
	})
}

// globalPlugin returns the KongClusterPlugin that gives all routes the plugin, or nil. With
// two, Kong's ingress controller takes none. One without a class is its own only where its
// class is the default one.
func globalPlugin(objects Objects) *unstructured.Unstructured {
	var classed, others []*unstructured.Unstructured
	for _, p := range objects.List(cluster.KongClusterPlugin) {
		switch {
		case p.GetLabels()["global"] != "true" || !isOurs(p):
		case hasClass(p):
			classed = append(classed, p)
		default:
			others = append(others, p)
		}
	}
	for _, all := range [][]*unstructured.Unstructured{classed, others} {
		switch len(all) {
		case 0:
		case 1:
			return all[0]
		default:
			return nil
		}
	}
	return nil
}

func isOurs(plugin *unstructured.Unstructured) bool { return plugin.Object["plugin"] == Plugin }

// inline returns the field of the plugin's config for which Kong takes its backends from
// elsewhere than the split file's entry for the route; empty: it does not.
func inline(plugin *unstructured.Unstructured) string {
	config, _ := plugin.Object["config"].(map[string]any)
	for _, field := range []string{"backends", "split"} {
		if config[field] != nil {
			return "config." + field
		}
	}
	return ""
}
