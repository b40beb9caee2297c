package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// Node is what a node of Kong's says of itself.
type Node struct {
	Version string `json:"version"`
	Plugins struct {
		Available map[string]Available `json:"available_on_server"`
		Enabled   any                  `json:"enabled_in_cluster"` // an empty list is an object
	} `json:"plugins"`
	Pids struct {
		Workers []int `json:"workers"`
	} `json:"pids"`
	Configuration Configuration `json:"configuration"`
}

// Workers returns how many workers a node has; 0: it does not say so.
func (n *Node) Workers() int { return len(n.Pids.Workers) }

// Available is a plugin that a node has.
type Available struct {
	Version  string `json:"version"`
	Priority int    `json:"priority"`
}

// Configuration is the part of kong.conf that matters to us.
type Configuration struct {
	Database       string `json:"database"`
	RouterFlavor   string `json:"router_flavor"`
	LogLevel       string `json:"log_level"`
	UntrustedLua   string `json:"untrusted_lua"`
	SocketPoolSize int    `json:"lua_socket_pool_size"` // connections that a worker keeps
	// PluginServers is an empty object where there are none.
	PluginServers PluginServers `json:"pluginservers"`
}

// PluginServer is one that kong.conf names.
type PluginServer struct {
	Name         string `json:"name"`
	Socket       string `json:"socket"`
	StartCommand string `json:"start_command"`
	QueryCommand string `json:"query_command"`
}

// PluginServers are those of kong.conf.
type PluginServers []PluginServer

// UnmarshalJSON implements [json.Unmarshaler]: an empty list of Lua's is an object.
func (p *PluginServers) UnmarshalJSON(text []byte) error {
	var list []PluginServer
	if err := json.Unmarshal(text, &list); err == nil {
		*p = list
	}
	return nil
}

// Node asks a node for what it says of itself, on a connection of its own, so that any of its
// workers answers.
func (c *Client) Node(ctx context.Context) (*Node, error) {
	var node Node
	once := *c
	once.once = true
	err := once.do(ctx, http.MethodGet, "/", nil, &node)
	return &node, err
}

// Connections returns how many connections a node has at the moment.
func (c *Client) Connections(ctx context.Context) (int, error) {
	var answer struct {
		Server struct {
			Active int `json:"connections_active"`
		} `json:"server"`
	}
	err := c.do(ctx, http.MethodGet, "/status", nil, &answer)
	return answer.Server.Active, err
}

// Schema returns the schema that Kong has of a plugin's rows; nil: it does not know the plugin.
func (c *Client) Schema(ctx context.Context, plugin string) (json.RawMessage, error) {
	var schema json.RawMessage
	err := c.do(ctx, http.MethodGet, "/schemas/plugins/"+url.PathEscape(plugin), nil, &schema)
	if refused(err, http.StatusNotFound) {
		return nil, nil
	}
	return schema, err
}

// Rows returns all rows of a plugin.
func (c *Client) Rows(ctx context.Context, plugin string) ([]Row, error) { return c.rows(ctx, plugin) }

// Route is a route, as far as it says which split of a split file is its own.
type Route struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Service *reference `json:"service"`
}

// Routes returns all routes.
func (c *Client) Routes(ctx context.Context) ([]Route, error) { return pages[Route](ctx, c, "routes") }

// Health is the health of one target of an Upstream: HEALTHY, UNHEALTHY, DNS_ERROR or
// HEALTHCHECKS_OFF.
type Health struct {
	Target string  `json:"target"`
	Health string  `json:"health"`
	Weight float64 `json:"weight"`
}

// ErrNoUpstream says that Kong has no Upstream of a name.
var ErrNoUpstream = errors.New("there is no Upstream of that name in Kong")

// UpstreamHealth returns the health of an Upstream's targets.
func (c *Client) UpstreamHealth(ctx context.Context, name string) ([]Health, error) {
	var answer struct {
		Data json.RawMessage `json:"data"`
	}
	err := c.do(ctx, http.MethodGet, "/upstreams/"+url.PathEscape(name)+"/health", nil, &answer)
	if refused(err, http.StatusNotFound) {
		return nil, ErrNoUpstream
	}
	var all []Health
	_ = json.Unmarshal(answer.Data, &all) // an empty list of Lua's is an object
	return all, err
}
