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
		entries = append(entries, headerEntry(name, appendField(nil, valueString, h.Set[name]))...)
	}
	for _, name := range h.Remove {
		entries = append(entries, headerEntry(name, appendField(nil, valueList, ""))...)
	}
	return entries
}

// headerEntry is one of them, with an encoded Value.
func headerEntry(name string, value []byte) []byte {
	return appendField(nil, structFields, appendField(appendField(nil, entryKey, name), entryValue, value))
}

// setHeaders is the call that sets and removes headers, of these entries.
func setHeaders(entries []byte) call { return call{"kong.service.request.set_headers", entries} }

// setHost is the call that sets the Host, with other headers or alone.
func setHost(host string, entries []byte) call {
	if len(entries) == 0 {
		return pairCall("kong.service.request.set_header", "Host", host)
	}
	return setHeaders(append(headerEntry("Host", appendField(nil, valueString, host)), entries...))
}
