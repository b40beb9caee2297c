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
		"GET /{$}":                       g.adminRoot,
		"GET /config":                    g.adminGetConfig,
		"POST /config":                   g.adminPostConfig,
		"GET /status":                    g.adminStatus,
		"POST /schemas/plugins/validate": g.adminValidatePlugin,
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
	others := map[string]bool{}
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, handler)
		if _, path, _ := strings.Cut(pattern, " "); !others[path] {
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
	hostname, _ := os.Hostname() // empty where it is unknown
	adminAnswer(w, http.StatusOK, map[string]any{
		"tagline": "Welcome to kong", "version": version, "edition": "community",
		"hostname": hostname, "node_id": g.nodeID, "lua_version": runtime.Version(),
		"plugins": map[string]any{"available_on_server": available, "enabled_in_cluster": inUse},
		"pids":    map[string]any{"master": os.Getpid()},
		"configuration": map[string]any{
			"database": "off", "router_flavor": "traditional_compatible", "role": "traditional",
			"prefix": g.Prefix, "log_level": levelNames[g.level], "declarative_config": g.DeclarativeConfig,
			"nginx_worker_processes": g.Workers, "plugins": g.Plugins,
			"proxy_listen": list(g.ProxyListen), "admin_listen": list(g.AdminListen),
		},
	})
}

func (g *Gateway) adminStatus(w http.ResponseWriter, _ *http.Request) {
	accepted := g.connections.Load()
	adminAnswer(w, http.StatusOK, map[string]any{
		"database":           map[string]any{"reachable": true},
		"server":             map[string]any{"connections_accepted": accepted, "connections_handled": accepted},
		"configuration_hash": g.current.Load().hash,
	})
}

// adminList lists the rows of an entity. They cannot be changed one by one.
func (g *Gateway) adminList(entity string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		rows := append([]map[string]any{}, g.current.Load().config.Rows[entity]...)
		adminAnswer(w, http.StatusOK, map[string]any{"data": rows, "next": nil})
	}
}

// adminRow is one row, by its id or name.
func (g *Gateway) adminRow(entity string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		wanted := r.PathValue("id")
		for _, row := range g.current.Load().config.Rows[entity] {
			if row["id"] == wanted || row["username"] == wanted || entity != "plugins" && row["name"] == wanted {
				adminAnswer(w, http.StatusOK, row)
				return
			}
		}
		adminMessage(w, http.StatusNotFound, "Not found")
	}
}

func readOnly(verb, entity string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		adminAnswer(w, http.StatusMethodNotAllowed, map[string]any{
			"code": 12, "name": "operation unsupported",
			"message": "cannot " + verb + " '" + entity + "' entities when not using a database",
		})
	}
}

func (g *Gateway) adminValidatePlugin(w http.ResponseWriter, r *http.Request) {
	var row map[string]any
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxConfig)).Decode(&row); err != nil || row == nil {
		adminMessage(w, http.StatusBadRequest, "Cannot parse JSON body")
		return
	}
	g.reloading.Lock()
	loader := g.loader
	g.reloading.Unlock()
	if errs := loader.CheckPlugin(row); errs != nil {
		adminAnswer(w, http.StatusBadRequest, declarative.SchemaViolation(errs))
		return
	}
	adminMessage(w, http.StatusOK, "schema validation successful")
}

// isTruthy reports whether a flag in a query is set.
func isTruthy(value string) bool {
	return slices.Contains([]string{"true", "1", "on", "yes"}, strings.ToLower(value))
}
