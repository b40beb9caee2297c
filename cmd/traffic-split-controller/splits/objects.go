package splits

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kong-traffic-split/cmd/traffic-split-controller/cluster"
)

// Objects are those of the cluster, as [cluster.Cluster] has them.
type Objects interface {
	Get(kind, namespace, name string) *unstructured.Unstructured // nil: it does not exist
	List(kind string) []*unstructured.Unstructured
}

// classAnnotation names the class of ingress controllers that an object is for.
const classAnnotation = "kubernetes.io/ingress.class"

// ofClass are the objects that an ingress controller of a class has: not the
// KongClusterPlugins of others.
type ofClass struct {
	Objects
	class string
}

func (o ofClass) has(plugin *unstructured.Unstructured) bool {
	return !hasClass(plugin) || plugin.GetAnnotations()[classAnnotation] == o.class
}

// hasClass reports whether an object says for which class it is. One that does not is for the
// ingress controllers whose IngressClass is the default one.
func hasClass(object *unstructured.Unstructured) bool {
	_, given := object.GetAnnotations()[classAnnotation]
	return given
}

// Get is that of Objects.
func (o ofClass) Get(kind, namespace, name string) *unstructured.Unstructured {
	found := o.Objects.Get(kind, namespace, name)
	if kind == cluster.KongClusterPlugin && found != nil && !o.has(found) {
		return nil
	}
	return found
}

// List is that of Objects.
func (o ofClass) List(kind string) []*unstructured.Unstructured {
	all := o.Objects.List(kind)
	if kind != cluster.KongClusterPlugin {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(p *unstructured.Unstructured) bool { return !o.has(p) })
}

// mapsOf returns the maps of a list. What else is in it, no API server has let in.
func mapsOf(list any) (all []map[string]any) {
	items, _ := list.([]any)
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

func rulesOf(r *unstructured.Unstructured) []map[string]any {
	spec, _ := r.Object["spec"].(map[string]any)
	return mapsOf(spec["rules"])
}

func hostnamesOf(r *unstructured.Unstructured) []string {
	names, _, _ := unstructured.NestedStringSlice(r.Object, "spec", "hostnames")
	return names
}

type reference struct{ namespace, name string }

// servicesOf returns the Services to which the backendRefs of a rule lead, those of its
// filters too.
func servicesOf(value any, namespace string) (all []reference) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			all = append(all, servicesOf(item, namespace)...)
		}
	case map[string]any:
		for key, field := range value {
			switch key {
			case "backendRefs":
				for _, ref := range mapsOf(field) {
					all = append(all, service(ref, namespace)...)
				}
			case "backendRef":
				if ref, ok := field.(map[string]any); ok {
					all = append(all, service(ref, namespace)...)
				}
			}
			all = append(all, servicesOf(field, namespace)...)
		}
	}
	return all
}

func service(ref map[string]any, namespace string) []reference {
	name, _ := ref["name"].(string)
	if kind, given := ref["kind"].(string); name == "" || given && kind != cluster.Service {
		return nil
	}
	if other, given := ref["namespace"].(string); given && other != "" {
		namespace = other
	}
	return []reference{{namespace, name}}
}
