package plugin

import (
	"strings"
	"sync/atomic"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/split"
)

// backend is one destination, ready to be told to Kong.
type backend struct {
	config.Backend
	target      string // the host, as Kong takes it
	named       bool   // the destination is one that Kong looks up
	setUpstream call
	headers     []byte // that its requests have set or removed, as set_headers takes them
	withoutHost call   // sets these, and leaves the Host alone; none where there are none
	// withHost sets these with a Host that is not a client's.
	withHost atomic.Pointer[keyedCall[string]]
	calls    []call // that come after it
}

// prepare makes b the backend at index i of c.
func (b *backend) prepare(c *config.Config, i int) {
	b.Backend, b.named, b.target = c.Backends[i], c.Backends[i].Named(), c.Backends[i].Host
	if strings.Contains(b.target, ":") { // without brackets, a Service with an IP address as its host goes nowhere
		b.target = "[" + b.target + "]"
	}
	b.setUpstream = textCall("kong.service.set_upstream", b.Upstream)
	if b.headers = changedHeaders(&b.RequestHeaders); len(b.headers) > 0 {
		b.withoutHost = setHeaders(b.headers)
	}
	b.calls = headerCalls(&b.Backend, c.ResponseHeader)
}

// direct tells Kong to send the request to b, wherever it was told to before. found
// is false where Kong has no Upstream of that name; then nothing of the request has
// changed.
func (r *request) direct(b *backend) (found bool, err error) {
	if b.Service {
		return true, r.restoreDestination()
	}
	if err := r.check(b); err != nil {
		return false, err
	}
	switch {
	case b.Upstream == "":
		return true, r.kong.Service.SetTarget(b.target, b.Port)
	case r.stream: // where Kong takes an Upstream as a target only, and does not say whether there is one
		return true, r.kong.Service.SetTarget(b.Upstream, 0)
	}
	var known kong_plugin_protocol.Bool
	err = ask(r.kong, b.setUpstream, &known)
	return known.V, err
}

// saveDestination saves where the route by itself sends the request, before Kong is asked
// whether it has an Upstream by telling it to send the request there. No other call of
// Kong's says so. saved is false where Kong does not tell what can be restored.
func (r *request) saveDestination() (saved bool, err error) {
	if r.destination != nil {
		return true, nil
	}
	v, err := r.kong.Nginx.GetCtxAny(balancerKey)
	if err != nil {
		return false, err
	}
	table, _ := v.(map[string]any)
	if table["host"] == nil || table["tries"] == nil {
		const reason = "this Kong has no balancer_data as 3.9 has it: Upstreams beside service: true that were missing are not looked for again"
		if r.row.mayLog(reason, r.now) {
			r.plugin.Log.Error(reason)
		}
		return false, nil
	}
	r.destination = table
	return true, nil
}

// restoreDestination restores what was saved.
func (r *request) restoreDestination() error {
	if r.destination == nil {
		return nil
	}
	return r.kong.Nginx.SetCtx(balancerKey, r.destination)
}

// balancerKey is where Kong keeps in a request's context where it is to go. It is a
// table of Kong's own, which is written back as it was read, but for what is no data:
// that is the callback for retries that a plugin in front may have set.
const balancerKey = "balancer_data"

// apply tells Kong what else there is to a request that it sends to b.
func (r *request) apply(b *backend) error {
	if r.stream {
		return nil
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

// check refuses what Kong cannot do. It asks for the Service only where that matters.
func (r *request) check(b *backend) error {
	if !b.named && b.Protocol == "" && b.Path == "" {
		return nil
	}
	s, err := r.askService()
	if err != nil {
		return err
	}
	if wrong := s.Refuse(&b.Backend); wrong != nil {
		return misconfigured("%w", wrong)
	}
	return nil
}

func (r *request) setScheme(b *backend) error {
	if b.Protocol == "" {
		return nil
	}
	s, err := r.askService()
	if err != nil || s.Protocol == b.Protocol {
		return err
	}
	return r.kong.ServiceRequest.SetScheme(b.Protocol)
}

// setPath puts the backend's path before the one that Kong computed from the
// Service's path, the route and strip_path. The query stays as it is.
func (r *request) setPath(b *backend) error {
	if b.Path == "" {
		return nil
	}
	uri, err := r.askText(getURI)
	if err != nil {
		return err
	}
	path := strings.TrimSuffix(b.Path, "/") + uri
	if uri == "/" {
		// Which it is whether the client has sent a slash there or not. Few requests
		// are for it, and so the path is not among the reads.
		asked, err := r.askText(getPath)
		if err != nil {
			return err
		}
		path = servicePath(b.Path, asked)
	}
	return r.tell(textCall("kong.service.request.set_path", path))
}

// servicePath is what Kong makes of a Service's path for a request of which nothing is
// left once the route's prefix is taken off: a slash at the end comes from the client,
// or, where the client has asked for nothing else, from the Service.
func servicePath(path, asked string) string {
	slash := strings.HasSuffix(asked, "/")
	switch {
	case path == "/":
		return path
	case strings.HasSuffix(path, "/") && !slash:
		return strings.TrimSuffix(path, "/")
	case !strings.HasSuffix(path, "/") && slash && asked != "/":
		return path + "/"
	}
	return path
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
