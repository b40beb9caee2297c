package splits

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kong-traffic-split/cmd/traffic-split-controller/cluster"
)

// input is all that the splits of a route are made of.
type input struct {
	route   *unstructured.Unstructured
	plugins []*unstructured.Unstructured // the different ones of its rules
	ofRule  []int                        // by rule, the index in plugins; -1: none
	others  []*unstructured.Unstructured // Services and ReferenceGrants

	problems []string // of how the route names its plugins
}

func gather(objects Objects, r *unstructured.Unstructured) input {
	ofRules, problems := plugins(objects, r)
	in := input{route: r, problems: problems}
	for _, p := range ofRules {
		if p == nil {
			in.ofRule = append(in.ofRule, -1)
			continue
		}
		i := slices.Index(in.plugins, p)
		if i < 0 {
			i = len(in.plugins)
			in.plugins = append(in.plugins, p)
		}
		in.ofRule = append(in.ofRule, i)
	}
	if len(in.plugins) == 0 {
		return in
	}
	references := servicesOf(r.Object["spec"], r.GetNamespace())
	slices.SortFunc(references, func(a, b reference) int { return strings.Compare(a.namespace+"/"+a.name, b.namespace+"/"+b.name) })
	var foreign []string
	for _, ref := range slices.Compact(references) {
		if s := objects.Get(cluster.Service, ref.namespace, ref.name); s != nil {
			in.others = append(in.others, s)
		}
		if ref.namespace != r.GetNamespace() {
			foreign = append(foreign, ref.namespace)
		}
	}
	if len(foreign) > 0 {
		for _, grant := range objects.List(cluster.ReferenceGrant) {
			if slices.Contains(foreign, grant.GetNamespace()) {
				in.others = append(in.others, grant)
			}
		}
	}
	return in
}

// key tells inputs apart. An object's uid and resourceVersion change with each of its
// changes, those of its status too.
func (in input) key() [sha256.Size]byte {
	h := sha256.New()
	for _, o := range slices.Concat([]*unstructured.Unstructured{in.route}, in.plugins, in.others) {
		fmt.Fprintln(h, o.GetKind(), o.GetNamespace(), o.GetName(), o.GetUID(), o.GetResourceVersion())
	}
	fmt.Fprintln(h, in.ofRule, in.problems)
	return [sha256.Size]byte(h.Sum(nil))
}

// list is the input for the conversion, in which a plugin is that of the whole route.
func (in input) list(plugin *unstructured.Unstructured) map[string]any {
	route := in.route.DeepCopy()
	route.Object["metadata"] = map[string]any{"namespace": in.route.GetNamespace(), "name": in.route.GetName()}
	annotations := map[string]string{pluginsAnnotation: plugin.GetName()}
	for _, kept := range []string{"konghq.com/strip-path", "konghq.com/preserve-host"} {
		if value, ok := in.route.GetAnnotations()[kept]; ok {
			annotations[kept] = value
		}
	}
	route.SetAnnotations(annotations)
	for _, rule := range rulesOf(route) {
		filters, _ := rule["filters"].([]any)
		rule["filters"] = slices.DeleteFunc(filters, func(f any) bool {
			filter, _ := f.(map[string]any)
			return filter["type"] == "ExtensionRef" // the controller's, and the plugin is found already
		})
		if len(filters) == 0 {
			delete(rule, "filters")
		}
	}
	// As it is named, it is one of the route's namespace.
	own := map[string]any{
		"apiVersion": kongGroup + "/v1", "kind": cluster.KongPlugin, "plugin": Plugin,
		"metadata": map[string]any{"namespace": in.route.GetNamespace(), "name": plugin.GetName()},
	}
	for _, field := range []string{"config", "configFrom", "configPatches"} {
		if value, ok := plugin.Object[field]; ok {
			own[field] = value
		}
	}
	items := []any{route.Object, own}
	for _, o := range in.others {
		items = append(items, needed(o))
	}
	return map[string]any{"apiVersion": "v1", "kind": "List", "items": items}
}

// names returns the names of the Kong routes of the rules that have a plugin, by the name
// that the conversion has for the rule and match. Kong's ingress controller joins some
// matches to one route under the name of the first; which ones is left to it, since it
// changes with the weights, and a split for which there is no route does no harm.
func (in input) names(plugin int, expressions bool) map[string][]string {
	all := map[string][]string{}
	prefix := strings.ToLower(in.route.GetKind()) + "." + in.route.GetNamespace() + "." + in.route.GetName()
	hostnames := hostnamesOf(in.route)
	if len(hostnames) == 0 {
		hostnames = []string{"_"}
	}
	for i, rule := range rulesOf(in.route) {
		if in.ofRule[i] != plugin {
			continue
		}
		for match := range max(1, len(mapsOf(rule["matches"]))) {
			number := "." + strconv.Itoa(i) + "." + strconv.Itoa(match)
			if !expressions {
				all[prefix+number] = []string{prefix + number}
				continue
			}
			for _, h := range hostnames {
				all[prefix+number] = append(all[prefix+number], prefix+"."+strings.ReplaceAll(h, "*", "_")+number)
			}
		}
	}
	return all
}

// needed is what the conversion needs of a Service or a ReferenceGrant. It refuses fields
// that it does not know, and the cluster may have later ones.
func needed(o *unstructured.Unstructured) map[string]any {
	out := map[string]any{
		"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "spec": o.Object["spec"],
		"metadata": map[string]any{"namespace": o.GetNamespace(), "name": o.GetName()},
	}
	if o.GetKind() != cluster.Service {
		return out
	}
	if protocol, ok := o.GetAnnotations()["konghq.com/protocol"]; ok {
		out["metadata"].(map[string]any)["annotations"] = map[string]any{"konghq.com/protocol": protocol}
	}
	given, _ := o.Object["spec"].(map[string]any)
	spec := pick(given, "type", "clusterIP", "externalName")
	var ports []any
	for _, port := range mapsOf(given["ports"]) {
		ports = append(ports, pick(port, "name", "port", "targetPort", "appProtocol"))
	}
	spec["ports"] = ports
	out["spec"] = spec
	return out
}

// pick returns some fields of a map.
func pick(from map[string]any, fields ...string) map[string]any {
	out := map[string]any{}
	for _, field := range fields {
		if value, ok := from[field]; ok {
			out[field] = value
		}
	}
	return out
}
