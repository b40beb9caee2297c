package demo

import (
	"errors"
	"net"
	"strconv"

	"kong-traffic-split/kong"
	"kong-traffic-split/kong/declarative"
)

// plainPath is the path of a route to the first backend without the plugin, for
// comparison.
const plainPath = "/plain"

// configuration is kong.yml as the demo uses it.
type configuration struct {
	file     declarative.File
	backends []map[string]any // of the plugin
}

var errShape = errors.New("kong.yml is not the demo's: it has to have the service echo with a route that has traffic-split and its backends")

// newConfiguration reads kong.yml, sets the ports of its backends to those on this
// machine, and adds the route without the plugin.
func newConfiguration(backends []*echo) (*configuration, error) {
	file, err := declarative.Parse(kong.Config)
	if err != nil {
		return nil, err
	}
	c := &configuration{file: file}
	plugin, _ := file.Find("plugins", pluginName)
	config, _ := plugin["config"].(map[string]any)
	rows, _ := config["backends"].([]any)
	for _, row := range rows {
		b, _ := row.(map[string]any)
		c.backends = append(c.backends, b)
	}
	service, found := file.Find("services", backends[0].name)
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
