package config

import (
	"slices"
	"strconv"
	"strings"
)

// finishConfig checks what the parameters say about the backends.
func finishConfig(r *reader, n *Node, path string, to any) {
	c := to.(*Config)
	r.finishHash(c, n, path)
	r.boundExpressions(c, n, Join(path, "rules"))
	r.oneService(c, n, path)
	r.namedAndReplaced(c, n, path)
	if !r.namesOf(c, n, path) {
		return
	}
	if wrong := c.unknown(c.Fallback); wrong != "" && c.OnUnavailable == "fallback" {
		r.report(n.Get("fallback"), Join(path, "fallback"), "%s", wrong)
	}
	r.finishMirrors(c, n, path)
	for i := range c.Rules {
		r.finishRule(c, &c.Rules[i], n.Get("rules").Items[i], Join(path, "rules")+"["+strconv.Itoa(i)+"]")
	}
	if c.Ramp != nil && c.Ramp.Backend != "" {
		at, path := n.Get("ramp"), Join(path, "ramp")
		if wrong := c.unknown(c.Ramp.Backend); wrong != "" {
			r.report(at.Get("backend"), Join(path, "backend"), "%s", wrong)
		} else if !c.weighted(c.Ramp.Backend) {
			r.report(at, path, "needs another backend with a weight above 0, for the rest of the requests")
		}
		r.finishGuard(c, at, path)
	}
	if c.Retry != nil {
		r.finishRetry(c, n, path)
	}
	if c.HashOn != "none" && c.HashOn != "" && !c.weighted("") {
		r.report(n.Get("hash_on"), Join(path, "hash_on"), "needs a backend with a weight above 0")
	}
}

// finishHash compares the names of what is hashed.
func (r *reader) finishHash(c *Config, n *Node, path string) {
	if on, fallback := c.HashOnHeader, c.HashFallbackHeader; on != fallback && strings.EqualFold(on, fallback) {
		r.report(n.Get("hash_fallback_header"), Join(path, "hash_fallback_header"), "is the same as hash_on_header; choose another")
	}
	if c.Session == nil || c.Session.Cookie == "" {
		return
	}
	for _, key := range []struct{ name, on, cookie string }{
		{"hash_on", c.HashOn, c.HashOnCookie},
		{"hash_fallback", c.HashFallback, c.HashFallbackCookie},
	} {
		if key.on == "cookie" && key.cookie == c.Session.Cookie {
			r.report(n.Get("session").Get("cookie"), Join(Join(path, "session"), "cookie"),
				"%s is the cookie that %s hashes, in whose place the session's would come; choose another", quote(key.cookie), key.name)
		}
	}
}

// oneService reports a second backend that is the route's own Service.
func (r *reader) oneService(c *Config, n *Node, path string) {
	first := -1
	for i, b := range c.Backends {
		switch {
		case !b.Service:
		case first < 0:
			first = i
		default:
			at := Join(path, "backends") + "[" + strconv.Itoa(i) + "].service"
			r.report(n.Get("backends").Items[i].Get("service"), at, "backends[%d] is the route's own Service already; add the two weights up in one", first)
		}
	}
}

// namesOf compares the backends' names. It returns false if there are no backends or
// some name is wrong, so that parameters that name a backend cannot be checked.
func (r *reader) namesOf(c *Config, n *Node, path string) bool {
	list := n.Get("backends")
	first := map[string]int{}
	for i, b := range c.Backends {
		if b.Name == "" { // wrong, and reported
			return false
		}
		earlier, twice := first[b.Name]
		if !twice {
			first[b.Name] = i
			continue
		}
		item := list.Items[i]
		at := Join(path, "backends") + "[" + strconv.Itoa(i) + "].name"
		if given := item.Get("name"); given != nil && given.Kind == String {
			item = given
		}
		r.report(item, at, "%s is the name of backends[%d] already; give one of them another name", quote(b.Name), earlier)
	}
	return len(c.Backends) > 0
}

// index returns the index of the backend of that name, or -1.
func (c *Config) index(name string) int {
	return slices.IndexFunc(c.Backends, func(b Backend) bool { return b.Name == name })
}

// weighted reports whether a backend other than except takes new traffic.
func (c *Config) weighted(except string) bool {
	return slices.ContainsFunc(c.Backends, func(b Backend) bool { return b.Weight > 0 && b.Name != except })
}

// unknown returns what is wrong with the name of a backend; empty: nothing.
func (c *Config) unknown(name string) string {
	if name == "" || c.index(name) >= 0 {
		return ""
	}
	var known []string
	for _, b := range c.Backends {
		known = append(known, b.Name)
	}
	out := suggest(name, known)
	if out == "" {
		out = "; the backends are " + shorten(strings.Join(known, ", "))
	}
	return quote(name) + " is not the name of a backend" + out
}

// finishRule checks the names in a rule.
func (r *reader) finishRule(c *Config, rule *Rule, n *Node, path string) {
	if at := n.Get("backend"); c.index(rule.Backend) < 0 && rule.Backend != "" && !r.full(at) {
		r.report(at, Join(path, "backend"), "%s", c.unknown(rule.Backend))
	}
	if len(rule.Weights) == 0 {
		return
	}
	weights, path := n.Get("weights"), Join(path, "weights")
	sum := 0
	for _, m := range weights.Members {
		sum += rule.Weights[m.Key]
		if !backendName[0].pattern.MatchString(m.Key) || m.Value.Kind == Fault { // wrong, and reported
			continue
		}
		if c.index(m.Key) >= 0 || r.full(m.Value) {
			continue
		}
		if wrong := c.unknown(m.Key); wrong != "" {
			r.reportKey(m, Join(path, m.Key), "%s", wrong)
		}
	}
	if sum == 0 {
		r.report(weights, path, "are all 0; one has to be more")
	}
}

