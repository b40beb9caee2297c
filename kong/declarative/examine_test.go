package declarative_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/kong/declarative"
)

func exampleLoader(t testing.TB) *declarative.Loader {
	l, err := declarative.NewLoader([]string{"bundled", "p"}, map[string]json.RawMessage{
		"p": json.RawMessage(`{"fields":[{"config":{"type":"record","fields":[{"n":{"type":"integer"}}]}}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// All that Kong refuses is found in one go, with its place, and the rest is there.
func TestExamine(t *testing.T) {
	f, err := declarative.Parse([]byte(`
_format_version: "4.0"
nonsense: 1
certificates: [{cert: x}]
services:
- name: a
  url: http://a.test
  retries: many
  routes: [{name: lost-with-a, paths: [/]}]
- name: b
  url: http://b.test
  routes:
  - paths: [/b]
    plugins:
    - {name: p, config: {n: 1}}
    - {name: p, config: {n: x}}
    - {name: unknown-here, config: {whatever: 1}, consumer_group: gold}
- {name: b, url: "http://c.test"}
- 7
routes:
- {name: c, paths: [/c], service: b}
- {name: d, paths: [/d], service: nobody}
plugins:
- {name: p, route: d}
- {name: p, route: c, instance_name: mine}
upstreams: {name: u}
`))
	if err != nil {
		t.Fatal(err)
	}
	e := exampleLoader(t).Examine(f)
	var got []string
	for _, p := range e.Problems {
		got = append(got, fmt.Sprint(p.Place)+": "+p.Message)
	}
	want := []string{
		"[_format_version]: expected one of: 1.1, 2.1, 3.0",
		"[nonsense]: unknown field",
		"[services 0 retries]: expected an integer",
		"[services 1 routes 0 plugins 1 config n]: expected an integer",
		"[services 3]: expected a record",
		"[upstreams]: expected an array",
		"[services 2 name]: uniqueness violation: 'services' entity with name set to 'b' already declared",
		"[routes 1 service]: invalid reference 'service: nobody' (no such entry in 'services')",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	var rows []string
	for _, s := range e.Config.Services {
		rows = append(rows, fmt.Sprint(s.Name, e.Place("services", s.ID)))
	}
	for _, r := range e.Config.Routes {
		rows = append(rows, fmt.Sprint(r.Name, e.Place("routes", r.ID)))
	}
	for _, p := range e.Config.Plugins {
		rows = append(rows, fmt.Sprint(p.Name, e.Place("plugins", p.ID)))
	}
	want = []string{
		"b[services 1]", "[services 1 routes 0]", "c[routes 0]",
		"p[services 1 routes 0 plugins 0]", "unknown-here[services 1 routes 0 plugins 2]", "p[plugins 1]",
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("the rest: -want +got\n%s", diff)
	}
}

// What Load takes, Examine takes; what it refuses, Examine refuses.
func FuzzExamine(f *testing.F) {
	for _, text := range []string{
		`{_format_version: "3.0", services: [{name: a, url: "http://a", routes: [{name: r, paths: [/], plugins: [{name: p}]}]}]}`,
		`{_format_version: "3.0", plugins: [{name: p, route: r}], routes: [{id: 7}], upstreams: [{name: u, targets: [{target: "a:1"}, {target: "a:1"}]}]}`,
		`{_format_version: "3.0", consumers: [{username: a, plugins: [{name: p, service: s}]}, ~, [x], {custom_id: ""}]}`,
		`{_format_version: "1.1", services: {}, routes: [{paths: [a, ~], service: {id: x}}]}`,
	} {
		f.Add(text)
	}
	loader := exampleLoader(f)
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := declarative.Parse([]byte(text))
		if err != nil {
			return
		}
		e := loader.Examine(parsed)
		if _, err := loader.Load(parsed); (err == nil) && len(e.Problems) > 0 {
			t.Errorf("Load takes what Examine does not: %v", e.Problems)
		}
		for _, p := range e.Problems {
			if p.Message == "" {
				t.Errorf("nothing is said of %v", p.Place)
			}
		}
		if len(e.Problems) == 0 && e.Config == nil {
			t.Error("there is no config")
		}
	})
}
