package check

import (
	"slices"
	"strings"
	"testing"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
)

const two = `
_format_version: "3.0"
upstreams: [{name: known}]
services:
- {name: web, url: "http://web.test", routes: [{name: web, paths: [/]}]}
- {name: db, url: "tcp://10.0.0.1:5432", routes: [{name: db, protocols: [tcp], destinations: [{port: 5432}]}]}
- {name: alone, url: "http://alone.test"}
routes: [{name: lost, paths: [/lost]}]
consumers: [{username: ann}]
plugins:
`

// A row is refused for every route that its requests may come from.
func TestRefused(t *testing.T) {
	const session = `{backends: [{host: 10.0.0.2}], session: {secret: 0123456789abcdef}}`
	needs := `session: Kong does not look into the TCP or TLS connections of the route "db": leave it out, or put the plugin on another route`
	for row, want := range map[string][]string{
		`{name: p, config: ` + session + `}`:                                             nil, // of HTTP only, by default
		`{name: p, protocols: [http, tcp], config: ` + session + `}`:                     {needs},
		`{name: p, protocols: [http, tcp], service: web, config: ` + session + `}`:       nil,
		`{name: p, protocols: [http, tcp], service: db, config: ` + session + `}`:        {needs},
		`{name: p, protocols: [tcp], route: db, config: {backends: [{host: 10.0.0.2}]}}`: nil,
		`{name: p, protocols: [tcp], route: db, config: {backends: [{host: a}, {name: b, host: b}]}}`: {
			`backend "a:80": the Service's host is the IP address 10.0.0.1, from which Kong cannot go over to a name or an Upstream: give the Service a host name (it need not resolve) (on the route "db")`,
			`backend "b": the Service's host is the IP address 10.0.0.1, from which Kong cannot go over to a name or an Upstream: give the Service a host name (it need not resolve) (on the route "db")`,
		},
		`{name: p, route: db, config: {backends: [{host: 10.0.0.2}]}}`: {`its protocols, http, https, grpc, grpcs, are not those of the route "db", tcp, so that it never runs there: set the row's protocols`},
		`{name: p, route: lost, config: {backends: [{host: a}]}}`:      {`the route "lost" has no Service, so that Kong answers with 503 whatever the plugin does: give it one`},
		`{name: p, service: alone, config: {backends: [{host: a}]}}`:   nil,

		// Where another row takes its place, nothing is refused.
		`{name: p, protocols: [http, tcp], config: ` + session + `}` + onDB("service: db"):                  nil,
		`{name: p, protocols: [http, tcp], config: ` + session + `}` + onDB("route: db"):                    nil,
		`{name: p, protocols: [http, tcp], service: db, config: ` + session + `}` + onDB("route: db"):       nil,
		`{name: p, protocols: [http, tcp], service: db, config: ` + session + `}` + onDB("service: web"):    {needs},
		`{name: p, protocols: [http, tcp], route: db, config: ` + session + `}` + onDB("service: db"):       {needs},
		`{name: p, protocols: [http, tcp], config: ` + session + `}` + onDB("route: db, consumer: ann"):     {needs},
		`{name: p, protocols: [http, tcp], config: ` + session + `}` + onDB("route: db, enabled: false"):    {needs},
		`{name: p, protocols: [http, tcp], config: ` + session + `}` + onDB("route: db, protocols: [http]"): {needs},
	} {
		f, err := declarative.Parse([]byte(two + "- " + row))
		if err != nil {
			t.Fatal(err)
		}
		g, err := Load(f, "p")
		if err != nil {
			t.Fatal(err)
		}
		rows := f.PluginRows("p")
		c, problems := config.DecodeRow(nodeOf(rows[0].Config))
		if problems != nil {
			t.Fatal(problems)
		}
		got := g.Refused(g.Rows()[0], c)
		if !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %q\nwant %q", row, got, want)
		}
	}
}

// onDB is one more row, for TCP.
func onDB(place string) string {
	if !strings.Contains(place, "protocols") {
		place += ", protocols: [tcp]"
	}
	return "\n- {name: p, " + place + ", config: {backends: [{host: 10.0.0.2}]}}"
}

// nodeOf is a value of encoding/json's as a node.
func nodeOf(v any) *config.Node {
	switch v := v.(type) {
	case string:
		return &config.Node{Kind: config.String, Text: v}
	case []any:
		n := &config.Node{Kind: config.List}
		for _, item := range v {
			n.Items = append(n.Items, nodeOf(item))
		}
		return n
	case map[string]any:
		n := &config.Node{Kind: config.Map}
		for key, item := range v {
			n.Members = append(n.Members, config.Member{Key: key, Value: nodeOf(item)})
		}
		return n
	}
	return &config.Node{}
}
