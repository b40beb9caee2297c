package standin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"kong-traffic-split/kong/declarative"
)

// errNoPeer is the error of an Upstream without a usable target.
var errNoPeer = errors.New("failure to get a peer from the ring-balancer")

// balancing is where a request goes, as Kong keeps it in balancer_data.
type balancing struct {
	kind    string // of the Service's host: "name", "ipv4" or "ipv6"
	host    string
	port    int
	retries int
	timeouts

	balancer     *balancer // of the Upstream that host names, if it does
	preserveHost bool
	try          peer
	tries        []try
	others       []*another // to try where this one fails, and those after the first
	other        *another   // the one of others that is tried; nil: none is
}

// peer is what a request is sent to.
type peer struct {
	ip       string
	port     int
	hostname string // for the Host header
}

// address is where to connect to, which has to be an IP address.
func (p peer) address() (string, error) {
	if _, err := netip.ParseAddr(p.ip); err != nil {
		return "", fmt.Errorf("failed to set the current peer (address: %s port: %d): %w", p.ip, p.port, errBadPeer)
	}
	return net.JoinHostPort(p.ip, strconv.Itoa(p.port)), nil
}

// prepare sets the destination to the Service's own.
func (b *balancing) prepare(service *declarative.Service) {
	b.kind = "name"
	if service == nil {
		b.timeouts = timeouts{time.Minute, time.Minute, time.Minute}
		return
	}
	b.kind, b.host, b.port = declarative.HostKind(service.Host), service.Host, service.Port
	b.timeouts = timeoutsOf(service)
	if service.Retries != nil {
		b.retries = *service.Retries
	}
}

// A balancer deals the requests of one worker out to an Upstream's targets, by
// weighted round-robin.
type balancer struct {
	upstream *declarative.Upstream

	mu    sync.Mutex
	wheel []*declarative.Target
	next  int
}

