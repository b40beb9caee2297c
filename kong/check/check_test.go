package check

import (
	"slices"
	"strings"
	"testing"
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
		`{name: traffic-split, config: ` + session + `}`:                                                     nil, // of HTTP only, by default
		`{name: traffic-split, protocols: [http, tcp], config: ` + session + `}`:                             {needs},
		`{name: traffic-split, protocols: [http, tcp], service: web, config: ` + session + `}`:               nil,
		`{name: traffic-split, protocols: [http, tcp], service: db, config: ` + session + `}`:                {needs},
		`{name: traffic-split, protocols: [tcp], route: db, config: {backends: [{host: 10.0.0.2}]}}`:         nil,
		`{name: traffic-split, protocols: [tcp], route: db, config: {backends: [{host: a}, {upstream: b}]}}`: nil, // from an IP address
		`{name: traffic-split, route: db, config: {backends: [{host: 10.0.0.2}]}}`:                           {`its protocols, http, https, grpc, grpcs, are not those of the route "db", tcp, so that it never runs there: set the row's protocols`},
		`{name: traffic-split, route: lost, config: {backends: [{host: a}]}}`:                                nil,
		`{name: traffic-split, route: lost, config: {backends: [{service: true}]}}`:                          {`backend "service": service: true, and the route has no Service: give it one, or take the backend out (on the route "lost")`},
		`{name: traffic-split, service: alone, config: {backends: [{host: a}]}}`:                             nil,

		// Where another row takes its place, nothing is refused.
		`{name: traffic-split, protocols: [http, tcp], config: ` + session + `}` + onDB("service: db"):                  nil,
		`{name: traffic-split, protocols: [http, tcp], config: ` + session + `}` + onDB("route: db"):                    nil,
		`{name: traffic-split, protocols: [http, tcp], service: db, config: ` + session + `}` + onDB("route: db"):       nil,
		`{name: traffic-split, protocols: [http, tcp], service: db, config: ` + session + `}` + onDB("service: web"):    {needs},
		`{name: traffic-split, protocols: [http, tcp], route: db, config: ` + session + `}` + onDB("service: db"):       {needs},
		`{name: traffic-split, protocols: [http, tcp], config: ` + session + `}` + onDB("route: db, consumer: ann"):     {needs},
		`{name: traffic-split, protocols: [http, tcp], config: ` + session + `}` + onDB("route: db, enabled: false"):    {needs},
		`{name: traffic-split, protocols: [http, tcp], config: ` + session + `}` + onDB("route: db, protocols: [http]"): {needs},
	} {
		k, problem := Read("kong.yml", two+"- "+row, nil)
		if problem != nil {
			t.Fatal(problem)
		}
		var got []string
		k.refusedOnRoutes(k.Rows()[0], func(_ *Check, message string) { got = append(got, message) })
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
	return "\n- {name: traffic-split, " + place + ", config: {backends: [{host: 10.0.0.2}]}}"
}
