package standin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// admin does a request of the Admin API and returns status and decoded body.
func admin(t *testing.T, g *Gateway, method, path, contentType, body string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+g.AdminAddr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &decoded); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return response.StatusCode, decoded
}

func TestAdminRoot(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	status, root := admin(t, g, "GET", "/", "", "")
	if status != 200 || root["version"] != "3.9.3" {
		t.Errorf("got %d %v", status, root)
	}
	want := map[string]any{
		"enabled_in_cluster": []any{"fake"},
		"available_on_server": map[string]any{
			"fake":     map[string]any{"version": "1.0", "priority": 10.0},
			"key-auth": map[string]any{"version": "3.9.3", "priority": 1250.0},
			"file-log": map[string]any{"version": "3.9.3", "priority": 9.0},

			"post-function":        map[string]any{"version": "3.9.3", "priority": -1000.0},
			"redirect":             map[string]any{"version": "3.9.3", "priority": 779.0},
			"request-termination":  map[string]any{"version": "3.9.3", "priority": 2.0},
			"request-transformer":  map[string]any{"version": "3.9.3", "priority": 801.0},
			"response-transformer": map[string]any{"version": "3.9.3", "priority": 800.0},
		},
	}
	if diff := cmp.Diff(want, root["plugins"]); diff != "" {
		t.Error(diff)
	}
}

// TestAdminRootOfWorkerZero is a mistake of Kong 3.9 with start_cmd.
func TestAdminRootOfWorkerZero(t *testing.T) {
	p := servePlugin(t, nil)
	servers := p.server()
	servers[0].StartCmd = "sleep 100"
	g := startGateway(t, `_format_version: "3.0"`, Options{PluginServers: servers, Workers: 2})
	seen := map[int]int{}
	for range 4 {
		status, _ := admin(t, g, "GET", "/", "", "")
		seen[status]++
	}
	if seen[200] != 2 || seen[500] != 2 {
		t.Errorf("got %v", seen)
	}
}

func TestAdminAnswers(t *testing.T) {
	b := startBackend(t, "b")
	g := startGateway(t, oneRoute(b.URL, "", ""), Options{})
	for _, tt := range []struct {
		method, path string
		status       int
		key          string
		want         any
	}{
		{"GET", "/nothing", 404, "message", "Not found"},
		{"DELETE", "/config", 405, "message", "Method not allowed"},
		{"POST", "/services", 405, "message", "cannot create 'services' entities when not using a database"},
		{"DELETE", "/routes/route", 405, "message", "cannot remove 'routes' entities when not using a database"},
		{"GET", "/routes/route", 200, "name", "route"},
		{"GET", "/routes/none", 404, "message", "Not found"},
		{"GET", "/upstreams", 200, "next", nil},
		{"GET", "/status", 200, "database", map[string]any{"reachable": true}},
	} {
		status, body := admin(t, g, tt.method, tt.path, "", "")
		if status != tt.status || !cmp.Equal(body[tt.key], tt.want) {
			t.Errorf("%s %s: got %d %v", tt.method, tt.path, status, body)
		}
	}
	_, body := admin(t, g, "GET", "/services", "", "")
	rows, _ := body["data"].([]any)
	if len(rows) != 1 || rows[0].(map[string]any)["name"] != "service" {
		t.Errorf("GET /services: got %v", body)
	}
}

