package gateway

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The plugins that have a server, by their names in Kong.
const (
	ours  = "traffic-split"
	stock = "bench-stock"
)

// A contestant is a way to a backend: a route, with what is on it.
type contestant struct {
	name    string
	service object // without name and routes; the backend a by default
	plugin  string // whose server's calls are seen, if any
	config  object // the plugin row's
	row     string // the row's plugin, where that has no server

	// answers are those that a client may get, each with its share.
	answers map[string]float64
	// returning is whether the client sends the cookie that it was given by its first
	// request, whose answer is then the only one.
	returning bool
}

// object is one of Kong's configuration.
type object = map[string]any

// answerOf is what a backend answers with to a request that has nothing for it.
func answerOf(backend, host string) string {
	return fmt.Sprintf("%s %s /orders variant= debug=1", backend, host)
}

// places are how many ports the contestants need: the backends', and a shadow's.
var places = len(backendNames) + 1

// contestants are all of them, for backends on ports.
func contestants(ports []int) []contestant {
	address := func(i int) string { return fmt.Sprintf("%s:%d", loopback, ports[i]) }
	// with the Host that Kong gives them, and with one that set_target leaves them
	whole := map[string]float64{answerOf("a", address(0)): 1}
	bare := map[string]float64{answerOf("a", loopback): 1}
	shared := map[string]float64{answerOf("a", address(0)): .9, answerOf("b", address(1)): .1}
	sharedBare := map[string]float64{answerOf("a", loopback): .9, answerOf("b", loopback): .1}

	canary := object{"name": "canary", "host": loopback, "port": ports[1], "weight": 10}
	foreign := object{"name": "stable", "host": loopback, "port": ports[0], "weight": 90}
	with := func(backend object, key string, value any) object {
		more := object{key: value}
		for k, v := range backend {
			more[k] = v
		}
		return more
	}
	stockWith := func(calls int) object { return object{"calls": calls, "host": loopback, "port": ports[0]} }
	split := []object{{"name": "stable", "service": true, "weight": 90}, canary}
	return append([]contestant{
		{name: "plain", answers: whole},
		{name: "native", service: object{"host": "native", "port": 80}, answers: shared},
		{
			name: "lua", row: "post-function", answers: bare,
			config: object{"access": []string{fmt.Sprintf("kong.service.set_target(%q, %d)", loopback, ports[0])}},
		},
		{name: "stock0", plugin: stock, config: stockWith(0), answers: whole},
		{name: "stock1", plugin: stock, config: stockWith(1), answers: bare},
		{name: "stock2", plugin: stock, config: stockWith(2), answers: whole},
		{
			name: "ours0", plugin: ours, answers: shared,
			config: object{"backends": split},
		},
		{
			name: "ours1", plugin: ours, answers: sharedBare,
			config: object{"backends": []object{with(foreign, "host_header", loopback), with(canary, "host_header", loopback)}},
		},
		{name: "ours2", plugin: ours, answers: shared, config: object{"backends": []object{foreign, canary}}},
		everything(ports),
	}, mirrored(ports, shared, split)...)
}

// matching are those whose names a regular expression matches, and plain, which the
// others are compared with. It may be nil.
func matching(all []contestant, names *regexp.Regexp) (some []contestant) {
	for _, c := range all {
		if c.name == "plain" || names == nil || names.MatchString(c.name) {
			some = append(some, c)
		}
	}
	return some
}

// Names are those of all contestants.
func Names() (names []string) {
	for _, c := range contestants(make([]int, places)) {
		names = append(names, c.name)
	}
	return names
}

// Matches reports whether a regular expression matches the name of a contestant.
func Matches(names *regexp.Regexp) bool { return slices.ContainsFunc(Names(), names.MatchString) }

// declarative is Kong's configuration of contestants, for backends on ports. JSON is
// YAML.
func declarative(all []contestant, ports []int) ([]byte, error) {
	var services []object
	for _, c := range all {
		service := object{"host": loopback, "port": ports[0]}
		if c.service != nil {
			service = c.service
		}
		service["name"] = c.name
		route := object{"name": c.name, "paths": []string{"/" + c.name}}
		if name := c.plugin + c.row; name != "" {
			route["plugins"] = []object{{"name": name, "config": c.config}}
		}
		service["routes"] = []object{route}
		services = append(services, service)
	}
	return json.MarshalIndent(object{
		"_format_version": "3.0",
		"services":        services,
		"upstreams": []object{{"name": "native", "targets": []object{
			{"target": fmt.Sprintf("%s:%d", loopback, ports[0]), "weight": 90},
			{"target": fmt.Sprintf("%s:%d", loopback, ports[1]), "weight": 10},
		}}},
	}, "", "  ")
}

// request is a contestant's, of a client with the headers of a browser.
func (c *contestant) request(address, cookie string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "GET /%s/orders HTTP/1.1\r\nHost: %s\r\n", c.name, address)
	b.WriteString("User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
		"Accept-Language: en-US,en;q=0.5\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Referer: http://shop.example/\r\n" +
		"Cache-Control: no-cache\r\n" +
		"X-Debug: 1\r\n")
	if cookie != "" {
		fmt.Fprintf(&b, "Cookie: %s\r\n", cookie)
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}
