package manifest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"kong-traffic-split/kong/manifest"
)

const guide = `# the guide's
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: echo
  annotations:
    konghq.com/strip-path: "true"   # once
spec:
  rules:
  - backendRefs:
    - name: echo   # stable
      kind: Service
      port: 1027
    # canary
    - name: echo2
      port: 1027
    timeouts: {request: 5s}
  hostnames:
  - a.example
`

// What a patch is about changes in the text, and nothing else.
func TestPatch(t *testing.T) {
	for _, tt := range []struct{ name, before, patch, after string }{
		{
			"the guide's", guide,
			`[{"op":"add","path":"/spec/rules/0/backendRefs/0/weight","value":200},{"op":"add","path":"/spec/rules/0/backendRefs/1/weight","value":100}]`,
			strings.NewReplacer("      port: 1027\n    # canary", "      port: 1027\n      weight: 200\n    # canary", "      port: 1027\n    timeouts", "      port: 1027\n      weight: 100\n    timeouts").Replace(guide),
		},
		{
			"a patch in YAML", guide, "- op: replace\n  path: /metadata/annotations/konghq.com~1strip-path\n  value: \"false\"\n",
			strings.Replace(guide, `"true"`, `"false"`, 1),
		},
		{
			"items that come", guide,
			`[{"op":"add","path":"/spec/rules/0/backendRefs/-","value":{"name":"echo3","filters":[{"type":"X"}]}},{"op":"add","path":"/spec/rules/0/backendRefs/0","value":{"name":"echo0"}},{"op":"add","path":"/spec/hostnames/1","value":"b.example"}]`,
			strings.NewReplacer("  - backendRefs:\n", "  - backendRefs:\n    - name: echo0\n", "    timeouts:", "    - name: echo3\n      filters:\n      - {type: X}\n    timeouts:", "  - a.example\n", "  - a.example\n  - b.example\n").Replace(guide),
		},
		{
			"items that go", guide,
			`[{"op":"remove","path":"/spec/rules/0/backendRefs/0"},{"op":"remove","path":"/spec/hostnames/0"}]`,
			strings.NewReplacer("    - name: echo   # stable\n      kind: Service\n      port: 1027\n", "", "hostnames:\n  - a.example\n", "hostnames: []\n").Replace(guide),
		},
		{
			"the only key", guide, `[{"op":"remove","path":"/metadata/annotations/konghq.com~1strip-path"},{"op":"remove","path":"/spec/rules/0/timeouts/request"}]`,
			strings.NewReplacer("annotations:\n    konghq.com/strip-path: \"true\"   # once\n", "annotations: {}\n", "{request: 5s}", "{}").Replace(guide),
		},
		{
			"moved and copied", "a: {b: [1, 2, 3], c: x} # c\n",
			`[{"op":"move","from":"/a/b/0","path":"/a/b/2"},{"op":"copy","from":"/a/c","path":"/a/d"},{"op":"test","path":"/a/d","value":"x"},{"op":"move","from":"/a/c","path":"/a/b/0"}]`,
			"a: {b: [x, 2, 3, 1], d: x} # c\n",
		},
		{
			"JSON stays JSON", "{\n    \"kind\": \"List\",\n    \"items\": [\n        {\n            \"kind\": \"HTTPRoute\",\n            \"spec\": {\"refs\": [\n                {\"port\": 1}\n            ]}\n        }\n    ]\n}\n",
			`[{"op":"add","path":"/metadata","value":{"name":"yes"}},{"op":"add","path":"/spec/refs/1","value":{"port":2}},{"op":"add","path":"/spec/refs/0","value":{"port":0}},{"op":"replace","path":"/kind","value":"<\u0007>"}]`,
			"{\n    \"kind\": \"List\",\n    \"items\": [\n        {\n            \"kind\": \"<\\u0007>\",\n            \"spec\": {\"refs\": [\n                {\"port\": 0},\n                {\"port\": 1},\n                {\"port\": 2}\n            ]},\n            \"metadata\": {\"name\": \"yes\"}\n        }\n    ]\n}\n",
		},
		{"nothing", guide, `[{"op":"replace","path":"/kind","value":"HTTPRoute"}]`, guide},
		{"no operations", guide, `[]`, guide},
	} {
		got, err := manifest.Patch("route.yaml", tt.before, manifest.Selector{}, []byte(tt.patch))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if diff := cmp.Diff(tt.after, got.Text); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		} else if changed := tt.after != tt.before; changed != (len(got.Difference) > 0) {
			t.Errorf("%s: the difference is %q", tt.name, got.Difference)
		}
	}
}

