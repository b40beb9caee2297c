package httproute

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// A Target is what routes are converted to.
type Target string

const (
	Kong   Target = "kong"   // Kong's declarative configuration, with rows of the plugin
	Splits Target = "splits" // a split file, and Kong's configuration with rows that have no config
	KIC    Target = "kic"    // the routes, with KongPlugins for Kong's ingress controller
	Native Target = "native" // Kong's declarative configuration, with weighted targets and without the plugin
)

// Flavors of Kong's router.
const (
	Traditional = "traditional_compatible"
	Expressions = "expressions"
)

// Options say how to convert.
type Options struct {
	To            Target
	Flavor        string    // of the router; empty: the traditional one where it can keep the precedence
	Partial       bool      // what cannot be converted is left out, with a warning
	Addresses     []Address // of Services
	Strict        bool      // a Service without an address, and not in the manifests, does not exist
	ClusterDomain string    // default cluster.local
	SessionSecret string    // the key that signs cookies; default a reference to Kong's vault
	SplitsOnly    bool      // to KIC: the split file alone, for routes that have the plugin already
}

// DefaultSecret refers to the environment variable TRAFFIC_SPLIT_SECRET of Kong.
const DefaultSecret = "{vault://env/traffic-split-secret}"

// Output is what the routes were converted to.
type Output struct {
	Kong   []byte // Kong's declarative configuration, or the objects for Kong's ingress controller
	Splits []byte // the split file
	Flavor string // of the router that Kong needs; empty: either
}

type converter struct {
	options     Options
	objects     *objects
	addresses   map[addressKey]Address
	hasServices map[string]bool // namespaces of which the manifests have Services
	mixed       bool            // some routes take requests by other protocols than others
	splits      []*checkedSplit // of what is written
}

// Convert converts the routes of some manifests. It returns no output if a problem is more
// than a warning.
func Convert(sources []Source, options Options) (*Output, []Problem) {
	c := &converter{options: options, addresses: map[addressKey]Address{}, hasServices: map[string]bool{}}
	c.options.ClusterDomain = cmp.Or(options.ClusterDomain, "cluster.local")
	c.options.SessionSecret = cmp.Or(options.SessionSecret, DefaultSecret)
	c.options.To = cmp.Or(options.To, Kong)
	for _, a := range options.Addresses {
		c.addresses[addressKey{name{a.Namespace, a.Name}, a.Port}] = a
	}
	c.objects = load(sources, options.Partial)
	for service := range c.objects.services {
		c.hasServices[service.namespace] = true
	}
	plans := c.plans()
	out := c.write(plans)
	for _, r := range c.objects.unsound {
		c.examine(r)
	}
	c.checkSplits()
	problems := c.objects.problems()
	if Failed(problems) {
		return nil, problems
	}
	return out, problems
}

// plans makes a plan for each rule, in the order of the manifests.
func (c *converter) plans() []*plan {
	var plans []*plan
	var entries []*entry
	first := map[string]*route{}
	for _, r := range c.objects.routes {
		attached := oneKindAHost(r, c.objects.attach(r), first)
		if len(attached.hosts) == 0 {
			continue
		}
		for _, rule := range r.rules {
			p := c.plan(rule)
			p.ports = attached.ports
			for i := range rule.matches {
				for _, group := range attached.hosts {
					for _, hostnames := range byClass(group.hostnames) {
						e := &entry{rule: rule, match: &rule.matches[i], hostnames: hostnames, protocols: protocols(group.protocols, r.grpc), strip: p.strip && p.wholePath == ""}
						e.name = rule.name() + "." + strconv.Itoa(i)
						p.entries = append(p.entries, e)
					}
				}
			}
			entries = append(entries, p.entries...)
			plans = append(plans, p)
		}
	}
	arrange(entries)
	return plans
}

// protocols are Kong's names of the protocols of listeners.
func protocols(of []string, grpc bool) []string {
	if !grpc {
		return of
	}
	out := make([]string, len(of))
	for i, p := range of {
		out[i] = map[string]string{"http": "grpc", "https": "grpcs"}[p]
	}
	return out
}

// oneKindAHost leaves out hostnames of a GRPCRoute that are also an HTTPRoute's, or the
// other way round: the first route has them. Which of two would get a request would depend
// on more than the Gateway API says.
func oneKindAHost(r *route, attached attachment, first map[string]*route) attachment {
	var kept []hosts
	for _, group := range attached.hosts {
		hostnames := group.hostnames
		if len(hostnames) == 0 {
			hostnames = []string{""}
		}
		var free []string
		for _, h := range hostnames {
			switch other := first[h]; {
			case other == nil:
				first[h] = r
			case other.grpc != r.grpc:
				said := h
				if h == "" {
					said = "any host"
				}
				r.doc.leave((*trail)(nil).fields("spec", "hostnames"), "%s is the %s's already; an HTTPRoute and a GRPCRoute cannot share a hostname", said, other.doc.object())
				continue
			}
			free = append(free, h)
		}
		if len(free) > 0 {
			kept = append(kept, hosts{slices.DeleteFunc(free, func(h string) bool { return h == "" }), group.protocols})
		}
	}
	attached.hosts = kept
	return attached
}

// flavor decides on the flavor of the router, and reports what a wanted one cannot do.
func (c *converter) flavor(plans []*plan) string {
	var entries []*entry
	for _, p := range plans {
		entries = append(entries, p.kept()...)
	}
	switch c.options.Flavor {
	case Expressions:
		for _, e := range entries {
			c.checkExpression(e)
		}
		return Expressions
	case Traditional:
		for _, p := range traditionalProblems(entries, true) {
			p.entry.rule.route.doc.leave(p.at, "%s; use the flavor expressions", p.message)
			p.entry.dropped = true
		}
		return Traditional
	}
	if len(traditionalProblems(entries, false)) == 0 {
		return Traditional
	}
	for _, e := range entries {
		c.checkExpression(e)
	}
	return Expressions
}

// kept are the entries that become routes.
func (p *plan) kept() []*entry {
	return slices.DeleteFunc(slices.Clone(p.entries), func(e *entry) bool { return e.dropped })
}

// Check reports what is wrong with options.
func (o Options) Check() error {
	if !slices.Contains([]Target{"", Kong, Splits, KIC, Native}, o.To) {
		return fmt.Errorf("to: %s is not one of kong, splits, kic, native", quote(string(o.To)))
	}
	if !slices.Contains([]string{"", Traditional, Expressions}, o.Flavor) {
		return fmt.Errorf("flavor: %s is not one of %s, %s", quote(o.Flavor), Traditional, Expressions)
	}
	return nil
}
