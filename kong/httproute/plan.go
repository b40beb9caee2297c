package httproute

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// plan is what becomes of a rule.
type plan struct {
	rule     *rule
	changes  changes
	backends []backend
	service  int // the index of the backend that is the Kong Service
	mirrors  []mirrorTo
	answer   int    // the status that all requests get; 0: they go to the backends
	reason   string // why
	entries  []*entry
	ports    map[string]int // of the listeners, by protocol

	strip       bool   // takes the matched path off
	stripsOwn   bool   // and does so for single backends only
	path        string // of the Service
	wholePath   string // takes the place of the whole path; empty: nothing does
	preserve    bool   // the client's Host goes on
	timeout     int    // in milliseconds; 0: Kong's own
	retries     int    // -1: Kong's own
	annotations []*kongPlugin
	ownConfig   object                 // of the split, beside backends and session
	ownFrom     map[string]*kongPlugin // the KongPlugin that has a key of it
}

// backend is where a part of the requests goes: the backendRefs that lead to one place.
type backend struct {
	target
	name    string
	weight  int
	changes changes
	path    string // put before the path
	whole   string // takes the place of the whole path; empty: nothing does
}

// rewritten reports whether the backend has another path than the rule.
func (b *backend) rewritten() bool { return b.path != "" || b.whole != "" }

// maxWeight is that of a backend of the plugin.
const maxWeight = 1_000_000

func (c *converter) plan(r *rule) *plan {
	d := r.route.doc
	p := &plan{rule: r, retries: -1, preserve: true}
	p.changes = c.changes(d, r.filters, r.at, false)
	c.annotate(p)
	if p.changes.redirect != nil {
		if c.options.To != KIC {
			c.onlyRedirects(d, &p.changes)
			p.strip = p.strip || p.changes.replacesPrefix()
		}
		if p.changes.broken && d.partial {
			p.changes.redirect = nil
			p.answers(c.options.To)
		}
		return p
	}
	for i := range r.refs {
		t, ch := c.resolve(r, &r.refs[i]), c.changes(d, r.refs[i].filters, r.refs[i].at, true)
		t.missing = t.missing || ch.broken
		p.add(t, ch)
	}
	p.nameBackends()
	c.redirectBackends(p)
	c.limits(p)
	c.rewrite(p)
	p.chooseService()
	c.oneProtocol(p)
	c.oneHand(p)
	c.mirrors(p)
	p.answers(c.options.To)
	p.ownConfig = c.ownPluginConfig(p)
	return p
}

// annotate reads the annotations of the route.
func (c *converter) annotate(p *plan) {
	d := p.rule.route.doc
	at := (*trail)(nil).fields("metadata", "annotations")
	for _, key := range sortedKeys(p.rule.route.annotations) {
		annotation, ours := strings.CutPrefix(key, "konghq.com/")
		if !ours {
			continue
		}
		at, value := at.field(key), p.rule.route.annotations[key]
		first := p.rule.index == 0 // say it once for a route
		switch annotation {
		case "strip-path", "preserve-host":
			on, err := strconv.ParseBool(value)
			if err != nil && first {
				d.refuse(at, "%s is neither true nor false", quote(value))
			}
			if annotation == "strip-path" {
				p.strip = on
			} else {
				p.preserve = on || err != nil
			}
		case "plugins":
			for _, plugin := range strings.Split(value, ",") {
				if plugin = strings.TrimSpace(plugin); plugin == "" {
					continue
				}
				problems := len(d.problems)
				if found := c.plugin(d, plugin, at); found != nil {
					p.annotations = append(p.annotations, found)
					continue
				}
				p.changes.broken = c.options.To != KIC
				if !first {
					d.problems = d.problems[:problems]
				}
			}
		default:
			if first && c.options.To != KIC {
				d.leave(at, "this annotation cannot be converted; strip-path, preserve-host and plugins can")
			}
		}
	}
}

// add adds a backendRef: to the backend that is the same, or as one of its own.
func (p *plan) add(t target, ch changes) {
	weight := int(*t.ref.ref.Weight)
	for i := range p.backends {
		b := &p.backends[i]
		same := b.service == t.service && b.port == t.port && b.missing == t.missing && b.protocol == t.protocol && ch.equal(b.changes)
		if same && b.weight+weight <= maxWeight {
			b.weight += weight
			return
		}
	}
	p.backends = append(p.backends, backend{target: t, weight: weight, changes: ch})
}

// equal reports whether the filters of two backendRefs do the same.
func (c changes) equal(other changes) bool {
	filters := func(all []mirror) (out []*gateway.HTTPRequestMirrorFilter) {
		for _, m := range all {
			out = append(out, m.filter)
		}
		return out
	}
	same := reflect.DeepEqual(filters(c.mirrors), filters(other.mirrors))
	c.at, other.at, c.mirrors, other.mirrors = nil, nil, nil, nil
	return same && reflect.DeepEqual(c, other)
}

