package standin

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
)

// streamRouter finds the route of a TCP connection, as Kong's of the flavor
// traditional_compatible does: the first that holds counts, the highest priority
// first and among equals the highest id. It does not look at protocols.
type streamRouter []streamMatcher

// streamMatcher is the condition of a route.
type streamMatcher struct {
	priority uint64
	route    *declarative.Route
	service  *declarative.Service
	snis     []string
	sources  []addressMatcher
	targets  []addressMatcher
}

// addressMatcher wants an address to be in a block, if it is valid, and to have a
// port, if there is one.
type addressMatcher struct {
	block netip.Prefix
	port  *int
}

// streamSubject is what a connection is routed by.
type streamSubject struct {
	tls         bool
	sni         string
	source      netip.AddrPort
	destination netip.AddrPort // the listener's
}

func newStreamRouter(config *declarative.Config) streamRouter {
	var r streamRouter
	for route, service := range routesOf(config, isStream) {
		r = append(r, streamMatcher{
			priority: streamPriority(route), route: route, service: service, snis: route.SNIs,
			sources: newAddressMatchers(route.Sources), targets: newAddressMatchers(route.Destinations),
		})
	}
	slices.SortFunc(r, func(a, b streamMatcher) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(b.route.ID, a.route.ID))
	})
	return r
}

// The bits of a stream route's priority; those of sources are above those of
// destinations.
const (
	sniBit      = 1 << 61 // also of a route that has both sources and destinations
	ipBit       = 1 << 3
	portBit     = 1 << 2
	cidrBit     = 1
	sourceShift = 4
)

func streamPriority(route *declarative.Route) uint64 {
	p := addressPriority(route.Sources)<<sourceShift | addressPriority(route.Destinations)
	if len(route.SNIs) > 0 || len(route.Sources) > 0 && len(route.Destinations) > 0 {
		p |= sniBit
	}
	return p
}

func addressPriority(addresses []declarative.Address) (p uint64) {
	for _, a := range addresses {
		switch {
		case strings.Contains(a.IP, "/"):
			p |= cidrBit
		case a.IP != "":
			p |= ipBit
		}
		if a.Port != nil {
			p |= portBit
		}
	}
	return p
}

func newAddressMatchers(addresses []declarative.Address) []addressMatcher {
	var all []addressMatcher
	for _, a := range addresses {
		m := addressMatcher{port: a.Port}
		if a.IP != "" {
			// What does not parse was refused with the file.
			m.block, _ = parsePrefix(a.IP)
		}
		all = append(all, m)
	}
	return all
}

// find returns the route of a connection, or nil.
func (r streamRouter) find(s streamSubject) *streamMatcher {
	for i := range r {
		m := &r[i]
		if m.matchesSNI(s) && matchesAddress(m.sources, s.source) && matchesAddress(m.targets, s.destination) {
			return m
		}
	}
	return nil
}

// matchesSNI lets pass what is not TLS, and TLS whose client names no server once
// it was terminated.
func (m *streamMatcher) matchesSNI(s streamSubject) bool {
	return len(m.snis) == 0 || !s.tls || slices.ContainsFunc(m.snis, func(sni string) bool {
		return matchesWildcard(strings.TrimSuffix(sni, "."), s.sni)
	})
}

func matchesAddress(wanted []addressMatcher, address netip.AddrPort) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(m addressMatcher) bool {
		return (!m.block.IsValid() || m.block.Contains(address.Addr())) &&
			(m.port == nil || *m.port == int(address.Port()))
	})
}
