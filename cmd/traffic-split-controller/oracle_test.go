package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

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
	// several at once, and in odd places
	`matches: [{path: {value: a}, method: X, headers: [{name: "", value: ""}]}]
    backendRefs: [{name: one, port: 0, weight: -1}, {name: two}]
    timeouts: {request: x}`,
	`matches: [null]`,
	`matches: [{path: null}, {headers: [null]}]`,
	`matches: [[]]`,
	`matches: ["/a"]`,
	`matches: [{path: {value: null, type: null}, nope: 1}]`,
	`backendRefs: [null]`,
	`backendRefs: [{name: null, port: 80}]`,
	`backendRefs: [{name: one, port: 80.0}]`,
	`backendRefs: [{name: one, port: 8e1}]`,
	`backendRefs: [{name: one, port: 080}]`,
	`backendRefs: [{name: one, port: 0x50}]`,
	`backendRefs: [{name: one, port: 99999999999999999999}]`,
	`backendRefs: [{name: one, port: 80, weight: 1e3}]`,
	`backendRefs: [{name: one, port: 80, weight: 0.5}]`,
	`backendRefs: [{name: one, port: 80, weight: 1_000}]`,
	`backendRefs: [{name: one, port: 80, weight: true}]`,
	`backendRefs: [{name: on, port: 80}]`,
	`backendRefs: [{name: 1, port: 80}]`,
	`backendRefs: [{name: ` + strings.Repeat("a", 254) + `, port: 80}]`,
	`backendRefs: [{name: one, port: 80, kind: ""}]`,
	`backendRefs: [{name: one, port: 80, namespace: ` + strings.Repeat("a", 64) + `}]`,
	`backendRefs: [{name: one, port: 80, group: core}, {name: two, port: 80, kind: Pod, group: ""}, {name: three}]`,
	`backendRefs: [{name: one, kind: Other}]`,
	`backendRefs: [{name: one, port: 80, filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]}]`,
	`backendRefs: [{name: one, port: 80, filters: [` + numbered(17, `{type: ExtensionRef, extensionRef: {group: a.b, kind: C, name: p%d}}`) + `]}]`,
	`backendRefs: [{name: one, port: 80, filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}]
    matches: [{path: {value: /a}}, {path: {value: /c}}]`,
	`backendRefs: [{name: one, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: "a:b", value: x}]}}]}]`,
	`filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: 1}]}}]`,
	`filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: {X-A: "1"}}}]`,
	`filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: ` + strings.Repeat("x", 4097) + `}]}}]`,
	`filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: x}, {name: A, value: y}]}}]`,
	`filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [""]}}]`,
	`filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: ["a b"]}}]`,
	`filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [` + numbered(17, `{name: h%d, value: x}`) + `]}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {}}, {type: URLRewrite, urlRewrite: {}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {hostname: ""}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {hostname: "a.example:80"}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {hostname: "UPPER.example"}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {path: {type: Regex, value: a}}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {path: {replaceFullPath: /a}}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: ` + "/" + strings.Repeat("a", 1024) + `}}}]`,
	`filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /a, replaceFullPath: /b}}}]`,
	`filters: [{type: RequestRedirect, requestRedirect: {statusCode: "302"}}]`,
	`filters: [{type: RequestRedirect, requestRedirect: {hostname: "*.a"}}]`,
	`filters: [{type: RequestRedirect, requestRedirect: {scheme: HTTPS, port: 65536}}]`,
	`filters: [{type: RequestMirror, requestMirror: {backendRef: {name: one, port: 80, weight: 1}}}]`,
	`filters: [{type: RequestMirror, requestMirror: {backendRef: {name: one, port: 80}, percent: 1.5}}]`,
	`filters: [{type: RequestMirror, requestMirror: {backendRef: {name: one, port: 80}, percent: -1}}]`,
	`filters: [{type: RequestMirror, requestMirror: {backendRef: {name: one, port: 80}, fraction: {denominator: 0, numerator: 0}}}]`,
	`filters: [{type: RequestMirror, requestMirror: {backendRef: {name: one, port: 80}, fraction: {}}}]`,
	`filters: [{type: ExtensionRef, extensionRef: {group: "", kind: "", name: ""}}]`,
	`filters: [{type: CORS, cors: {allowOrigins: ["*", "https://a.example"]}}]`,
	`filters: [{type: CORS, cors: {allowOrigins: ["a.example"], maxAge: 0}}]`,
	`filters: [{type: CORS, cors: {allowOrigins: [https://a.example/path]}}]`,
	`filters: [{type: CORS, cors: {allowMethods: [get]}}]`,
	`filters: {type: CORS}`,
	`filters: [{type: CORS, cors: {maxAge: 9999999999}}]`,
	`filters: [{type: RequestMirror, requestMirror: {backendRef: {name: one, port: 80}, fraction: {numerator: 1, denominator: 9999999999}}}]`,
	`retry: {attempts: 9999999999}`,
	`retry: {attempts: 99999999999999999999}`,
	`filters: [null]`,
	`timeouts: {request: ""}`,
	`timeouts: {request: 10}`,
	`timeouts: {request: 1h1m1s1ms1us}`,
	`timeouts: {request: 123456s}`,
	`timeouts: {request: 0s, backendRequest: 5s}`,
	`timeouts: {request: 00001s, backendRequest: 1500ms}`,
	`timeouts: {idle: 1s}`,
	`timeouts: []`,
	`retry: {attempts: -1}`,
	`retry: {backoff: 1.5s}`,
	`retry: {codes: ["500"]}`,
	`retry: {codes: [500, 500]}`,
	`sessionPersistence: {sessionName: ""}`,
	`sessionPersistence: {type: Header, cookieConfig: {lifetimeType: Session}}`,
	`sessionPersistence: {cookieConfig: {lifetimeType: Forever}}`,
	`sessionPersistence: {idleTimeout: 1x}`,
	`name: ""`,
	`name: ` + strings.Repeat("a", 254),
	`name: null`,
	`name: yes`,
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
	`parentRefs: [{name: kong, port: 80}, {name: kong, sectionName: a}]`,
	`parentRefs: [{name: kong, sectionName: ""}, {name: kong, sectionName: ""}]`,
	`parentRefs: [{name: kong, namespace: a}, {name: kong, namespace: a}, {name: kong, namespace: b}]`,
	`parentRefs: [{name: kong, kind: Service, group: ""}, {name: kong, kind: Service, group: ""}]`,
	`parentRefs: [null]`,
	`parentRefs: {name: kong}`,
	`hostnames: [10.0.0.1]`,
	`hostnames: [10.0]`,
	`hostnames: [1.2.3.4.5]`,
	`hostnames: ["::1"]`,
	`hostnames: ["*.com."]`,
	`hostnames: ["*.*.example"]`,
	`hostnames: ["-a.example"]`,
	`hostnames: ["a-.example"]`,
	`hostnames: ["a..example"]`,
	`hostnames: [null]`,
	`hostnames: ["a.example", "a.example"]`,
	`hostnames: ["http://a.example"]`,
	`hostnames: ["` + strings.Repeat("a", 64) + `.example"]`,
	`useDefaultGateways: All`,
	`useDefaultGateways: Some`,
	`rules: [{name: a}, {name: b}, {name: a}, {name: b}]`,
	`rules: null`,
	`rules: [` + strings.TrimSuffix(strings.Repeat(`{matches: [`+strings.Repeat(`{path: {value: /a}},`, 44)+`]},`, 3), ",") + `]`,
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
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 0, targetPort: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: One}, spec: {ports: [{port: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80}, {port: 81}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: []}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80, prot: TCP}]}}`,
	`{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: a}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: 7}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a.-b}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: ` + strings.Repeat("a", 254) + `}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: ""}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {generateName: a}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: null, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}, spec: null}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}, spec: []}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, creationTimestamp: yesterday}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, labels: {app: 7}}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, labels: {app: ` + strings.Repeat("a", 64) + `}}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, labels: {a/b/c: x}}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, labels: {"": x}}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, labels: []}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, annotations: {A_B.c/d: x}}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, annotations: {konghq.com/strip-path: null}}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, finalizers: x, ownerReferences: {}}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, generation: x}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}, spec: {}, status: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}, spec: {}, status: {parents: [{controllerName: x}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: HTTPRoute, metadata: {name: a}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: GRPCRoute, metadata: {name: a}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1beta1, kind: GRPCRoute, metadata: {name: a}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: ReferenceGrant, metadata: {name: a}, spec: {from: [{group: a, kind: B, namespace: c}], to: [{group: "", kind: Service}]}}`,
	`{apiVersion: v1, kind: HTTPRoute, metadata: {name: a}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: Service, metadata: {name: a}, spec: {}}`,
	`{kind: HTTPRoute, metadata: {name: a}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, metadata: {name: a}, spec: {}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{matches: [{method: {service: "", method: ""}}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{matches: [{method: {type: RegularExpression, service: "["}}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{matches: [{method: {service: ` + strings.Repeat("a", 1025) + `}}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{matches: [{headers: [{name: a, value: x}, {name: a, value: y}]}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{timeouts: {request: 1s}}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: a}, spec: {rules: [{filters: [{type: RequestRedirect, requestRedirect: {}}]}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: a}, spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: Web}], to: [{group: "", kind: Service}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: a}, spec: {from: [` + strings.Repeat(`{group: a, kind: B, namespace: c},`, 17) + `], to: [{group: "", kind: Service, namespace: x}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: a}, spec: {gatewayClassName: "", listeners: [{name: a, port: 80, protocol: HTTP}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: a}, spec: {gatewayClassName: kong, listeners: [{name: A, port: 0, protocol: "h t"}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: a}, spec: {gatewayClassName: kong, listeners: [{name: a, port: 80, protocol: HTTP, hostname: "*"}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: a}, spec: {gatewayClassName: kong, listeners: [{name: a, port: 443, protocol: HTTPS}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: a}, spec: {gatewayClassName: kong, listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Some}}}]}}`,
	`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: a}, spec: {gatewayClassName: kong, listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: Nope}]}}}}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: 1one}, spec: {ports: [{port: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one.two}, spec: {ports: [{port: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: ` + strings.Repeat("a", 64) + `}, spec: {ports: [{port: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80, protocol: HTTP}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80, targetPort: 70000}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80, targetPort: "A B"}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: "80"}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{name: a, port: 80}, {name: b, port: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{name: a, port: 80, protocol: UDP}, {name: b, port: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80, appProtocol: "a b"}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {type: Magic, ports: [{port: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {type: ExternalName}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {type: ExternalName, externalName: A_B}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {type: ExternalName, externalName: a.example., ports: [{port: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {selector: [a], ports: [{port: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {sessionAffinity: Cookie, ports: [{port: 80}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: {port: 80}}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80, name: "80"}]}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}}`,
	`{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80}]}, nope: 1}`,
	`{apiVersion: v1, kind: Namespace, metadata: {name: A}}`,
	`{apiVersion: v1, kind: Namespace, metadata: {name: a.b}}`,
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
			t.Logf("the API server takes %s, and convert says %v", m.name, problems)
		case !httproute.Failed(problems):
			t.Errorf("%s\n  the API server: %v\n  convert: %v", m.name, reason, problems)
		default:
			refused++
			for _, field := range fieldsOf(reason) {
				if !slices.ContainsFunc(problems, func(p httproute.Problem) bool { return !p.Warning && (within(p.Path, field) || within(field, p.Path)) }) {
					t.Errorf("%s\n  the API server: %s: %v\n  convert: %v", m.name, field, reason, problems)
				}
			}
		}
	}
	if refused < 100 {
		t.Errorf("the API server refused only %d manifests", refused)
	}
}

// fieldsOf are the fields that an API server refuses.
func fieldsOf(reason error) (fields []string) {
	status, ok := errors.AsType[*apierrors.StatusError](reason)
	if !ok {
		return nil
	}
	if details := status.Status().Details; details != nil {
		for _, cause := range details.Causes {
			if cause.Field != "" && cause.Field != "<nil>" {
				fields = append(fields, cause.Field)
			}
		}
	}
	for _, m := range unknownField.FindAllStringSubmatch(status.Status().Message, -1) {
		fields = append(fields, m[1])
	}
	return fields
}

// within reports whether a field is the other one or a part of it: for a rule of an object,
// convert names the field of it that stands in the way.
func within(field, whole string) bool {
	rest, ok := strings.CutPrefix(field, whole)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

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
