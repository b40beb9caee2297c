package declarative

import (
	"encoding/json"
	"fmt"
)

// A Config is a declarative configuration that was checked: rows without
// nesting, in the order of the file, with all defaults.
type Config struct {
	Services    []*Service    `json:"services"`
	Routes      []*Route      `json:"routes"`
	Upstreams   []*Upstream   `json:"upstreams"`
	Consumers   []*Consumer   `json:"consumers"`
	Credentials []*Credential `json:"keyauth_credentials"`
	Plugins     []*Plugin     `json:"plugins"`

	// Flavor is that of the router for which it was checked.
	Flavor Flavor `json:"-"`
	// Rows are all rows by entity, with all fields; null is nil.
	Rows map[string][]map[string]any `json:"-"`
}

// Ref is a reference to another entity.
type Ref struct {
	ID string `json:"id"`
}

// A Service is what routes proxy to. Timeouts are in milliseconds.
type Service struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	Protocol       string `json:"protocol"`
	Host           string `json:"host"`
	Port           int    `json:"port"`
	Path           string `json:"path"`
	Retries        *int   `json:"retries"`
	ConnectTimeout int    `json:"connect_timeout"`
	WriteTimeout   int    `json:"write_timeout"`
	ReadTimeout    int    `json:"read_timeout"`
	Enabled        bool   `json:"enabled"`

	Row map[string]any `json:"-"`
}

// A Route says which requests go to a Service.
type Route struct {
	ID                      string              `json:"id"`
	Name                    string              `json:"name"`
	Protocols               []string            `json:"protocols"`
	Methods                 []string            `json:"methods"`
	Hosts                   []string            `json:"hosts"`
	Paths                   []string            `json:"paths"`
	Headers                 map[string][]string `json:"headers"`
	SNIs                    []string            `json:"snis"`
	Sources                 []Address           `json:"sources"`
	Destinations            []Address           `json:"destinations"`
	StripPath               bool                `json:"strip_path"`
	PreserveHost            bool                `json:"preserve_host"`
	RegexPriority           int                 `json:"regex_priority"`
	HTTPSRedirectStatusCode int                 `json:"https_redirect_status_code"`
	Expression              *string             `json:"expression"` // flavor expressions only, as the next
	Priority                uint64              `json:"priority"`
	Service                 *Ref                `json:"service"`

	Row map[string]any `json:"-"`
}

// An Address says where a connection comes from or goes to: it has an IP address
// or a CIDR block, a port, or both.
type Address struct {
	IP   string `json:"ip"`
	Port *int   `json:"port"`
}

// An Upstream is a virtual host name with targets behind it.
type Upstream struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Algorithm  string   `json:"algorithm"`
	HostHeader string   `json:"host_header"`
	Targets    []Target `json:"-"`
}

// A Target is a member of an Upstream: a host and a port.
type Target struct {
	Host   string
	Port   int
	Weight int
}

// A Consumer is who makes requests.
type Consumer struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	CustomID string `json:"custom_id"`

	Row map[string]any `json:"-"`
}

// A Credential is a consumer's key.
type Credential struct {
	ID       string `json:"id"`
	Key      string `json:"key"`
	Consumer Ref    `json:"consumer"`

	Row map[string]any `json:"-"`
}

// A Plugin is one row: a plugin with a config and where it applies.
type Plugin struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	InstanceName string   `json:"instance_name"`
	Enabled      bool     `json:"enabled"`
	Protocols    []string `json:"protocols"`
	Route        *Ref     `json:"route"`
	Service      *Ref     `json:"service"`
	Consumer     *Ref     `json:"consumer"`

	// Config is what the plugin gets: without what is null, and with vault
	// references resolved.
	Config map[string]any `json:"-"`
}

func newConfig(s *schemas, rows map[string][]map[string]any) (*Config, error) {
	c := &Config{Rows: rows, Flavor: s.flavor}
	text, err := json.Marshal(rows)
	if err == nil {
		err = json.Unmarshal(text, c)
	}
	if err != nil {
		return nil, err
	}
	for i, row := range c.Services {
		row.Row = withoutNulls(rows["services"][i])
	}
	for i, row := range c.Routes {
		row.Row = withoutNulls(rows["routes"][i])
	}
	for i, row := range c.Consumers {
		row.Row = withoutNulls(rows["consumers"][i])
	}
	for i, row := range c.Credentials {
		row.Row = withoutNulls(rows["keyauth_credentials"][i])
	}
	plugins := s.entities["plugins"]
	for i, plugin := range c.Plugins {
		row := rows["plugins"][i]
		config, _ := row["config"].(map[string]any)
		plugin.Config = config
		if r := plugins.field(plugins.variantOf(row), "config").record; r != nil { // nil: not enabled, see Examine
			plugin.Config = pluginRecord(r, config)
		}
	}
	return c, c.addTargets()
}

func (c *Config) addTargets() error {
	byID := map[string]*Upstream{}
	for _, upstream := range c.Upstreams {
		byID[upstream.ID] = upstream
	}
	for _, row := range c.Rows["targets"] {
		h, err := parseHost(row["target"].(string))
		if err != nil {
			return fmt.Errorf("target %v: %w", row["target"], err)
		}
		if !h.hasPort {
			h.port = 8000 // Kong's default for a target
		}
		weight, _ := row["weight"].(float64)
		upstream := byID[row["upstream"].(map[string]any)["id"].(string)]
		upstream.Targets = append(upstream.Targets, Target{h.host, h.port, int(weight)})
	}
	return nil
}

// withoutNulls is a row as Kong's Lua code has it, where null is absent.
func withoutNulls(row map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range row {
		switch value := value.(type) {
		case nil:
		case map[string]any:
			out[key] = withoutNulls(value)
		default:
			out[key] = value
		}
	}
	return out
}

// File is the configuration as a file in which nothing is nested, as the Admin
// API exports it.
func (c *Config) File() File {
	f := File{"_format_version": "3.0", "_transform": false}
	for entity, rows := range c.Rows {
		list := make([]any, len(rows))
		for i, row := range rows {
			out := cloneMap(row)
			for name, value := range row {
				if ref, ok := value.(map[string]any); ok && len(ref) == 1 && ref["id"] != nil {
					out[name] = ref["id"]
				}
			}
			list[i] = out
		}
		f[entity] = list
	}
	return f
}

// ByID are the rows of each entity by their ids, as the Admin API answers when
// it has taken a configuration.
func (c *Config) ByID() map[string]map[string]any {
	out := map[string]map[string]any{}
	for entity, rows := range c.Rows {
		out[entity] = map[string]any{}
		for _, row := range rows {
			out[entity][row["id"].(string)] = row
		}
	}
	return out
}
