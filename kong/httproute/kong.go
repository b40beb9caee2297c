package httproute

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

const pluginName = "traffic-split"

// write writes the output.
func (c *converter) write(plans []*plan) *Output {
	if c.options.To == KIC {
		return c.writeKIC(plans)
	}
	for _, p := range plans {
		c.prepare(p)
	}
	c.mixed = mixed(plans)
	out := &Output{Flavor: c.flavor(plans)}
	var w written
	for _, p := range plans {
		c.add(&w, p, out.Flavor)
	}
	file := object{{"_format_version", json.RawMessage(`"3.0"`)}}
	file.putSome("services", w.services)
	file.putSome("routes", w.routes)
	file.putSome("upstreams", w.upstreams)
	var b bytes.Buffer
	b.WriteString(c.head(out.Flavor))
	file.write(&b, 0)
	out.Kong = b.Bytes()
	if c.options.To == Splits {
		var b bytes.Buffer
		b.WriteString("# Made by splitctl convert: change the routes, not this file.\n")
		object{{"splits", w.splits}}.write(&b, 0)
		out.Splits = b.Bytes()
	}
	return out
}

// written is what Kong's configuration and a split file have.
type written struct {
	services, routes, upstreams []object
	splits                      object
}

// prepare finds out which routes of Kong's a rule has.
func (c *converter) prepare(p *plan) {
	for _, e := range p.entries {
		e.checkMatch()
	}
	p.nameEntries()
}

// add adds what a rule becomes.
func (c *converter) add(w *written, p *plan, flavor string) {
	switch {
	case len(p.kept()) == 0, p.changes.redirect != nil && !c.canRedirect(p):
		return
	case p.changes.redirect != nil || c.answersByKong(p):
		w.routes = append(w.routes, c.answering(p, flavor, &w.splits)...)
		return
	case c.options.To == Native && c.refuseNative(p):
		return
	case c.options.To == Native:
		if u := p.upstream(); u != nil {
			w.upstreams = append(w.upstreams, u)
		}
	}
	w.services = append(w.services, c.service(p, flavor, &w.splits))
}

// answersByKong reports whether Kong answers all requests of a rule by itself. In a split
// file the weights may come back, of backends that are there.
func (c *converter) answersByKong(p *plan) bool {
	usable := slices.ContainsFunc(p.backends, func(b backend) bool { return !b.missing })
	return p.answer != 0 && (c.options.To != Splits || !usable || p.changes.broken)
}

// head is what the file says of itself.
func (c *converter) head(flavor string) string {
	head := "# Made by splitctl convert: change the routes, not this file.\n"
	if flavor == Expressions {
		head += "# It needs router_flavor = expressions in kong.conf.\n"
	}
	return head
}

// service is the Service of a rule, with its routes and plugins.
func (c *converter) service(p *plan, flavor string, splits *object) object {
	b := &p.backends[p.service]
	o := object{{"name", p.rule.name()}, {"protocol", b.protocol}}
	if c.options.To == Native && len(p.backends) > 1 {
		o.put("host", p.rule.name())
	} else {
		o.put("host", b.host)
		o.put("port", b.hostPort)
	}
	o.putSome("path", p.path)
	for _, key := range []string{"connect_timeout", "write_timeout", "read_timeout"} {
		o.putSome(key, p.timeout)
	}
	if p.retries >= 0 {
		o.put("retries", p.retries)
	}
	needsPlugin := c.options.To != Native && p.needsPlugin()
	var routes []object
	for _, e := range p.kept() {
		route := c.route(p, e, flavor)
		if needsPlugin && c.options.To == Splits {
			*splits = append(*splits, member{e.name, c.split(p)})
			route.put("plugins", []object{{{"name", pluginName}}})
		}
		routes = append(routes, route)
	}
	o.put("routes", routes)
	plugins := c.rows(p)
	if needsPlugin && c.options.To == Kong {
		row := object{{"name", pluginName}, {"instance_name", p.rule.name()}, {"config", c.split(p)}}
		plugins = append([]object{row}, plugins...)
	}
	o.putSome("plugins", plugins)
	return o
}

// route is a route of Kong's.
func (c *converter) route(p *plan, e *entry, flavor string) object {
	protocols, redirects := e.protocols, p.changes.redirect != nil && p.toHTTPS()
	if redirects {
		protocols = []string{"https"}
	}
	o := object{{"name", e.name}, {"protocols", protocols}}
	if flavor == Expressions {
		o.put("expression", e.expression(c.mixed))
		o.put("priority", e.priority)
	} else {
		o.putSome("hosts", e.hostnames)
		o.put("paths", e.traditionalPaths())
		if e.match.method != "" {
			o.put("methods", []string{e.match.method})
		}
		headers := object{}
		for _, h := range e.match.headers {
			headers.put(h.name, []string{h.value})
		}
		o.putSome("headers", headers)
		o.putSome("regex_priority", e.regexPriority())
	}
	if redirects {
		o.put("https_redirect_status_code", *p.changes.redirect.StatusCode)
	}
	o.put("strip_path", p.strip)
	o.put("preserve_host", p.preserve)
	return o
}