// nameBackends calls each backend by its Service, as far as that is enough.
func (p *plan) nameBackends() {
	names := func(b *backend) []string {
		return []string{
			b.target.service.name,
			b.target.service.name + ":" + strconv.Itoa(b.port),
			b.target.service.namespace + "." + b.target.service.name + ":" + strconv.Itoa(b.port),
		}
	}
	for i := range p.backends {
		b := &p.backends[i]
		own := names(b)
		step := 0
		for j := range p.backends {
			if other := names(&p.backends[j]); !slices.Equal(other, own) {
				for step < len(own)-1 && own[step] == other[step] {
					step++
				}
			}
		}
		b.name = own[step]
	}
	taken := map[string]bool{}
	for i := range p.backends { // one Service with different filters, or too much weight
		b := &p.backends[i]
		own := b.name
		for n := 2; taken[b.name]; n++ {
			b.name = own + "-" + strconv.Itoa(n)
		}
		taken[b.name] = true
	}
}

// NoWeight is the message about a rule whose requests nobody gets.
const NoWeight = "all weights are 0, so that each request gets a 500"

// answers finds out whether no request of the rule can reach a backend.
func (p *plan) answers(to Target) {
	weights, usable := 0, 0
	for _, b := range p.backends {
		weights += b.weight
		if !b.missing {
			usable++
		}
	}
	switch {
	case p.changes.broken && p.rule.route.doc.partial: // otherwise nothing is written
		p.answer, p.reason = 500, "a filter of the rule cannot be converted"
	case len(p.backends) == 0:
		p.answer, p.reason = 500, "the rule has no backendRefs"
	case weights == 0:
		p.answer, p.reason = 500, "all weights are 0"
		if to != KIC { // whose controller would make an event of it each time a rollout is at 0
			p.rule.route.doc.warn(p.rule.at.field("backendRefs"), NoWeight)
		}
	case usable == 0:
		p.answer, p.reason = 500, "no backendRef of the rule leads to a Service"
	}
	if p.answer != 0 && p.rule.route.grpc {
		p.answer = 503 // UNAVAILABLE, where 500 would be INTERNAL
	}
}

// chooseService chooses the backend that the plugin has least to do for: Kong's own
// Service, if it has no changes of its own. Where one backend is a name, the Service's host
// is one, too: from an IP address it takes the plugin more to go to a name.
func (p *plan) chooseService() {
	isName := func(b *backend) bool { _, err := netip.ParseAddr(b.host); return err != nil }
	isDestination := func(b backend) bool { return !b.missing && b.changes.redirect == nil }
	hasName := slices.ContainsFunc(p.backends, func(b backend) bool { return isDestination(b) && isName(&b) })
	best, most := max(0, slices.IndexFunc(p.backends, func(b backend) bool { return !b.missing })), -1
	for i := range p.backends {
		b := &p.backends[i]
		if !isDestination(*b) || hasName && !isName(b) {
			continue
		}
		score := 0
		if !b.rewritten() && p.hostname(b) == "" {
			score += 2
		}
		if b.weight > 0 {
			score++
		}
		if score > most {
			best, most = i, score
		}
	}
	p.service = best
}

// hostname is the Host that a backend receives; empty: the client's or its own.
func (p *plan) hostname(b *backend) string { return cmp.Or(b.changes.hostname, p.changes.hostname) }

// oneProtocol reports backends that Kong cannot reach from one Service.
func (c *converter) oneProtocol(p *plan) {
	for i := range p.backends {
		b, protocol := &p.backends[i], p.backends[p.service].protocol
		if !b.missing && b.protocol != protocol && p.rule.route.grpc {
			b.missing = true
			p.rule.route.doc.leave(b.ref.at, "is reached by %s and another backend of the rule by %s: Kong can do one of them only", b.protocol, protocol)
		}
	}
}

// needsPlugin reports whether Kong alone cannot do what the rule asks for.
func (p *plan) needsPlugin() bool {
	b := &p.backends[0]
	return len(p.backends) > 1 || len(p.ownConfig) > 0 || len(p.mirrors) > 0 || b.weight == 0 || b.missing || b.changes.redirect != nil || b.rewritten() || p.hostname(b) != "" ||
		!p.changes.request.then(b.changes.request).empty() || !b.changes.response.empty()
}

// oneHand reports response headers that a rule sets or removes and a backend adds: what is
// added in access is there when Kong's plugin for the rule's headers runs.
func (c *converter) oneHand(p *plan) {
	for _, b := range p.backends {
		for _, h := range b.changes.response.add {
			if findHeader(p.changes.response.set, h.name) >= 0 || slices.ContainsFunc(p.changes.response.remove, func(n string) bool { return strings.EqualFold(n, h.name) }) {
				at := b.changes.at[gateway.HTTPRouteFilterResponseHeaderModifier].field("responseHeaderModifier")
				p.rule.route.doc.leave(at, "%s is a header that the rule's own filter sets or removes, for this backend, too", h.name)
			}
		}
	}
}

