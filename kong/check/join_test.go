package check

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"kong-traffic-split/kong/companion"
)

// Files of decK's that refer to each other are one state: what is wrong in it is found in the
// file that has it, and nothing else is. Alternatives are not taken for one state.
func TestJoined(t *testing.T) {
	const parts = `
-- services.yml --
_format_version: "3.0"
services:
- {name: shop, url: "http://shop.test"}
- {name: news, url: "http://news.test"}
-- routes.yml --
_format_version: "3.0"
routes:
- {name: news, paths: [/news], service: {name: news}}
- {name: shop, paths: [/shop], service: {name: shop}}
-- upstreams.yml --
_format_version: "3.0"
upstreams:
- {name: shop-v1, targets: [{target: "a:80"}]}
- {name: shop-v2, targets: [{target: "b:80"}]}
`
	const row = "-- plugins.yml --\n_format_version: \"3.0\"\nplugins:\n- {name: traffic-split, route: shop, config: {backends: [{upstream: shop-v1}, {upstream: shop-v2}]}}\n"
	const another = "-- more.yml --\n_format_version: \"3.0\"\nplugins:\n- {name: traffic-split, service: shop, config: {backends: [{upstream: shop-v3}, {host: shop-v2}]}}\n"
	alternative := func(name, cookie string) string {
		return "-- " + name + " --\n_format_version: \"3.0\"\nservices:\n- {name: shop, url: \"http://shop.test\", routes: [{name: shop, paths: [/shop], plugins: [{name: traffic-split, config: {backends: [{host: a}, {host: b}], session: {cookie: " + cookie + ", secret: 0123456789abcdef}}}]}]}\n"
	}
	const twice = `
-- base.yml --
_format_version: "3.0"
services:
- name: a
  url: "http://a.test"
  plugins:
  - {name: traffic-split, config: {backends: [{service: true, weight: -5}]}}
  routes: [{name: ra, paths: [/a]}]
- {name: b, url: "http://b.test"}
-- over.yml --
_format_version: "3.0"
services: [{name: b, url: "http://b2.test"}]
routes:
- name: rb
  service: a
  paths: [/b]
  plugins:
  - {name: traffic-split, config: {backends: [{service: true}, {name: y, host: y.test}]}}
`
	canary := func(name, weight, upstreams string) string {
		return "-- " + name + " --\n_format_version: \"3.0\"\nservices:\n- {name: shop, url: \"http://shop.test\", routes: [{name: shop, paths: [/shop], plugins: [{name: traffic-split, config: {backends: [{service: true, weight: " + weight + "}, {upstream: canary}]}}]}]}\n" + upstreams
	}
	for _, tt := range []struct {
		name, files string
		want        []string
	}{
		{"a state", parts + row, nil},
		{"a part of it is not there", strings.Replace(parts, "- {name: shop, url", "- {name: shops, url", 1) + row, []string{
			`routes.yml:4:32: routes[1].service: Kong refuses it: invalid reference 'service: shop' (no such entry in 'services')`,
		}},
		{"wrong in parts", parts + row + another, []string{
			`more.yml:3:3: plugins[0]: never runs, as rows of the plugin that are more specific take its place on all of its routes: take it out`,
			`more.yml:3:71: plugins[0].config.backends[0].upstream: "shop-v3" is the name of no Upstream of Kong's: add it to upstreams, or write host for a host name`,
			`more.yml:3:88: plugins[0].config.backends[1].host: "shop-v2" is the name of an Upstream, whose targets Kong takes, whatever the port: write upstream in the place of host, or call the Upstream something else`,
		}},
		{"two rows on one route", parts + row + strings.Replace(row, "plugins.yml", "twin.yml", 1), nil}, // as alternatives are
		{"a row of another one's route", parts + row + strings.Replace(strings.Replace(another, "service: shop", "protocols: [http]", 1), "upstream: shop-v3", "upstream: shop-v1", 1), []string{
			`more.yml:3:3: plugins[0]: does not run for the route "shop": there Kong runs plugins[0] in plugins.yml:3 instead, which is more specific; put all backends into one of the rows`,
			`more.yml:3:92: plugins[0].config.backends[1].host: "shop-v2" is the name of an Upstream, whose targets Kong takes, whatever the port: write upstream in the place of host, or call the Upstream something else`,
		}},
		{"alternatives", alternative("prod.yml", "same") + alternative("staging.yml", "same"), nil},
		{"alternatives over a base", parts + alternative("prod.yml", "same") + alternative("staging.yml", "same"), nil},
		{"rows for both alternatives", alternative("prod.yml", "a") + alternative("staging.yml", "b") + "-- keys.yml --\n_format_version: \"3.0\"\nplugins: [{name: key-auth, route: shop}]\n", nil},
		{"a file over another one that has the same", twice, []string{
			`base.yml:6:71: services[0].plugins[0].config.backends[0].weight: -5 is not in 0..1000000`,
		}},
		{"a part over a base that cannot be joined to the whole", twice + "-- top.yml --\n_format_version: \"3.0\"\nplugins: [{name: key-auth, route: rb}]\n", []string{
			`base.yml:6:71: services[0].plugins[0].config.backends[0].weight: -5 is not in 0..1000000`,
		}},
		{"an alternative that has what another one names", canary("prod.yml", "1", "") + canary("staging.yml", "5000000", "upstreams: [{name: canary, targets: [{target: \"a:80\"}]}]\n"), []string{
			`staging.yml:3:155: services[0].routes[0].plugins[0].config.backends[0].weight: 5000000 is not in 0..1000000`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sources []Source
			for _, f := range txtar.Parse([]byte(tt.files)).Files {
				sources = append(sources, Source{Name: f.Name, Data: f.Data})
			}
			for range 2 { // in any order
				var got []string
				for _, f := range Files(sources, Options{}) {
					got = append(got, f.String())
				}
				slices.Sort(got)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
				slices.Reverse(sources)
			}
		})
	}
}

