package plugin

import (
	"strings"
	"unicode"
)

// The name of a split is what people know it by: its own in the split files; of a row
// with backends, the row's instance_name, else the name of the route that the row is on,
// else of the Service, else of the consumer. Kong tells an instance the names of entities
// only with a request, so they are asked for at its first one.

// namedBy is what has to be asked for to name the row.
func (p *placement) namedBy() wants {
	switch {
	case p.InstanceName != "":
		return 0
	case p.RouteID != "":
		return wantsRoute
	case p.ServiceID != "":
		return wantsService
	}
	return 0
}

// learnName has the row named, where the split is its own.
func (r *request) learnName(l *live) error {
	if l.entry != "" || r.placement.InstanceName != "" {
		return nil
	}
	var name string
	switch p := &r.placement; {
	case p.RouteID != "":
		rt, err := r.askRoute()
		if err != nil {
			return err
		}
		name = rt.name
	case p.ServiceID != "":
		s, err := r.askService()
		if err != nil {
			return err
		}
		name = s.name
	case p.ConsumerID != "" && !r.stream:
		// A username that go-pdk cannot decode, as it is no UTF-8, is no reason to fail. If
		// the connection is what failed, the next call says so.
		if c, err := r.kong.Client.GetConsumer(); err == nil {
			name = c.Username
		}
	}
	name = plainName(name)
	r.row.name.Store(&name)
	return nil
}

// plainName is a name of Kong's as metrics, logs and terminals can have it. A consumer's may
// be any text: what is no UTF-8 would cost the split its metrics, and a control character
// would do to an operator's terminal what it says.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, name)
}

// names returns what to show the rows as, by their ids: each has a name that no other
// split has, its id where it has none of its own.
func (p *Plugin) names() map[string]string {
	taken := map[string]int{}
	p.file.each(func(l *live) { taken[l.entry]++ })
	names := map[string]string{}
	p.configs.mu.Lock()
	for id, r := range p.configs.byID {
		names[id] = id
		if name := r.name.Load(); name != nil && *name != "" {
			names[id] = *name
		}
		taken[names[id]]++
	}
	p.configs.mu.Unlock()
	for id, name := range names {
		if taken[name] > 1 {
			names[id] = name + " (" + id + ")"
		}
	}
	return names
}
