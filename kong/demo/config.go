package demo

import (
	_ "embed"
	"fmt"
	"net"
	"strconv"

	"kong-traffic-split/kong"
	"kong-traffic-split/kong/declarative"
)

// A Scene is what a demo plays.
type Scene struct {
	config   []byte
	service  string   // the one with the split
	backends []string // their names, and those of their hosts
	flags    string   // of the plugin server
}

//go:embed rollout.yml
var rolloutConfig []byte

var (
	// Guide has two rounds of requests, with weights that are changed between them.
	Guide = Scene{config: kong.Config, service: "echo", backends: []string{"echo", "echo2"}}
	// Rollout has a canary that begins to fail.
	Rollout = Scene{config: rolloutConfig, service: "shop", backends: []string{"stable", canary}, flags: "-outcomes"}
)

// plainPath is the path of a route to the Service without the plugin, for comparison.
const plainPath = "/plain"

// configuration is a scene's declarative file as the demo uses it.
type configuration struct {
	file     declarative.File
	plugin   map[string]any   // the config of the plugin
	backends []map[string]any // of the plugin
}

// newConfiguration reads a scene's file, sets the ports of its backends to those on this
// machine, and adds the route without the plugin.
func newConfiguration(scene Scene, backends []*echo) (*configuration, error) {
	errShape := fmt.Errorf("the demo's configuration has to have the service %s, with a route that has traffic-split and the backends %q", scene.service, scene.backends)
	file, err := declarative.Parse(scene.config)
	if err != nil {
		return nil, err
	}
	c := &configuration{file: file}
	plugin, _ := file.Find("plugins", pluginName)
	c.plugin, _ = plugin["config"].(map[string]any)
	rows, _ := c.plugin["backends"].([]any)
	for _, row := range rows {
		b, _ := row.(map[string]any)
		c.backends = append(c.backends, b)
	}
	service, found := file.Find("services", scene.service)
	if !found || len(c.backends) != len(backends) {
		return nil, errShape
	}
	for i, e := range backends {
		_, port, err := net.SplitHostPort(e.address)
		if err != nil {
			return nil, err
		}
		number, err := strconv.Atoi(port)
		if err != nil || c.backends[i]["name"] != e.name {
			return nil, errShape
		}
		if c.backends[i]["service"] == true {
			service["port"] = number
		} else {
			c.backends[i]["port"] = number
		}
	}
	routes, _ := service["routes"].([]any)
	service["routes"] = append(routes, map[string]any{"name": "plain", "paths": []any{plainPath}})
	return c, nil
}

// setWeights sets the weights of the backends.
func (c *configuration) setWeights(weights map[string]int) {
	for _, b := range c.backends {
		name, _ := b["name"].(string)
		b["weight"] = weights[name]
	}
}