// limits converts timeouts and retries.
func (c *converter) limits(p *plan) {
	r, d := p.rule, p.rule.route.doc
	if t := r.timeouts; t != nil {
		at, limit := r.at.fields("timeouts", "request"), t.Request
		if t.BackendRequest != nil {
			at, limit = r.at.fields("timeouts", "backendRequest"), t.BackendRequest
		}
		if limit != nil {
			p.timeout = milliseconds(*limit)
		}
		if t.Request != nil && milliseconds(*t.Request) < maxTimeout {
			p.retries = 0
		}
		if limit != nil && p.timeout < maxTimeout {
			d.warn(at, "Kong limits connecting, each write and each read to %d ms, not all of them together", p.timeout)
		}
	}
	if retry := r.retry; retry != nil {
		at := r.at.field("retry")
		if len(retry.Codes) > 0 {
			d.leave(at.field("codes"), "Kong tries again when a connection fails or times out only, not by status")
		}
		if retry.Backoff != nil {
			d.leave(at.field("backoff"), "Kong tries again at once")
		}
		if retry.Attempts != nil {
			p.retries = min(*retry.Attempts, 32767)
		}
	}
}

// maxTimeout is Kong's longest timeout, in milliseconds. 0 is no limit in the Gateway API.
const maxTimeout = 2147483646

func milliseconds(d gateway.Duration) int {
	limit, err := time.ParseDuration(string(d))
	if ms := limit.Milliseconds(); err == nil && ms > 0 && ms < maxTimeout {
		return int(ms)
	}
	return maxTimeout
}

// rewrite converts changes of the path, of the rule or of its backends.
func (c *converter) rewrite(p *plan) {
	d := p.rule.route.doc
	urlRewrite := func(ch changes) *trail {
		return ch.at[gateway.HTTPRouteFilterURLRewrite].fields("urlRewrite", "path")
	}
	prefixes := false
	if m := p.changes.path; m != nil {
		ok := true
		if m.ReplaceFullPath != nil {
			at := urlRewrite(p.changes).field("replaceFullPath")
			p.wholePath, ok = wholePathOf(d, *m.ReplaceFullPath, at)
			if strings.Contains(p.wholePath, "$(") {
				d.leave(at, "%s has $( in it, which is a template to Kong's plugin request-transformer: write %%24(", quote(p.wholePath))
				ok = false
			}
		} else {
			p.path, ok = prefixOf(d, *m.ReplacePrefixMatch, urlRewrite(p.changes).field("replacePrefixMatch"))
			p.strip = true
		}
		p.changes.broken = p.changes.broken || !ok
	}
	for i := range p.backends {
		b := &p.backends[i]
		m := b.changes.path
		if m == nil {
			// With expressions, Kong does not tell the plugin what a route that keeps it has matched.
			prefixes = prefixes || b.changes.replacesPrefix() && c.options.Flavor != Traditional
			continue
		}
		ok := false
		switch {
		case p.changes.path != nil:
			d.leave(urlRewrite(b.changes), "the rule's own filters replace the path already")
		case m.ReplaceFullPath != nil:
			b.whole, ok = wholePathOf(d, *m.ReplaceFullPath, urlRewrite(b.changes).field("replaceFullPath"))
		default:
			b.path, ok = prefixOf(d, *m.ReplacePrefixMatch, urlRewrite(b.changes).field("replacePrefixMatch"))
			prefixes = true
		}
		b.missing = b.missing || !ok
	}
	if prefixes && !p.strip {
		p.strip, p.stripsOwn = true, true
		for i := range p.backends {
			if b := &p.backends[i]; b.changes.path == nil && b.changes.redirect == nil { // it gets what was taken off
				b.path = strings.TrimSuffix(p.rule.matches[0].path, "/")
			}
		}
	}
}

// wholePathOf checks a path that takes the place of another one, and returns it.
func wholePathOf(d *document, path string, at *trail) (whole string, ok bool) {
	whole = cmp.Or(path, "/")
	if !plainPath.MatchString(whole) || !strings.HasPrefix(whole, "/") || strings.Contains(whole, "//") {
		d.leave(at, "%s is no path that Kong takes: it starts with a slash and has letters, digits, %%XX and -._~!$&'()*+,;=:@ between single ones", quote(path))
		return "", false
	}
	return whole, true
}

// prefixOf checks a path that takes the place of a prefix, and returns it without the slash
// at its end.
func prefixOf(d *document, path string, at *trail) (prefix string, ok bool) {
	whole, ok := wholePathOf(d, path, at)
	return strings.TrimSuffix(whole, "/"), ok
}