func newBalancer(upstream *declarative.Upstream) *balancer {
	b := &balancer{upstream: upstream}
	divisor := 0
	for _, target := range upstream.Targets {
		divisor = gcd(divisor, target.Weight)
	}
	for i := range upstream.Targets {
		target := &upstream.Targets[i]
		for range target.Weight / max(divisor, 1) {
			b.wheel = append(b.wheel, target)
		}
	}
	rand.Shuffle(len(b.wheel), func(i, j int) { b.wheel[i], b.wheel[j] = b.wheel[j], b.wheel[i] })
	return b
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// peer returns the next target that has an address.
func (b *balancer) peer(ctx context.Context, r *resolver) (peer, error) {
	for range b.wheel {
		b.mu.Lock()
		b.next = (b.next + 1) % len(b.wheel)
		target := b.wheel[b.next]
		b.mu.Unlock()
		ip, err := r.one(ctx, target.Host)
		if err != nil {
			continue
		}
		p := peer{ip: ip, port: target.Port, hostname: ip}
		if declarative.HostKind(target.Host) == "name" {
			p.hostname = target.Host
		}
		return p, nil
	}
	return peer{}, errNoPeer
}

// nextPeer finds the destination of the next try.
func (x *exchange) nextPeer() (peer, error) {
	b := &x.balancer
	p := peer{ip: b.host, port: b.port, hostname: b.host}
	if b.kind != "name" {
		// As it is, even where a plugin put a name there. Of IPv6, nginx takes an address
		// in brackets only.
		if strings.Contains(p.ip, ":") {
			if p.ip, _ = strings.CutPrefix(p.ip, "["); p.ip == b.host {
				p.ip = "invalid port"
			}
			p.ip = strings.TrimSuffix(p.ip, "]")
		}
		return p, nil
	}
	x.times.addressSought = time.Now()
	if len(b.tries) == 0 {
		b.balancer = x.view.balancers[b.host]
	}
	if b.balancer == nil && len(b.tries) > 0 {
		x.tryAnother()
		p.port, p.hostname = b.port, b.host
	}
	if b.balancer == nil {
		ip, err := x.gateway.resolver.one(x.context(), b.host)
		p.ip = ip
		return p, err
	}
	p, err := b.balancer.peer(x.context(), x.gateway.resolver)
	if header := b.balancer.upstream.HostHeader; header != "" {
		p.hostname = header
	}
	return p, err
}

// choosePeer sets the destination of the next try.
func (x *exchange) choosePeer() error {
	p, err := x.nextPeer()
	if err == nil {
		x.balancer.try = p
		x.setHost(p)
	}
	return err
}

// chooseFirstPeer sets the destination of the first try. Where there is none, it
// returns the status and the message that Kong answers with.
func (x *exchange) chooseFirstPeer() (status int, message string) {
	x.balancer.preserveHost = x.upstreamHost != ""
	err := x.choosePeer()
	switch {
	case err == nil:
		x.proxied = true
		return 0, ""
	case errors.Is(err, errNoPeer):
		return http.StatusServiceUnavailable, err.Error()
	}
	x.luaLog(levelError, "init.lua:381:", "execute(): DNS resolution failed: "+err.Error()+". Tried: "+x.balancer.host)
	if errors.Is(err, errNoName) {
		return http.StatusServiceUnavailable, "name resolution failed"
	}
	return http.StatusInternalServerError, err.Error()
}

// prepareUpstream does what Kong does between the plugins and the Service.
func (x *exchange) prepareUpstream() *answer {
	if x.hasQuery() {
		x.upstreamURI += "?" + x.args
	}
	if status, message := x.chooseFirstPeer(); status != 0 {
		return x.exitError(status, message, nil)
	}
	return nil
}

// setHost sets the Host header, unless the route preserves the client's or a
// plugin has set one.
func (x *exchange) setHost(p peer) {
	if x.balancer.preserveHost {
		return
	}
	host := p.hostname
	if !isDefaultPort(x.upstreamScheme, p.port) {
		host += ":" + strconv.Itoa(p.port)
	}
	x.upstreamHost = host
}

func isDefaultPort(scheme string, port int) bool {
	switch scheme {
	case "http", "grpc":
		return port == 80
	case "https", "grpcs":
		return port == 443
	}
	return false
}

// balancerKey is where Kong keeps, in ngx.ctx, where a request is to go.
const balancerKey = "balancer_data"

// serviceKey is where Kong keeps there the Service of the route.
const serviceKey = "service"

// timeouts are those of one try.
type timeouts struct{ connect, write, read time.Duration }

func timeoutsOf(service *declarative.Service) timeouts {
	return timeouts{milliseconds(service.ConnectTimeout), milliseconds(service.WriteTimeout), milliseconds(service.ReadTimeout)}
}

// balancerData is the table that plugins see before the first try.
func (x *exchange) balancerData() map[string]any {
	b := &x.balancer
	ms := func(d time.Duration) float64 { return float64(d.Milliseconds()) }
	table := map[string]any{
		"type": b.kind, "try_count": 0.0, "tries": map[string]any{},
		"retries": float64(b.retries), "connect_timeout": ms(b.connect), "send_timeout": ms(b.write), "read_timeout": ms(b.read),
	}
	// What is not known is not there, as without a Service.
	if x.service != nil {
		table["scheme"] = x.service.Protocol
	}
	if b.host != "" {
		table["host"] = b.host
	}
	if b.port != 0 {
		table["port"] = float64(b.port)
	}
	return table
}

// setBalancerData takes a table in the place of the one that balancerData gives out.
// Where something is not there Kong fails later; this fails at once.
func (x *exchange) setBalancerData(value any) error {
	table, _ := value.(map[string]any)
	missing := table["tries"] == nil || table["try_count"] == nil
	number := func(key string) int {
		n, ok := table[key].(float64)
		missing = missing || !ok
		return int(n)
	}
	text := func(key string) string {
		s, ok := table[key].(string)
		missing = missing || !ok
		return s
	}
	b := x.balancer
	b.kind, b.host, b.retries = text("type"), text("host"), number("retries")
	port, _ := table["port"].(float64) // which the name of an Upstream does without
	b.port = int(port)
	b.timeouts = timeouts{milliseconds(number("connect_timeout")), milliseconds(number("send_timeout")), milliseconds(number("read_timeout"))}
	if missing {
		return errors.New("balancer_data lacks something that Kong keeps there")
	}
	x.balancer = b
	return nil
}
