package httproute

import (
	"fmt"
	"strings"
	"testing"
)

const smallRoute = `{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "NAME"}, "spec": {}}`

// TestFiles: objects are found however a file has them, and what is wrong is said of each
// document.
func TestFiles(t *testing.T) {
	route := func(name string) string { return strings.ReplaceAll(smallRoute, "NAME", name) }
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"comments", "# a\n---\n# b\n---   # c\n", ""},
		{"a byte order mark", "\ufeff" + route("a"), "1:1 HTTPRoute default/a"},
		{"lines as Windows ends them", "---\r\n" + route("a") + "\r\n---\r\n" + route("b") + "\r\n", "2:1 HTTPRoute default/a, 4:2 HTTPRoute default/b"},
		{"ends of documents", route("a") + "\n...\n---\n" + route("b") + "\n...\n", "1:1 HTTPRoute default/a, 4:2 HTTPRoute default/b"},
		{"tabs in JSON", strings.ReplaceAll(route("a"), " ", "\t"), "1:1 HTTPRoute default/a"},
		{"objects in JSON, one after another", route("a") + "\n\n" + route("b") + route("c"), "1:1 HTTPRoute default/a, 3:2 HTTPRoute default/b, 3:3 HTTPRoute default/c"},
		{"an empty list", `{"apiVersion": "v1", "kind": "List", "items": []}`, ""},
		{"an empty list of a program in Go", `{"apiVersion": "v1", "kind": "List", "items": null}`, ""},
		{
			"lists in lists", "apiVersion: v1\nkind: List\nitems:\n- " + route("a") + "\n- apiVersion: v1\n  kind: List\n  items:\n  - " + route("b") + "\n  - apiVersion: gateway.networking.k8s.io/v1\n    kind: HTTPRouteList\n    items:\n    - {metadata: {name: c}, spec: {}}",
			"4:1 HTTPRoute default/a, 8:1 HTTPRoute default/b, 12:1 HTTPRoute default/c",
		},
		{
			"documents that are no YAML", route("A") + "\n---\na: [b\nc: }\n---\n" + route("b") + "\n---\n\"no end\n---\n" + route("D"),
			`1:1 HTTPRoute default/A: "A" is not a name: lower-case letters, digits, - and . are allowed, 253 characters at most, ` +
				`2:2: is not YAML: did not find expected ',' or ']', 6:3 HTTPRoute default/b, 8:4: is not YAML: found unexpected end of stream, ` +
				`10:5 HTTPRoute default/D: "D" is not a name: lower-case letters, digits, - and . are allowed, 253 characters at most`,
		},
		{"a list that is none", "{kind: List, apiVersion: v1, items: {}}", "1:1: is not a list"},
		{"a list of what are no objects", "{kind: List, apiVersion: v1, items: [1]}", "1:1: is not an object"},
		{"UTF-16", "\xff\xfe-\x00", "1:0: is not UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, d := range load([]Source{{"x", []byte(test.text)}}, false).documents {
				line := 0
				if d.root != nil {
					line = d.root.Line
				}
				for _, p := range d.problems {
					line = p.Line
				}
				text := fmt.Sprintf("%d:%d", line, d.number)
				if d.object() != "" {
					text += " " + d.object()
				}
				for _, p := range d.problems {
					text += ": " + p.Message
				}
				got = append(got, text)
			}
			if got := strings.Join(got, ", "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestOneMistakeIsOneProblem: of what is there, but wrong, it is not said that it is missing.
func TestOneMistakeIsOneProblem(t *testing.T) {
	for _, test := range []struct{ name, rule, object, want string }{
		{"a Service", `{backendRefs: [{name: a, port: 80}]}`, `{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 0}]}}`, "0 is not in 1..65535"},
		{
			"a ReferenceGrant", `{backendRefs: [{name: a, namespace: other, port: 80}]}`,
			`{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {name: a, namespace: other}, spec: {from: [], to: [{group: "", kind: Service}]}}`,
			"has 0 items; at least 1 have to be there",
		},
		{
			"a KongPlugin", `{filters: [{type: ExtensionRef, extensionRef: {group: configuration.konghq.com, kind: KongPlugin, name: a}}]}`,
			`{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: a, labels: []}, plugin: cors}`, "a list is not of the type object",
		},
	} {
		text := "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, spec: {rules: [" + test.rule + "]}}\n---\n" +
			test.object + "\n---\n{apiVersion: v1, kind: Service, metadata: {name: b}, spec: {ports: [{port: 80}]}}\n"
		_, problems := Convert([]Source{{"x", []byte(text)}}, Options{})
		if len(problems) != 1 || problems[0].Message != test.want {
			t.Errorf("%s: %v", test.name, problems)
		}
	}
}
