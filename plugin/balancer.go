package plugin

import (
	"strings"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"kong-traffic-split/plugin/config"
)

// balancerKey is where Kong keeps in a request's context where it is to go, how long it
// waits there and how often it tries again. It is a table of Kong's own, and what no call
// changes can be changed there. It is written back as this request had it but for that: a
// plugin in front may have changed the rest. What is no data is lost, which is the callback
// for retries that a plugin in front may have set.
const balancerKey = "balancer_data"

var getBalancer = textCall("kong.nginx.get_ctx", balancerKey)

// balancerFields are what Kong goes by there.
var balancerFields = []struct {
	name string
	kind protowire.Number // of its Value
}{
	{"type", valueString},
	{"host", valueString},
	{"port", valueNumber},
	{"retries", valueNumber},
	{"connect_timeout", valueNumber},
	{"send_timeout", valueNumber},
	{"read_timeout", valueNumber},
	{"try_count", valueNumber},
	{"tries", valueStruct},
}

// overrides are what a backend has other there than the route's own Service. Safe for
// concurrent use.
type overrides struct {
	entries []byte // of a Struct
	limits  bool   // timeouts or retries are among them
	always  bool   // the backend is told by them whatever the Service is
	// last is the call that writes them, by what was read.
	last atomic.Pointer[keyedCall[string]]
}

func (o *overrides) prepare(b *config.Backend, target string, retried bool) {
	put := func(name string, value []byte) {
		o.entries = append(o.entries, structEntry(name, value)...)
	}
	putText := func(name, text string) { put(name, appendField(nil, valueString, text)) }
	putNumber := func(name string, number float64) { put(name, numberValue(number)) }
	if !b.Service {
		// Of an IP address, too: Kong finds it by itself, and what it takes for one it
		// never asks a callback about before a retry.
		putText("type", "name")
	}
	switch {
	case b.Upstream != "":
		putText("host", b.Upstream)
	case b.Host != "":
		putText("host", target)
		putNumber("port", float64(b.Port))
	}
	o.limits = b.HasLimits()
	o.always = o.limits || retried
	for _, f := range timeoutFields {
		if seconds := f.of(&b.Timeouts); seconds > 0 {
			put(f.name, milliseconds(seconds))
		}
	}
	if b.Retries != nil {
		putNumber("retries", float64(*b.Retries))
	}
}

// milliseconds is an encoded Value of a number of seconds.
func milliseconds(seconds float64) []byte {
	return numberValue(float64(config.Seconds(seconds).Milliseconds()))
}

// askBalancer reads balancer_data, as it was before Kong was told anything: an encoded
// Value.
func (r *request) askBalancer() ([]byte, error) {
	if r.balancer == nil {
		var reply emptypb.Empty // what a message does not know, it keeps as it is
		if err := ask(r.kong, getBalancer, &reply); err != nil {
			return nil, err
		}
		r.balancer = append([]byte{}, reply.ProtoReflect().GetUnknown()...)
	}
	return r.balancer, nil
}

// override has Kong go by the overrides of a backend.
func (r *request) override(b *backend) error {
	read, err := r.askBalancer()
	if err != nil {
		return err
	}
	last := b.overrides.last.Load()
	if last == nil || last.key != string(read) {
		if lacks, err := r.lacking(read); err != nil {
			return err
		} else if lacks != "" {
			return r.cannotOverride(b, lacks)
		}
		last = &keyedCall[string]{string(read), setContext(balancerKey, replaceFields(read, b.overrides.entries))}
		b.overrides.last.Store(last)
	}
	return r.tell(last.call)
}

