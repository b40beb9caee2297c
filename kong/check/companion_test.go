package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kong-traffic-split/kong/companion"
	"kong-traffic-split/kong/declarative"
)

const withRetry = `{name: traffic-split, config: {backends: [{host: a.test}, {host: b.test}], retry: {}}}`

// older is a row with the companion's functions as another version had them, in two places, and with
// functions of others around them.
func older(t *testing.T) string {
	t.Helper()
	phases := map[string][]string{"log": {"return 7"}}
	for _, f := range companion.Functions() {
		old := strings.Replace(f.Text, "companion "+companion.Version, "companion 0", 1)
		phases[f.Phase] = []string{"return 1", old, "return 2", old, f.Text, "return 3"}
	}
	text, err := json.Marshal(phases)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Wherever a row of post-function is that Kong would run, the functions go there, behind those
// of others, which stay, and in the place of their own of another version; else the route gets a
// row. All else stays, comments too, and a second time nothing changes.
func TestAddCompanions(t *testing.T) {
	const head = "# ours\n_format_version: \"3.0\"\n"
	shop := func(ofService, ofRoute, rows string) string {
		return fmt.Sprintf(`services:
- name: shop # the shop's
  url: http://shop.test
  plugins: [%s]
  routes:
  - name: shop
    paths: [/shop]
    plugins:
    - %s # that splits
%s  - {name: other, paths: [/other]}
plugins:
- {name: cors}
%s`, ofService, withRetry, ofRoute, rows)
	}
	const functions = `{access: ["return 1"], log: ["return 2"]}`
	for _, tt := range []struct {
		name, file string
		changed    string
		access     []string // of the row that Kong runs on the route; "own" is the companion's
	}{
		{"none", shop("", "", ""), `a row of post-function on the route "shop"`, []string{"own"}},
		{"of the route", shop("", "    - {name: post-function, config: "+functions+"}\n", ""), "the companion's functions in services[0].routes[0].plugins[1]", []string{"return 1", "own"}},
		{"of the route, in lines", shop("", "    - name: post-function\n      config:\n        log:\n        - return 2 # logs\n", ""), "the companion's functions in services[0].routes[0].plugins[1]", []string{"own"}},
		{"of the route, without anything", shop("", "    - name: post-function\n      config: {access: [], log: [return 2]}\n", ""), "the companion's functions in services[0].routes[0].plugins[1]", []string{"own"}},
		{"of the route, elsewhere", shop("", "", "- {name: post-function, route: shop, config: "+functions+"}\n"), "the companion's functions in plugins[1]", []string{"return 1", "own"}},
		{"of the Service", shop("{name: post-function, config: "+functions+"}", "", "- {name: post-function, config: {access: [return 3]}}\n"), "the companion's functions in services[0].plugins[0]", []string{"return 1", "own"}},
		{"of all routes", shop("", "", "- {name: post-function, config: "+functions+"}\n"), "the companion's functions in plugins[1]", []string{"return 1", "own"}},
		{"of another route", shop("", "", "- {name: post-function, route: other, config: "+functions+"}\n"), `a row of post-function on the route "shop"`, []string{"own"}},
		{"of connections only", shop("", "", "- {name: post-function, protocols: [tcp], config: "+functions+"}\n"), `a row of post-function on the route "shop"`, []string{"own"}},
		{"of another version", shop("", "    - {name: post-function, config: "+older(t)+"}\n", ""), "the companion's functions in services[0].routes[0].plugins[1]", []string{"return 1", "own", "return 2", "return 3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			after, changes, err := AddCompanions("kong.yml", head+tt.file, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(changes, []string{tt.changed}) {
				t.Errorf("changed %q, want %q", changes, tt.changed)
			}
			if got := accessOf(t, after); !slices.Equal(got, tt.access) {
				t.Errorf("access %q, want %q, in\n%s", got, tt.access, after)
			}
			if findings := Files([]Source{{Name: "kong.yml", Data: []byte(after)}}, Options{}); len(findings) > 0 {
				t.Errorf("%v in\n%s", findings, after)
			}
			for line := range strings.Lines(head + tt.file) {
				kept := strings.TrimRight(strings.TrimRight(line, "\n"), "]}")
				if !strings.Contains(line, "post-function") && !strings.Contains(line, "access: []") && !strings.Contains(after, kept) {
					t.Errorf("lost %q of\n%s", line, after)
				}
			}
			again, changes, err := AddCompanions("kong.yml", after, nil, nil)
			if err != nil || again != after || len(changes) > 0 {
				t.Errorf("a second time: %q, %v", changes, err)
			}
		})
	}
}

// accessOf returns the functions that Kong runs for the route shop in the phase access.
func accessOf(t *testing.T, text string) (access []string) {
	t.Helper()
	c := newChecker(Options{})
	c.read(Source{Name: "kong.yml", Data: []byte(text)})
	k := c.kongs[0]
	i := slices.IndexFunc(k.config.Routes, func(r *declarative.Route) bool { return r.Name == "shop" })
	row := k.scopes[companion.Plugin].run(k.config.Routes[i], "")
	if !companionOf(row).Complete() {
		t.Errorf("it lacks %q", companionOf(row).Lacks)
	}
	for _, value := range row.Config["access"].([]any) {
		if text := value.(string); text == companion.Functions()[0].Text {
			access = append(access, "own")
		} else {
			access = append(access, text)
		}
	}
	return access
}

// What would be of no use is an error, and nothing is written.
func TestAddCompanionsRefuses(t *testing.T) {
	const head = "_format_version: \"3.0\"\n"
	file := func(rows string) string {
		return head + "services: [{name: shop, url: \"http://shop.test\", routes: [{name: shop, paths: [/shop], plugins: [" + rows + "]}]}]\n"
	}
	for _, tt := range []struct{ name, file, want string }{
		{"no file of Kong's", "splits: {}\n", "kong.yml: is no declarative file of Kong's: it has no _format_version"},
		{"a row that is not enabled", file(withRetry + ", {name: post-function, enabled: false, config: {access: [return]}}"), "kong.yml: services[0].routes[0].plugins[1] is a row of post-function that is not enabled, and a route can have one only: enable it, or take it out"},
		{"what Kong refuses", file(strings.Replace(withRetry, "a.test", "a b", 1)), "kong.yml:2:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, _, err := AddCompanions("kong.yml", tt.file, nil, nil)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || text != "" {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
