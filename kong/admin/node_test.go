package admin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"kong-traffic-split/kong/admin"
)

// Lua writes an empty list as an object.
func TestNode(t *testing.T) {
	answers := map[string]string{
		"/":                         `{"version":"3.9.3","plugins":{"available_on_server":{"p":{"version":"1","priority":20}},"enabled_in_cluster":{}},"pids":{"workers":[1,2]},"configuration":{"router_flavor":"expressions","pluginservers":{}}}`,
		"/status":                   `{"server":{"connections_active":7}}`,
		"/schemas/plugins/p":        `{"fields":[]}`,
		"/upstreams/up/health":      `{"data":[{"target":"a:1","health":"HEALTHY","weight":3}]}`,
		"/upstreams/nothing/health": `{"data":{}}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answers[r.URL.Path] == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, answers[r.URL.Path])
	}))
	defer server.Close()
	c := &admin.Client{URL: server.URL}
	node, err := c.Node(t.Context())
	if err != nil || node.Version != "3.9.3" || node.Plugins.Available["p"].Priority != 20 || node.Workers() != 2 || len(node.Configuration.PluginServers) != 0 {
		t.Errorf("%+v, %v", node, err)
	}
	if n, err := c.Connections(t.Context()); n != 7 || err != nil {
		t.Errorf("%d connections, %v", n, err)
	}
	if schema, err := c.Schema(t.Context(), "p"); string(schema) != `{"fields":[]}` || err != nil {
		t.Errorf("the schema %s, %v", schema, err)
	}
	if schema, err := c.Schema(t.Context(), "q"); schema != nil || err != nil {
		t.Errorf("the schema %s of a plugin that is not there, %v", schema, err)
	}
	if health, err := c.UpstreamHealth(t.Context(), "up"); len(health) != 1 || health[0] != (admin.Health{Target: "a:1", Health: "HEALTHY", Weight: 3}) || err != nil {
		t.Errorf("%+v, %v", health, err)
	}
	if health, err := c.UpstreamHealth(t.Context(), "nothing"); len(health) != 0 || err != nil {
		t.Errorf("%+v, %v", health, err)
	}
	if _, err := c.UpstreamHealth(t.Context(), "gone"); err != admin.ErrNoUpstream {
		t.Errorf("an Upstream that is not there: %v", err)
	}
}
