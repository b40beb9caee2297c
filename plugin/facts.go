package plugin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/emptypb"

	"kong-traffic-split/plugin/split"
)

// fact is something of a request that a decision may depend on: the call that asks Kong
// for it, so that it can be asked together with others, and what makes it.
type fact struct {
	call
	learn func(r *request, f *split.Facts) error
	when  func(f *split.Facts) bool // whether it is asked for, by the facts before it; nil: always
}

// textFact is a fact that is a string of any bytes.
func textFact(c call, take func(f *split.Facts, text string)) fact {
	return fact{call: c, learn: func(r *request, f *split.Facts) error {
		text, err := r.askText(c)
		take(f, text)
		return err
	}}
}

// factsOf are the facts that a split needs, and what more of them only some decisions do.
// On a TCP or TLS route Kong knows the client's address alone, and plugin rows there need
// nothing else.
func factsOf(s *split.Split) (facts, later []fact) {
	n, more := s.Needs()
	if needsAllHeaders(&n) {
		names := slices.Concat(n.Headers, more.Headers)
		if more.Preflight {
			names = append(names, split.OriginHeader, split.PreflightHeader)
		}
		facts = []fact{allHeadersFact(names, n.Cookies)}
	} else {
		facts, later = headerFacts(n.Headers, n.Cookies), headerFacts(more.Headers, more.Cookies)
		if more.Preflight {
			later = append(later, headerFact(split.PreflightHeader), ofPreflight(headerFact(split.OriginHeader)))
		}
	}
	if more.Preflight && !n.Method {
		later = append(later, ofPreflight(methodFact))
	}
	facts, later = append(facts, otherFacts(&n)...), append(later, otherFacts(&more)...)
	if more.Credential {
		later = append(later, only(s.NeedsCredential, credentialFact))
	}
	return facts, later
}

// only returns f as one that is asked for only when that holds.
func only(when func(*split.Facts) bool, f fact) fact {
	f.when = when
	return f
}

// ofPreflight returns f as one that is asked for only where it may be a CORS preflight.
func ofPreflight(f fact) fact { return only((*split.Facts).MayBePreflight, f) }

// otherFacts are those that are no headers.
func otherFacts(n *split.Needs) (facts []fact) {
	for _, f := range [...]struct {
		needed bool
		fact   fact
	}{
		{n.Method, methodFact},
		{n.Path, pathFact},
		{n.Query, queryFact},
		{n.HTTPS, schemeFact},
		{n.IP, ipFact},
		{n.Captures, capturesFact},
		{n.Consumer, consumerFact},
	} {
		if f.needed {
			facts = append(facts, f.fact)
		}
	}
	return facts
}

var (
	getPath = call{Method: "kong.request.get_path"}

	pathFact  = textFact(getPath, func(f *split.Facts, text string) { f.Path = text })
	queryFact = textFact(getQuery, func(f *split.Facts, text string) { f.Query = text })
	// Not by go-pdk: it may be a header of a client's.
	schemeFact = textFact(getScheme, func(f *split.Facts, text string) { f.HTTPS = text == "https" })

	methodFact = fact{call: getMethod, learn: func(r *request, f *split.Facts) (err error) {
		f.Method, err = r.kong.Request.GetMethod()
		return err
	}}
	ipFact = fact{call: call{Method: "kong.client.get_forwarded_ip"}, learn: func(r *request, f *split.Facts) error {
		text, err := r.kong.Client.GetForwardedIp()
		f.IP, _ = netip.ParseAddr(text) // of a Unix socket's client there is none
		return err
	}}
	capturesFact = fact{call: call{Method: "kong.request.get_uri_captures"}, learn: func(r *request, f *split.Facts) error {
		_, named, err := r.kong.Request.GetUriCaptures()
		for name, value := range named {
			f.Captures = append(f.Captures, split.Header{Name: name, Value: string(value)})
		}
		return err
	}}
	consumerFact = fact{call: call{Method: "kong.client.get_consumer"}, learn: func(r *request, f *split.Facts) error {
		c, err := r.kong.Client.GetConsumer()
		f.Consumer = split.Consumer{ID: c.Id, CustomID: c.CustomId, Username: c.Username}
		return err
	}}
	// Of the reply, the first field is the id. It is another plugin's, and may have any bytes.
	credentialFact = textFact(call{Method: "kong.client.get_credential"}, func(f *split.Facts, text string) { f.Credential = text })
)

