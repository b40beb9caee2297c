package plugin

import (
	"fmt"
	"net/netip"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"

	"kong-traffic-split/plugin/split"
)

// fact is something of a request that a decision may depend on: the call that
// asks Kong for it, and what is made of the reply.
type fact struct {
	read
	call call
	take func(f *split.Facts, reply reply) error
	// options says that it is asked for only where the method is OPTIONS, which is asked
	// for before.
	options bool
}

// reply decodes what Kong has replied to a call.
type reply func(to proto.Message) error

// text is a reply that is a string of any bytes; empty where there is none.
func (r reply) text() (string, error) {
	var to kong_plugin_protocol.ByteString
	err := r(&to)
	return string(to.V), err
}

// factsOf are the facts that a split needs. On a TCP or TLS route Kong knows the
// client's address alone, and plugin rows there need nothing else.
func factsOf(n split.Needs) (facts []fact) {
	texts := func(wanted bool, method, arg string, take func(f *split.Facts, text string)) {
		if !wanted {
			return
		}
		facts = append(facts, newFact(method, arg, func(f *split.Facts, r reply) error {
			text, err := r.text()
			take(f, text)
			return err
		}))
	}
	texts(n.Method, "kong.request.get_method", "", func(f *split.Facts, text string) { f.Method = text })
	texts(n.Path, "kong.request.get_path", "", func(f *split.Facts, text string) { f.Path = text })
	texts(n.Query, "kong.request.get_raw_query", "", func(f *split.Facts, text string) { f.Query = text })
	// Not request.get_header, which has the first of several Cookie headers only.
	texts(n.Cookies, "kong.nginx.get_var", "http_cookie", func(f *split.Facts, text string) { f.Cookies = text })
	texts(n.HTTPS, "kong.request.get_forwarded_scheme", "", func(f *split.Facts, text string) { f.HTTPS = text == "https" })
	texts(n.IP, "kong.client.get_forwarded_ip", "", func(f *split.Facts, text string) {
		f.IP, _ = netip.ParseAddr(text) // of a Unix socket's client there is none
	})
	header := func(name string) {
		texts(true, "kong.request.get_header", name, func(f *split.Facts, text string) {
			if text != "" {
				f.Headers = append(f.Headers, split.Header{Name: name, Value: text})
			}
		})
	}
	for _, name := range n.Headers {
		header(name)
	}
	for _, name := range n.OptionsHeaders {
		header(name)
		facts[len(facts)-1].options = true
	}
	if n.Captures {
		facts = append(facts, newFact("kong.request.get_uri_captures", "", takeCaptures))
	}
	if n.Consumer {
		facts = append(facts, newFact("kong.client.get_consumer", "", takeConsumer))
	}
	return facts
}

// newFact makes a fact of the call of a method, with an argument or, where that
// is empty, without.
func newFact(method, arg string, take func(*split.Facts, reply) error) fact {
	f := fact{read: read{Method: method}, call: call{method: method}, take: take}
	if arg != "" {
		f.read, f.call.args = newRead(method, arg), stringArg(arg)
	}
	return f
}

func takeCaptures(f *split.Facts, r reply) error {
	var to kong_plugin_protocol.UriCapturesResult
	err := r(&to)
	for name, value := range to.Named {
		f.Captures = append(f.Captures, split.Header{Name: name, Value: string(value)})
	}
	return err
}

func takeConsumer(f *split.Facts, r reply) error {
	var to kong_plugin_protocol.Consumer
	err := r(&to)
	f.Consumer = split.Consumer{ID: to.Id, CustomID: to.CustomId, Username: to.Username}
	return err
}

// readsOf are the calls that ask for facts, but for those that few requests need.
func readsOf(facts []fact) (reads []read) {
	for i := range facts {
		if !facts[i].options {
			reads = append(reads, facts[i].read)
		}
	}
	return reads
}

// ask asks Kong for facts of the request.
func (r *request) ask(f *split.Facts, facts []fact) error {
	for i := range facts {
		if facts[i].options && f.Method != "OPTIONS" {
			continue
		}
		c := facts[i].call
		err := facts[i].take(f, func(to proto.Message) error { return r.kong.Request.Ask(c.method, c.args, to) })
		if err != nil {
			return fmt.Errorf("asking Kong for what the split depends on: %s: %w", c.method, err)
		}
	}
	return nil
}
