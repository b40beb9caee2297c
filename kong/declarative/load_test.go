package declarative

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, yaml string) (*Config, error) {
	t.Helper()
	file, err := Parse([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	loader, _ := recordedLoader(t, "schema.json")
	return loader.Load(file)
}

func mustLoad(t *testing.T, yaml string) *Config {
	t.Helper()
	config, err := load(t, "_format_version: \"3.0\"\n"+yaml)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestServices(t *testing.T) {
	retries := 5
	for url, want := range map[string]Service{
		"http://h":             {Protocol: "http", Host: "h", Port: 80},
		"https://h":            {Protocol: "https", Host: "h", Port: 443},
		"http://h:8080/a/b":    {Protocol: "http", Host: "h", Port: 8080, Path: "/a/b"},
		"//h:443":              {Protocol: "https", Host: "h", Port: 443},
		"grpc://h:1":           {Protocol: "grpc", Host: "h", Port: 1},
		"https://u:p@h/x?q#f":  {Protocol: "https", Host: "h", Port: 443, Path: "/x"},
		"http://[::1]:81/":     {Protocol: "http", Host: "::1", Port: 81, Path: "/"},
		"http://127.0.0.1:82/": {Protocol: "http", Host: "127.0.0.1", Port: 82, Path: "/"},
	} {
		got := mustLoad(t, "services: [{name: s, url: '"+url+"'}]").Services[0]
		want.Name, want.Retries, want.Enabled = "s", &retries, true
		want.ConnectTimeout, want.WriteTimeout, want.ReadTimeout = 60000, 60000, 60000
		want.ID, want.Row = got.ID, got.Row
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s:\n%s", url, diff)
		}
	}
}

func TestRoutes(t *testing.T) {
	config := mustLoad(t, `
services:
- {name: s, url: "http://h", routes: [{name: nested, paths: [/], headers: {X-A: [b]}}]}
- {name: g, url: "grpc://h:1"}
- {name: z, id: 9f0e1a39-9d5b-5c1b-a2c6-000000000001, url: "http://z"}
routes:
- {name: by-name, paths: [/], service: s, preserve_host: true}
- {name: by-id, paths: [/], service: {id: 9f0e1a39-9d5b-5c1b-a2c6-000000000001}}
- {name: grpc, paths: [/], protocols: [grpc], service: g}
- {name: free, hosts: ["*.a"], methods: [GET, GET]}
- {name: tcp, protocols: [tcp], destinations: [{ip: 10.0.0.0/8, port: 1}]}`)
	services := map[string]string{}
	for _, s := range config.Services {
		services[s.ID] = s.Name
	}
	got := map[string]string{}
	for _, r := range config.Routes {
		name := "none"
		if r.Service != nil {
			name = services[r.Service.ID]
		}
		strip := " strip"
		if !r.StripPath {
			strip = ""
		}
		got[r.Name] = name + " " + strings.Join(r.Protocols, ",") + strip
	}
	want := map[string]string{
		"nested": "s http,https strip", "by-name": "s http,https strip", "by-id": "z http,https strip",
		"grpc": "g grpc", "free": "none http,https strip", "tcp": "none tcp strip",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUpstreams(t *testing.T) {
	config := mustLoad(t, `
upstreams:
- {name: up, host_header: h, targets: [{target: "a:1", weight: 3}, {target: "[::1]:2"}, {target: b}]}
- {name: hashing, hash_on: ip}
- {name: least, algorithm: least-connections, hash_on: header}
targets: [{upstream: hashing, target: "c:4"}]`)
	got := config.Upstreams
	for _, u := range got {
		u.ID = ""
	}
	want := []*Upstream{
		{Name: "up", Algorithm: "round-robin", HostHeader: "h", Targets: []Target{{"a", 1, 3}, {"::1", 2, 100}, {"b", 8000, 100}}},
		{Name: "hashing", Algorithm: "consistent-hashing", Targets: []Target{{"c", 4, 100}}},
		{Name: "least", Algorithm: "least-connections"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPlugins(t *testing.T) {
	config := mustLoad(t, `
services:
- name: s
  url: http://h
  plugins: [{name: tsx, config: {split: service}}]
  routes:
  - {name: r, paths: [/], plugins: [{name: tsx, config: {split: route}}]}
consumers:
- username: c
  custom_id: "42"
  keyauth_credentials: [{key: k}]
  plugins: [{name: tsx, config: {split: consumer}}]
plugins:
- {name: tsx, config: {split: all}, enabled: false, tags: [x]}
- {name: tsx, config: {split: some}, route: r, service: s, consumer: c, instance_name: mine}`)
	names := map[string]string{
		config.Services[0].ID: "s", config.Routes[0].ID: "r", config.Consumers[0].ID: "c",
	}
	got := map[string]string{}
	for _, p := range config.Plugins {
		at := ""
		for _, ref := range []*Ref{p.Route, p.Service, p.Consumer} {
			if ref != nil {
				at += names[ref.ID]
			}
		}
		if !p.Enabled {
			at += " off"
		}
		got[p.Config["split"].(string)] = at + " " + p.InstanceName
	}
	want := map[string]string{"service": "s ", "route": "r ", "consumer": "c ", "all": " off ", "some": "rsc mine"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c := config.Credentials[0]; c.Key != "k" || c.Consumer.ID != config.Consumers[0].ID {
		t.Errorf("credential %+v", c)
	}
}

// TestPluginConfig covers what a plugin gets.
func TestPluginConfig(t *testing.T) {
	t.Setenv("MY_SECRET", "resolved")
	for config, want := range map[string]map[string]any{
		"{split: x}": {"split": "x", "algorithm": "smooth", "hash_on": "none", "session": map[string]any{}},
		`{split: x, algorithm: null, session: {secret: "{vault://env/my-secret}"}}`: {
			"split": "x", "hash_on": "none", "session": map[string]any{
				"secret": "resolved", "$refs": map[string]any{"secret": "{vault://env/my-secret}"},
			},
		},
		`{split: x, session: {secret: "{vault://env/nothing}"}}`: {
			"split": "x", "algorithm": "smooth", "hash_on": "none", "session": map[string]any{
				"secret": "", "$refs": map[string]any{"secret": "{vault://env/nothing}"},
			},
		},
		"{backends: [{host: a, request_headers: {set: []}}, {upstream: b, weight: 0, port: null}]}": {
			"algorithm": "smooth", "hash_on": "none", "session": map[string]any{}, "backends": []any{
				map[string]any{"host": "a", "weight": 1.0, "request_headers": map[string]any{"set": map[string]any{}}},
				map[string]any{"upstream": "b", "weight": 0.0},
			},
		},
	} {
		got := mustLoad(t, "plugins: [{name: tsx, config: "+config+"}]").Plugins[0].Config
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", config, diff)
		}
	}
}

// TestIDs are those that Kong 3.9.3 has given to the same rows.
func TestIDs(t *testing.T) {
	const file = `
consumers: [{username: ann, custom_id: ann-42, keyauth_credentials: [{key: k1}]}]
services:
- name: plugged
  url: http://localhost:9202/base
  routes:
  - {name: reads, paths: [/reads], plugins: [{name: key-auth}]}
  - {paths: [/nameless], plugins: [{name: key-auth}]}`
	a, b := mustLoad(t, file), mustLoad(t, file)
	for got, want := range map[string]string{
		a.Routes[0].ID:    "ce18a5bd-af38-5d87-ae58-42d5412a7fbe",
		a.Services[0].ID:  "5d2bad31-7b26-5a05-ac79-0bdcc5593fa3",
		a.Consumers[0].ID: "acf09174-745e-5b26-aaec-4763c149acd7",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if a.Plugins[0].ID != b.Plugins[0].ID {
		t.Error("the id of a plugin on a route with a name has changed")
	}
	if a.Routes[1].ID == b.Routes[1].ID || a.Plugins[1].ID == b.Plugins[1].ID {
		t.Error("a route without a name, and what is on it, gets new ids each time")
	}
}

// TestOlderFormats are those whose paths do not say that they are expressions.
func TestOlderFormats(t *testing.T) {
	for _, version := range []string{"1.1", "2.1"} {
		config, err := load(t, `{_format_version: "`+version+`", routes: [{paths: [/a, "/b/\\d+"]}], services: [{url: "http://h", routes: [{paths: ["/(c)"]}]}]}`)
		if err != nil {
			t.Fatal(err)
		}
		got := append(config.Routes[0].Paths, config.Routes[1].Paths...)
		if !strings.Contains(strings.Join(got, " "), `~/b/\d+`) || !strings.Contains(strings.Join(got, " "), "~/(c)") {
			t.Errorf("%s: %v", version, got)
		}
	}
}

// TestFilesThatAreRefused says what `kong start` says.
func TestFilesThatAreRefused(t *testing.T) {
	entry := func(entity, problem string) string {
		return "in '" + entity + "':\n  - in entry 1 of '" + entity + "':\n    " + problem
	}
	for _, tt := range []struct{ file, want string }{
		{"{}", "in '_format_version': required field missing"},
		{`{_format_version: "4.0"}`, "in '_format_version': expected one of: 1.1, 2.1, 3.0"},
		{`{_format_version: 3.0}`, "in '_format_version': expected a string"},
		{"colours: []", "in 'colours': unknown field"},
		{"services: {name: s}", "in 'services': expected an array"},
		{"services: [3]", "in 'services':\n  - in entry 1 of 'services': expected a record"},
		{"services: [{name: s}]", entry("services", "in 'host': required field missing")},
		{"services: [{host: h, colour: 1}]", entry("services", "in 'colour': unknown field")},
		{"services: [{host: h, port: 65536}]", entry("services", "in 'port': value should be between 0 and 65535")},
		{"services: [{host: 'h:1'}]", entry("services", "in 'host': must not have a port")},
		{"services: [{host: 'a b'}]", entry("services", "in 'host': invalid value: a b")},
		{"services: [{url: 3}]", "in 'services':\n  - in entry 1 of 'services':\n    in 'url': expected a string"},
		{"upstreams: [{name: u, algorithm: [latency], hash_on: path}]", entry("upstreams", "in 'algorithm': expected a string")},
		{"services: [{url: 'ftp://h'}]", entry("services", "in 'protocol': expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp")},
		{"services: [{host: h, path: a}]", entry("services", "in 'path': should start with: /")},
		{"services: [{host: h, path: //}]", entry("services", "in 'path': must not have empty segments")},
		{"services: [{host: h, path: '/a b'}]", entry("services", "in 'path': invalid path: '/a b' (characters outside of the reserved list of RFC 3986 found)")},
		{"services: [{host: h, path: '/%4'}]", entry("services", "in 'path': invalid url-encoded value: '%4'")},
		{"services: [{host: h, name: 'a/b'}]", entry("services", "in 'name': invalid value 'a/b': the only accepted ascii characters are alphanumerics or ., -, _, and ~")},
		{"services: [{host: h, tags: ['a,b']}]", entry("services", "in 'tags':\n      - in entry 1 of 'tags': invalid tag 'a,b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences")},
		{
			"services: [{host: h, protocol: grpc, path: /}]",
			entry("services", "in '@entity':\n      - in entry 1 of '@entity': failed conditional validation given value of field 'protocol'\n    in 'path': value must be null"),
		},
		{"routes: [{name: r}]", entry("routes", "in '@entity':\n      - in entry 1 of '@entity': must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'")},
		{"routes: [{name: r, protocols: [http]}]", entry("routes", "in '@entity':\n      - in entry 1 of '@entity': must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'")},
		{"routes: [{protocols: []}]", entry("routes", "in 'protocols': unknown type: table")},
		{"routes: [{protocols: [http, tcp], paths: [/]}]", entry("routes", "in 'protocols': these sets are mutually exclusive: ('http', 'https'), ('tcp', 'tls', 'udp')")},
		{"routes: [{protocols: [grpc], paths: [/], strip_path: true}]", entry("routes", "in 'strip_path': cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'")},
		{"routes: [{paths: [a]}]", entry("routes", "in 'paths':\n      - in entry 1 of 'paths': should start with: / (fixed path) or ~/ (regex path)")},
		{"routes: [{paths: [/a/../b]}]", entry("routes", "in 'paths':\n      - in entry 1 of 'paths': non-normalized path, consider use '/b' instead")},
		{"routes: [{paths: ['~/(?<1a>x)']}]", entry("routes", "in 'paths':\n      - in entry 1 of 'paths': invalid regex: '/(?<1a>x)' (invalid capture group character: the name 1a begins with a digit)")},
		{"routes: [{paths: ['~/(?<abcdefghijklmnopqrstuvwxyz0123456>x)']}]", entry("routes", "in 'paths':\n      - in entry 1 of 'paths': invalid regex: '/(?<abcdefghijklmnopqrstuvwxyz0123456>x)' (subpattern name is too long (maximum 32 code units))")},
		{"routes: [{paths: [/], headers: {x-a: ['a{', '~*a{']}}]", entry("routes", "in 'headers':\n      - in entry 2 of 'headers': Router Expression failed validation: regex parse error: 'a{' (repetition quantifier expects a valid decimal; a { that stands for itself needs a backslash)")},
		{"routes: [{paths: ['~/(']}]", entry("routes", "in 'paths':\n      - in entry 1 of 'paths': invalid regex: '/(' (error parsing regexp: missing closing ): `^/(`)")},
		{"routes: [{methods: [get]}]", entry("routes", "in 'methods':\n      - in entry 1 of 'methods': invalid value: get")},
		{"routes: [{hosts: ['a.*.b']}]", entry("routes", "in 'hosts':\n      - in entry 1 of 'hosts': invalid wildcard: must be placed at leftmost or rightmost label")},
		{"routes: [{headers: {Host: [a]}}]", entry("routes", "in 'headers': cannot contain 'host' header, which must be specified in the 'hosts' attribute")},
		{"routes: [{headers: {a: b}}]", entry("routes", "in 'headers': expected an array")},
		{"routes: [{paths: [/], service: s}]", "in 'routes':\n  in 'ID':\n    - in entry 1 of 'ID': invalid reference 'service: s' (no such entry in 'services')"},
		{"routes: [{name: r, paths: [/], service: s}]", "in 'routes':\n  in 'r':\n    - in entry 1 of 'r': invalid reference 'service: s' (no such entry in 'services')"},
		{"routes: [{paths: [/], service: 3}]", entry("routes", "in 'service': expected a string")},
		{"routes: [{paths: [/], service: {name: s}}]", entry("routes", "in 'service':\n      in 'id': missing primary key")},
		{"services: [{host: h, routes: [{paths: [/], service: s}]}]", "in 'services':\n  - in entry 1 of 'services':\n    in 'routes':\n      - in entry 1 of 'routes':\n        in 'service': value must be null"},
		{"routes: [{name: r, paths: [/]}, {name: r, paths: [/]}]", "in 'routes':\n  - in entry 2 of 'routes': uniqueness violation: 'routes' entity with name set to 'r' already declared"},
		{"plugins: [{name: key-auth}, {name: key-auth}]", "in 'plugins':\n  - in entry 2 of 'plugins': uniqueness violation: 'plugins' entity with primary key set to '" + nameUUID(nameUUID(idNamespace, "plugins"), "plugins:*:key-auth:::") + "' already declared"},
		{"plugins: [{config: {}}]", entry("plugins", "in 'name': required field missing")},
		{"plugins: [{name: nope, colour: 1}]", entry("plugins", "in 'name': plugin 'nope' not enabled; add it to the 'plugins' configuration property")},
		{"plugins: [{name: key-auth, config: 3}]", entry("plugins", "in 'config': expected a record")},
		{"plugins: [{name: key-auth, config: [1]}]", entry("plugins", "in 'config':\n      - in entry 1 of 'config': unknown field")},
		{"plugins: [{name: key-auth, consumer: c}]", entry("plugins", "in 'consumer': value must be null")},
		{
			"plugins: [{name: request-termination, config: {message: m, body: b}}]",
			entry("plugins", "in 'config': message cannot be used with content_type or body"),
		},
		{
			"plugins: [{name: request-termination, config: {content_type: t}}]",
			entry("plugins", "in 'config': content_type requires a body"),
		},
		{
			"plugins: [{name: request-termination, config: {echo: true, body: b}}]",
			entry("plugins", "in 'config': echo cannot be used with content_type and body"),
		},
		{"plugins: [{name: file-log}]", entry("plugins", "in 'config':\n      in 'path': required field missing")},
		{"plugins: [{name: file-log, config: {path: 'a*'}}]", entry("plugins", "in 'config':\n      in 'path': not a valid filename")},
		{"consumers: [{}]", entry("consumers", "in '@entity':\n      - in entry 1 of '@entity': at least one of these fields must be non-empty: 'custom_id', 'username'")},
		{"consumers: [{username: a, keyauth_credentials: [{key: k}]}, {username: b, keyauth_credentials: [{key: k}]}]", "in 'keyauth_credentials':\n  - in entry 1 of 'keyauth_credentials': uniqueness violation: 'keyauth_credentials' entity with key set to 'k' already declared"},
		{"upstreams: [{name: 1.2.3.4}]", entry("upstreams", "in 'name': Invalid name ('1.2.3.4'); no ip addresses allowed")},
		{"upstreams: [{name: 'a:1'}]", entry("upstreams", "in 'name': Invalid name ('a:1'); no port allowed")},
		{"upstreams: [{name: 'a b'}]", entry("upstreams", "in 'name': Invalid name ('a b'); must be a valid hostname")},
		{"upstreams: [{name: u, hash_on: header}]", entry("upstreams", "in '@entity':\n      - in entry 1 of '@entity': failed conditional validation given value of field 'hash_on'\n    in 'hash_on_header': required field missing")},
		{"upstreams: [{name: u, targets: [{target: 'a:b'}]}]", "in 'upstreams':\n  - in entry 1 of 'upstreams':\n    in 'targets':\n      - in entry 1 of 'targets':\n        in 'target': Invalid target ('a:b'); not a valid hostname or ip address"},
		{"upstreams: [{name: u, healthchecks: {active: {healthy: {successes: 256}}}}]", entry("upstreams", "in 'healthchecks':\n      in 'active':\n        in 'healthy':\n          in 'successes': value should be between 0 and 255")},
	} {
		t.Run(tt.file, func(t *testing.T) {
			text := tt.file
			if !strings.HasPrefix(text, "{") {
				text = "_format_version: \"3.0\"\n" + text
			}
			_, err := load(t, text)
			if err == nil {
				t.Fatal("it was accepted")
			}
			got := uuidInText.ReplaceAllString(err.Error(), "ID")
			if strings.Contains(tt.want, "primary key set to") {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestInvalidResponse is the Admin API's answer without flatten_errors.
func TestInvalidResponse(t *testing.T) {
	_, err := load(t, `{_format_version: "3.0", services: [{host: h}, {host: h, port: -1, "a b": 1, routes: [{name: r}]}]}`)
	response, marshalErr := json.Marshal(err.(*InvalidError).Response(false))
	if marshalErr != nil {
		t.Fatal(marshalErr)
	}
	var got map[string]any
	if err := json.Unmarshal(response, &got); err != nil {
		t.Fatal(err)
	}
	oneOf := "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"
	want := map[string]any{
		"code": 14.0, "name": "invalid declarative configuration",
		"message": `declarative config is invalid: {services={[2]={["a b"]="unknown field",port="value should be between 0 and 65535",routes={{["@entity"]={"` + oneOf + `"}}}}}}`,
		"fields": map[string]any{"services": []any{nil, map[string]any{
			"a b": "unknown field", "port": "value should be between 0 and 65535",
			"routes": []any{map[string]any{"@entity": []any{oneOf}}},
		}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestFlattenedResponse names the entity of each error.
func TestFlattenedResponse(t *testing.T) {
	_, err := load(t, `
_format_version: "3.0"
colours: []
services:
- {name: s, id: 5d2bad31-7b26-5a05-ac79-0bdcc5593fa3, tags: [x], host: h, port: -1, routes: [
    {name: r, paths: [a], plugins: [{name: tsx}]}]}`)
	response, marshalErr := json.Marshal(err.(*InvalidError).Response(true))
	if marshalErr != nil {
		t.Fatal(marshalErr)
	}
	var got map[string]any
	if err := json.Unmarshal(response, &got); err != nil {
		t.Fatal(err)
	}
	service := map[string]any{"id": "5d2bad31-7b26-5a05-ac79-0bdcc5593fa3"}
	want := []any{
		map[string]any{
			"entity_type": "plugin", "entity_name": "tsx", "entity": map[string]any{"name": "tsx"},
			"errors": []any{map[string]any{"type": "entity", "message": "exactly one of these fields must be non-empty: 'backends', 'split'"}},
		},
		map[string]any{
			"entity_type": "route", "entity_name": "r",
			"entity": map[string]any{"name": "r", "paths": []any{"a"}, "service": service},
			"errors": []any{map[string]any{
				"type": "field", "field": "paths.1",
				"message": "should start with: / (fixed path) or ~/ (regex path)",
			}},
		},
		map[string]any{
			"entity_type": "service", "entity_name": "s", "entity_id": service["id"], "entity_tags": []any{"x"},
			"entity": map[string]any{"name": "s", "id": service["id"], "tags": []any{"x"}, "host": "h", "port": -1.0},
			"errors": []any{map[string]any{"type": "field", "field": "port", "message": "value should be between 0 and 65535"}},
		},
	}
	if diff := cmp.Diff(want, got["flattened_errors"]); diff != "" {
		t.Error(diff)
	}
	if want := map[string]any{"colours": "unknown field"}; !cmp.Equal(want, got["fields"]) {
		t.Errorf("fields %v", got["fields"])
	}
}

var uuidInText = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// An empty table is an array or a map, whichever the field is to be.
func TestEmptyTables(t *testing.T) {
	const file = `{_format_version: "3.0", services: [{host: h, routes: [{name: r, paths: [/], hosts: T, methods: T, headers: T, snis: T}]}]}`
	var all []*Route
	for _, empty := range []string{"{}", "[]"} {
		c, err := load(t, strings.ReplaceAll(file, "T", empty))
		if err != nil {
			t.Fatalf("%s: %v", empty, err)
		}
		r := c.Routes[0]
		r.ID, r.Service, r.Row = "", nil, nil
		all = append(all, r)
	}
	if len(all[0].Hosts) != 0 || len(all[0].Headers) != 0 || len(all[0].Paths) != 1 {
		t.Errorf("of {}: %+v", all[0])
	}
	if diff := cmp.Diff(all[1], all[0]); diff != "" {
		t.Errorf("of [] (-) and of {} (+):\n%s", diff)
	}
}