// readsOf are the calls that ask for facts, but for those that few requests need.
func readsOf(facts []fact) (reads []call) {
	for i := range facts {
		if facts[i].when == nil {
			reads = append(reads, facts[i].call)
		}
	}
	return reads
}

// learn asks Kong for facts of the request.
func (r *request) learn(f *split.Facts, facts []fact) error {
	for i := range facts {
		if facts[i].when != nil && !facts[i].when(f) {
			continue
		}
		if err := facts[i].learn(r, f); err != nil {
			return fmt.Errorf("asking Kong for what the split depends on: %s: %w", facts[i].Method, err)
		}
	}
	return nil
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
		facts = append(facts, textFact(textCall("kong.nginx.get_var", "http_cookie"), func(f *split.Facts, text string) { f.Cookies = text }))
	}
	for _, name := range names {
		facts = append(facts, headerFact(name))
	}
	return facts
}

func headerFact(name string) fact {
	return textFact(textCall("kong.request.get_header", name), func(f *split.Facts, text string) { addHeader(f, name, text) })
}

// allHeadersFact asks for all headers, and takes those that are named and the cookies.
func allHeadersFact(names []string, cookies bool) fact {
	return fact{call: getAllHeaders, learn: func(r *request, f *split.Facts) error {
		var table emptypb.Empty // whose strings may have any bytes
		if err := ask(r.kong, getAllHeaders, &table); err != nil {
			return err
		}
		return r.takeHeaders(f, table.ProtoReflect().GetUnknown(), names, cookies)
	}}
}

func addHeader(f *split.Facts, name, value string) {
	if value != "" {
		f.Headers = append(f.Headers, split.Header{Name: name, Value: value})
	}
}

// takeHeaders takes those that are named of all headers that Kong tells, an encoded
// Struct, and asks for them one by one where there are more than it does. Two names that
// differ in _ and - alone are one to nginx; of two such headers Kong prefers the one with -.
func (r *request) takeHeaders(f *split.Facts, table []byte, names []string, cookies bool) error {
	count := 0
	sent := map[string]string{} // the first values
	eachHeader(table, func(name string, values []string) {
		count += len(values)
		if name == cookieHeader && cookies {
			f.Cookies = strings.Join(values, "; ")
		}
		dashed := strings.ReplaceAll(name, "_", "-")
		if _, twice := sent[dashed]; !twice || name == dashed {
			sent[dashed] = values[0]
		}
	})
	if count >= mostHeaders {
		f.Cookies = ""
		return r.learn(f, headerFacts(names, cookies))
	}
	for _, name := range names {
		addHeader(f, name, sent[strings.ToLower(strings.ReplaceAll(name, "_", "-"))])
	}
	r.host = new(sent["host"])
	return nil
}

// eachHeader calls take with each header that Kong tells, an encoded Struct. Names are lower
// case.
func eachHeader(table []byte, take func(name string, values []string)) {
	eachField(table, structFields, func(entry []byte) {
		var name string
		var values []string
		eachField(entry, entryKey, func(key []byte) { name = string(key) })
		eachField(entry, entryValue, func(value []byte) { values = appendValues(values, value) })
		if len(values) > 0 {
			take(name, values)
		}
	})
}

// appendValues adds what a Value holds: a string, or a list of them.
func appendValues(to []string, value []byte) []string {
	eachField(value, valueString, func(s []byte) { to = append(to, string(s)) })
	eachField(value, valueList, func(list []byte) {
		eachField(list, listValues, func(value []byte) { to = appendValues(to, value) })
	})
	return to
}
