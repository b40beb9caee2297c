package splits

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8syaml "k8s.io/apimachinery/pkg/util/yaml"
)

// manifests are objects as the API server would give them.
type manifests []*unstructured.Unstructured

func read(t *testing.T, text string) (all manifests) {
	t.Helper()
	decoder := k8syaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 1024)
	for i := 0; ; i++ {
		u := &unstructured.Unstructured{}
		err := decoder.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		u.SetUID("uid")
		u.SetResourceVersion(fmt.Sprint(len(text), i))
		all = append(all, u)
	}
}

func (m manifests) Get(kind, namespace, name string) *unstructured.Unstructured {
	for _, u := range m {
		if u.GetKind() == kind && u.GetNamespace() == namespace && u.GetName() == name {
			return u
		}
	}
	return nil
}

func (m manifests) List(kind string) (all []*unstructured.Unstructured) {
	for _, u := range m {
		if u.GetKind() == kind {
			all = append(all, u)
		}
	}
	return all
}

const (
	serviceText = `{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: %s}, spec: {ports: [{port: 80}]}}`
	pluginText  = `{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: split, namespace: web}, plugin: traffic-split}`
)

// route is a manifest of an HTTPRoute web/shop.
func route(annotations, rules string) string {
	return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: web, annotations: {` + annotations + `}}
spec:
  parentRefs: [{name: kong}]
  rules:
