package plugin

import (
	"fmt"
	"strconv"

	"kong-traffic-split/plugin/config"
)

// placement is where a plugin row sits in Kong's configuration, from what Kong
// adds to its config.
type placement struct {
	PluginID, RouteID, ServiceID, ConsumerID string
	// Seq numbers the configs that a worker of Kong's has loaded, from 1; 0: not known.
	Seq int64

	unknown bool // it cannot be decoded, but for the id perhaps
}

// placementOf returns the placement in what Kong has sent.
func placementOf(sent *config.Node) (p placement, err error) {
	for _, id := range [...]struct {
		key string
		to  *string
	}{
		{"__plugin_id", &p.PluginID},
		{"route_id", &p.RouteID},
		{"service_id", &p.ServiceID},
		{"consumer_id", &p.ConsumerID},
	} {
		switch v := sent.Get(id.key); {
		case v == nil, v.Kind == config.Null:
		case v.Kind == config.String:
			*id.to = v.Text
		default:
			p.unknown = true
			err = fmt.Errorf("what Kong adds to the config: %s is not a string", id.key)
		}
	}
	if v := sent.Get("__seq__"); v != nil && v.Kind == config.Number {
		p.Seq, _ = strconv.ParseInt(v.Text, 10, 64)
	}
	return p, err
}

// key names the place: of rows that have the same id, the same one is only where nobody
// has moved it.
func (p *placement) key() string {
	if p.unknown {
		return "unknown" // where nothing was ever good
	}
	return "route=" + p.RouteID + " service=" + p.ServiceID + " consumer=" + p.ConsumerID
}