// cannotOverride refuses what a backend asks for where Kong's table is another one.
func (r *request) cannotOverride(b *backend, lacks string) error {
	if b.overrides.limits {
		return misconfigured("backend %q: this Kong's %s is not that of Kong 3.9, by which timeouts and retries of a backend are set: it lacks %s: leave them out", b.Name, balancerKey, lacks)
	}
	if b.overrides.always {
		return misconfigured("retry: this Kong's %s is not that of Kong 3.9, by which requests are tried on another backend: it lacks %s: leave retry out", balancerKey, lacks)
	}
	s, err := r.askService()
	if err != nil {
		return err
	}
	return misconfigured("backend %q: the Service's host is the IP address %s, and this Kong's %s is not that of Kong 3.9, by which requests go over from there to a name or an Upstream: it lacks %s: give the Service a host name (it need not resolve)", b.Name, s.Host, balancerKey, lacks)
}

// saveDestination saves where the route by itself sends the request, before Kong is asked
// whether it has an Upstream by telling it to send the request there. No other call of
// Kong's says so. saved is false where Kong does not tell what can be restored.
func (r *request) saveDestination() (saved bool, err error) {
	read, err := r.askBalancer()
	if err != nil {
		return false, err
	}
	if lacks, err := r.lacking(read); err != nil {
		return false, err
	} else if lacks != "" {
		const reason = "this Kong has no balancer_data as 3.9 has it: Upstreams beside service: true that were missing are not looked for again"
		if r.row.mayLog(reason, r.now) {
			r.plugin.Log.Error(reason)
		}
		return false, nil
	}
	r.saved = true
	return true, nil
}

// setContext is the call that writes an encoded Value in a request's context.
func setContext(key string, value []byte) call {
	return call{"kong.nginx.set_ctx", appendField(appendField(nil, kvKey, key), kvValue, value)}
}

// replaceFields returns an encoded Value, which is a Struct, with other entries in the
// place of those of the same names.
func replaceFields(value, entries []byte) []byte {
	replaced := map[string]bool{}
	eachField(entries, structFields, func(entry []byte) { replaced[string(entryName(entry))] = true })
	var kept []byte
	eachField(value, valueStruct, func(table []byte) {
		eachField(table, structFields, func(entry []byte) {
			if !replaced[string(entryName(entry))] {
				kept = appendField(kept, structFields, entry)
			}
		})
	})
	return appendField(nil, valueStruct, append(kept, entries...))
}

func entryName(entry []byte) (name []byte) {
	eachField(entry, entryKey, func(key []byte) { name = key })
	return name
}

// fieldOf returns the Value of that name in an encoded Value, which is a Struct that has it.
func fieldOf(value []byte, name string) (found []byte) {
	eachEntry(value, func(entry string, v []byte) {
		if entry == name {
			found = v
		}
	})
	return found
}

// eachEntry calls take with the name and the Value of each entry of an encoded Value, which
// is a Struct.
func eachEntry(value []byte, take func(name string, v []byte)) {
	eachField(value, valueStruct, func(table []byte) {
		eachField(table, structFields, func(entry []byte) {
			eachField(entry, entryValue, func(v []byte) { take(string(entryName(entry)), v) })
		})
	})
}

// lacking names what balancer_data lacks: where the route has no Service, it lacks nothing
// without a destination.
func (r *request) lacking(read []byte) (string, error) {
	lacks := lackingFields(read, false)
	if lacks == "" {
		return "", nil
	}
	s, err := r.askService()
	if err == nil && s.Missing {
		lacks = lackingFields(read, true)
	}
	return lacks, err
}

// lackingFields names those of balancerFields that an encoded Value does not have, or not
// of their kind; empty: it has all.
func lackingFields(value []byte, serviceless bool) string {
	found := map[string]protowire.Number{}
	eachEntry(value, func(name string, v []byte) {
		if number, _, n := protowire.ConsumeTag(v); n > 0 {
			found[name] = number
		}
	})
	var lacks []string
	for _, f := range balancerFields {
		if serviceless && (f.name == "host" || f.name == "port") {
			continue
		}
		if found[f.name] != f.kind && (f.name != "tries" || found[f.name] != valueList) {
			lacks = append(lacks, f.name)
		}
	}
	if len(lacks) == len(balancerFields) {
		return "all that is known of it"
	}
	return strings.Join(lacks, ", ")
}