` + rules
}

func documents(all ...string) string { return strings.Join(all, "\n---\n") }

func TestRoutes(t *testing.T) {
	one, two := fmt.Sprintf(serviceText, "one", "web"), fmt.Sprintf(serviceText, "two", "web")
	ours := `konghq.com/plugins: split`
	both := `  - backendRefs: [{name: one, port: 80, weight: 3}, {name: two, port: 80}]`
	for _, test := range []struct {
		name, text  string
		expressions bool
		want        []string // NAME: BACKEND=WEIGHT...
		problems    string
	}{
		{
			name: "an annotation names the plugin", text: documents(one, two, pluginText, route(ours, both)),
			want: []string{"httproute.web.shop.0.0: one=3 two=1"},
		},
		{
			name: "a route without the plugin", text: documents(one, two, pluginText, route("", both)),
		},
		{
			name: "a KongPlugin that does not exist yet", text: documents(one, two, route(ours, both)),
		},
		{
			name: "a KongPlugin of another plugin beside it",
			text: documents(one, two, pluginText, strings.NewReplacer("traffic-split", "cors", "split", "cors").Replace(pluginText), route(`konghq.com/plugins: "cors , split"`, both)),
			want: []string{"httproute.web.shop.0.0: one=3 two=1"},
		},
		{
			name: "each match of each rule has a name", text: documents(one, pluginText, route(ours, `
  - matches: [{path: {value: /a}}, {path: {value: /b}}]
    backendRefs: [{name: one, port: 80}]
  - backendRefs: [{name: one, port: 80}]`)),
			want: []string{"httproute.web.shop.0.0: one=1", "httproute.web.shop.0.1: one=1", "httproute.web.shop.1.0: one=1"},
		},
		{
			name: "and for expressions, of each hostname", expressions: true,
			text: documents(one, pluginText, strings.Replace(route(ours, both), "  rules:", "  hostnames: [a.example, '*.example']\n  rules:", 1), two),
			want: []string{"httproute.web.shop._.example.0.0: one=3 two=1", "httproute.web.shop.a.example.0.0: one=3 two=1"},
		},
		{
			name: "without hostnames", expressions: true, text: documents(one, two, pluginText, route(ours, both)),
			want: []string{"httproute.web.shop._.0.0: one=3 two=1"},
		},
		{
			name: "a filter gives it to one rule", text: documents(one, two, pluginText, route("", `
  - backendRefs: [{name: one, port: 80}]
  - filters: [{type: ExtensionRef, extensionRef: {group: configuration.konghq.com, kind: KongPlugin, name: split}}]
    backendRefs: [{name: two, port: 80}]`)),
			want: []string{"httproute.web.shop.1.0: two=1"},
		},
		{
			name: "the annotation of a Service", text: documents(strings.Replace(one, "namespace: web", "namespace: web, annotations: {"+ours+"}", 1), two, pluginText, route("", `  - backendRefs: [{name: one, port: 80}, {name: one, port: 80, weight: 2}]`)),
			want: []string{"httproute.web.shop.0.0: one=3"},
		},
		{
			name: "the annotation of one of two Services", text: documents(strings.Replace(one, "namespace: web", "namespace: web, annotations: {"+ours+"}", 1), two, pluginText, route("", both)),
			want:     []string{"httproute.web.shop.0.0: one=3 two=1"},
			problems: "HTTPRoute web/shop: spec.rules[0]: the annotation konghq.com/plugins of Services is for rules with one Service: of this one Kong's ingress controller makes no Kong route, or, where all of them have it, a configuration of which Kong refuses all, for all routes: annotate the route",
		},
		{
			name: "two KongPlugins of ours", text: documents(one, two, pluginText, strings.Replace(pluginText, "name: split", "name: other", 1), route(`konghq.com/plugins: "other,split"`, both)),
			want:     []string{"httproute.web.shop.0.0: one=3 two=1"},
			problems: "HTTPRoute web/shop: spec.rules[0]: more than one KongPlugin of traffic-split, or the same one twice, by the annotation konghq.com/plugins and the filters: Kong refuses all that its ingress controller has, for all routes: name one, once",
		},
		{
			name: "the same one by the annotation and a filter", text: documents(one, pluginText, route(ours, `
  - filters: [{type: ExtensionRef, extensionRef: {group: configuration.konghq.com, kind: KongPlugin, name: split}}]
    backendRefs: [{name: one, port: 80}]`)),
			want:     []string{"httproute.web.shop.0.0: one=1"},
			problems: "more than one KongPlugin of traffic-split",
		},
		{
			name: "a KongClusterPlugin", text: documents(one, two, strings.NewReplacer("KongPlugin", "KongClusterPlugin", "namespace: web", "annotations: {kubernetes.io/ingress.class: kong}").Replace(pluginText), route(ours, both)),
			want: []string{"httproute.web.shop.0.0: one=3 two=1"},
		},
		{
			name: "a KongClusterPlugin that may be another ingress controller's", text: documents(one, two, strings.NewReplacer("KongPlugin", "KongClusterPlugin", ", namespace: web", "").Replace(pluginText), route(ours, both+"\n"+strings.Replace(both, "backendRefs", "matches: [{path: {value: /a}}]\n    backendRefs", 1))),
			want:     []string{"httproute.web.shop.0.0: one=3 two=1", "httproute.web.shop.1.0: one=3 two=1"},
			problems: "KongClusterPlugin split: it has no annotation kubernetes.io/ingress.class, and Kong's ingress controller takes such a one only where its IngressClass is the default one: annotate it with the class",
		},
		{
			name: "a global one, for all routes", text: documents(one, two, strings.NewReplacer("KongPlugin", "KongClusterPlugin", ", namespace: web", `, labels: {global: "true"}`).Replace(pluginText), route("", both)),
			want:     []string{"httproute.web.shop.0.0: one=3 two=1"},
			problems: "KongClusterPlugin split: it has no annotation kubernetes.io/ingress.class",
		},
		{
			name: "the global one of the class, beside those of others",
			text: documents(one, two, route("", both),
				`{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: a, labels: {global: "true"}, annotations: {kubernetes.io/ingress.class: other}}, plugin: traffic-split}`,
				`{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: b, labels: {global: "true"}, annotations: {kubernetes.io/ingress.class: kong}}, plugin: traffic-split, config: {response_header: X-Backend}}`,
				`{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: c, labels: {global: "true"}}, plugin: traffic-split}`),
			want: []string{"httproute.web.shop.0.0: one=3 two=1 response_header"},
		},
		{
			name: "a KongClusterPlugin of another class", text: documents(one, two, route(ours, both),
				`{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: split, annotations: {kubernetes.io/ingress.class: other}}, plugin: traffic-split}`),
		},
		{
			name: "two global ones", text: documents(one, two, route("", both),
				`{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: a, labels: {global: "true"}, annotations: {kubernetes.io/ingress.class: kong}}, plugin: traffic-split}`,
				`{apiVersion: configuration.konghq.com/v1, kind: KongClusterPlugin, metadata: {name: b, labels: {global: "true"}, annotations: {kubernetes.io/ingress.class: kong}}, plugin: traffic-split}`),
		},
		{
			name: "a KongPlugin of another namespace", text: documents(one, two, strings.Replace(pluginText, "namespace: web", "namespace: infra", 1), route(`konghq.com/plugins: "infra:split"`, both)),
		},
		{
			name: "a KongPlugin of another namespace with a grant", text: documents(one, two, strings.Replace(pluginText, "namespace: web", "namespace: infra", 1), route(`konghq.com/plugins: "infra:split"`, both),
				`{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, namespace: infra}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: web}], to: [{group: configuration.konghq.com, kind: KongPlugin, name: split}]}}`),
			want: []string{"httproute.web.shop.0.0: one=3 two=1"},
		},
		{
			name: "a grant for another KongPlugin, and one for all of another namespace's routes", text: documents(one, two, strings.Replace(pluginText, "namespace: web", "namespace: infra", 1), route(`konghq.com/plugins: "infra:split"`, both),
				`{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, namespace: infra}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: web}], to: [{group: configuration.konghq.com, kind: KongPlugin, name: other}]}}`,
				`{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: h, namespace: infra}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: store}], to: [{group: configuration.konghq.com, kind: KongPlugin}]}}`),
		},
		{
			name: "a grant for all KongPlugins", text: documents(one, two, strings.Replace(pluginText, "namespace: web", "namespace: infra", 1), route(`konghq.com/plugins: "infra:split"`, both),
				`{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, namespace: infra}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: web}], to: [{group: configuration.konghq.com, kind: KongPlugin}]}}`),
			want: []string{"httproute.web.shop.0.0: one=3 two=1"},
		},
		{
			name: "its config is that of the splits", text: documents(one, two, strings.Replace(pluginText, "plugin: traffic-split", "plugin: traffic-split, config: {response_header: X-Backend}", 1), route(ours, both)),
			want: []string{"httproute.web.shop.0.0: one=3 two=1 response_header"},
		},
		{
			name: "a config that the plugin would refuse", text: documents(one, two, strings.Replace(pluginText, "plugin: traffic-split", "plugin: traffic-split, config: {algorithm: best}", 1), route(ours, both)),
			problems: `KongPlugin web/split: config.algorithm: the plugin would refuse this: algorithm: "best" is not one of smooth, random`,
		},
		{
			name: "backends of its own", text: documents(one, two, strings.Replace(pluginText, "plugin: traffic-split", "plugin: traffic-split, config: {backends: [{service: true}]}", 1), route(ours, both)),
			problems: "KongPlugin web/split: config.backends: the plugin takes its backends from here, so that weights of the HTTPRoute mean nothing: leave it out",
		},
		{
			name: "a Service that is missing, as the only one of its namespace", text: documents(pluginText, route(ours, both)),
			want:     []string{"httproute.web.shop.0.0: one=3 two=1"},
			problems: "HTTPRoute web/shop: spec.rules[0].backendRefs[0].name: there is no Service web/one",
		},
		{
			name: "a Service that is missing, with retry, which knows hosts only", text: documents(one, two, strings.Replace(pluginText, "plugin: traffic-split", "plugin: traffic-split, config: {retry: {}}", 1), route(ours, `
  - matches: [{path: {value: /none}}]
  - backendRefs: [{name: one, port: 80, weight: 3}, {name: two, port: 80}, {name: gone, port: 80}]`)),
			want:     []string{"httproute.web.shop.0.0: none=<nil> retry", "httproute.web.shop.1.0: one=3 two=1 gone=1 retry"},
			problems: "HTTPRoute web/shop: spec.rules[1].backendRefs[2].name: there is no Service web/gone",
		},
		{
			name: "another namespace", text: documents(fmt.Sprintf(serviceText, "one", "store"), pluginText, route(ours, `  - backendRefs: [{name: one, namespace: store, port: 80}]`)),
			want:     []string{"httproute.web.shop.0.0: one=1"},
			problems: "ReferenceGrant",
		},
		{
			name: "another namespace with a grant", text: documents(fmt.Sprintf(serviceText, "one", "store"), pluginText, route(ours, `  - backendRefs: [{name: one, namespace: store, port: 80}]`),
				`{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g, namespace: store}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: web}], to: [{group: "", kind: Service}]}}`),
			want: []string{"httproute.web.shop.0.0: one=1"},
		},
		{
			name: "a field that is not known here, as of a newer version", text: documents(one, two, pluginText, route(ours, both+"\n    novelty: true")),
			problems: "novelty",
		},
		{
			name: "the prefix of a single backend, with the router that does not tell it", expressions: true,
			text: documents(one, pluginText, route(ours, `  - matches: [{path: {value: /a}}]
    backendRefs: [{name: one, port: 80, filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}]`)),
			want:     []string{"httproute.web.shop._.0.0: one=1"},
			problems: "with the router's flavor expressions",
		},
		{
			name: "copies of a single backend's requests", text: documents(one, two, pluginText, route(ours, `  - backendRefs: [{name: one, port: 80, filters: [{type: RequestMirror, requestMirror: {backendRef: {name: two, port: 80}}}]}]`)),
			want: []string{"httproute.web.shop.0.0: one=1 mirror"},
		},
		{
			name: "copies of a rule's requests", text: documents(one, two, pluginText, route(ours, `  - filters: [{type: RequestMirror, requestMirror: {backendRef: {name: two, port: 80}}}]
    backendRefs: [{name: one, port: 80}]`)),
			want:     []string{"httproute.web.shop.0.0: one=1 mirror"},
			problems: "HTTPRoute web/shop: spec.rules[0].filters[0]: Kong's ingress controller refuses the route with a RequestMirror of a rule: use mirror in the config of the KongPlugin",
		},
		{
			name: "a redirect needs none", text: documents(pluginText, route(ours, `  - filters: [{type: RequestRedirect, requestRedirect: {hostname: other.example}}]`)),
		},
		{
			name: "a GRPCRoute", text: documents(one, pluginText, strings.NewReplacer("HTTPRoute", "GRPCRoute").Replace(route(ours, `  - backendRefs: [{name: one, port: 80}]`))),
			want: []string{"grpcroute.web.shop.0.0: one=1"},
		},
		{
			name: "a GRPCRoute of two rules", text: documents(one, two, pluginText, strings.NewReplacer("HTTPRoute", "GRPCRoute").Replace(route(ours, `  - backendRefs: [{name: one, port: 80}]
  - matches: [{method: {service: a.B}}]
    backendRefs: [{name: one, port: 80}, {name: two, port: 80}]`))),
			want: []string{"grpcroute.web.shop.0.0: one=1", "grpcroute.web.shop.1.0: one=1 two=1"},
		},
		{
			name: "a weight that Kong refuses as a target's", text: documents(one, two, pluginText, route(ours, `  - backendRefs: [{name: one, port: 80, weight: 1000000}, {name: two, port: 80}]`)),
			want:     []string{"httproute.web.shop.0.0: one=1000000 two=1"},
			problems: "HTTPRoute web/shop: spec.rules[0].backendRefs[0].weight: Kong's ingress controller makes of it the weight of targets, of which Kong takes 65535 at most",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := NewMaker(Options{Expressions: test.expressions, ClusterDomain: "cluster.local"})
			var got, problems []string
			for _, r := range m.Routes(read(t, test.text)) {
				for _, name := range slices.Sorted(maps.Keys(r.Splits)) {
					got = append(got, name+":"+summary(t, r.Splits[name]))
				}
				problems = append(problems, r.Problems...)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if twice := len(problems) - len(slices.Compact(slices.Sorted(slices.Values(problems)))); twice > 0 {
				t.Errorf("said twice: %q", problems)
			}
			if all := strings.Join(problems, "\n"); (all == "") != (test.problems == "") || !strings.Contains(all, test.problems) {
				t.Errorf("problems:\n%s\nwant: %s", all, test.problems)
			}
		})
	}
}

// summary is the backends with their weights, and what else the split has.
func summary(t *testing.T, n *yaml.Node) string {
	t.Helper()
	var split map[string]any
	if err := n.Decode(&split); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, backend := range split["backends"].([]any) {
		fmt.Fprintf(&b, " %v=%v", backend.(map[string]any)["name"], backend.(map[string]any)["weight"])
	}
	for _, key := range slices.Sorted(maps.Keys(split)) {
		if key != "backends" {
			b.WriteString(" " + key)
		}
	}
	return b.String()
}

func TestOnlyChangedRoutesAreConvertedAgain(t *testing.T) {
	objects := read(t, documents(fmt.Sprintf(serviceText, "one", "web"), pluginText, route("konghq.com/plugins: split", `  - backendRefs: [{name: one, port: 80}]`)))
	m := NewMaker(Options{})
	first := m.Routes(objects)[0].Splits
	if again := m.Routes(objects)[0].Splits; first["httproute.web.shop.0.0"] != again["httproute.web.shop.0.0"] {
		t.Error("an unchanged route was converted again")
	}
	objects.Get("Service", "web", "one").SetResourceVersion("2")
	if again := m.Routes(objects)[0].Splits; first["httproute.web.shop.0.0"] == again["httproute.web.shop.0.0"] {
		t.Error("a route whose Service has changed was not converted again")
	}
}
