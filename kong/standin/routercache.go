package standin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"kong-traffic-split/kong/expression"
)

// maxMatches is how many matches Kong's router remembers.
const maxMatches = 5000

// matchCache remembers what the router has found, by the fields that routes ask for. As
// in Kong, net.protocol is not among them: two routes that differ in nothing else answer
// for each other. Kong has a cache in each worker.
type matchCache struct {
	mu      sync.Mutex
	matches map[string]*match // nil: there is no route
}

func (c *matchCache) get(key string) (m *match, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, known = c.matches[key]
	return m, known
}

func (c *matchCache) set(key string, m *match) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.matches == nil || len(c.matches) >= maxMatches {
		c.matches = map[string]*match{}
	}
	c.matches[key] = m
}

// facts are the values of all fields that routes ask for, and their key in the cache.
func (r *router) facts(s subject) (map[string][]expression.Value, string, error) {
	facts := make(map[string][]expression.Value, len(r.fields))
	var key strings.Builder
	var failure error
	for _, field := range slices.Sorted(maps.Keys(r.fields)) {
		values, err := s.values(field)
		if err != nil {
			failure = err
		}
		facts[field] = values
		if field == "net.protocol" {
			continue
		}
		all := make([]string, len(values))
		for i, v := range values {
			all[i] = fmt.Sprint(v)
		}
		slices.Sort(all)
		key.WriteString(strings.Join(all, ",") + "|")
	}
	return facts, key.String(), failure
}
