package main

import (
	"encoding/json"
	"fmt"
	"sync/atomic"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// instance is the split of one plugin row for one of Kong's workers. It may serve
// several requests at once.
type instance struct {
	placement
	refused error // why its requests are refused; nil: they are not

	config      *config.Config
	split       *split.Split
	state       *split.State
	needs, more split.Needs

	service atomic.Pointer[service] // what Kong has said of it last
	reasons reasons
}

// placement is where a plugin row sits in Kong, from what Kong adds to its config.
type placement struct {
	Key       string `json:"__key__"` // of the row: the same for all workers and after reloads
	RouteID   string `json:"route_id"`
	ServiceID string `json:"service_id"`
}

// UnmarshalJSON starts the instance. It does not fail on a wrong config, which is
// what the instance's requests are answered with: Kong 2.8 would take the error
// for an instance without a number, and the requests would be those of another
// row or never end.
func (p *Plugin) UnmarshalJSON(text []byte) error {
	p.instance = start(text)
	return nil
}

func start(text []byte) *instance {
	c, err := config.FromKong(text)
	if err == nil {
		err = impossible(c)
	}
	i := &instance{config: c}
	if err == nil {
		err = json.Unmarshal(text, &i.placement)
	}
	if err != nil {
		i.refused = misconfigured{err}
		return i
	}
	i.split = c.Compile(i.Key)
	i.state = live.state(i.Key, i.split)
	i.needs, i.more = i.split.Needs()
	return i
}

// impossible names all of c that cannot be done under go-pluginserver.
func impossible(c *config.Config) error {
	var found config.Problems
	refuse := func(where, why string) {
		found = append(found, config.Problem{Path: where, Message: why})
	}
	if len(c.Backends) == 0 {
		refuse("backends", "is required on Kong 2.x, where there are no split files to take them from")
	}
	for i := range c.Backends {
		b, at := &c.Backends[i], fmt.Sprintf("backends[%d].", i)
		if b.ReplacePrefix != "" {
			refuse(at+"replace_prefix", "is not there on Kong 2.x: let the route strip its path, and take path")
		}
		if b.ReplacePath != "" {
			refuse(at+"replace_path", "is not there on Kong 2.x: use Kong's plugin request-transformer, with replace.uri, for all backends")
		}
		if b.Redirect != nil {
			refuse(at+"redirect", "is not there on Kong 2.x: leave it out, or take Kong's own plugins on a route of its own")
		}
		if b.Timeouts != (config.Timeouts{}) {
			refuse(at+"timeouts", "are the Service's on Kong 2.x, for all backends: leave them out, and set them there")
		}
		if b.Retries != nil {
			refuse(at+"retries", "are the Service's on Kong 2.x, for all backends: leave it out, and set it there")
		}
		if b.ResponseHeaders.Replaces() {
			refuse(at+"response_headers", "can be added only on Kong 2.x: leave set and remove out")
		}
		if b.Health != nil {
			refuse(at+"health", "is not there on Kong 2.x: leave it out, or take an upstream, which has health checks of its own")
		}
	}
	if c.Retry != nil {
		refuse("retry", "is not there on Kong 2.x: leave it out, or take an upstream, whose targets Kong tries one after another")
	}
	if len(c.Mirror) > 0 {
		refuse("mirror", "is not there on Kong 2.x: leave it out")
	}
	if c.Ramp != nil && c.Ramp.Guard != nil {
		refuse("ramp.guard", "is not there on Kong 2.x, where the plugin is not told what becomes of requests: leave it out")
	}
	for _, key := range []struct{ where, on string }{{"hash_on", c.HashOn}, {"hash_fallback", c.HashFallback}} {
		if key.on == string(split.OnURICapture) {
			refuse(key.where, `"uri_capture" is not there on Kong 2.x, which does not tell the captures: take another`)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found
}
