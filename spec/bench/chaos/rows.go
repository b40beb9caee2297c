package chaos

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The rows. Each has what is changed about it.
const (
	inline   = "inline"  // weights of its own, which change in Kong's configuration
	fromFile = "file"    // a split of the split file, which changes
	tcp      = "tcp"     // TCP connections
	guarded  = "guarded" // a ramp with a guard, whose canary fails now and then
	passive  = "passive" // a backend that fails now and then is ejected
	missing  = "missing" // most of its backends are Upstreams that Kong does not have
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
}

// evenRamp are guarded's shares while its ramp is not rolled back.
var evenRamp = shares{"stable": .5, "canary": .5}

// What the rows have that is judged by time.
const (
	ejection   = 4 * time.Second
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
	route := func(row, config string) {
		fmt.Fprintf(&b, "  - name: %s\n    paths: [/%s]\n    strip_path: false\n    plugins:\n    - name: traffic-split\n", row, row)
		if config != "" {
			fmt.Fprintf(&b, "      config: {%s}\n", config)
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
		c.backends(passiveWeights, 0, fmt.Sprintf(`, health: {passive: {failures: 3, ejection: %d}}`, int(ejection.Seconds())))))
	route(missing, `on_unavailable: redistribute, backends: [{upstream: no-1}, {upstream: no-2}, {upstream: no-3, weight: 5}, `+
		c.backends(map[string]int{"missing-a": 2, "missing-b": 1}, 0, "")+"]")
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