// What does not apply says which operation, and where in the manifest.
func TestPatchRefused(t *testing.T) {
	for _, tt := range []struct{ patch, want string }{
		{`{"spec":{}}`, `the patch is no list of operations, such as [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 20}]`},
		{`null`, `the patch is no list of operations, such as [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 20}]`},
		{`[{"op":`, `the patch is neither JSON nor YAML: yaml: line 1: did not find expected node content`},
		{`[{"op":"test","path":"/kind","value":"HTTPRoute"},{"op":"ad","path":"/a","value":1}]`, `patch[1].op: "ad" is not one of add, remove, replace, move, copy, test`},
		{`[{"path":"/a","value":1}]`, `patch[0]: has no "op"`},
		{`[{"op":"add","value":1}]`, `patch[0]: has no "path"`},
		{`[{"op":"add","path":7,"value":1}]`, `patch[0].path: is not a string: 7`},
		{`[{"op":"add","path":"spec","value":1}]`, `patch[0].path: "spec" does not begin with /`},
		{`[{"op":"add","path":"","value":1}]`, `patch[0].path: is the whole object; name what is in it, as in /spec/rules/0`},
		{`[{"op":"add","path":"/a"}]`, `patch[0]: has no "value"`},
		{`[{"op":"move","path":"/a"}]`, `patch[0]: has no "from"`},
		{`[{"op":"replace","path":"/spec/rules/0/backendRefs/0/weight","value":1}]`, `route.yaml:11:7: HTTPRoute echo: patch[0]: replace /spec/rules/0/backendRefs/0/weight: is not there: there is no key "weight"`},
		{`[{"op":"remove","path":"/spec/rules/0/backendRefs/2"}]`, `route.yaml:11:5: HTTPRoute echo: patch[0]: remove /spec/rules/0/backendRefs/2: is not there: there is no item 2, as the list has 2`},
		{`[{"op":"add","path":"/spec/rules/0/backendRefs/3","value":1}]`, `route.yaml:11:5: HTTPRoute echo: patch[0]: add /spec/rules/0/backendRefs/3: is not there: there is no item 3, as the list has 2`},
		{`[{"op":"remove","path":"/spec/rules/0/backendRefs/-1"}]`, `route.yaml:11:5: HTTPRoute echo: patch[0]: remove /spec/rules/0/backendRefs/-1: is not there: "-1" is no index of a list`},
		{`[{"op":"add","path":"/spec/rule/0","value":1}]`, `route.yaml:9:3: HTTPRoute echo: patch[0]: add /spec/rule/0: is not there: there is no key "rule"`},
		{`[{"op":"add","path":"/kind/x","value":1}]`, `route.yaml:3:7: HTTPRoute echo: patch[0]: add /kind/x: is not there: "HTTPRoute" is neither a map nor a list`},
		{`[{"op":"add","path":"/metadata/labels","value":{"a":{"b":1}}},{"op":"remove","path":"/spec/rules/0/backendRefs/0/kind"},{"op":"test","path":"/spec/rules/0/backendRefs/1/port","value":[80, 1]}]`, `route.yaml:16:13: HTTPRoute echo: patch[2]: test /spec/rules/0/backendRefs/1/port: is 1027, not [80,1]`},
		{`[{"op":"test","path":"/spec/x","value":null}]`, `route.yaml:9:3: HTTPRoute echo: patch[0]: test /spec/x: is not there: there is no key "x"`},
		{`[{"op":"copy","from":"/spec/x","path":"/spec/y"}]`, `route.yaml:9:3: HTTPRoute echo: patch[0]: copy /spec/y: is not there: there is no key "x"`},
	} {
		_, err := manifest.Patch("route.yaml", guide, manifest.Selector{}, []byte(tt.patch))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.patch, err, tt.want)
		}
	}
}

