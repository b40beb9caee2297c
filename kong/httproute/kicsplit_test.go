package httproute

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKICSplits(t *testing.T) {
	const head = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: web}
spec:
  parentRefs: [{name: kong}]
  rules:
`
	for _, test := range []struct{ name, rules, want, problems string }{
		{
			"an entry for each match, whether or not a split is needed", `
  - matches: [{path: {value: /a}}, {path: {value: /b}}]
    backendRefs: [{name: one, port: 80}]`, `
  httproute.web.shop.0.0:
    backends:
    - name: one
      host: one.web.svc.cluster.local
      port: 80
      weight: 1
  httproute.web.shop.0.1:
    backends:
    - name: one
      host: one.web.svc.cluster.local
      port: 80
      weight: 1
`, "",
		},
		{
			"the filters of backends, and not those of the rule, which the controller has made plugins of", `
  - filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: x-rule, value: "1"}]}}
    - {type: URLRewrite, urlRewrite: {hostname: shop.internal}}
    backendRefs:
    - {name: one, port: 80, weight: 3}
    - name: two
      port: 80
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-two, value: "2"}]}}]`, `
  httproute.web.shop.0.0:
    backends:
    - name: one
      host: one.web.svc.cluster.local
      port: 80
      host_header: shop.internal
      weight: 3
    - name: two
      host: two.web.svc.cluster.local
      port: 80
      host_header: shop.internal
      weight: 1
      request_headers:
        set:
          x-two: "2"
`, "",
		},
		{
			"no traffic for weights of 0, and an error without backends", `
  - backendRefs: [{name: one, port: 80, weight: 0}]
  - matches: [{path: {value: /none}}]`, `
  httproute.web.shop.0.0:
    backends:
    - name: one
      host: one.web.svc.cluster.local
      port: 80
      weight: 0
  httproute.web.shop.1.0:
    backends:
    - name: none
      upstream: missing.httproute.web.shop.1
`, "",
		},
		{
			"a Service that is missing fails its share", `
  - backendRefs: [{name: one, port: 80}, {name: gone, port: 80, weight: 9}]`, `
  httproute.web.shop.0.0:
    backends:
    - name: one
      host: one.web.svc.cluster.local
      port: 80
      weight: 1
    - name: gone
      upstream: missing.web.gone
      weight: 9
`, `spec.rules[0].backendRefs[1].name: warning: there is no Service web/gone`,
		},
		{
			"the prefix of a backend, of which the controller's routes keep the path", `
  - matches: [{path: {value: /a}}]
    backendRefs:
    - name: one
      port: 80
      filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]`, `
  httproute.web.shop.0.0:
    backends:
    - name: one
      host: one.web.svc.cluster.local
      port: 80
      replace_prefix: /b
      weight: 1
`, "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			services := "\n---\n{apiVersion: v1, kind: Service, metadata: {name: one, namespace: web}, spec: {ports: [{port: 80}]}}" +
				"\n---\n{apiVersion: v1, kind: Service, metadata: {name: two, namespace: web}, spec: {ports: [{port: 80}]}}\n"
			out, problems := Convert([]Source{{Name: "x.yaml", Data: []byte(head + test.rules + services)}}, Options{To: KIC, Partial: true})
			var got []string
			for _, p := range problems {
				got = append(got, p.String())
			}
			if all := strings.Join(got, "\n"); (all == "") != (test.problems == "") || !strings.Contains(all, test.problems) {
				t.Errorf("problems: %s\nwant: %s", all, test.problems)
			}
			if out == nil {
				t.Fatal("no output")
			}
			if diff := cmp.Diff("splits:"+test.want, string(out.Splits)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The prefix of a single backend is replaced by the plugin, unless Kong takes off what the
// route has matched, or does not tell what that was.
func TestKICPrefixes(t *testing.T) {
	const manifest = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: web, annotations: {konghq.com/strip-path: "STRIP"}}
spec:
  parentRefs: [{name: kong}]
  rules:
  - matches: [{path: {value: /a}}]
    backendRefs:
    - {name: one, port: 80}
    - name: two
      port: 80
      filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: PREFIX}}}]
---
{apiVersion: v1, kind: Service, metadata: {name: one, namespace: web}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: two, namespace: web}, spec: {ports: [{port: 80}]}}
`
	const refused = `spec.rules[0].backendRefs[1].filters[0].urlRewrite.path: with the router's flavor expressions, Kong's ingress controller makes routes that keep the path and do not tell the plugin what of it they match: annotate the route with konghq.com/strip-path: "true"`
	for _, test := range []struct{ strip, prefix, flavor, want, problem string }{
		{"false", "/b/c", "", "replace_prefix: /b/c", ""},
		{"false", "/b/", "", "replace_prefix: /b", ""},
		{"false", "/", "", "replace_prefix: /", ""},
		{"false", `""`, Traditional, "replace_prefix: /", ""},
		{"false", "/b", Expressions, "", refused},
		{"true", "/b", "", "path: /b", ""},
		{"true", "/b", Expressions, "path: /b", ""},
		{"true", "/", "", "", ""},
	} {
		text := strings.NewReplacer("STRIP", test.strip, "PREFIX", test.prefix).Replace(manifest)
		out, problems := Convert([]Source{{Name: "x.yaml", Data: []byte(text)}}, Options{To: KIC, Flavor: test.flavor})
		if test.problem != "" {
			if len(problems) != 1 || !strings.HasSuffix(problems[0].String(), test.problem) {
				t.Errorf("%+v: %v", test, problems)
			}
			continue
		}
		if len(problems) > 0 {
			t.Errorf("%+v: %v", test, problems)
			continue
		}
		_, two, _ := strings.Cut(string(out.Splits), "- name: two\n")
		var got []string
		for line := range strings.SplitSeq(two, "\n") {
			if line = strings.TrimSpace(line); strings.Contains(line, "path: ") || strings.Contains(line, "replace_prefix: ") {
				got = append(got, line)
			}
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%+v: %q", test, got)
		}
		if one, _, _ := strings.Cut(string(out.Splits), "- name: two\n"); strings.Contains(one, "path: ") || strings.Contains(one, "prefix") {
			t.Errorf("%+v: the other backend is changed, too: %s", test, one)
		}
	}
}
