package conformance

import (
	"encoding/json"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"kong-traffic-split/kong/httproute"
)

// isOfListeners reports whether a problem is that no listener takes a route.
func isOfListeners(p httproute.Problem) bool {
	return strings.HasPrefix(p.Message, "no listener of the Gateway") || strings.HasSuffix(p.Message, "has no such listener")
}

// attached returns how many of the routes each listener of a Gateway takes, as conversion has
// it: with a Gateway that has no other listener, and one parentRef at a time.
func (c *cluster) attached(all []unstructured.Unstructured, gw *gatewayv1.Gateway) map[gatewayv1.SectionName]int32 {
	counts := map[gatewayv1.SectionName]int32{}
	for i, l := range gw.Spec.Listeners {
		for _, o := range all {
			if isRoute(o) && c.takes(all, i, o) {
				counts[l.Name]++
			}
		}
	}
	return counts
}

// takes reports whether the listener at an index of the only Gateway takes a route.
func (c *cluster) takes(all []unstructured.Unstructured, listener int, route unstructured.Unstructured) bool {
	refs, _, _ := unstructured.NestedSlice(route.Object, "spec", "parentRefs")
	return slices.ContainsFunc(refs, func(ref any) bool {
		items := []any{only(route, ref, "spec", "parentRefs")}
		for _, o := range all {
			switch o.GetKind() {
			case "Gateway":
				listeners, _, _ := unstructured.NestedSlice(o.Object, "spec", "listeners")
				items = append(items, only(o, listeners[listener], "spec", "listeners"))
			case "Namespace":
				items = append(items, o.Object)
			}
		}
		text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
		if err != nil {
			c.t.Fatal(err)
		}
		_, problems := httproute.Convert([]httproute.Source{{Name: "cluster", Data: text}}, httproute.Options{Flavor: httproute.Expressions, Partial: true})
		return !slices.ContainsFunc(problems, isOfListeners)
	})
}

// only is an object whose list at a path has one item.
func only(o unstructured.Unstructured, item any, path ...string) map[string]any {
	o = *o.DeepCopy()
	_ = unstructured.SetNestedSlice(o.Object, []any{item}, path...)
	return o.Object
}
