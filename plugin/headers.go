package plugin

import (
	"maps"
	"slices"

	"kong-traffic-split/plugin/config"
)

// headerCalls are the calls that change headers for b besides the one of setHeaders, as
// few as Kong allows. A header that is added to those of the client needs one of its own,
// since Kong breaks a list there. On responses set_headers would erase what earlier
// plugins set.
func headerCalls(b *config.Backend, responseHeader string) []call {
	var calls []call
	for _, name := range slices.Sorted(maps.Keys(b.RequestHeaders.Add)) {
		calls = append(calls, pairCall("kong.service.request.add_header", name, b.RequestHeaders.Add[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(b.ResponseHeaders.Add)) {
		calls = append(calls, pairCall("kong.response.add_header", name, b.ResponseHeaders.Add[name]))
	}
	if b.ResponseHeaders.Replaces() {
		calls = append(calls, tellCompanion(answerKey, appendField(nil, valueStruct, replacement(b.ResponseHeaders.Set, b.ResponseHeaders.Remove))))
	}
	if responseHeader != "" {
		calls = append(calls, pairCall("kong.response.set_header", responseHeader, b.Name))
	}
	return calls
}

// changedHeaders are the request headers that are set or removed, as entries of a
// Struct. go-pdk would make lists of all values, and Kong "table: 0x…" of a list that is
// the Host; a header with an empty list is removed.
func changedHeaders(h *config.RequestHeaders) (entries []byte) {
	for _, name := range slices.Sorted(maps.Keys(h.Set)) {
		entries = append(entries, structEntry(name, appendField(nil, valueString, h.Set[name]))...)
	}
	for _, name := range h.Remove {
		entries = append(entries, structEntry(name, appendField(nil, valueList, ""))...)
	}
	return entries
}

// setHeaders is the call that sets and removes headers, of these entries.
func setHeaders(entries []byte) call { return call{"kong.service.request.set_headers", entries} }

// setHost is the call that sets the Host, with other headers or alone.
func setHost(host string, entries []byte) call {
	if len(entries) == 0 {
		return pairCall("kong.service.request.set_header", "Host", host)
	}
	return setHeaders(append(structEntry("Host", appendField(nil, valueString, host)), entries...))
}

// setHeaders sets and removes what b has other headers for than the client has sent, by
// one call: Host among them where it is not what Kong makes of it by itself, which is
// after set_target the backend's host alone, even where the route preserves the client's.
func (r *request) setHeaders(b *backend) error {
	host, isClients, err := r.hostHeader(b)
	if err != nil {
		return err
	}
	if host == "" || host == b.target && !r.overridden {
		if b.withoutHost.Method == "" {
			return nil
		}
		return r.tell(b.withoutHost)
	}
	last := b.withHost.Load()
	if last == nil || last.key != host {
		last = &keyedCall[string]{host, setHost(host, b.headers)}
		if !isClients {
			b.withHost.Store(last)
		}
	}
	return r.tell(last.call)
}

// hostHeader is the Host header that b is to receive, empty where that is
// Kong's business, and whether it is the one that the client has sent. By what is in
// balancer_data, Kong makes it of a host as it does of a Service's.
func (r *request) hostHeader(b *backend) (host string, isClients bool, err error) {
	switch {
	case b.HostHeader != "" && b.HostHeader != "preserve":
		return b.HostHeader, false, nil
	case b.HostHeader == "" && (b.Host == "" || r.overridden):
		return "", false, nil
	}
	preserve := b.HostHeader == "preserve"
	if !preserve || b.Upstream != "" {
		rt, err := r.askRoute()
		if err != nil {
			return "", false, err
		}
		if b.Upstream != "" && rt.preserveHost {
			return "", false, nil
		}
		preserve = preserve || rt.preserveHost
	}
	if preserve {
		host, err := r.askHost()
		if host != "" || err != nil || b.Upstream != "" {
			return host, true, err
		}
		// HTTP/1.0 needs none; then Kong does as if nothing were to be preserved.
	}
	protocol, err := r.protocol(b)
	return b.Authority(protocol), false, err
}

// askHost returns the Host header that the client has sent.
func (r *request) askHost() (string, error) {
	if r.host != nil {
		return *r.host, nil
	}
	return r.askText(getHost)
}

// protocol is what Kong speaks to b, as far as the port in a Host header depends on
// it.
func (r *request) protocol(b *backend) (string, error) {
	if b.Protocol != "" || b.Port != 80 && b.Port != 443 {
		return b.Protocol, nil
	}
	s, err := r.askService()
	return s.Protocol, err
}