// TestPostConfig sends a configuration in every way that Kong takes.
func TestPostConfig(t *testing.T) {
	b := startBackend(t, "b")
	g := startGateway(t, `_format_version: "3.0"`, Options{})
	config := oneRoute(b.URL, "", "")
	asJSON, err := json.Marshal(map[string]any{
		"_format_version": "3.0",
		"services": []any{map[string]any{
			"name": "service", "url": b.URL, "routes": []any{map[string]any{"name": "route", "paths": []any{"/r"}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	inField, err := json.Marshal(map[string]string{"config": config})
	if err != nil {
		t.Fatal(err)
	}
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	part, err := parts.CreateFormFile("config", "kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(part, config)
	_ = parts.Close()
	for _, tt := range []struct{ name, contentType, body string }{
		{"a field of JSON", "application/json", string(inField)},
		{"JSON", "application/json", string(asJSON)},
		{"a field of a form", "application/x-www-form-urlencoded", url.Values{"config": {config}}.Encode()},
		{"a file of a form", parts.FormDataContentType(), form.String()},
		{"YAML", "text/yaml", config},
		{"YAML that says to be a form", "application/x-www-form-urlencoded", config},
	} {
		t.Run(tt.name, func(t *testing.T) {
			postConfig(t, g, `_format_version: "3.0"`)
			status, body := admin(t, g, "POST", "/config", tt.contentType, tt.body)
			if status != http.StatusCreated {
				t.Fatalf("got %d %v", status, body)
			}
			if response, _ := fetch(t, g, "GET", "/r"); response.StatusCode != 200 {
				t.Errorf("got %s", response.Status)
			}
		})
	}
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
		message                 string
	}{
		{"nothing", "text/yaml", "", 400, "expected a declarative configuration"},
		{"an empty table", "application/json", "{}", 400, `declarative config is invalid: {_format_version="required field missing"}`},
		{"no JSON", "application/json", "{", 400, "Cannot parse JSON body"},
		{"no type", "", "x", 415, "Unsupported media type"},
		{"another type", "image/png", "x", 415, "Unsupported media type"},
		{"no table", "text/yaml", "3", 400, `declarative config is invalid: {error="failed parsing declarative configuration: expected an object"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := admin(t, g, "POST", "/config", tt.contentType, tt.body); status != tt.status || body["message"] != tt.message {
				t.Errorf("got %d %v", status, body)
			}
		})
	}
}

// TestConfigThatIsRefused leaves the old one at work.
func TestConfigThatIsRefused(t *testing.T) {
	b := startBackend(t, "b")
	g := startGateway(t, oneRoute(b.URL, "", ""), Options{})
	status, body := admin(t, g, "POST", "/config?flatten_errors=1", "text/yaml",
		oneRoute(b.URL, "", "plugins: [{name: key-auth, config: {colour: blue}}, {name: none}]"))
	want := map[string]any{
		"code": 14.0, "name": "invalid declarative configuration", "message": "declarative config is invalid: {}",
		"fields": map[string]any{},
		"flattened_errors": []any{
			map[string]any{
				"entity_type": "plugin", "entity_name": "key-auth",
				"entity": map[string]any{"name": "key-auth", "config": map[string]any{"colour": "blue"}},
				"errors": []any{map[string]any{"type": "field", "field": "config.colour", "message": "unknown field"}},
			},
			map[string]any{
				"entity_type": "plugin", "entity_name": "none", "entity": map[string]any{"name": "none"},
				"errors": []any{map[string]any{
					"type": "field", "field": "name",
					"message": "plugin 'none' not enabled; add it to the 'plugins' configuration property",
				}},
			},
		},
	}
	if diff := cmp.Diff(want, body); status != 400 || diff != "" {
		t.Errorf("status %d\n%s", status, diff)
	}
	if response, _ := fetch(t, g, "GET", "/r"); response.StatusCode != 200 {
		t.Errorf("got %s afterwards", response.Status)
	}
}

func TestConfigComesBack(t *testing.T) {
	b := startBackend(t, "b")
	g := startGateway(t, oneRoute(b.URL, "retries: 3", "plugins: [{name: key-auth}]")+
		"consumers: [{username: ann, keyauth_credentials: [{key: k}]}]", Options{})
	before := g.current.Load().config.Rows
	_, body := admin(t, g, "GET", "/config", "", "")
	text, _ := body["config"].(string)
	postConfig(t, g, text)
	loaded := cmpopts.IgnoreMapEntries(func(field string, _ any) bool { return field == "updated_at" })
	if diff := cmp.Diff(before, g.current.Load().config.Rows, loaded); diff != "" {
		t.Errorf("it is another one:\n%s", diff)
	}
}

func TestCheckHash(t *testing.T) {
	g := startGateway(t, `_format_version: "3.0"`, Options{})
	config := `_format_version: "3.0"` + "\n# another"
	for i, want := range []int{201, 304, 201} {
		path := "/config?check_hash=1"
		if i == 2 {
			path = "/config"
		}
		if status, _ := admin(t, g, "POST", path, "text/yaml", config); status != want {
			t.Errorf("post %d: got %d, want %d", i+1, status, want)
		}
	}
}

func TestValidatePlugin(t *testing.T) {
	g := startGateway(t, `_format_version: "3.0"`, Options{})
	for body, want := range map[string]string{
		`{"name":"key-auth","config":{"key_names":["k"]}}`: "schema validation successful",
		`{"name":"key-auth","config":{"key_names":3}}`:     "schema violation (config.key_names: expected an array)",
		`{"name":"none"}`: "schema violation (name: plugin 'none' not enabled; add it to the 'plugins' configuration property)",
		`[]`:              "Cannot parse JSON body",
	} {
		if _, answer := admin(t, g, "POST", "/schemas/plugins/validate", "application/json", body); answer["message"] != want {
			t.Errorf("%s: got %v", body, answer)
		}
	}
}

// TestConfigUnderLoad changes the configuration while requests come: each of
// them sees the old or the new one.
func TestConfigUnderLoad(t *testing.T) {
	a, b := startBackend(t, "a"), startBackend(t, "b")
	p := servePlugin(t, saysHeader)
	g := startGateway(t, fakeRoute(a), Options{Workers: 4, PluginServers: p.server()})
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			c := dialRaw(t, g)
			for {
				select {
				case <-stop:
					return
				default:
				}
				response, body := c.send("GET /r HTTP/1.1", "Host: h")
				if response.StatusCode != 200 || response.Header.Get("X-Fake") != "ran" ||
					!strings.HasPrefix(body, "a GET / "+a.address()) && !strings.HasPrefix(body, "b GET / "+b.address()) {
					t.Errorf("got %s %q", response.Status, body)
				}
			}
		})
	}
	go func() { // the backends tell more than they have room for
		for {
			select {
			case <-a.last:
			case <-b.last:
			case <-stop:
				return
			}
		}
	}()
	for i := range 20 {
		postConfig(t, g, fakeRoute([]*backend{b, a}[i%2]))
		if i%4 == 0 {
			if err := g.Reload(); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	load.Wait()
	if len(p.noted("start")) < 8 {
		t.Errorf("started only %v", fmt.Sprint(p.noted("start")))
	}
}

// What decK asks for: pages, tags, targets, schemas, validation.
func TestAdminForDeck(t *testing.T) {
	p := servePlugin(t, nil)
	g := startGateway(t, `
_format_version: "3.0"
services:
- {name: a, host: a, tags: [x, y]}
- {name: b, host: b, tags: [x]}
- {name: c, host: c, tags: [z]}
routes:
- {name: r, paths: [/], service: a}
upstreams:
- {name: up, targets: [{target: "h:1", weight: 3}]}
- {name: empty}
`, Options{PluginServers: p.server()})
	names := func(path string) (all []string) {
		for path != "" {
			status, page := admin(t, g, "GET", path, "", "")
			if status != http.StatusOK {
				t.Fatalf("GET %s: status %d", path, status)
			}
			for _, row := range page["data"].([]any) {
				name := row.(map[string]any)["name"]
				if name == nil {
					name = row.(map[string]any)["target"]
				}
				all = append(all, name.(string))
			}
			path, _ = page["next"].(string)
		}
		return all
	}
	for path, want := range map[string][]string{
		"/services?size=1":           {"a", "b", "c"},
		"/services?size=2&tags=x/z":  {"a", "b", "c"},
		"/services?tags=x,y":         {"a"},
		"/services?tags=none":        nil,
		"/upstreams/up/targets":      {"h:1"},
		"/upstreams/empty/targets":   nil,
		"/upstreams/up/health":       {"h:1"},
		"/certificates?size=1000":    nil,
		"/ca_certificates?tags=shop": nil,
	} {
		if got := names(path); !slices.Equal(got, want) {
			t.Errorf("GET %s: %q, want %q", path, got, want)
		}
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
		message            string
	}{
		{"GET", "/services?size=0", "", 400, "size must be an integer between 1 and 1000"},
		{"GET", "/services?size=x", "", 400, "size must be a number"},
		{"GET", "/services?offset=x", "", 400, "'x' is not a valid offset: bad base64 encoding"},
		{"GET", "/services?tags=a,,b", "", 400, "invalid option (tags: invalid filter syntax)"},
		{"GET", "/routes?tags=x", "", 500, "An unexpected error occurred"}, // the route has none
		{"GET", "/upstreams/none/targets", "", 404, "Not found"},
		{"GET", "/upstreams/none/health", "", 404, "Not found"},
		{"GET", "/filter-chains", "", 400, "this endpoint is only available when wasm is enabled"},
		{"GET", "/schemas/none", "", 404, "No entity named 'none'"},
		{"GET", "/schemas/plugins/none", "", 404, "No plugin named 'none'"},
		{"GET", "/schemas/routes/validate", "", 405, "Method not allowed"},
		{"POST", "/schemas/routes", "", 405, "Method not allowed"},
		{"POST", "/schemas/targets/validate", `{}`, 400, "2 schema violations (target: required field missing; upstream: required field missing)"},
		{"POST", "/schemas/services/validate", `{"host":"a"}`, 200, "schema validation successful"},
		{"POST", "/schemas/consumers/validate", `{"username":"ann"}`, 200, "schema validation successful"},
		{"POST", "/schemas/none/validate", `{}`, 404, "No entity named 'none'"},
		{"POST", "/schemas/services/validate", `x`, 400, "Cannot parse JSON body"},
	} {
		if status, answer := admin(t, g, tt.method, tt.path, "application/json", tt.body); status != tt.status || answer["message"] != tt.message {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.path, status, answer["message"], tt.status, tt.message)
		}
	}
	_, schema := admin(t, g, "GET", "/schemas/services", "", "")
	for _, f := range schema["fields"].([]any) {
		for name, field := range f.(map[string]any) {
			field := field.(map[string]any)
			if name == "retries" && field["default"] != 5.0 || field["custom_validator"] != nil {
				t.Errorf("services.%s is %v", name, field)
			}
		}
	}
}
