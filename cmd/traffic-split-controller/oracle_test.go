package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"kong-traffic-split/cmd/traffic-split-controller/apiserver"
	"kong-traffic-split/kong/httproute"
)

// wrongRules are rules of an HTTPRoute that an API server refuses.
var wrongRules = []string{
	// matches: paths
	`matches: [{path: {type: Prefix, value: /a}}]`,
	`matches: [{path: {type: PathPrefix, value: a}}]`,
	`matches: [{path: {type: PathPrefix, value: //a}}]`,
	`matches: [{path: {type: PathPrefix, value: /a/./b}}]`,
	`matches: [{path: {type: PathPrefix, value: /a/../b}}]`,
	`matches: [{path: {type: PathPrefix, value: /a%2Fb}}]`,
	`matches: [{path: {type: PathPrefix, value: /a%2fb}}]`,
	`matches: [{path: {type: PathPrefix, value: "/a#b"}}]`,
	`matches: [{path: {type: PathPrefix, value: /a/..}}]`,
	`matches: [{path: {type: PathPrefix, value: /a/.}}]`,
	`matches: [{path: {type: PathPrefix, value: "/a b"}}]`,
	`matches: [{path: {type: Exact, value: "/a?b"}}]`,
	`matches: [{path: {type: Exact, value: ""}}]`,
	`matches: [{path: {type: Exact, value: "/é"}}]`,
	`matches: [{path: {type: Exact, value: "/a%zz"}}]`,
	`matches: [{path: {type: Exact, value: 7}}]`,
	`matches: [{path: {value: ` + "/" + strings.Repeat("a", 1024) + `}}]`,
	`matches: [{path: /a}]`,
	`matches: [{paths: {value: /a}}]`,
	`matches: {path: {value: /a}}`,
	`matches: [` + strings.Repeat(`{path: {value: /a}},`, 65) + `]`,
	// methods, headers, query parameters
	`matches: [{method: get}]`,
	`matches: [{method: BREW}]`,
	`matches: [{headers: [{name: "a b", value: x}]}]`,
	`matches: [{headers: [{name: "", value: x}]}]`,
	`matches: [{headers: [{name: a, value: ""}]}]`,
	`matches: [{headers: [{name: a}]}]`,
	`matches: [{headers: [{value: x}]}]`,
	`matches: [{headers: [{name: a, value: x, type: Prefix}]}]`,
	`matches: [{headers: [{name: a, value: x}, {name: a, value: y}]}]`,
	`matches: [{headers: [{name: a, value: ` + strings.Repeat("x", 4097) + `}]}]`,
	`matches: [{headers: [{name: ` + strings.Repeat("a", 257) + `, value: x}]}]`,
	`matches: [{headers: [` + numbered(17, `{name: h%d, value: x}`) + `]}]`,
	`matches: [{queryParams: [{name: a, value: ""}]}]`,
	`matches: [{queryParams: [{name: a, value: ` + strings.Repeat("x", 1025) + `}]}]`,
	`matches: [{queryParams: [{name: a, value: x}, {name: a, value: y}]}]`,
	`matches: [{queryParams: [{name: "a b", value: x}]}]`,
	`matches: [{queryParams: [{name: a, value: x, type: Glob}]}]`,
	// backendRefs
	`backendRefs: [{name: one}]`,
	`backendRefs: [{port: 80}]`,
	`backendRefs: [{name: "", port: 80}]`,
	`backendRefs: [{name: one, port: 0}]`,
	`backendRefs: [{name: one, port: 65536}]`,
	`backendRefs: [{name: one, port: "80"}]`,
	`backendRefs: [{name: one, port: http}]`,
	`backendRefs: [{name: one, port: 80, weight: -1}]`,
	`backendRefs: [{name: one, port: 80, weight: 1000001}]`,
	`backendRefs: [{name: one, port: 80, weight: 1.5}]`,
	`backendRefs: [{name: one, port: 80, weight: "1"}]`,
	`backendRefs: [{name: one, port: 80, weigth: 1}]`,
	`backendRefs: [{name: one, port: 80, namespace: Web}]`,
	`backendRefs: [{name: one, port: 80, namespace: ""}]`,
	`backendRefs: [{name: one, port: 80, kind: "my kind"}]`,
	`backendRefs: [{name: one, port: 80, group: "Not A Group"}]`,
	`backendRefs: [` + strings.Repeat(`{name: one, port: 80},`, 17) + `]`,
	`backendRefs: {name: one, port: 80}`,
	`backendRefs: [{name: one, port: 80, filters: [{type: RequestHeaderModifier}]}]`,
	`backendRefs: [{name: one, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {}}, {type: RequestHeaderModifier, requestHeaderModifier: {}}]}]`,
	// filters
	`filters: [{type: Nothing}]`,
	`filters: [{requestHeaderModifier: {}}]`,
	`filters: [{type: RequestHeaderModifier}]`,
	`filters: [{type: RequestHeaderModifier, responseHeaderModifier: {}}]`,
	`filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: x}, {name: a, value: y}]}}]`,
	`filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a}]}}]`,
	`filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [` + numbered(17, `h%d`) + `]}}]`,
	`filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a, a]}}]`,
	`filters: [{type: RequestHeaderModifier, requestHeaderModifier: {}}, {type: RequestHeaderModifier, requestHeaderModifier: {}}]`,
	`filters: [{type: URLRewrite}]`,
	`filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch}}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /a}}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]
    matches: [{path: {value: /a}}, {path: {value: /c}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]
    matches: [{path: {type: Exact, value: /a}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {hostname: "*.example"}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {hostname: "a_b"}}]`,
	`filters: [{type: RequestRedirect, requestRedirect: {}}]
    backendRefs: [{name: one, port: 80}]`,
	`filters: [{type: RequestRedirect, requestRedirect: {scheme: ftp}}]`,
	`filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]`,
	`filters: [{type: RequestRedirect, requestRedirect: {port: 0}}]`,
	`filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {hostname: a.example}}]`,
	`filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath}}}]`,
	`filters: [{type: RequestMirror, requestMirror: {}}]`,
	`filters: [{type: RequestMirror, requestMirror: {backendRef: {name: one}}}]`,
	`filters: [{type: RequestMirror, requestMirror: {backendRef: {name: one, port: 80}, percent: 101}}]`,
	`filters: [{type: RequestMirror, requestMirror: {backendRef: {name: one, port: 80}, percent: 1, fraction: {numerator: 1}}}]`,
	`filters: [{type: RequestMirror, requestMirror: {backendRef: {name: one, port: 80}, fraction: {numerator: 2, denominator: 1}}}]`,
	`filters: [{type: ExtensionRef}]`,
	`filters: [{type: ExtensionRef, extensionRef: {group: configuration.konghq.com, kind: KongPlugin}}]`,
	`filters: [{type: CORS}]`,
	`filters: [` + numbered(17, `{type: ExtensionRef, extensionRef: {group: configuration.konghq.com, kind: KongPlugin, name: p%d}}`) + `]`,
	// timeouts, retry, sessions, names
	`timeouts: {request: 1}`,
	`timeouts: {request: 1.5s}`,
	`timeouts: {request: 1d}`,
	`timeouts: {request: -1s}`,
	`timeouts: {request: 1s, backendRequest: 2s}`,
	`retry: {codes: [200]}`,
	`retry: {codes: [600]}`,
	`retry: {attempts: many}`,
	`sessionPersistence: {type: Magic}`,
	`sessionPersistence: {absoluteTimeout: soon}`,
	`sessionPersistence: {type: Cookie, cookieConfig: {lifetimeType: Permanent}}`,
	`sessionPersistence: {sessionName: ` + strings.Repeat("x", 129) + `}`,
	`name: Rule_1`,
	`nonsense: true`,
}

