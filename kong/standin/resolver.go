package standin

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// errNoName is the error of a name that DNS does not know.
var errNoName = errors.New("dns server error: 3 name error")

// errBadIPv6 is the error of an address of IPv6 that Kong's DNS client does not take: nginx
// does, where Kong looks nothing up.
var errBadIPv6 = errors.New("dns client error: 103 invalid name, bad IPv6")

// resolver finds the addresses of names.
type resolver struct {
	fixed map[string]string // Options.Resolve, lower case
	dns   *net.Resolver
	turns sync.Map // how often each name was resolved, an *atomic.Uint64
	found sync.Map // whether a name was found when the name server last said so
}

// newResolver makes one that asks the DNS server of an address; empty: the system's.
func newResolver(fixed map[string]string, server string) *resolver {
	r := &resolver{fixed: map[string]string{}, dns: net.DefaultResolver}
	if server != "" {
		r.dns = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server)
		}}
	}
	for name, address := range fixed {
		r.fixed[strings.ToLower(name)] = address
	}
	return r
}

// lookup returns the addresses of a host; of an address, itself.
func (r *resolver) lookup(ctx context.Context, host string) ([]string, error) {
	if address := strings.Trim(host, "[]"); isAddress(address) {
		if strings.Contains(address, ":") && strings.ContainsAny(address, ".%") {
			return nil, errBadIPv6
		}
		return []string{address}, nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if address, ok := r.fixed[name]; ok {
		return []string{address}, nil
	}
	if strings.HasSuffix(name, ".invalid") { // which no name is in, RFC 6761
		return nil, errNoName
	}
	all, err := r.dns.LookupHost(ctx, host)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return nil, errNoName
	} else if err != nil {
		return nil, err
	}
	return preferIPv4(all), nil
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// preferIPv4 leaves out IPv6 where there are both, as Kong asks for A records
// first.
func preferIPv4(all []string) []string {
	v4 := slices.DeleteFunc(slices.Clone(all), func(address string) bool { return strings.Contains(address, ":") })
	if len(v4) == 0 {
		return all
	}
	return v4
}

// one returns the addresses of a host in turn, from the first one on, as a worker of Kong's does.
func (r *resolver) one(ctx context.Context, host string) (string, error) {
	all, err := r.lookup(ctx, host)
	if err != nil {
		return "", err
	}
	if len(all) == 1 {
		return all[0], nil
	}
	turn, _ := r.turns.LoadOrStore(strings.ToLower(host), new(atomic.Uint64))
	return all[(turn.(*atomic.Uint64).Add(1)-1)%uint64(len(all))], nil
}
