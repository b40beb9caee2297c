package splits

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kong-traffic-split/cmd/traffic-split-controller/cluster"
)

// Plugin is the plugin's name in Kong.
const Plugin = "traffic-split"

// pluginsAnnotation names KongPlugins, with commas between them.
const pluginsAnnotation = "konghq.com/plugins"

// plugins finds for each rule of a route the KongPlugin or KongClusterPlugin that gives
// its Kong routes the plugin, as Kong's ingress controller does: the first one of the
// route's annotation, of the rule's filters, of the annotations of its Services, or a
// global one. It is nil for a rule without. All of them may be wanted, but Kong takes only
// one row of a plugin for a route, and prefers that of a route to that of a Service.
func plugins(objects Objects, r *unstructured.Unstructured) []*unstructured.Unstructured {
	ofRoute := first(objects, r.GetNamespace(), annotated(r))
	global := globalPlugin(objects)
	var all []*unstructured.Unstructured
	for _, rule := range rulesOf(r) {
		found := ofRoute
		if found == nil && r.GetKind() == cluster.HTTPRoute { // in a GRPCRoute the controller passes filters over
			found = first(objects, r.GetNamespace(), extensions(rule))
		}
		for _, service := range servicesOf(rule, r.GetNamespace()) {
			if s := objects.Get(cluster.Service, service.namespace, service.name); found == nil && s != nil {
				found = first(objects, s.GetNamespace(), annotated(s))
			}
		}
		if found == nil {
			found = global
		}
		all = append(all, found)
	}
	return all
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

// first returns the first of some KongPlugins, named from a namespace, that is one of our
// plugin. A name is NAME, of the namespace or else of the cluster, or NAMESPACE:NAME.
func first(objects Objects, namespace string, names []string) *unstructured.Unstructured {
	for _, name := range names {
		namespace, name := namespace, strings.TrimSpace(name)
		if other, rest, ok := strings.Cut(name, ":"); ok {
			namespace, name = strings.TrimSpace(other), strings.TrimSpace(rest)
		}
		if name == "" || namespace == "" {
			continue
		}
		found := objects.Get(cluster.KongPlugin, namespace, name)
		if found == nil {
			found = objects.Get(cluster.KongClusterPlugin, "", name)
		}
		if found != nil && isOurs(found) {
			return found
		}
	}
	return nil
}

// globalPlugin returns the KongClusterPlugin that gives all routes the plugin, or nil. With
// two, Kong's ingress controller takes none.
func globalPlugin(objects Objects) (found *unstructured.Unstructured) {
	for _, p := range objects.List(cluster.KongClusterPlugin) {
		if p.GetLabels()["global"] != "true" || !isOurs(p) {
			continue
		}
		if found != nil {
			return nil
		}
		found = p
	}
	return found
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