// Of several objects the one that is named is patched, wherever it is.
func TestPatchOneOfSeveral(t *testing.T) {
	const several = `# first
---
apiVersion: v1
kind: Service
metadata: {name: echo}
---
# second
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: echo}
---
apiVersion: v1
kind: List
items:
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: echo, namespace: shop}
- {apiVersion: example.com/v1, kind: Service, metadata: {name: echo, namespace: shop}}
--- # third
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRouteList
items:
- metadata: {name: g}
`
	for _, tt := range []struct {
		selector  manifest.Selector
		was, want string // or an error
	}{
		{manifest.Selector{Kind: "httproute", Name: "echo", Namespace: "shop"}, "{name: echo, namespace: shop}\n", "{name: echo, namespace: shop, x: 1}\n"},
		{manifest.Selector{Kind: "HTTPRoutes", Name: "echo", Namespace: "default"}, "HTTPRoute\nmetadata: {name: echo}", "HTTPRoute\nmetadata: {name: echo, x: 1}"},
		{manifest.Selector{Kind: "services.example.com", Name: "echo"}, "{name: echo, namespace: shop}}", "{name: echo, namespace: shop, x: 1}}"},
		{manifest.Selector{Kind: "grpcroute.gateway.networking.k8s.io", Name: "g"}, "{name: g}", "{name: g, x: 1}"},
		{manifest.Selector{}, "", "f.yaml: has 5 objects: say which one by KIND/NAME, and -n NAMESPACE where that is needed; there are Service echo, HTTPRoute echo, HTTPRoute shop/echo, Service shop/echo, GRPCRoute g"},
		{manifest.Selector{Kind: "httproute", Name: "echo"}, "", "f.yaml: has 2 objects that are httproute/echo: say which one by -n NAMESPACE, or by KIND.GROUP/NAME; there are HTTPRoute echo, HTTPRoute shop/echo"},
		{manifest.Selector{Kind: "tcproute", Name: "echo", Namespace: "a"}, "", "f.yaml: has no tcproute/echo in the namespace a; there are Service echo, HTTPRoute echo, HTTPRoute shop/echo, Service shop/echo, GRPCRoute g"},
	} {
		got, err := manifest.Patch("f.yaml", several, tt.selector, []byte(`[{"op":"add","path":"/metadata/x","value":1}]`))
		switch {
		case err != nil && err.Error() != tt.want:
			t.Errorf("%v: %v, want %s", tt.selector, err, tt.want)
		case err == nil && got.Text != strings.Replace(several, tt.was, tt.want, 1):
			t.Errorf("%v: %s", tt.selector, cmp.Diff(several, got.Text))
		}
	}
	// A place is one of the file, not of the document.
	_, err := manifest.Patch("f.yaml", several, manifest.Selector{Kind: "httproute", Name: "echo", Namespace: "shop"}, []byte(`[{"op":"remove","path":"/metadata/x"}]`))
	if want := `f.yaml:17:13: HTTPRoute shop/echo: patch[0]: remove /metadata/x: is not there: there is no key "x"`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	for text, want := range map[string]string{
		"a: [":              "f.yaml: the document from line 1 on is not YAML: yaml: line 1: did not find expected node content",
		"# nothing":         "f.yaml: has no object in it",
		"a: 1\n---\n- a":    "f.yaml: the document from line 2 on is no object of Kubernetes': json: cannot unmarshal array into Go value of type manifest.metadata",
		"kind: &a X\nx: *a": "f.yaml:1:7: X : patch[0]: replace /kind: is shared by aliases of &a; write it out where these are",
	} {
		_, err := manifest.Patch("f.yaml", text, manifest.Selector{}, []byte(`[{"op":"replace","path":"/kind","value":1}]`))
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Whatever the patch, the text says afterwards what the library makes of it, or it is as it
// was; and it can always be made where there are no anchors.
func TestPatchAsTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := value(t, 3)
		var text string
		switch rapid.SampledFrom([]string{"yaml", "json", "pretty"}).Draw(t, "layout") {
		case "yaml":
			b, err := yaml.Marshal(before)
			if err != nil {
				t.Fatal(err)
			}
			text = "# a\n" + string(b) + "# b\n"
		case "json":
			b, _ := json.Marshal(before)
			text = string(b)
		case "pretty":
			b, _ := json.MarshalIndent(before, "", "\t")
			text = string(b)
			if strings.Contains(text, "\t") && rapid.Bool().Draw(t, "spaces") {
				text = strings.ReplaceAll(text, "\t", "  ")
			}
		}
		wasJSON := json.Valid([]byte(text))
		var patch []map[string]any
		for range rapid.IntRange(1, 4).Draw(t, "operations") {
			o := map[string]any{"op": rapid.SampledFrom([]string{"add", "add", "remove", "replace", "move", "copy"}).Draw(t, "op"), "path": pointer(t), "from": pointer(t)}
			o["value"] = any(value(t, 1))
			if rapid.Bool().Draw(t, "scalar") {
				o["value"] = scalar(t)
			}
			patch = append(patch, o)
		}
		asJSON, _ := json.Marshal(patch)
		beforeJSON, _ := json.Marshal(before)
		decoded, err := jsonpatch.DecodePatch(asJSON)
		if err != nil {
			t.Fatal(err)
		}
		options := jsonpatch.NewApplyOptions()
		options.SupportNegativeIndices = false
		want, refused := decoded.ApplyWithOptions(beforeJSON, options)
		got, err := manifest.Patch("f", text, manifest.Selector{}, asJSON)
		if (refused == nil) != (err == nil) {
			t.Fatalf("%s\n%s\nthe library says %v, Patch %v", text, asJSON, refused, err)
		}
		if err != nil {
			return
		}
		if wasJSON && !json.Valid([]byte(got.Text)) {
			t.Fatalf("%s\nis no JSON any more", got.Text)
		}
		var is, wanted any
		if err := yaml.Unmarshal([]byte(got.Text), &is); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(want, &wanted); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, is); diff != "" {
			t.Fatalf("%s\n%s\n-want +got\n%s", text, asJSON, diff)
		}
		if strings.HasPrefix(text, "#") && (!strings.HasPrefix(got.Text, "# a\n") || !strings.HasSuffix(got.Text, "# b\n")) {
			t.Fatalf("%s\nhas lost a comment", got.Text)
		}
	})
}

