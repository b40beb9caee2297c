package plugin

import (
	"maps"
	"slices"
	"strings"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
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

// mostHeaders is how many headers of a request Kong tells at once, at most.
const mostHeaders = 1000

// cookieHeader is the name of the Cookie header as Kong tells it.
const cookieHeader = "cookie"

// needsAllHeaders reports whether all that the client has sent are asked for at once,
// which costs Kong about what two or three of them do.
func needsAllHeaders(n *split.Needs) bool {
	return len(n.Headers) > 2 || n.Cookies && len(n.Headers) > 1
}

// headerFacts are the facts that are headers of a request, each asked for by itself.
func headerFacts(names []string, cookies bool) (facts []fact) {
	if cookies {
		// Not request.get_header, which has the first of several Cookie headers only.
		facts = append(facts, newFact("kong.nginx.get_var", "http_cookie", takeText(func(f *split.Facts, text string) { f.Cookies = text })))
	}
	for _, name := range names {
		facts = append(facts, headerFact(name))
	}
	return facts
}

func headerFact(name string) fact {
	return newFact("kong.request.get_header", name, takeText(func(f *split.Facts, text string) { addHeader(f, name, text) }))
}

// allHeadersFact asks for all headers, and takes those that are named and the cookies.
func allHeadersFact(names []string, cookies bool) fact {
	f := newFact("kong.request.get_headers", "", func(r *request, f *split.Facts, reply reply) error {
		return r.takeHeaders(f, reply, names, cookies)
	})
	f.call = messageCall(f.Method, &kong_plugin_protocol.Int{V: mostHeaders})
	return f
}

func addHeader(f *split.Facts, name, value string) {
	if value != "" {
		f.Headers = append(f.Headers, split.Header{Name: name, Value: value})
	}
}

// takeHeaders takes those that are named of all headers that Kong tells, and asks for them
// one by one where there are more than it does. Two names that differ in _ and - alone are
// one to nginx; of two such headers Kong prefers the one with -.
func (r *request) takeHeaders(f *split.Facts, reply reply, names []string, cookies bool) error {
	var table emptypb.Empty // whose strings may have any bytes
	if err := reply(&table); err != nil {
		return err
	}
	told := 0
	sent := map[string]string{} // the first values
	eachField(table.ProtoReflect().GetUnknown(), structFields, func(entry []byte) {
		var name string
		var values []string
		eachField(entry, entryKey, func(key []byte) { name = string(key) })
		eachField(entry, entryValue, func(value []byte) { values = appendValues(values, value) })
		if told += len(values); len(values) == 0 {
			return
		}
		if name == cookieHeader && cookies {
			f.Cookies = strings.Join(values, "; ")
		}
		dashed := strings.ReplaceAll(name, "_", "-")
		if _, twice := sent[dashed]; !twice || name == dashed {
			sent[dashed] = values[0]
		}
	})
	if told >= mostHeaders {
		f.Cookies = ""
		return r.learn(f, headerFacts(names, cookies))
	}
	for _, name := range names {
		addHeader(f, name, sent[strings.ToLower(strings.ReplaceAll(name, "_", "-"))])
	}
	r.host = new(sent["host"])
	return nil
}

// appendValues adds what a Value holds: a string, or a list of them.
func appendValues(to []string, value []byte) []string {
	eachField(value, valueString, func(s []byte) { to = append(to, string(s)) })
	eachField(value, valueList, func(list []byte) {
		eachField(list, listValues, func(value []byte) { to = appendValues(to, value) })
	})
	return to
}

// eachField calls take with each field of that number in an encoded message, as far as
// it can be read. All the fields here are of that type.
func eachField(message []byte, number protowire.Number, take func([]byte)) {
	for len(message) > 0 {
		n, kind, length := protowire.ConsumeTag(message)
		if length < 0 {
			return
		}
		message = message[length:]
		if length = protowire.ConsumeFieldValue(n, kind, message); length < 0 {
			return
		}
		if n == number && kind == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(message)
			take(content)
		}
		message = message[length:]
	}
}