// wrongSpecs are specs of an HTTPRoute.
var wrongSpecs = []string{
	`rules: []`,
	`rules: [` + strings.Repeat(`{},`, 17) + `]`,
	`rules: {}`,
	`rule: []`,
	`rules: [{name: a}, {name: a}]`,
	`hostnames: ["*"]`,
	`hostnames: ["a.*.example"]`,
	`hostnames: ["A.example"]`,
	`hostnames: [""]`,
	`hostnames: ["a_b.example"]`,
	`hostnames: ["a.example:80"]`,
	`hostnames: ["` + strings.Repeat("a", 254) + `"]`,
	`hostnames: [` + numbered(17, `h%d.example`) + `]`,
	`hostnames: a.example`,
	`parentRefs: [{}]`,
	`parentRefs: [{name: ""}]`,
	`parentRefs: [{name: kong}, {name: kong}]`,
	`parentRefs: [{name: kong, sectionName: a}, {name: kong}]`,
	`parentRefs: [{name: kong, port: 0}]`,
	`parentRefs: [{name: kong, sectionName: "A B"}]`,
	`parentRefs: [` + numbered(33, `{name: g%d}`) + `]`,
}

// wrongObjects are whole objects.
var wrongObjects = []string{
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: Shop}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a_b}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, annotations: {konghq.com/strip-path: true}}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, annotations: {"a b": c}}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, labels: {app: "a b"}}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, lables: {}}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}, spec: {}, extra: 1}`,
	`{apiVersion: gateway.networking.k8s.io/v2, kind: HTTPRoute, metadata: {name: a}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HttpRoute, metadata: {name: a}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{matches: [{method: {}}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{matches: [{method: {service: "a/b"}}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{matches: [{method: {method: "a b"}}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{matches: [{method: {type: Prefix, service: a}}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{filters: [{type: URLRewrite}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{backendRefs: [{name: one}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{filters: [{type: RequestHeaderModifier}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: a}, spec: {from: [], to: [{group: "", kind: Service}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: a}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute}], to: [{group: "", kind: Service}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: a}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: web}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: a}, spec: {gatewayClassName: kong, listeners: []}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: a}, spec: {gatewayClassName: kong, listeners: [{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: a}, spec: {gatewayClassName: kong, listeners: [{name: a, port: 80, protocol: HTTP, tls: {mode: Terminate}}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 0}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: One}, spec: {ports: [{port: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80}, {port: 81}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: []}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80, prot: TCP}]}}`,
	`{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: a}}`,
	`{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: a}, plugin: traffic-split, config: {a: 1}, configFrom: {secretKeyRef: {name: a, key: b}}}`,
	`{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: a}, plugin: traffic-split, confg: {}}`,
}

func numbered(n int, format string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return strings.Join(all, ", ")
}

// TestWhatTheAPIServerRefusesConvertRefuses asks a real API server about manifests, with
// strict validation of fields. Some that it lets in are in the lists, too: Kong may refuse
// them, or the spec.
func TestWhatTheAPIServerRefusesConvertRefuses(t *testing.T) {
	_, client := installed(t)
	type manifest struct{ name, text string }
	var all []manifest
	head := "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: shop}\nspec:\n  "
	for _, rule := range wrongRules {
		all = append(all, manifest{rule, head + "parentRefs: [{name: kong}]\n  rules:\n  - " + rule + "\n"})
	}
	for _, spec := range wrongSpecs {
		all = append(all, manifest{spec, head + spec + "\n"})
	}
	for _, object := range wrongObjects {
		all = append(all, manifest{object, object})
	}
	refused := 0
	for _, m := range all {
		reason := ask(t, client, m.text)
		_, problems := httproute.Convert([]httproute.Source{{Name: "x.yaml", Data: []byte(m.text)}}, httproute.Options{})
		if len(m.name) > 200 {
			m.name = m.name[:200] + "…"
		}
		switch {
		case reason == nil:
			t.Logf("the API server takes %s", m.name)
		case !httproute.Failed(problems):
			t.Errorf("%s\n  the API server: %v\n  convert: %v", m.name, reason, problems)
		default:
			refused++
		}
	}
	if refused < 100 {
		t.Errorf("the API server refused only %d manifests", refused)
	}
}

// ask asks the API server to create the objects of a manifest, and returns why not.
func ask(t *testing.T, client *apiserver.Client, text string) error {
	t.Helper()
	objects, err := apiserver.Read(text)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := client.Create(t.Context(), o); err != nil {
			return err
		}
	}
	return nil
}

// TestTheAPIServerTakesTheManifests checks that the manifests of the tests are right, and
// that convert refuses as well what is meant to be wrong in them.
func TestTheAPIServerTakesTheManifests(t *testing.T) {
	_, client := installed(t)
	names, err := os.ReadDir("testdata/gateway-api")
	if err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{"web", "store", "bank"} {
		apply(t, client, manifest(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+"}}")...)
	}
	for _, entry := range names {
		content, err := os.ReadFile("testdata/gateway-api/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		for i, document := range strings.Split(string(content), "\n---\n") {
			reason := ask(t, client, document)
			_, problems := httproute.Convert([]httproute.Source{{Name: entry.Name(), Data: []byte(document)}}, httproute.Options{Partial: true})
			if wrong := httproute.Failed(problems); wrong != (reason != nil) {
				t.Errorf("%s, document %d:\n  the API server: %v\n  convert: %v", entry.Name(), i+1, reason, problems)
			}
		}
	}
}