func scalar(t *rapid.T) any {
	return rapid.SampledFrom([]any{1.0, "x", "yes", "- a", "1", true, nil, "2026-12-01", "a: b", "ä\n b"}).Draw(t, "scalar")
}

// value returns a map of that depth at most, whose keys are few.
func value(t *rapid.T, depth int) map[string]any {
	m := map[string]any{}
	for range rapid.IntRange(1, 3).Draw(t, "members") {
		key := rapid.SampledFrom([]string{"a", "b", "y", "c d"}).Draw(t, "key")
		switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
		case kind == 0 && depth > 0:
			m[key] = value(t, depth-1)
		case kind <= 2 && depth > 0:
			list := []any{}
			for range rapid.IntRange(0, 2).Draw(t, "items") {
				switch rapid.IntRange(0, 2).Draw(t, "item") {
				case 0:
					list = append(list, value(t, depth-1))
				case 1:
					list = append(list, []any{scalar(t), scalar(t)})
				default:
					list = append(list, scalar(t))
				}
			}
			m[key] = list
		default:
			m[key] = scalar(t)
		}
	}
	return m
}

func pointer(t *rapid.T) string {
	p := ""
	for range rapid.IntRange(1, 3).Draw(t, "depth") {
		p += "/" + rapid.SampledFrom([]string{"a", "b", "y", "c d", "0", "1", "2", "-"}).Draw(t, "step")
	}
	return p
}

func ExamplePatch() {
	out, err := manifest.Patch("route.yaml", "kind: HTTPRoute\nmetadata: {name: echo}\nweight: 1 # of 2\n", manifest.Selector{},
		[]byte(`[{"op": "replace", "path": "/weight", "value": 20}]`))
	if err != nil {
		panic(err)
	}
	fmt.Print(out.Text, strings.Join(out.Difference, "\n"))
	// Output:
	// kind: HTTPRoute
	// metadata: {name: echo}
	// weight: 20 # of 2
	// - weight: 1
	// + weight: 20
}