// A file with rows for all routes refers to no other one, and is joined with none. What it has
// is not missed, and its rows are not idle: the other files have the routes.
func TestElsewhere(t *testing.T) {
	const format = "_format_version: \"3.0\"\n"
	consumers := Source{Name: "consumers.yml", Data: []byte(format + "consumers: [{username: ann}]\n")}
	global := func(plugins string) Source {
		return Source{Name: "plugins.yml", Data: []byte(format + "plugins: [" + plugins + "]\n")}
	}
	rows := func(config string) Source {
		return Source{Name: "rows.yml", Data: []byte(format + `services: [{name: shop, url: "http://shop.test", routes: [{name: shop, paths: [/shop]}]}]
plugins: [{name: traffic-split, route: shop, config: ` + config + "}]\n")}
	}
	consumer := rows("{backends: [{service: true}, {host: a.test}]}")
	consumer.Data = []byte(strings.Replace(string(consumer.Data), "route: shop,", "route: shop, consumer: ann,", 1))
	routes := Source{Name: "routes.yml", Data: []byte(format + `services: [{name: shop, url: "http://shop.test", routes: [{name: shop, paths: [/shop]}]}]` + "\n")}
	splits := Source{Name: "splits.yml", Data: []byte("splits: {shop: {backends: [{service: true}, {host: a.test}]}}\n")}
	row, err := json.Marshal(map[string]any{"name": companion.Plugin, "config": functions()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		files []Source
		want  []string
	}{
		{"who authenticates", []Source{consumers, consumer, global("{name: key-auth}")}, nil},
		{"what is not Kong's own", []Source{consumers, consumer, global("{name: our-own-auth}")}, nil},
		{"nobody who does", []Source{consumers, consumer, global("{name: cors}")}, []string{"consumer-unknown"}},
		{"by hash", []Source{rows("{backends: [{service: true}, {host: a.test}], hash_on: consumer}"), global("{name: key-auth}")}, nil},
		{"by hash, and nobody who does", []Source{rows("{backends: [{service: true}, {host: a.test}], hash_on: consumer}"), global("{name: key-auth, enabled: false}")}, []string{"consumer-unknown"}},
		{"who may see the response header", []Source{rows("{backends: [{service: true}, {host: a.test}], response_header: X-Backend}"), global("{name: key-auth}")}, nil},
		{"the companion", []Source{rows("{backends: [{host: b.test}, {host: a.test}], retry: {}}"), global(string(row))}, nil},
		{"no companion", []Source{rows("{backends: [{host: b.test}, {host: a.test}], retry: {}}"), global("{name: post-function, config: {access: [return]}}")}, []string{"companion-missing"}},
		{"the companion for nobody", []Source{rows("{backends: [{service: true}, {host: a.test}]}"), global(string(row))}, []string{"companion-idle"}},
		{"a split for all routes", []Source{routes, global("{name: traffic-split}"), splits}, nil},
		{"a row for no route", []Source{consumers, global("{name: traffic-split}")}, []string{"row-unused"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range Files(tt.files, Options{}) {
				got = append(got, f.ID)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q: %v", got, tt.want, Files(tt.files, Options{}))
			}
		})
	}
}

// functions are the companion's, by their phases.
func functions() map[string][]string {
	phases := map[string][]string{}
	for _, f := range companion.Functions() {
		phases[f.Phase] = append(phases[f.Phase], f.Text)
	}
	return phases
}
