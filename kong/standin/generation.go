package standin

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"kong-traffic-split/kong/declarative"
)

// A generation is all that follows from one configuration. Each request sees
// one whole generation.
type generation struct {
	config       *declarative.Config
	hash         string // of the configuration's text
	handlers     []*handler
	router       *router
	streamRouter *router
	views        []*view // one for each worker of http
	streamViews  []*view // likewise
}

// A view is what one worker has of a generation.
type view struct {
	worker    *worker
	rows      map[string][]*pluginRow // by plugin
	balancers map[string]*balancer    // by the name of their Upstream
}

// pluginRow is a plugin's row with the config that a worker's instance gets.
type pluginRow struct {
	plugin *declarative.Plugin
	seq    int
	config map[string]any
}

// newGeneration makes a generation for the present workers.
func (g *Gateway) newGeneration(config *declarative.Config, hash string) *generation {
	return &generation{
		config: config, hash: hash, handlers: g.handlers,
		router: newRouter(config), streamRouter: newStreamRouter(config),
		views:       newViews(config, &g.http, isHTTP),
		streamViews: newViews(config, &g.streams, isStream),
	}
}

// newViews makes the views of a subsystem's workers, with the rows for its
// protocols.
func newViews(config *declarative.Config, s *subsystem, belongs func(protocols ...string) bool) []*view {
	var views []*view
	for _, w := range s.workers {
		v := &view{worker: w, rows: map[string][]*pluginRow{}, balancers: map[string]*balancer{}}
		for _, plugin := range config.Plugins {
			if plugin.Enabled && belongs(plugin.Protocols...) {
				v.rows[plugin.Name] = append(v.rows[plugin.Name], newPluginRow(plugin, int(s.seq.Add(1))))
			}
		}
		for _, upstream := range config.Upstreams {
			v.balancers[upstream.Name] = newBalancer(upstream)
		}
		views = append(views, v)
	}
	return views
}

// newPluginRow adds to a config what Kong adds.
func newPluginRow(plugin *declarative.Plugin, seq int) *pluginRow {
	config := maps.Clone(plugin.Config)
	ids := map[string]string{}
	for name, ref := range map[string]*declarative.Ref{
		"route": plugin.Route, "service": plugin.Service, "consumer": plugin.Consumer,
	} {
		if ref != nil {
			ids[name] = ref.ID
			config[name+"_id"] = ref.ID
		}
	}
	if plugin.InstanceName != "" {
		config["plugin_instance_name"] = plugin.InstanceName
	}
	config["__plugin_id"] = plugin.ID
	config["__ws_id"] = declarative.DefaultWorkspace
	config["__key__"] = "plugins:" + plugin.Name + ":" + ids["route"] + ":" + ids["service"] + ":" +
		ids["consumer"] + "::" + declarative.DefaultWorkspace
	config["__seq__"] = seq
	return &pluginRow{plugin: plugin, seq: seq, config: config}
}

// rowFor returns the row of a plugin that applies to a request: the most specific
// one.
func (v *view) rowFor(plugin, route, service, consumer string) *pluginRow {
	for _, want := range declarative.Scopes(route, service, consumer) {
		for _, row := range v.rows[plugin] {
			if row.plugin.Scope() == want {
				return row
			}
		}
	}
	return nil
}

// isHTTP and isStream report whether one of the protocols belongs to the subsystem.
func isHTTP(protocols ...string) bool {
	return slices.ContainsFunc(protocols, func(p string) bool {
		return slices.Contains([]string{"http", "https", "grpc", "grpcs"}, p)
	})
}

func isStream(protocols ...string) bool {
	return slices.ContainsFunc(protocols, func(p string) bool {
		return slices.Contains([]string{"tcp", "tls", "tls_passthrough", "udp"}, p)
	})
}

// A subsystem is one of nginx's, http or stream. Kong runs in each of them on its
// own: a worker of nginx has a Lua VM for each, and each numbers the plugin rows
// from 1.
type subsystem struct {
	workers []*worker
	seq     atomic.Int64 // of plugin rows, over all workers and reloads
}

// A worker stands for one of nginx's in one subsystem: it has connections to the
// plugin servers and instances of its own. Each connection of a client belongs to
// a worker.
type worker struct {
	gateway   *Gateway
	id        int
	instances instances
	clients   map[string]*rpcClient // by plugin

	mu       sync.Mutex
	closing  bool
	requests sync.WaitGroup // in flight, log phases included
}

// newWorkers makes the workers of one subsystem.
func newWorkers(g *Gateway) []*worker {
	all := make([]*worker, g.Workers)
	for i := range all {
		all[i] = newWorker(g, i, g.handlers)
	}
	return all
}

func newWorker(g *Gateway, id int, handlers []*handler) *worker {
	w := &worker{
		gateway: g, id: id,
		instances: instances{byRow: map[string]*instance{}},
		clients:   map[string]*rpcClient{},
	}
	for _, h := range handlers {
		if h.external != nil {
			w.clients[h.name] = &rpcClient{pool: newPool(h.external.server.Socket), log: g.log}
		}
	}
	return w
}

func (w *worker) client(p *externalPlugin) *rpcClient { return w.clients[p.name] }

// enter begins a request, which has to end with requests.Done. It returns false
// where the worker takes no more.
func (w *worker) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return false
	}
	w.requests.Add(1)
	return true
}

// close waits for the worker's requests and closes its connections. When ctx
// ends, it waits no longer for the plugin servers.
func (w *worker) close(ctx context.Context) {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	stop := context.AfterFunc(ctx, w.disconnect)
	w.requests.Wait()
	stop()
	w.disconnect()
}

// disconnect closes all connections to the plugin servers, used ones too.
func (w *worker) disconnect() {
	for _, c := range w.clients {
		c.pool.close()
	}
}
