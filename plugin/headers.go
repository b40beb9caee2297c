package plugin

import (
	"strings"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"kong-traffic-split/plugin/split"
)

// mostHeaders is how many headers of a request Kong tells at once, at most.
const mostHeaders = 1000

// Names are as Kong tells them. Of two that differ in _ and - alone, as which nginx has
// them, it prefers the one with -.
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
	f.call.args = &kong_plugin_protocol.Int{V: mostHeaders}
	f.read = newReadOf(f.Method, f.call.args)
	return f
}

func addHeader(f *split.Facts, name, value string) {
	if value != "" {
		f.Headers = append(f.Headers, split.Header{Name: name, Value: value})
	}
}

// takeHeaders takes those that are named of all headers that Kong tells, and asks for them
// one by one where there are more than it does.
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
		return r.ask(f, headerFacts(names, cookies))
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
