package plugin

import (
	"strings"
	"sync/atomic"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// backend is one destination, or a redirect, ready to be told to Kong.
type backend struct {
	config.Backend
	target      string // the host, as Kong takes it
	named       bool   // the destination is one that Kong looks up
	overrides   overrides
	another     another
	setUpstream call
	headers     []byte // that its requests have set or removed, as set_headers takes them
	withoutHost call   // sets these, and leaves the Host alone; none where there are none
	// withHost sets these with a Host that is not a client's.
	withHost atomic.Pointer[keyedCall[string]]
	calls    []call // that come after it
	// service leaves what there is of a Service where the route has none, by the protocol.
	service atomic.Pointer[keyedCall[string]]
}

// prepare makes b the backend at index i of c.
func (b *backend) prepare(c *config.Config, i int) {
	b.Backend, b.named, b.target = c.Backends[i], c.Backends[i].Named(), c.Backends[i].Host
	if strings.Contains(b.target, ":") { // without brackets, a Service with an IP address as its host goes nowhere
		b.target = "[" + b.target + "]"
	}
	if b.calls = headerCalls(&b.Backend, c.ResponseHeader); b.Redirect != nil {
		return
	}
	b.overrides.prepare(&b.Backend, b.target, c.Retry != nil)
	if c.Retry != nil {
		b.another.prepare(c, &b.Backend, b.target)
	}
	b.setUpstream = textCall("kong.service.set_upstream", b.Upstream)
	if b.headers = changedHeaders(&b.RequestHeaders); len(b.headers) > 0 {
		b.withoutHost = setHeaders(b.headers)
	}
}

// direct tells Kong to send the request to b, wherever it was told to before. found
// is false where Kong has no Upstream of that name; then nothing of the request has
// changed. Where b is not chosen, it finds out no more than that.
func (r *request) direct(b *backend, chosen bool) (found bool, err error) {
	if err := r.learnService(b); err != nil {
		return false, err
	}
	if b.Service {
		if b.overrides.limits {
			return true, r.override(b)
		}
		return true, r.restoreDestination()
	}
	if wrong, err := r.impossible(&b.Backend); err != nil {
		return false, err
	} else if wrong != nil {
		return false, misconfigured("%w", wrong)
	}
	if b.Redirect != nil {
		return true, nil
	}
	overridden, err := r.overrides(b)
	if err != nil {
		return false, err
	}
	if b.Upstream != "" && !r.stream { // on which Kong does not say whether there is one
		var known kong_plugin_protocol.Bool
		if err := ask(r.kong, b.setUpstream, &known); err != nil || !known.V || !chosen {
			return known.V, err
		}
	}
	switch r.overridden = overridden; {
	case overridden:
		return true, r.override(b)
	case b.Upstream == "":
		return true, r.kong.Service.SetTarget(b.target, b.Port)
	case r.stream: // where Kong takes an Upstream as a target only
		return true, r.kong.Service.SetTarget(b.Upstream, 0)
	}
	return true, nil
}

// overrides reports whether what b asks for takes more than the calls by which Kong is told
// a destination: limits of its own, other backends after it, or a name where the Service's
// host is an IP address.
func (r *request) overrides(b *backend) (bool, error) {
	if b.overrides.always || !b.named {
		return b.overrides.always, nil
	}
	s, err := r.askService()
	return s.IsIP, err
}

// restoreDestination restores what was saved.
func (r *request) restoreDestination() error {
	if !r.saved {
		return nil
	}
	return r.tell(setContext(balancerKey, r.balancer))
}

// apply tells Kong what else there is to a request that it sends to b.
func (r *request) apply(b *backend) error {
	if err := r.supplyService(b); err != nil || r.stream {
		return err
	}
	if err := r.setScheme(b); err != nil {
		return err
	}
	if err := r.setPath(b); err != nil {
		return err
	}
	if err := r.setHeaders(b); err != nil {
		return err
	}
	for _, c := range b.calls {
		if err := r.tell(c); err != nil {
			return err
		}
	}
	return nil
}

// impossible returns what Kong cannot do of what b asks for. It asks for the Service and the route
// only where those matter.
func (r *request) impossible(b *config.Backend) (wrong, err error) {
	if b.Protocol == "" && b.Path == "" && b.ReplacePrefix == "" && b.ReplacePath == "" && b.Redirect == nil {
		return nil, nil
	}
	s, err := r.askService()
	if err != nil {
		return nil, err
	}
	if wrong := s.Refuse(b); wrong != nil || b.ReplacePrefix == "" && (b.Redirect == nil || b.Redirect.ReplacePrefix == "") {
		return wrong, nil
	}
	m, err := r.askMatching()
	if err != nil {
		return nil, err
	}
	return m.Refuse(b), nil
}

func (r *request) setScheme(b *backend) error {
	if b.Protocol == "" || r.serviceless {
		return nil
	}
	s, err := r.askService()
	if err != nil || s.Protocol == b.Protocol {
		return err
	}
	return r.kong.ServiceRequest.SetScheme(b.Protocol)
}

// logged adds the decision to what Kong's log plugins write.
func logged(backend string, d split.Decision) call {
	fields := map[string]*structpb.Value{
		"backend":  structpb.NewStringValue(backend),
		"reason":   structpb.NewStringValue(string(d.Reason)),
		"revision": structpb.NewStringValue(d.Revision),
	}
	if d.RolledBack {
		fields["rolled_back"] = structpb.NewBoolValue(true)
	}
	return messageCall("kong.log.set_serialize_value", &kong_plugin_protocol.KV{
		K: "traffic_split",
		V: structpb.NewStructValue(&structpb.Struct{Fields: fields}),
	})
}
