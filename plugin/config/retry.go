package config

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// finishRetry checks what a retry asks of the backends. Between two tries of a request Kong
// changes the address, the timeouts, and where each backend receives its own Host, that and
// other headers. What it sends else is the same on each try.
func (r *reader) finishRetry(c *Config, n *Node, path string) {
	at, name := n.Get("retry"), Join(path, "retry")
	to := c.Retry.Backend
	switch wrong := c.unknown(to); {
	case wrong != "":
		r.report(at.Get("backend"), Join(name, "backend"), "%s", wrong)
	case to != "" && c.Retry.Max > 1:
		r.report(at.Get("max"), Join(name, "max"), "%d is more than the one backend that is named in backend; leave one of the two out", c.Retry.Max)
	}
	if i := c.index(to); i >= 0 && c.Backends[i].Redirect != nil {
		r.report(at.Get("backend"), Join(name, "backend"), "%s answers with a redirect, and no request that has failed is tried there: name a host", quote(to))
	}
	first := slices.IndexFunc(c.Backends, func(b Backend) bool { return b.Redirect == nil })
	for i := range c.Backends {
		if c.Backends[i].Redirect == nil {
			r.retried(c, first, i, n.Get("backends").Items[i], Join(path, "backends")+"["+strconv.Itoa(i)+"]")
		}
	}
}

// RetryIdle returns why no request would ever be tried on another backend, as in the first and
// the last step of a rollout; empty: some would.
func (c *Config) RetryIdle() string {
	if c.Retry == nil || len(c.Rules) > 0 || c.ForceHeader != "" || c.Ramp != nil {
		return ""
	}
	tried := slices.DeleteFunc(slices.Clone(c.Backends), func(b Backend) bool { return b.Redirect != nil })
	weighted := func(except string) int {
		return slices.IndexFunc(tried, func(b Backend) bool { return b.Weight > 0 && b.Name != except })
	}
	switch to, first := c.Retry.Backend, weighted(""); {
	case len(tried) <= 1:
		return "there is no other backend to try"
	case first < 0:
		return "no backend that requests go to has a weight above 0"
	case to != "" && weighted(to) < 0:
		return quote(to) + " gets all requests itself"
	case to == "" && weighted(tried[first].Name) < 0:
		return "no other backend has a weight above 0, and backend names none"
	}
	return ""
}

// retried checks what a retry asks of the backend at index i, compared with the first one that
// requests go to.
func (r *reader) retried(c *Config, of, i int, n *Node, path string) {
	first, b, name := &c.Backends[of], &c.Backends[i], "backends["+strconv.Itoa(of)+"]"
	report := func(key, format string, args ...any) {
		r.report(n.orItself(key), Join(path, key), format, args...)
	}
	switch {
	case b.Service:
		report("service", "does not go with retry, which knows the addresses of hosts only: give its host and port")
		return
	case b.Upstream != "":
		report("upstream", "does not go with retry: Kong tries the targets of an Upstream one after another, and no other backend: give a host, or leave retry out")
		return
	}
	const fix = "give both the same, or leave retry out"
	if b.Retries != nil {
		report("retries", "does not go with retry, whose max says how often Kong tries again")
	}
	if b.Protocol != first.Protocol {
		report("protocol", "is not that of %s, and Kong speaks the same to each backend that it tries: %s", name, fix)
	}
	for _, p := range []struct{ key, first, value string }{{"path", first.Path, b.Path}, {"replace_prefix", first.ReplacePrefix, b.ReplacePrefix}, {"replace_path", first.ReplacePath, b.ReplacePath}} {
		if p.value != p.first {
			report(p.key, "is not that of %s, and Kong asks each backend that it tries for the same path: %s", name, fix)
		}
	}
	if b.HostHeader != first.HostHeader {
		report("host_header", "is not that of %s, and between two tries Kong makes no other Host than the backend's own: give both the same, or leave it out in both", name)
	}
	if !maps.Equal(b.ResponseHeaders.Add, first.ResponseHeaders.Add) {
		report("response_headers", "add other headers than those of %s, and Kong adds them before it tries the first backend: set them, or leave retry out", name)
	}
	switch {
	case !maps.Equal(b.RequestHeaders.Add, first.RequestHeaders.Add):
		report("request_headers", "add other headers than those of %s, and between two tries Kong cannot take away what was added: set them in both, or leave retry out", name)
	case !slices.Equal(b.RequestHeaders.replaced(), first.RequestHeaders.replaced()):
		report("request_headers", "set or remove other headers than those of %s, and between two tries Kong cannot restore what the client sent: set or remove the same ones in both, or leave retry out", name)
	case b.HostHeader != "" && b.RequestHeaders.differ(&first.RequestHeaders):
		report("request_headers", "are not those of %s, and Kong sends the same headers to each backend that it tries unless each receives its own Host: %s, or leave out host_header in both", name, fix)
	}
}

// replaced returns the names of the headers that do not arrive as the client sent them.
func (h *RequestHeaders) replaced() (names []string) {
	for name := range h.Set {
		names = append(names, strings.ToLower(name))
	}
	for _, name := range h.Remove {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// differ reports whether two backends that replace the same headers get others.
func (h *RequestHeaders) differ(other *RequestHeaders) bool {
	lower := func(set map[string]string) map[string]string {
		out := map[string]string{}
		for name, value := range set {
			out[strings.ToLower(name)] = value
		}
		return out
	}
	return !maps.Equal(lower(h.Set), lower(other.Set))
}

// Replaces reports whether headers that the backend has sent are set or removed.
func (h *ResponseHeaders) Replaces() bool { return len(h.Set) > 0 || len(h.Remove) > 0 }

// replaces reports whether a header that the backend has sent is set or removed.
func (h *ResponseHeaders) replaces(name string) bool {
	isIt := func(other string) bool { return strings.EqualFold(name, other) }
	return slices.ContainsFunc(h.Remove, isIt) || slices.ContainsFunc(slices.Collect(maps.Keys(h.Set)), isIt)
}

// NeedsCompanion reports whether the split takes the companion, a row of post-function.
func (c *Config) NeedsCompanion() bool {
	return c.Retry != nil || slices.ContainsFunc(c.Backends, func(b Backend) bool { return b.ResponseHeaders.Replaces() })
}

// RetryChangesHeaders reports whether the backends get other headers than each other, so that
// they have to change between two tries.
func (c *Config) RetryChangesHeaders() bool {
	if c.Retry == nil {
		return false
	}
	var first *Backend // that requests go to
	for i := range c.Backends {
		switch b := &c.Backends[i]; {
		case b.Redirect != nil:
		case first == nil:
			first = b
		case b.RequestHeaders.differ(&first.RequestHeaders):
			return true
		}
	}
	return false
}

// RefuseRetry returns an error if a retry asks for what Kong cannot do on a route of a Service.
func (c *Config) RefuseRetry(s *Service, preserveHost bool) error {
	switch {
	case c.Retry == nil:
	case s.IsGRPC():
		return errors.New("retry: Kong cannot try calls of gRPC again, and ends them with INTERNAL: leave retry out")
	case preserveHost && c.RetryChangesHeaders():
		return errors.New("retry: the route says preserve_host, and with that Kong sends the same headers to each backend that it tries, but the request_headers of these differ: give all the same, or set preserve_host: false")
	}
	return nil
}
