package plugin

import (
	"cmp"

	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/plugin/config"
)

// A route need not have a Service. Kong then answers 503 when its plugins have run, wherever
// they have sent the request: unless its context has a Service. So the plugin leaves there
// what is true of the backend, which is also what log plugins show as the Service, and says
// the scheme, as Kong has none. Kong uses nothing else of it: limits are in balancer_data, and
// what TLS is to be like is settled before plugins run.

// serviceKey is where Kong keeps the Service in a request's context. What the plugin has left
// there has no id.
const serviceKey = "service"

var getService = textCall("kong.nginx.get_ctx", serviceKey)

// learnService finds out whether the route has a Service, where a request for b depends on
// it: what goes to the Service itself, Kong refuses by itself, and the plugin only where it
// knows.
func (r *request) learnService(b *backend) error {
	switch {
	case r.placement.ServiceID != "" || b.Redirect != nil:
		return nil
	case b.Service:
		s, isKnown := r.service.known(r.now)
		r.serviceless = isKnown && s.Missing
	default:
		s, err := r.askService()
		if err != nil {
			return err
		}
		r.serviceless = s.Missing
	}
	if !r.serviceless {
		return nil
	}
	rt, err := r.askRoute()
	if err != nil {
		return err
	}
	if wrong := config.RefuseServiceless(&b.Backend, rt.protocols()); wrong != nil {
		return misconfigured("%w", wrong)
	}
	return nil
}

func (rt *route) protocols() (all []string) {
	for _, protocol := range rt.fields["protocols"].GetListValue().GetValues() {
		all = append(all, protocol.GetStringValue())
	}
	return all
}

// supplyService leaves what Kong sends a request of a route without a Service to b by.
func (r *request) supplyService(b *backend) error {
	if !r.serviceless || b.Redirect != nil {
		return nil
	}
	s, err := r.askService()
	if err != nil {
		return err
	}
	protocol := cmp.Or(b.Protocol, s.Protocol)
	last := b.service.Load()
	if last == nil || last.key != protocol {
		last = &keyedCall[string]{protocol, serviceCall(&b.Backend, protocol)}
		b.service.Store(last)
	}
	if err := r.tell(last.call); err != nil || r.stream {
		return err
	}
	return r.kong.ServiceRequest.SetScheme(protocol)
}

// serviceCall is the call that leaves what there is of a Service.
func serviceCall(b *config.Backend, protocol string) call {
	text := func(name, text string) []byte { return structEntry(name, appendField(nil, valueString, text)) }
	entries := append(text("protocol", protocol), text("host", cmp.Or(b.Upstream, b.Host))...)
	if b.Upstream == "" {
		entries = append(entries, structEntry("port", numberValue(float64(b.Port)))...)
	}
	return setContext(serviceKey, appendField(nil, valueStruct, entries))
}

// newService is the Service of a request, as it is in Kong's context.
func (r *request) newService(entity map[string]*structpb.Value) service {
	if entity["id"] == nil {
		s := service{Service: config.NoService()}
		if r.stream {
			s.Protocol = "tcp"
		}
		return s
	}
	s := service{config.NewService(entity["protocol"].GetStringValue(), entity["host"].GetStringValue()), entity["name"].GetStringValue()}
	s.Path = entity["path"].GetStringValue()
	return s
}