// answering are the routes of a rule whose requests go nowhere: Kong answers them, or our plugin.
func (c *converter) answering(p *plan, flavor string, splits *object) (routes []object) {
	for _, e := range p.kept() {
		route := c.route(p, e, flavor)
		var rows []object
		switch {
		case p.answer != 0:
			rows = append(rows, object{{"name", "request-termination"}, {"config", object{{"status_code", p.answer}, {"message", p.reason}}}})
		case p.takesPlugin():
			rows = append(rows, c.redirectRow(p, e, splits))
		case !p.toHTTPS():
			config := object{{"status_code", *p.changes.redirect.StatusCode}, {"location", p.location()}, {"keep_incoming_path", true}}
			rows = append(rows, object{{"name", "redirect"}, {"config", config}})
		}
		route.putSome("plugins", c.rows(p, rows...))
		routes = append(routes, route)
	}
	return routes
}

// split is the config of a split.
func (c *converter) split(p *plan) object {
	var backends []object
	for i := range p.backends {
		backends = append(backends, c.backend(p, i))
	}
	o := object{{"backends", backends}}
	o.putSome("session", c.session(p))
	o.putSome("mirror", c.mirrorConfig(p))
	o = append(o, p.ownConfig...)
	c.splits = append(c.splits, &checkedSplit{plan: p, config: o})
	return o
}

// backend is one backend of a split.
func (c *converter) backend(p *plan, i int) object {
	b := &p.backends[i]
	o := object{{"name", b.name}}
	hostname := p.hostname(b)
	switch {
	case b.missing:
		return p.missing(b)
	case b.changes.redirect != nil:
		o.put("redirect", p.redirectConfig(b.changes.redirect, p.protocols()))
		o.put("weight", b.weight)
		return o
	case i == p.service && !b.rewritten() && hostname == "" && !p.retried():
		o.put("service", true)
	default:
		o.put("host", b.host)
		o.put("port", b.hostPort)
		if b.protocol != p.backends[p.service].protocol {
			o.put("protocol", b.protocol)
		}
		o.putSome("path", b.path)
		o.putSome("replace_path", b.whole)
		o.putSome("host_header", hostname)
	}
	o.put("weight", b.weight)
	request := p.changes.request.then(b.changes.request)
	o.putSome("request_headers", headerConfig(request))
	o.putSome("response_headers", headerConfig(b.changes.response))
	return o
}

// missing is a backend that leads nowhere, whose share is answered with an error.
func (p *plan) missing(b *backend) object {
	return object{{"name", b.name}, p.nowhere(b.target.service.namespace + "." + b.target.service.name), {"weight", b.weight}}
}

// nowhere is where a backend leads that is not there: to an Upstream that does not exist; or,
// with retry, which knows hosts only, to one that has no address.
func (p *plan) nowhere(name string) member {
	if p.retried() {
		return member{"host", "missing." + name + ".invalid"}
	}
	return member{"upstream", "missing." + name}
}

func headerConfig(h headers) (o object) {
	values := func(all []header) (out object) {
		for _, one := range all {
			out.put(one.name, one.value)
		}
		return out
	}
	o.putSome("set", values(h.set))
	o.putSome("add", values(h.add))
	o.putSome("remove", h.remove)
	return o
}

// session is what pins clients to their backend.
func (c *converter) session(p *plan) (o object) {
	s := p.rule.session
	if s == nil {
		return nil
	}
	d, at := p.rule.route.doc, p.rule.at.field("sessionPersistence")
	if s.Type != nil && *s.Type != gateway.CookieBasedSessionPersistence {
		d.leave(at.field("type"), "sessions by a header cannot be converted, only those by a cookie")
		return nil
	}
	if s.SessionName != nil {
		o.put("cookie", *s.SessionName)
	}
	if s.AbsoluteTimeout != nil {
		age, _ := time.ParseDuration(string(*s.AbsoluteTimeout)) // the schema has checked it
		permanent := s.CookieConfig != nil && s.CookieConfig.LifetimeType != nil && *s.CookieConfig.LifetimeType == gateway.PermanentCookieLifetimeType
		switch {
		case !permanent:
			d.leave(at.field("absoluteTimeout"), "needs cookieConfig.lifetimeType: Permanent: the plugin's sessions end with the browser or by age, not by both")
		case age%1e9 != 0 || age <= 0 || age > 34_560_000e9:
			d.leave(at.field("absoluteTimeout"), "%s is not a number of seconds in 1..34560000", quote(string(*s.AbsoluteTimeout)))
		default:
			o.put("max_age", int(age.Seconds()))
		}
	}
	o.put("secret", c.options.SessionSecret)
	return o
}
