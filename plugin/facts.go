package plugin

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/plugin/split"
)

// fact is something of a request that a decision may depend on: the call that
// asks Kong for it, and what is made of the reply.
type fact struct {
	call
	take      func(r *request, f *split.Facts, reply reply) error
	preflight bool // it is asked for only where the request may be a CORS preflight
}

// reply decodes what Kong has replied to a call.
type reply func(to proto.Message) error

// text is a reply that is a string of any bytes; empty where there is none.
func (r reply) text() (string, error) {
	var to kong_plugin_protocol.ByteString
	err := r(&to)
	return string(to.V), err
}

// factsOf are the facts that a split needs, and what more of them is asked for later.
// On a TCP or TLS route Kong knows the client's address alone, and plugin rows there need
// nothing else.
func factsOf(n, more split.Needs) (facts, later []fact) {
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
		later = append(later, ofPreflight(methodFact()))
	}
	return append(facts, otherFacts(&n)...), append(later, otherFacts(&more)...)
}

func methodFact() fact {
	return newFact("kong.request.get_method", "", takeText(func(f *split.Facts, text string) { f.Method = text }))
}

// ofPreflight returns f as one that is asked for only where it may be a CORS preflight.
func ofPreflight(f fact) fact {
	f.preflight = true
	return f
}

// otherFacts are those that are no headers.
func otherFacts(n *split.Needs) (facts []fact) {
	add := func(wanted bool, method string, take func(*request, *split.Facts, reply) error) {
		if wanted {
			facts = append(facts, newFact(method, "", take))
		}
	}
	if n.Method {
		facts = append(facts, methodFact())
	}
	add(n.Path, "kong.request.get_path", takeText(func(f *split.Facts, text string) { f.Path = text }))
	add(n.Query, "kong.request.get_raw_query", takeText(func(f *split.Facts, text string) { f.Query = text }))
	add(n.HTTPS, "kong.request.get_forwarded_scheme", takeText(func(f *split.Facts, text string) { f.HTTPS = text == "https" }))
	add(n.IP, "kong.client.get_forwarded_ip", takeText(func(f *split.Facts, text string) {
		f.IP, _ = netip.ParseAddr(text) // of a Unix socket's client there is none
	}))
	add(n.Captures, "kong.request.get_uri_captures", takeCaptures)
	add(n.Consumer, "kong.client.get_consumer", takeConsumer)
	return facts
}

// takeText takes a reply that is a string.
func takeText(take func(f *split.Facts, text string)) func(*request, *split.Facts, reply) error {
	return func(_ *request, f *split.Facts, r reply) error {
		text, err := r.text()
		take(f, text)
		return err
	}
}

// newFact makes a fact of the call of a method, with an argument or, where that
// is empty, without.
func newFact(method, arg string, take func(*request, *split.Facts, reply) error) fact {
	f := fact{call: call{Method: method}, take: take}
	if arg != "" {
		f.call = textCall(method, arg)
	}
	return f
}

func takeCaptures(_ *request, f *split.Facts, r reply) error {
	var to kong_plugin_protocol.UriCapturesResult
	err := r(&to)
	for name, value := range to.Named {
		f.Captures = append(f.Captures, split.Header{Name: name, Value: string(value)})
	}
	return err
}

func takeConsumer(_ *request, f *split.Facts, r reply) error {
	var to kong_plugin_protocol.Consumer
	err := r(&to)
	f.Consumer = split.Consumer{ID: to.Id, CustomID: to.CustomId, Username: to.Username}
	return err
}

// readsOf are the calls that ask for facts, but for those that few requests need.
func readsOf(facts []fact) (reads []call) {
	for i := range facts {
		if !facts[i].preflight {
			reads = append(reads, facts[i].call)
		}
	}
	return reads
}

// learn asks Kong for facts of the request.
func (r *request) learn(f *split.Facts, facts []fact) error {
	for i := range facts {
		if facts[i].preflight && !f.MayBePreflight() {
			continue
		}
		c := facts[i].call
		err := facts[i].take(r, f, func(to proto.Message) error { return ask(r.kong, c, to) })
		if err != nil {
			return fmt.Errorf("asking Kong for what the split depends on: %s: %w", c.Method, err)
		}
	}
	return nil
}
