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
	mux := http.NewServeMux()
	for path, methods := range map[string]map[string]http.HandlerFunc{
		"/{$}":                      {"GET": g.adminRoot},
		"/config":                   {"GET": g.adminGetConfig, "POST": g.adminPostConfig},
		"/status":                   {"GET": g.adminStatus},
		"/schemas/plugins/validate": {"POST": g.adminValidatePlugin},
	} {
		mux.Handle(path, byMethod(methods))
	}
	for _, entity := range []string{"services", "routes", "plugins", "upstreams", "consumers"} {
		mux.Handle("/"+entity, g.adminList(entity))
		mux.Handle("/"+entity+"/{id}", g.adminRow(entity))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		adminAnswer(w, http.StatusNotFound, map[string]any{"message": "Not found"})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", serverTokens)
		w.Header().Set("Access-Control-Allow-Origin", cmp.Or(r.Header.Get("Origin"), "*"))
		mux.ServeHTTP(w, r)
	})
}

// byMethod answers other methods as Kong does.
func byMethod(methods map[string]http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if h, ok := methods[method]; ok {
			h(w, r)
			return
		}
		adminAnswer(w, http.StatusMethodNotAllowed, map[string]any{"message": "Method not allowed"})
	})
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
		adminAnswer(w, http.StatusInternalServerError, map[string]any{"message": "An unexpected error occurred"})
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
func (g *Gateway) adminList(entity string) http.Handler {
	return byMethod(map[string]http.HandlerFunc{
		"GET": func(w http.ResponseWriter, _ *http.Request) {
			rows := g.current.Load().config.Rows[entity]
			if rows == nil {
				rows = []map[string]any{}
			}
			adminAnswer(w, http.StatusOK, map[string]any{"data": rows, "next": nil})
		},
		"POST": readOnly("create", entity),
	})
}

// adminRow is one row, by its id or name.
func (g *Gateway) adminRow(entity string) http.Handler {
	return byMethod(map[string]http.HandlerFunc{
		"GET": func(w http.ResponseWriter, r *http.Request) {
			wanted := r.PathValue("id")
			for _, row := range g.current.Load().config.Rows[entity] {
				if row["id"] == wanted || row["username"] == wanted || entity != "plugins" && row["name"] == wanted {
					adminAnswer(w, http.StatusOK, row)
					return
				}
			}
			adminAnswer(w, http.StatusNotFound, map[string]any{"message": "Not found"})
		},
		"PUT":    readOnly("create or update", entity),
		"PATCH":  readOnly("update", entity),
		"DELETE": readOnly("remove", entity),
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

func (g *Gateway) adminValidatePlugin(w http.ResponseWriter, r *http.Request) {
	var row map[string]any
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxConfig)).Decode(&row); err != nil || row == nil {
		adminAnswer(w, http.StatusBadRequest, map[string]any{"message": "Cannot parse JSON body"})
		return
	}
	g.reloading.Lock()
	loader := g.loader
	g.reloading.Unlock()
	if errs := loader.CheckPlugin(row); errs != nil {
		adminAnswer(w, http.StatusBadRequest, declarative.SchemaViolation(errs))
		return
	}
	adminAnswer(w, http.StatusOK, map[string]any{"message": "schema validation successful"})
}

// isTruthy reports whether a flag in a query is set.
func isTruthy(value string) bool {
	return slices.Contains([]string{"true", "1", "on", "yes"}, strings.ToLower(value))
}
