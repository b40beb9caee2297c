package standin

import (
	"maps"
	"slices"

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
	for _, want := range [][3]string{
		{route, service, consumer},
		{route, "", consumer},
		{"", service, consumer},
		{route, service, ""},
		{"", "", consumer},
		{route, "", ""},
		{"", service, ""},
		{"", "", ""},
	} {
		for _, row := range v.rows[plugin] {
			if idOf(row.plugin.Route) == want[0] && idOf(row.plugin.Service) == want[1] &&
				idOf(row.plugin.Consumer) == want[2] {
				return row
			}
		}
	}
	return nil
}

func idOf(ref *declarative.Ref) string {
	if ref == nil {
		return ""
	}
	return ref.ID
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
