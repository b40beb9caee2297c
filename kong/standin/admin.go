package standin

import (
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
)

// adminHandler serves the part of Kong's Admin API that a DB-less node has and
// that tools such as decK ask for.
func (g *Gateway) adminHandler() http.Handler {
	routes := map[string]http.HandlerFunc{
		"GET /{$}":                        g.adminRoot,
		"GET /config":                     g.adminGetConfig,
		"POST /config":                    g.adminPostConfig,
		"GET /status":                     g.adminStatus,
		"GET /schemas/{entity}":           g.adminSchema,
		"POST /schemas/{entity}/validate": g.adminValidate,
		"GET /schemas/plugins/{plugin}":   g.adminPluginSchema,
		"GET /upstreams/{id}/targets":     g.adminTargets,
		"GET /upstreams/{id}/health":      g.adminHealth,
		"GET /filter-chains":              adminRefusal(http.StatusBadRequest, "this endpoint is only available when wasm is enabled"),
	}
	// What the stand-in has none of.
	for _, path := range []string{"ca_certificates", "certificates", "key-sets", "keys", "snis", "vaults"} {
		routes["GET /"+path] = g.adminList("")
	}
	if slices.Contains(declarative.Enabled(g.Plugins), "key-auth") {
		routes["GET /key-auths"] = g.adminList("keyauth_credentials")
	}
	for _, entity := range []string{"services", "routes", "plugins", "upstreams", "consumers"} {
		routes["GET /"+entity] = g.adminList(entity)
		routes["POST /"+entity] = readOnly("create", entity)
		routes["GET /"+entity+"/{id}"] = g.adminRow(entity)
		routes["PUT /"+entity+"/{id}"] = readOnly("create or update", entity)
		routes["PATCH /"+entity+"/{id}"] = readOnly("update", entity)
		routes["DELETE /"+entity+"/{id}"] = readOnly("remove", entity)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", adminRefusal(http.StatusNotFound, "Not found"))
	// Patterns for all methods, and the one of plugins' schemas, would both be for the same path.
	mux.HandleFunc("/schemas/", adminRefusal(http.StatusMethodNotAllowed, "Method not allowed"))
	others := map[string]bool{}
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, handler)
		if _, path, _ := strings.Cut(pattern, " "); !others[path] && !strings.HasPrefix(path, "/schemas/") {
			others[path] = true
			mux.HandleFunc(path, adminRefusal(http.StatusMethodNotAllowed, "Method not allowed"))
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", serverTokens)
		w.Header().Set("Access-Control-Allow-Origin", cmp.Or(r.Header.Get("Origin"), "*"))
		mux.ServeHTTP(w, r)
	})
}

func adminRefusal(status int, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { adminMessage(w, status, message) }
}

func adminMessage(w http.ResponseWriter, status int, message string) {
	adminAnswer(w, status, map[string]any{"message": message})
}

func adminAnswer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"message":"An unexpected error occurred"}`)
	}
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may have gone
}

// adminRoot is GET /. With a plugin server that it starts itself, Kong 3.9
// fails where worker 0 gets the request, and so does this.
func (g *Gateway) adminRoot(w http.ResponseWriter, r *http.Request) {
	gen := g.current.Load()
	conn, _ := r.Context().Value(clientConnKey{}).(*clientConn)
	if conn.worker == 0 && slices.ContainsFunc(g.PluginServers, func(p PluginServer) bool { return p.StartCmd != "" }) {
		adminMessage(w, http.StatusInternalServerError, "An unexpected error occurred")
		return
	}
	available := map[string]any{}
	for _, h := range gen.handlers {
		available[h.name] = map[string]any{"version": h.version, "priority": h.priority}
	}
	inUse := []string{}
	for _, plugin := range gen.config.Plugins {
		if !slices.Contains(inUse, plugin.Name) {
			inUse = append(inUse, plugin.Name)
		}
	}
	pids := make([]int, g.Workers) // its workers are one process
	for i := range pids {
		pids[i] = os.Getpid()
	}
	hostname, _ := os.Hostname() // empty where it is unknown
	adminAnswer(w, http.StatusOK, map[string]any{
		"tagline": "Welcome to kong", "version": version, "edition": "community",
		"hostname": hostname, "node_id": g.nodeID, "lua_version": runtime.Version(),
		"plugins": map[string]any{"available_on_server": available, "enabled_in_cluster": inUse},
		"pids":    map[string]any{"master": os.Getpid(), "workers": pids},
		"configuration": map[string]any{
			"database": "off", "router_flavor": "traditional_compatible", "role": "traditional",
			"prefix": g.Prefix, "log_level": levelNames[g.level], "declarative_config": g.DeclarativeConfig,
			"nginx_worker_processes": g.Workers, "plugins": g.Plugins,
			"pluginservers": g.adminPluginServers(), "untrusted_lua": "sandbox", "lua_socket_pool_size": 256,
			"proxy_listen": list(g.ProxyListen), "admin_listen": list(g.AdminListen),
		},
	})
}

// adminPluginServers are those of kong.conf; like all empty lists of Lua's, an object where
// there are none.
func (g *Gateway) adminPluginServers() any {
	var all []any
	for _, p := range g.PluginServers {
		one := map[string]any{"name": p.Name, "socket": p.Socket, "protocol": "ProtoBuf:1"}
		if p.QueryCmd != "" {
			one["query_command"] = p.QueryCmd
		}
		if p.StartCmd != "" {
			one["start_command"] = p.StartCmd
		}
		all = append(all, one)
	}
	if all == nil {
		return map[string]any{}
	}
	return all
}

func (g *Gateway) adminStatus(w http.ResponseWriter, _ *http.Request) {
	accepted := g.connections.Load()
	adminAnswer(w, http.StatusOK, map[string]any{
		"database":           map[string]any{"reachable": true},
		"server":             map[string]any{"connections_accepted": accepted, "connections_handled": accepted, "connections_active": 1},
		"configuration_hash": g.current.Load().hash,
	})
}

func readOnly(verb, entity string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		adminAnswer(w, http.StatusMethodNotAllowed, map[string]any{
			"code": 12, "name": "operation unsupported",
			"message": "cannot " + verb + " '" + entity + "' entities when not using a database",
		})
	}
}

// isTruthy reports whether a flag in a query is set.
func isTruthy(value string) bool {
	return slices.Contains([]string{"true", "1", "on", "yes"}, strings.ToLower(value))
}
