package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"kong-traffic-split/kong/companion"
)

// The rows. Each has what is changed about it.
const (
	inline   = "inline"   // weights of its own, which change in Kong's configuration
	fromFile = "file"     // a split of the split file, which changes
	tcp      = "tcp"      // TCP connections
	guarded  = "guarded"  // a ramp with a guard, whose canary fails now and then
	passive  = "passive"  // a backend that fails now and then is ejected
	missing  = "missing"  // most of its backends are Upstreams that Kong does not have
	retried  = "retried"  // half of its requests are for a backend that is down, and tried on others
	mirrored = "mirrored" // half of its requests are copied to a shadow
)

// backendsOf are the backends of each row, by name. Those of missing that begin with
// no- do not exist.
var backendsOf = map[string][]string{
	inline:   {"inline-a", "inline-b", "inline-c"},
	fromFile: {"file-a", "file-b", "file-c"},
	tcp:      {"tcp-a", "tcp-b"},
	guarded:  {"stable", "canary"},
	passive:  {"passive-a", "passive-b", "passive-c"},
	missing:  {"missing-a", "missing-b"},
	retried:  {"retried-a", "retried-b"},
	mirrored: {"mirrored-a", shadow},
}

// shadow is the backend that gets copies.
const shadow = "shadow"

// evenRamp are guarded's shares while its ramp is not rolled back.
var evenRamp = shares{"stable": .5, "canary": .5}

// What the rows have that is judged by time.
const (
	ejection   = 4 * time.Second
	slowStart  = 2 * time.Second
	guardNeeds = 20 // requests
)

// passiveWeights are those of the row passive.
var passiveWeights = map[string]int{"passive-a": 2, "passive-b": 1, "passive-c": 1}

// A configuration is what the gateway is given.
type configuration struct {
	ports     map[string]int // by backend
	stream    int            // the port of the TCP row
	revision  int            // of inline's weights
	weights   map[string]int // inline's
	broken    bool           // inline has a rule that names no backend: the plugin alone can see it
	ramp      int            // the number of guarded's ramp
	rampStart time.Time
}

// text is the declarative file.
func (c *configuration) text() string {
	var b strings.Builder
	b.WriteString(`_format_version: "3.0"
services:
- name: web
  url: http://localhost:1
  retries: 0
  routes:
`)
	route := func(row, config string, others ...string) {
		fmt.Fprintf(&b, "  - name: %s\n    paths: [/%s]\n    strip_path: false\n    plugins:\n    - name: traffic-split\n", row, row)
		if config != "" {
			fmt.Fprintf(&b, "      config: {%s}\n", config)
		}
		for _, other := range others {
			fmt.Fprintf(&b, "    - %s\n", other)
		}
	}
	rule := ""
	if c.broken {
		rule = `rules: [{match: {methods: [PUT]}, backend: nobody}], `
	}
	route(inline, rule+"backends: ["+c.backends(c.weights, c.revision, "")+"]")
	route(fromFile, "")
	route(guarded, fmt.Sprintf(`ramp: {backend: canary, from: 0, to: 50, start: "%s", duration: 1, guard: {max_error_ratio: 0.2, min_requests: %d, window: 5}}, backends: [%s]`,
		c.rampStart.UTC().Format(time.RFC3339), guardNeeds, c.backends(map[string]int{"stable": 1, "canary": 1}, c.ramp, "")))
	route(passive, fmt.Sprintf(`on_unavailable: redistribute, backends: [%s]`,
		c.backends(passiveWeights, 0, fmt.Sprintf(`, slow_start: %g, health: {passive: {failures: 3, ejection: %g}}`, slowStart.Seconds(), ejection.Seconds()))))
	route(missing, `on_unavailable: redistribute, backends: [{upstream: no-1}, {upstream: no-2}, {upstream: no-3, weight: 5}, `+
		c.backends(map[string]int{"missing-a": 2, "missing-b": 1}, 0, "")+"]")
	// Nobody listens on port 1.
	route(retried, `retry: {}, backends: [{name: down, host: localhost, port: 1, weight: 3, request_headers: {set: {`+revisionHeader+`: '0'}}}, `+
		c.backends(map[string]int{"retried-a": 2, "retried-b": 1}, 0, "")+"]", companionRow())
	route(mirrored, fmt.Sprintf("mirror: [{backend: %s, percent: 50}], backends: [%s]", shadow, c.backends(map[string]int{"mirrored-a": 1, shadow: 0}, 0, "")))
	fmt.Fprintf(&b, `- name: db
  url: tcp://localhost:1
  retries: 0
  routes:
  - name: tcp
    protocols: [tcp]
    destinations: [{port: %d}]
    plugins:
    - name: traffic-split
      protocols: [tcp]
      config: {backends: [{name: tcp-a, host: 127.0.0.1, port: %d, weight: 2}, {name: tcp-b, host: 127.0.0.1, port: %d}]}
`, c.stream, c.ports["tcp-a"], c.ports["tcp-b"])
	return b.String()
}

// companionRow is the row by which requests are tried on other backends.
func companionRow() string {
	config := map[string][]string{}
	for _, f := range companion.Functions() {
		config[f.Phase] = []string{f.Text}
	}
	row, err := json.Marshal(map[string]any{"name": companion.Plugin, "config": config})
	if err != nil {
		panic(err) // strings
	}
	return string(row)
}

// backends lists some in YAML, with more of each.
func (c *configuration) backends(weights map[string]int, revision int, more string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		all = append(all, fmt.Sprintf("{name: %s, host: localhost, port: %d, weight: %d, request_headers: {set: {%s: '%d'}}%s}",
			name, c.ports[name], weights[name], revisionHeader, revision, more))
	}
	return strings.Join(all, ", ")
}

// splits is the split file of a revision, with the row's entry or without.
func (c *configuration) splits(revision int, weights map[string]int) string {
	return fmt.Sprintf("splits:\n  %s:\n    backends: [%s]\n", fromFile, c.backends(weights, revision, ""))
}

// startBackends starts those of all rows.
func startBackends(misplaced func(string)) (map[string]*backend, error) {
	all := map[string]*backend{}
	for row, names := range backendsOf {
		start := startHTTP
		if row == tcp {
			start = startTCP
		}
		for _, name := range names {
			b, err := start(row, name, misplaced)
			if err != nil {
				return all, errors.Join(err, endBackends(all))
			}
			all[name] = b
		}
	}
	return all, nil
}

func endBackends(all map[string]*backend) (err error) {
	for _, b := range all {
		err = errors.Join(err, b.end())
	}
	return err
}