// finishMatch compares the names of headers.
func finishMatch(r *reader, n *Node, path string, _ any) {
	r.sameHeader(n.Get("headers"), Join(path, "headers"))
}

// finishRamp fills in the derived defaults of a ramp, and compares its shares.
func finishRamp(r *reader, n *Node, path string, to any) {
	ramp := to.(*Ramp)
	planned := n.set("plan")
	if !planned && ramp.To == nil {
		ramp.To = new(100.0)
	}
	if planned && len(ramp.Plan) > 0 && ramp.Guard != nil && ramp.Plan[len(ramp.Plan)-1].Share < ramp.From {
		r.report(n.orItself("guard"), Join(path, "guard"), "goes with a share that grows: leave it out, or end the plan at the share of from or above")
	}
	switch {
	case planned:
	case ramp.From == *ramp.To:
		r.report(n.orItself("to"), Join(path, "to"), "is the same as from, so that nothing would change")
	case ramp.From > *ramp.To && ramp.Guard != nil:
		r.report(n.orItself("guard"), Join(path, "guard"), "goes with a share that grows: leave it out, or swap from and to")
	}
	if ramp.Guard != nil && ramp.Guard.Wait && !planned && ramp.Steps == 0 {
		guard := n.orItself("guard")
		r.report(guard.orItself("wait"), Join(Join(path, "guard"), "wait"), "needs steps to wait between, and this ramp is continuous: set steps, or a plan")
	}
}

// finishBackend fills in the derived defaults of a backend and compares its headers.
func finishBackend(r *reader, n *Node, path string, to any) {
	b := to.(*Backend)
	if b.Host != "" && !n.set("port") {
		b.Port = defaultPort(b.Protocol)
	}
	if !n.set("name") {
		b.Name = b.defaultName()
	}
	r.finishRedirect(b, n, path)
	if headers := n.Get("request_headers"); headers != nil {
		r.finishHeaders(headers, Join(path, "request_headers"))
	}
	if headers := n.Get("response_headers"); headers != nil {
		at := Join(path, "response_headers")
		r.sameHeader(headers.Get("set"), Join(at, "set"))
		r.sameHeader(headers.Get("add"), Join(at, "add"))
		r.setAndRemoved(headers, at, "what the backend sent")
		r.addedAndReplaced(&b.ResponseHeaders, headers, at)
	}
}

// defaultPort returns the port of a host that was given none.
func defaultPort(protocol string) int {
	if protocol == "https" {
		return 443
	}
	return 80
}

// defaultName returns the name of a backend that was given none; empty if what it is
// derived from is wrong.
func (b *Backend) defaultName() string {
	switch {
	case b.Service:
		return "service"
	case b.Upstream != "":
		return b.Upstream
	case b.Redirect != nil:
		return "redirect"
	case b.Host == "" || b.Port == 0:
		return ""
	case strings.Contains(b.Host, ":"):
		return "[" + b.Host + "]:" + strconv.Itoa(b.Port)
	}
	return b.Host + ":" + strconv.Itoa(b.Port)
}

// sameHeader reports keys that are the same header but for upper and lower case: it
// would not be clear which one counts.
func (r *reader) sameHeader(n *Node, path string) {
	if n == nil {
		return
	}
	first := map[string]string{}
	for _, m := range n.Members {
		name := strings.ToLower(m.Key)
		if earlier, twice := first[name]; twice && earlier != m.Key {
			r.reportKey(m, Join(path, m.Key), "is the same header as %s; keep one", quote(earlier))
		} else if !twice {
			first[name] = m.Key
		}
	}
}

// addedAndReplaced reports response headers that are added and set or removed, which comes
// later.
func (r *reader) addedAndReplaced(h *ResponseHeaders, headers *Node, path string) {
	add := headers.Get("add")
	if add == nil {
		return
	}
	for _, m := range add.Members {
		if h.replaces(m.Key) {
			r.reportKey(m, Join(path+".add", m.Key), "is set or removed as well, which is done after it; set alone replaces what the backend sent")
		}
	}
}

// namedAndReplaced reports a response_header that a backend sets or removes, which is done
// after it.
func (r *reader) namedAndReplaced(c *Config, n *Node, path string) {
	for i := range c.Backends {
		if c.ResponseHeader != "" && c.Backends[i].ResponseHeaders.replaces(c.ResponseHeader) {
			r.report(n.Get("response_header"), Join(path, "response_header"), "%s is a header that backends[%d] sets or removes in its response_headers, which is done after it: choose another", quote(c.ResponseHeader), i)
		}
	}
}

// setAndRemoved reports headers that are both set and removed.
func (r *reader) setAndRemoved(headers *Node, path, replaced string) {
	set, remove := headers.Get("set"), headers.Get("remove")
	if set == nil || remove == nil {
		return
	}
	values := map[string]bool{}
	for _, m := range set.Members {
		values[strings.ToLower(m.Key)] = true
	}
	for i, name := range remove.Items {
		if values[strings.ToLower(name.Text)] {
			r.report(name, path+".remove["+strconv.Itoa(i)+"]", "%s is set as well; set alone replaces %s", quote(name.Text), replaced)
		}
	}
}

// finishActive fills in the default of a probe's timeout, and compares its times.
func finishActive(r *reader, n *Node, path string, to any) {
	a := to.(*Active)
	if !n.set("timeout") {
		a.Timeout = min(1, a.Interval)
	}
	if a.Timeout > a.Interval {
		r.report(n.orItself("timeout"), Join(path, "timeout"), "%s s is longer than the interval, %s s; make the one shorter or the other longer", inDigits(a.Timeout), inDigits(a.Interval))
	}
}
